"""Damped least squares, ``min |J d + r|^2 + mu |d|^2``, for many ``mu`` from one factorization."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from scipy.linalg import blas, get_lapack_funcs
from torch import Tensor

from ..parallel import ALONE, Ranks

STORED = 2**28
"""Numbers of a matrix that are kept at most; beyond, rows are made again where they are needed."""
WELL = 1e-10
"""Normal equations serve above this much of the largest eigenvalue: rounding then changes mu itself by 1e-5 at most."""
PANEL = 32
POWER_STEPS = 12
ITERATIONS = 200
"""Steps of conjugate gradients where not even a triangle can be kept."""
CLOSE = 1e-8

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


def damped(chunks: Chunks, rows: int, size: int, start: Tensor | None = None, ranks: Ranks = ALONE) -> Damped:
    """The way that fits: a triangle of ``size`` columns, of ``rows`` where these are fewer, or products alone.

    ``chunks()`` yields ``(r, J)`` some rows at a time; ``start``: a guess of the top eigenvector; ``ranks``: processes
    that have some of the ``rows`` each. These make a triangle of ``size`` columns, as one that has enough rows does.
    """
    if ranks.size > 1:
        fits = size**2 <= STORED
        return Primal(chunks, rows // ranks.size, size, ranks) if fits else Products(chunks, size, start, ranks)
    if min(rows, size) ** 2 > STORED or (rows < size and rows * size > STORED):
        return Products(chunks, size, start)
    return Dual(chunks, size) if rows < size else Primal(chunks, rows, size)


class Primal(Damped):
    """At least as many rows as columns: QR of ``[J r]``, then of ``[R; sqrt(mu) I]``; normal equations above ``WELL``.

    (Golub 1965, doi 10.1007/BF01436075; the structured QR: LAPACK's tpqrt.)
    """

    def __init__(self, chunks: Chunks, rows: int, size: int, ranks: Ranks = ALONE) -> None:
        self._chunks, self._matrix, self._ranks = chunks, None, ranks
        self._gram: Tensor | None = None
        self._triangle: Tensor | None = None
        if rows * size <= STORED:
            parts = list(chunks())
            self.right, self._matrix = parts[0] if len(parts) == 1 else (torch.cat(p) for p in zip(*parts, strict=True))
            self._slope = ranks.sum(self._matrix.T @ self.right)
        else:
            self._accumulate()
        self.top = _largest(self._square, self._slope)

    def _accumulate(self) -> None:
        """The triangle of a matrix that is never held, and the gradient, in one pass."""
        right, triangle, slope = [], None, None
        for r, j in self._chunks():
            both = torch.cat([j, r[:, None]], dim=1)
            triangle = torch.linalg.qr(both if triangle is None else torch.cat([triangle, both]), mode="r").R
            slope = j.T @ r if slope is None else slope + j.T @ r
            right.append(r)
        assert triangle is not None and slope is not None
        self.right, self._slope = torch.cat(right), self._ranks.sum(slope)
        self._triangle = self._joined(triangle)

    def _joined(self, triangle: Tensor) -> Tensor:
        """One triangle of those of all processes."""
        if self._ranks.size == 1:
            return triangle
        return torch.linalg.qr(self._ranks.stacked(triangle), mode="r").R

    def _square(self, v: Tensor) -> Tensor:
        if self._matrix is not None:
            return self._ranks.sum(self._matrix.T @ (self._matrix @ v))
        assert self._triangle is not None
        r = self._triangle[:, :-1]
        return r.T @ (r @ v)

    def solve(self, mu: float) -> Tensor:
        """The step, by Cholesky where ``mu`` allows."""
        if self._matrix is not None and self._triangle is None and mu > WELL * self.top:
            if self._gram is None:
                self._gram = self._ranks.sum(_gram(self._matrix))
            shifted = self._gram.clone()
            shifted.diagonal().add_(mu)
            lower, failed = torch.linalg.cholesky_ex(shifted)
            if not bool(failed):
                self._factor = lower.T
                return -torch.cholesky_solve(self._slope[:, None], lower)[:, 0]
        if self._triangle is None:
            assert self._matrix is not None
            both = torch.cat([self._matrix, self.right[:, None]], dim=1)
            self._triangle = self._joined(torch.linalg.qr(both, mode="r").R)
        whole = _augmented(self._triangle, mu, len(self._slope))
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
        return -_back(self._factor, _forth(self._factor, self._ranks.sum(slope)))

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
        self._triangle = torch.linalg.qr(self._matrix.T, mode="r").R
        self.top = _largest(lambda v: self._triangle.T @ (self._triangle @ v), self.right)

    def solve(self, mu: float) -> Tensor:
        """The step."""
        self._factor = _augmented(self._triangle, mu, len(self.right))
        return self.again(self.right)

    def again(self, right: Tensor) -> Tensor:
        """For another residual."""
        return -(self._matrix.T @ _back(self._factor, _forth(self._factor, right)))

    def along(self, d: Tensor) -> Tensor:
        """``J d``."""
        return self._matrix @ d


class Products(Damped):
    """No matrix is kept: conjugate gradients on the damped normal equations, in the form of least squares.

    (CGLS; Bjorck, Elfving and Strakos 1998, doi 10.1137/S089547989631202X.) At most ``ITERATIONS`` products each way,
    the rows made anew for every one.
    """

    def __init__(self, chunks: Chunks, size: int, start: Tensor | None, ranks: Ranks = ALONE) -> None:
        self._chunks, self._size, self._ranks = chunks, size, ranks
        self.right = torch.cat([r for r, _ in chunks()])
        self.top = _largest(self._square, self._back(self.right) if start is None else start, 3)

    def _square(self, v: Tensor) -> Tensor:
        total = torch.zeros_like(v)
        for _, j in self._chunks():
            total += j.T @ (j @ v)
        return self._ranks.sum(total)

    def _back(self, right: Tensor) -> Tensor:
        total, done = right.new_zeros(self._size), 0
        for r, j in self._chunks():
            total += j.T @ right[done : done + len(r)]
            done += len(r)
        return self._ranks.sum(total)

    def solve(self, mu: float) -> Tensor:
        """The step."""
        self._mu = mu
        return self.again(self.right)

    def again(self, right: Tensor) -> Tensor:
        """For another residual."""
        left = -self._back(right)
        d, s = torch.zeros_like(left), left
        first = size = float(s.square().sum())
        for _ in range(ITERATIONS):
            if size <= CLOSE**2 * first:
                break
            turned = self._square(s) + self._mu * s
            share = size / float(s @ turned)
            d = d + share * s
            left = left - share * turned
            before, size = size, float(left.square().sum())
            s = left + (size / before) * s
        return d

    def along(self, d: Tensor) -> Tensor:
        """``J d``."""
        return torch.cat([j @ d for _, j in self._chunks()])


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


def _augmented(triangle: Tensor, mu: float, count: int) -> Tensor:
    """The triangle of ``[R; sqrt(mu) I]``, the identity over the first ``count`` columns."""
    n = triangle.shape[1]
    below = torch.zeros(n, n, dtype=triangle.dtype, device=triangle.device)
    below.diagonal()[:count] = math.sqrt(mu)
    if triangle.device.type != "cpu" or len(triangle) < n:
        return torch.linalg.qr(torch.cat([triangle, below]), mode="r").R
    (tpqrt,) = get_lapack_funcs(("tpqrt",), (triangle.numpy(),))
    found, _, _, info = tpqrt(n, min(PANEL, n), triangle.numpy(), below.numpy())
    assert info == 0
    return torch.from_numpy(found).triu()


def _back(upper: Tensor, right: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(upper, right[:, None], upper=True)[:, 0]


def _forth(upper: Tensor, right: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(upper.T, right[:, None], upper=False)[:, 0]


__all__ = ["Damped", "Dual", "Primal", "Products", "damped"]
