"""The triangle R of a QR factorization whose rows come some at a time: the matrix itself is never held.

``R`` of ``[R; rows]`` is that of all rows so far, as accurate as one factorization of the whole: Golub 1965, doi
10.1007/BF01436075; tall and skinny QR: Demmel, Grigori, Hoemmen and Langou 2012, doi 10.1137/080731992. On the CPU the
zeros of R are made use of (LAPACK's tpqrt), so that many small pieces cost no more than one large one.
"""

from __future__ import annotations

import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

PANEL = 64


def extended(triangle: Tensor | None, rows: Tensor) -> Tensor:
    """``(n, n)``: the triangle with more rows ``(m, n)``; the first ones have none yet."""
    n = rows.shape[1]
    if triangle is None:
        return _square(torch.linalg.qr(rows, mode="r").R)
    if triangle.device.type == "cpu":
        return _tpqrt(triangle, rows, 0)
    return _square(torch.linalg.qr(torch.cat([triangle, rows]), mode="r").R[:n])


def augmented(triangle: Tensor, diagonal: float, count: int) -> Tensor:
    """The triangle of ``[R; diagonal I]``, the identity over the first ``count`` columns."""
    n = triangle.shape[1]
    below = torch.zeros(n, n, dtype=triangle.dtype, device=triangle.device)
    below.diagonal()[:count] = diagonal
    if triangle.device.type == "cpu":
        return _tpqrt(_square(triangle), below, n)
    return torch.linalg.qr(torch.cat([triangle, below]), mode="r").R


def _square(triangle: Tensor) -> Tensor:
    """With rows of zeros where there were fewer rows than columns."""
    missing = triangle.shape[1] - len(triangle)
    return torch.cat([triangle, triangle.new_zeros(missing, triangle.shape[1])]) if missing else triangle


def _tpqrt(triangle: Tensor, rows: Tensor, trapezoid: int) -> Tensor:
    """By LAPACK; the last ``trapezoid`` rows are an upper triangle."""
    (tpqrt,) = get_lapack_funcs(("tpqrt",), (triangle.numpy(),))
    found, _, _, info = tpqrt(trapezoid, min(PANEL, len(triangle)), triangle.numpy(), rows.numpy())
    assert info == 0
    return torch.from_numpy(found).triu()


__all__ = ["augmented", "extended"]
