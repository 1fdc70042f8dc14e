"""Coefficients and data: a number, or a function of the points."""

from __future__ import annotations

import cmath
import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, SupportsComplex, cast

import torch
from torch import Tensor

from .errors import ProblemError
from .points import Points
from .unknowns import Unknown

Coefficient = float | complex | Callable[[Points], Tensor]


def values(coefficient: Coefficient, p: Points, name: str) -> Tensor:
    """``(n,)`` values of a coefficient at ``n`` points, in their dtype (or its complex twin) and on their device.

    Raises ``ProblemError`` where the function returns another shape, or values that are not finite.
    """
    like = p.coordinates
    if isinstance(coefficient, numbers.Number):
        if not cmath.isfinite(complex(cast(SupportsComplex, coefficient))):
            raise ProblemError(f"{name} must be finite, got {coefficient}.")
        dtype = _complex(like.dtype) if isinstance(coefficient, complex) else like.dtype
        return torch.full((len(p),), coefficient, dtype=dtype, device=like.device)
    if isinstance(coefficient, Unknown):
        # Before a solve, as in a constructor's checks.
        return values(coefficient.plain, p, name)
    if isinstance(coefficient, Tensor) and coefficient.ndim == 0:
        return coefficient.to(like).expand(len(p))
    if not callable(coefficient):
        raise ProblemError(f"{name} must be a number or a function of points, got {type(coefficient).__name__}.")
    came = call(coefficient, (p,), f"{name}(p)")
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
    if not holds(torch.isfinite(came)):
        where = p.coordinates[~torch.isfinite(came)][0].tolist()
        raise ProblemError(f"{name}(p) is NaN or infinite, for example at {dict(zip(p.axes, where, strict=True))}.")
    return came.to(device=like.device, dtype=_complex(like.dtype) if came.is_complex() else like.dtype)


def holds(mask: Tensor) -> bool:
    """Whether a mask is true at all points; True without a look inside ``trusted``."""
    return bool(_trusting) or bool(mask.all())


_trusting: list[None] = []


@contextmanager
def trusted() -> Iterator[None]:
    """Coefficients are taken as they come inside: to look at their values the host would wait for the device."""
    _trusting.append(None)
    try:
        yield
    finally:
        _trusting.pop()


def call(function: Callable[..., Any], arguments: tuple[Any, ...], written: str) -> Any:
    """The function's result. Raises ``ProblemError`` where it does not take these arguments, as in ``written``."""
    try:
        return function(*arguments)
    except TypeError as error:
        # Raised by the call itself: not one line of the function ran.
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        raise ProblemError(f"It is called as {written}, which fails: {error}. Let it take these arguments.") from None


def _complex(dtype: torch.dtype) -> torch.dtype:
    return torch.complex64 if dtype == torch.float32 else torch.complex128
