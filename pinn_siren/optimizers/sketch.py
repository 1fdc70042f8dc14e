"""A sketch of a symmetric matrix by its products alone, and the preconditioner made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Nystrom:
    """``U diag(values) U^T``, ``U`` ``(n, rank)`` orthonormal, the values falling."""

    vectors: Tensor
    values: Tensor

    def half(self, v: Tensor, mu: float) -> Tensor:
        """The root of the preconditioner of ``A + mu``: where the sketch sees it the inverse root, elsewhere that at
        the least value.

        (Frangella, Tropp and Udell 2023, doi 10.1137/21M1466244, in units of ``least value + mu``.)
        """
        factor = ((self.values[-1] + mu) / (self.values + mu)).sqrt()
        return v + self.vectors @ ((factor - 1) * (self.vectors.T @ v))


def sketch(product: Callable[[Tensor], Tensor], like: Tensor) -> Nystrom:
    """The Nystrom approximation of a positive semidefinite ``A`` from one product with as many vectors as ``like``
    ``(n, rank)`` has columns (Tropp, Yurtsever, Udell and Cevher 2017, arXiv 1706.05736)."""
    generator = torch.Generator().manual_seed(5)
    drawn = torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)
    basis = torch.linalg.qr(drawn).Q
    seen = product(basis)
    shift = float(seen.norm()) * torch.finfo(like.dtype).eps * len(like) ** 0.5
    if not 0 < shift < float("inf"):
        return Nystrom(basis, torch.full_like(basis[0], shift))
    seen = seen + shift * basis
    inner = basis.T @ seen
    lower, failed = torch.linalg.cholesky_ex((inner + inner.T) / 2)
    while bool(failed):
        shift *= 4
        seen = seen + shift * basis
        inner = basis.T @ seen
        lower, failed = torch.linalg.cholesky_ex((inner + inner.T) / 2)
    half = torch.linalg.solve_triangular(lower.T, seen, upper=True, left=False)
    vectors, sizes, _ = torch.linalg.svd(half, full_matrices=False)
    return Nystrom(vectors, (sizes.square() - shift).clamp(min=0.0))


__all__ = ["Nystrom", "sketch"]
