"""The elementary functions that jets pass through: each with its derivatives to any needed order (five at most)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import ProblemError
from .rules import Derivatives


def sin(z: Tensor, order: int) -> list[Tensor]:
    """Sine: the derivatives repeat with period four, so sine and cosine are taken once."""
    s, c = torch.sin(z), torch.cos(z)
    cycle = [s, c] + ([-s] if order >= 2 else []) + ([-c] if order >= 3 else [])
    return [cycle[m % 4] for m in range(order + 1)]


def cos(z: Tensor, order: int) -> list[Tensor]:
    """Cosine."""
    return sin(z, order + 1)[1:]


def exp(z: Tensor, order: int) -> list[Tensor]:
    """Exponential."""
    e = torch.exp(z)
    return [e] * (order + 1)


def log(z: Tensor, order: int) -> list[Tensor]:
    """Natural logarithm."""
    return [torch.log(z), *reciprocal(z, order - 1)]


def reciprocal(z: Tensor, order: int) -> list[Tensor]:
    """1 / z."""
    return power(-1.0)(z, order)


def sqrt(z: Tensor, order: int) -> list[Tensor]:
    """Square root; its derivatives are infinite at 0."""
    return power(0.5)(z, order)


def tanh(z: Tensor, order: int) -> list[Tensor]:
    """Hyperbolic tangent: every derivative is a polynomial in tanh itself, p' (1 - t^2)."""
    t = torch.tanh(z)
    out, polynomial = [t], [0.0, 1.0]
    for _ in range(order):
        slope = [k * a for k, a in enumerate(polynomial)][1:] or [0.0]
        polynomial = [a - b for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
        out.append(_horner(polynomial, t))
    return out


def sigmoid(z: Tensor, order: int) -> list[Tensor]:
    """Logistic function, (1 + tanh(z / 2)) / 2."""
    halves = tanh(z / 2, order)
    return [0.5 + halves[0] / 2, *(h / 2 ** (m + 2) for m, h in enumerate(halves[1:]))]


def absolute(z: Tensor, order: int) -> list[Tensor]:
    """Absolute value; the kink at 0 is passed over. Real numbers only: abs of complex ones has no derivative."""
    if z.is_complex():
        raise ProblemError("abs of a complex jet has no derivative: in a residual use u.value.abs().")
    return [torch.abs(z), torch.sign(z), *(torch.zeros_like(z) for _ in range(order - 1))][: order + 1]


def power(exponent: float) -> Derivatives:
    """z^exponent for a fixed number."""

    def derivatives(z: Tensor, order: int) -> list[Tensor]:
        out, factor = [], 1.0
        for m in range(order + 1):
            out.append(factor * z ** (exponent - m) if factor else torch.zeros_like(z))
            factor *= exponent - m
        return out

    return derivatives


def _horner(coefficients: list[float], t: Tensor) -> Tensor:
    total = torch.full_like(t, coefficients[-1])
    for a in reversed(coefficients[:-1]):
        total = total * t + a
    return total


ELEMENTARY: dict[Callable[..., Tensor], Derivatives] = {
    torch.sin: sin,
    torch.cos: cos,
    torch.exp: exp,
    torch.log: log,
    torch.sqrt: sqrt,
    torch.tanh: tanh,
    torch.sigmoid: sigmoid,
    torch.abs: absolute,
    torch.reciprocal: reciprocal,
    torch.square: power(2.0),
}
"""The torch functions that a jet can be given to."""

BY_NAME: dict[str, Derivatives] = {f.__name__: d for f, d in ELEMENTARY.items()}
