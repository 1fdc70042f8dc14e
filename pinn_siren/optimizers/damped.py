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
from ..parallel import ALONE, Ranks
from .triangle import augmented, extended

WELL = 1e-10
"""Normal equations serve above this much of the largest eigenvalue: rounding then changes mu itself by 1e-5 at most."""
POWER_STEPS = 12
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


class Primal(Damped):
    """At least as many rows as columns: QR of ``[J r]``, then of ``[R; sqrt(mu) I]``; normal equations above ``WELL``.

    (Golub 1965, doi 10.1007/BF01436075; the structured QR: LAPACK's tpqrt.)
    """

    def __init__(self, chunks: Chunks, held: bool, ranks: Ranks = ALONE) -> None:
        self._chunks, self._matrix, self._ranks = chunks, None, ranks
        self._gram: Tensor | None = None
        self._triangle: Tensor | None = None
        if held:
            parts = list(chunks())
            self.right, self._matrix = parts[0] if len(parts) == 1 else (torch.cat(p) for p in zip(*parts, strict=True))
            self._slope = ranks.sum(self._matrix.T @ self.right)
        else:
            self._accumulate()
        self.top = largest(self._square, self._slope)

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
        self.right, self._slope = torch.cat(right), self._ranks.sum(slope)
        self._triangle = self._joined(triangle)

    def _joined(self, triangle: Tensor) -> Tensor:
        """One triangle of those of all processes."""
        if self._ranks.size == 1:
            return triangle
        return extended(None, self._ranks.stacked(triangle))

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
            self._triangle = self._joined(extended(None, both))
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

    def __init__(self, chunks: Chunks) -> None:
        parts = list(chunks())
        self.right, self._matrix = (torch.cat(p) for p in zip(*parts, strict=True))
        self._triangle = extended(None, self._matrix.T)
        self.top = largest(lambda v: self._triangle.T @ (self._triangle @ v), self.right)

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


def _taken_up(triangle: Tensor | None, r: Tensor, j: Tensor, pieces: memory.Chunks) -> Tensor | None:
    """The triangle of ``[J r]`` with more rows, so many at a time as fit the memory."""

    def work(cut: slice) -> Tensor:
        return extended(triangle, torch.cat([j[cut], r[cut, None]], dim=1))

    for triangle in pieces.over(len(r), work):  # noqa: B007 (each piece extends the last triangle)
        pass
    return triangle


def largest(square: Callable[[Tensor], Tensor], start: Tensor, steps: int = POWER_STEPS) -> float:
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


__all__ = ["Chunks", "Damped", "Dual", "Primal", "largest"]
