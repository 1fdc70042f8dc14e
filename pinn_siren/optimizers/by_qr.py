"""``min |A x - b|`` by QR with a ridge at rounding, the rows of ``[A b]`` all at once or some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from ..parallel import ALONE, Ranks
from .triangle import augmented, extended

RIDGE = 1e-15
"""In units of a column's length."""

T = TypeVar("T")


class Sweep(Protocol):
    """A pass over all rows of a system, some at a time."""

    def __call__(self, work: Callable[[Tensor, Tensor], T]) -> Iterator[T]:
        """``work(A, b)``, ``(rows, n)`` and ``(rows,)`` or ``(rows, k)``; made again where memory runs out."""


def solve(matrix: Tensor, right: Tensor, ridge: float = RIDGE) -> Tensor:
    """``min |A x - b|^2 + ridge^2 |D x|^2``, ``D`` the columns' lengths, by one QR; ``b`` real or complex.

    ``right``: ``(rows,)``, or ``(rows, k)`` for several at once. Features are dependent within rounding by design. The
    ridge, at rounding, holds the weights of what the rows do not see; it is as accurate as singular values cut off
    there, for the work of one factorization.
    """
    found = _ridged(extended(None, beside(matrix, right)), matrix.shape[1], ridge)
    return together(found, right.is_complex() and not matrix.is_complex(), right.ndim == 1)


def solve_apart(matrix: Tensor, right: Tensor, fields: int, ridge: float = RIDGE) -> Tensor:
    """The same, the columns of each of so many fields alone where no row joins any, as those of several sources."""
    if fields == 1:
        return solve(matrix, right, ridge)
    joins = matrix.reshape(len(matrix), fields, -1).ne(0).any(dim=2)
    if bool((joins.sum(dim=1) > 1).any()):
        return solve(matrix, right, ridge)
    width = matrix.shape[1] // fields
    parts = [solve(matrix[rows, k * width : (k + 1) * width], right[rows], ridge) for k, rows in enumerate(joins.T)]
    return torch.cat(parts)


def solve_swept(sweep: Sweep, columns: int, split: bool = False, ranks: Ranks = ALONE) -> Tensor:
    """The same for a matrix that is never held, in one pass; ``split``: a complex right side of a real matrix;
    ``ranks``: processes that have some of the rows each."""
    triangle: Tensor | None = None

    def work(matrix: Tensor, right: Tensor) -> Tensor:
        return extended(triangle, beside(matrix, right))

    for triangle in sweep(work):  # noqa: B007 (each pass extends the last triangle)
        pass
    assert triangle is not None
    if ranks.size > 1:
        triangle = extended(None, ranks.stacked(triangle))
    return together(_ridged(triangle, columns), split, True)


def beside(matrix: Tensor, right: Tensor) -> Tensor:
    """``[A b]``; a complex ``b`` beside a real ``A`` as its real and its imaginary columns."""
    columns = right if right.ndim == 2 else right[:, None]
    if columns.is_complex() and not matrix.is_complex():
        columns = torch.cat([columns.real, columns.imag], dim=1)
    return torch.cat([matrix, columns.to(matrix.dtype)], dim=1)


def together(found: Tensor, split: bool, single: bool) -> Tensor:
    """The solution from its columns: the second half the imaginary parts where they were ``split``."""
    half = found.shape[1] // 2
    whole = torch.complex(found[:, :half], found[:, half:]) if split else found
    return whole[:, 0] if single else whole


def _ridged(triangle: Tensor, n: int, ridge: float = RIDGE) -> Tensor:
    """``(n, k)``: the solution from the triangle of ``[A b]``."""
    lengths = triangle[:, :n].norm(dim=0)
    lengths = torch.where(lengths > 0, lengths, 1.0)
    scaled = augmented(torch.cat([triangle[:, :n] / lengths, triangle[:, n:]], dim=1), ridge, n)
    return torch.linalg.solve_triangular(scaled[:n, :n], scaled[:n, n:], upper=True) / lengths[:, None]


def remainder(matrix: Tensor, right: Tensor) -> Tensor:
    """What no combination of a matrix's columns takes from ``right``: ``b - A x`` at the least-squares solution."""
    fitted = solve(matrix, right)
    return right - matrix.to(fitted.dtype) @ fitted


__all__ = ["RIDGE", "Sweep", "beside", "remainder", "solve", "solve_apart", "solve_swept", "together"]
