"""Damped least squares, ``min |J d + r|^2 + mu |d|^2``, for many ``mu`` from one factorization."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from scipy.linalg import blas
from torch import Tensor

from .. import memory
from .sketch import Nystrom, sketch
from .triangle import augmented, extended

HELD, TRIANGLES, SKETCHED = 3, 8, 6
"""How often the matrix is in memory where it is held, a triangle where it is factored, and a sketch of it."""
WELL = 1e-10
"""Normal equations serve above this much of the largest eigenvalue: rounding then changes mu itself by 1e-5 at most."""
POWER_STEPS = 12
RANK = 1000
"""Of the sketch at most."""
ITERATIONS = 200
"""Steps of conjugate gradients where not even a triangle can be kept."""
CLOSE, ROUNDING = 1e-6, 1e-15
"""They end where a step lowers ``|J d + r|^2 + mu |d|^2`` by less than this part of it; below this part of ``|r|^2``
it is rounding."""

Chunks = Callable[[], Iterator[tuple[Tensor, Tensor]]]


class Damped(ABC):
    """The problem at one point: ``top`` is the largest eigenvalue of ``J^T J``, ``right`` the residual ``r``."""

    right: Tensor
    top: float

    @abstractmethod
    def solve(self, mu: float) -> Tensor:
        """``(P,)``: the step ``d`` for one ``mu``."""

    @abstractmethod
    def again(self, right: Tensor) -> Tensor:
        """``(P,)``: the same for another residual, by the factors of the last ``mu``, a few digits less accurate."""

    @abstractmethod
    def along(self, d: Tensor) -> Tensor:
        """``(N,)``: ``J d``."""


def damped(chunks: Chunks, rows: int, size: int, device: torch.device | str = "cpu") -> Damped:
    """The way that fits half of the free memory: the matrix, a triangle of its columns, or products alone.

    ``chunks()`` yields ``(r, J)`` some rows at a time. Where memory runs out after all the next way is taken.
    """
    stored = memory.allowed_bytes(device) / 8
    least = min(rows, size)
    if least * (HELD * max(rows, size) + TRIANGLES * least) <= stored:
        try:
            return Dual(chunks, size) if rows < size else Primal(chunks, True)
        except (MemoryError, RuntimeError) as error:
            if not memory.ran_out(error):
                raise
        _say(f"with the derivatives of {rows} rows by {size} parameters held: they are made some at a time")
    if rows >= size and TRIANGLES * size**2 <= stored:
        try:
            return Primal(chunks, False)
        except (MemoryError, RuntimeError) as error:
            if not memory.ran_out(error):
                raise
        _say(f"with a triangle of {size} columns: conjugate gradients take its place")
    return Products(chunks, size, max(1, min(RANK, least, int(stored / (SKETCHED * size)))))


def _say(what: str) -> None:
    print(f"Out of memory {what}.", file=sys.stderr)


class Primal(Damped):
    """At least as many rows as columns: QR of ``[J r]``, then of ``[R; sqrt(mu) I]``; normal equations above ``WELL``.

    (Golub 1965, doi 10.1007/BF01436075; the structured QR: LAPACK's tpqrt.)
    """

    def __init__(self, chunks: Chunks, held: bool) -> None:
        self._chunks, self._matrix = chunks, None
        self._gram: Tensor | None = None
        self._triangle: Tensor | None = None
        if held:
            parts = list(chunks())
            self.right, self._matrix = parts[0] if len(parts) == 1 else (torch.cat(p) for p in zip(*parts, strict=True))
            self._slope = self._matrix.T @ self.right
        else:
            self._accumulate()
        self.top = _largest(self._square, self._slope)

    def _accumulate(self) -> None:
        """The triangle of a matrix that is never held, and the gradient, in one pass."""
        right, slope = [], None
        triangle: Tensor | None = None
        pieces = memory.Chunks("rows of the Jacobian", sys.maxsize)
        for r, j in self._chunks():
            triangle = _taken_up(triangle, r, j, pieces)
            slope = j.T @ r if slope is None else slope + j.T @ r
            right.append(r)
        assert triangle is not None and slope is not None
        self.right, self._triangle, self._slope = torch.cat(right), triangle, slope

    def _square(self, v: Tensor) -> Tensor:
        if self._matrix is not None:
            return self._matrix.T @ (self._matrix @ v)
        assert self._triangle is not None
        r = self._triangle[:, :-1]
        return r.T @ (r @ v)

    def solve(self, mu: float) -> Tensor:
        """The step, by Cholesky where ``mu`` allows."""
        if self._matrix is not None and self._triangle is None and mu > WELL * self.top:
            if self._gram is None:
                self._gram = _gram(self._matrix)
            shifted = self._gram.clone()
            shifted.diagonal().add_(mu)
            lower, failed = torch.linalg.cholesky_ex(shifted)
            if not bool(failed):
                self._factor = lower.T
                return -torch.cholesky_solve(self._slope[:, None], lower)[:, 0]
        if self._triangle is None:
            assert self._matrix is not None
            both = torch.cat([self._matrix, self.right[:, None]], dim=1)
            self._triangle = extended(None, both)
        whole = augmented(self._triangle, math.sqrt(mu), len(self._slope))
        self._factor = whole[:-1, :-1]
        return -_back(self._factor, whole[:-1, -1])

    def again(self, right: Tensor) -> Tensor:
        """By the seminormal equations."""
        slope = torch.zeros_like(self._slope)
        if self._matrix is not None:
            slope = self._matrix.T @ right
        else:
            done = 0
            for r, j in self._chunks():
                slope += j.T @ right[done : done + len(r)]
                done += len(r)
        return -_back(self._factor, _forth(self._factor, slope))

    def along(self, d: Tensor) -> Tensor:
        """``J d``."""
        if self._matrix is not None:
            return self._matrix @ d
        return torch.cat([j @ d for _, j in self._chunks()])


class Dual(Damped):
    """Fewer rows than columns: ``d = -J^T (J J^T + mu)^-1 r`` by QR of ``J^T``, a triangle of as many columns as rows.

    (The seminormal equations are backward stable for solutions of least norm: Paige 1973, doi 10.1137/0710084.)
    """

    def __init__(self, chunks: Chunks, size: int) -> None:
        parts = list(chunks())
        self.right, self._matrix = (torch.cat(p) for p in zip(*parts, strict=True))
        self._triangle = extended(None, self._matrix.T)
        self.top = _largest(lambda v: self._triangle.T @ (self._triangle @ v), self.right)

    def solve(self, mu: float) -> Tensor:
        """The step."""
        self._factor = augmented(self._triangle, math.sqrt(mu), len(self.right))
        return self.again(self.right)

    def again(self, right: Tensor) -> Tensor:
        """For another residual."""
        return -(self._matrix.T @ _back(self._factor, _forth(self._factor, right)))

    def along(self, d: Tensor) -> Tensor:
        """``J d``."""
        return self._matrix @ d


class Products(Damped):
    """No matrix is kept: conjugate gradients on the damped normal equations, the rows made anew for every product.

    (CGLS; Bjorck, Elfving and Strakos 1998, doi 10.1137/S089547989631202X.) A sketch of ``J^T J`` of some ``rank``,
    made in one pass, is the preconditioner; at most ``ITERATIONS`` further passes.
    """

    def __init__(self, chunks: Chunks, size: int, rank: int) -> None:
        self._chunks, self._size = chunks, size
        self.right = torch.cat([r for r, _ in chunks()])
        self._sketch: Nystrom = sketch(self._square, self.right.new_empty(size, rank))
        self.top = self._sketch.top

    def _square(self, v: Tensor) -> Tensor:
        total = torch.zeros_like(v)
        for _, j in self._chunks():
            total += j.T @ (j @ v)
        return total

    def _back(self, right: Tensor) -> Tensor:
        total, done = right.new_zeros(self._size), 0
        for r, j in self._chunks():
            total += j.T @ right[done : done + len(r)]
            done += len(r)
        return total

    def solve(self, mu: float) -> Tensor:
        """The step."""
        self._mu = mu
        return self.again(self.right)

    def again(self, right: Tensor) -> Tensor:
        """For another residual."""
        left = -self._back(right)
        d, s = torch.zeros_like(left), self._sketch.solve(left, self._mu)
        size, value = float(left @ s), float(right.square().sum())
        least = ROUNDING * value
        for _ in range(ITERATIONS):
            if not size > 0:
                break
            turned = self._square(s) + self._mu * s
            share = size / float(s @ turned)
            d = d + share * s
            left = left - share * turned
            value = max(value - share * size, least)
            if share * size <= CLOSE * value:
                break
            better = self._sketch.solve(left, self._mu)
            before, size = size, float(left @ better)
            s = better + (size / before) * s
        return d

    def along(self, d: Tensor) -> Tensor:
        """``J d``."""
        return torch.cat([j @ d for _, j in self._chunks()])


def _taken_up(triangle: Tensor | None, r: Tensor, j: Tensor, pieces: memory.Chunks) -> Tensor | None:
    """The triangle of ``[J r]`` with more rows, so many at a time as fit the memory."""

    def work(cut: slice) -> Tensor:
        return extended(triangle, torch.cat([j[cut], r[cut, None]], dim=1))

    for triangle in pieces.over(len(r), work):  # noqa: B007 (each piece extends the last triangle)
        pass
    return triangle


def _largest(square: Callable[[Tensor], Tensor], start: Tensor, steps: int = POWER_STEPS) -> float:
    """The largest eigenvalue of a symmetric matrix, within a few percent, by the power method."""
    v, size = start, 0.0
    for _ in range(steps):
        length = float(v.norm())
        if not (length > 0 and math.isfinite(length)):
            break
        v = square(v / length)
        size = float(v.norm())
    return size


def _gram(matrix: Tensor) -> Tensor:
    """``J^T J``, its lower half at least: half the work of a product of two matrices where LAPACK takes them."""
    if matrix.device.type != "cpu" or matrix.dtype != torch.float64:
        return matrix.T @ matrix
    return torch.from_numpy(blas.dsyrk(1.0, matrix.T.numpy(), lower=1))


def _back(upper: Tensor, right: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(upper, right[:, None], upper=True)[:, 0]


def _forth(upper: Tensor, right: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(upper.T, right[:, None], upper=False)[:, 0]


__all__ = ["Damped", "Dual", "Primal", "Products", "damped"]
