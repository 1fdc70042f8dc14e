"""``min |A x - b|`` by Cholesky factors of Gram matrices, products alone: what graphics processors do fastest.

The first pass gives half of the digits, as normal equations do. Every other one takes the Gram matrix of ``A T^-1``,
``T`` the triangle so far, and with three of them the residual is that of a QR: shifted Cholesky QR (Fukaya, Kannan,
Nakatsukasa, Yamamoto and Yanagisawa 2020, doi 10.1137/18M1218212), the same ridge as in ``by_qr``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..parallel import ALONE, Ranks
from .by_qr import RIDGE, Sweep, beside, together

PASSES = 3
SHIFTS = 40


def solve_gram(sweep: Sweep, columns: int, split: bool = False, passes: int = PASSES, ranks: Ranks = ALONE) -> Tensor:
    """``(columns,)``: ``min |A x - b|^2 + RIDGE^2 |D x|^2``, ``D`` the columns' lengths, over the rows of a sweep.

    ``split``: a complex right side of a real matrix; ``passes``: 1 for half of the digits, 3 for those of a QR;
    ``ranks``: processes that have some of the rows each.
    """
    n, triangle, lengths = columns, None, None
    for _ in range(passes):
        total = ranks.sum(_gram(sweep, triangle, n))
        square, right = total[:n, :n], total[:n, n:]
        if triangle is None or lengths is None:
            lengths = square.diagonal().real.sqrt()
            lengths = torch.where(lengths > 0, lengths, 1.0)
            triangle = torch.diag(lengths).to(square.dtype)
            square, right = square / lengths / lengths[:, None], right / lengths[:, None]
        ridge = torch.diag(RIDGE * lengths).to(square.dtype)
        ridge = torch.linalg.solve_triangular(triangle, ridge, upper=True, left=False)
        lower = _cholesky(square + ridge.mH @ ridge)
        found = torch.linalg.solve_triangular(triangle, torch.cholesky_solve(right, lower), upper=True)
        triangle = (lower.mH @ triangle).triu()
    return together(found, split, True)


def _gram(sweep: Sweep, triangle: Tensor | None, n: int) -> Tensor:
    """``[A T^-1, b]^T [A T^-1, b]``, ``A`` itself where there is no ``T`` yet."""
    total: Tensor | None = None

    def work(matrix: Tensor, right: Tensor) -> Tensor:
        both = beside(matrix, right)
        if triangle is not None:
            both[:, :n] = torch.linalg.solve_triangular(triangle, both[:, :n], upper=True, left=False)
        product = both.mH @ both
        return product if total is None else product.add_(total)

    for total in sweep(work):  # noqa: B007 (each pass adds to the last sum)
        pass
    assert total is not None
    return total


def _cholesky(square: Tensor) -> Tensor:
    """The lower factor, with the least shift, from rounding on, for which there is one."""
    shift = torch.finfo(square.dtype).eps * float(square.norm()) * len(square) ** 0.5
    for _ in range(SHIFTS):
        shifted = square.clone()
        shifted.diagonal().add_(shift)
        lower, failed = torch.linalg.cholesky_ex(shifted)
        if not bool(failed):
            break
        shift *= 4
    return lower


__all__ = ["PASSES", "solve_gram"]
