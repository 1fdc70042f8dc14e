"""Coefficients and data: a number, or a function of the points."""

from __future__ import annotations

import numbers
from collections.abc import Callable

import torch
from torch import Tensor

from .errors import ProblemError
from .points import Points

Coefficient = float | complex | Callable[[Points], Tensor]


def values(coefficient: Coefficient, p: Points, name: str) -> Tensor:
    """``(n,)`` values of a coefficient at ``n`` points, in their dtype (or its complex twin) and on their device.

    Raises ``ProblemError`` where the function returns another shape, or values that are not finite.
    """
    like = p.coordinates
    if isinstance(coefficient, numbers.Number):
        dtype = _complex(like.dtype) if isinstance(coefficient, complex) else like.dtype
        return torch.full((len(p),), coefficient, dtype=dtype, device=like.device)
    if not callable(coefficient):
        raise ProblemError(f"{name} must be a number or a function of points, got {type(coefficient).__name__}.")
    came = coefficient(p)
    if isinstance(came, numbers.Number):
        return values(came, p, name)  # type: ignore[arg-type]
    if not isinstance(came, Tensor):
        raise ProblemError(f"{name}(p) must return a tensor of shape (n,), got {type(came).__name__}.")
    if came.ndim == 0:
        came = came.expand(len(p))
    if came.shape != (len(p),):
        raise ProblemError(
            f"{name}(p) must return shape ({len(p)},) for {len(p)} points, got {tuple(came.shape)}. "
            "p.x, p.y, ... are (n,); do not add a trailing axis."
        )
    if not bool(torch.isfinite(came).all()):
        where = p.coordinates[~torch.isfinite(came)][0].tolist()
        raise ProblemError(f"{name}(p) is NaN or infinite, for example at {dict(zip(p.axes, where, strict=True))}.")
    return came.to(device=like.device, dtype=_complex(like.dtype) if came.is_complex() else like.dtype)


def _complex(dtype: torch.dtype) -> torch.dtype:
    return torch.complex64 if dtype == torch.float32 else torch.complex128
