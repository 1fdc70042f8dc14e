"""The elementary functions that jets pass through: each with its derivatives to any needed order (five at most)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ProblemError
from .rules import Derivatives


def sin(z: Tensor, order: int) -> list[Tensor]:
    """Sine: the derivatives repeat with period four, so sine and cosine are taken once."""
    s, c = torch.sin(z), torch.cos(z)
    cycle = [s, c] + ([-s] if order >= 2 else []) + ([-c] if order >= 3 else [])
    return [cycle[m % 4] for m in range(order + 1)]


def sine(omega: float) -> Derivatives:
    """sin(omega z), a layer's sine: the factor goes onto the derivatives, one table each, not onto all channels."""

    def derivatives(z: Tensor, order: int) -> list[Tensor]:
        found = sin(omega * z, order)
        return [found[0], *(omega**m * found[m] for m in range(1, order + 1))]

    return derivatives


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
        slope = _slope(polynomial)
        polynomial = _sum(slope, [0.0, 0.0, *(-a for a in slope)])
        out.append(_horner(polynomial, t))
    return out


def sigmoid(z: Tensor, order: int) -> list[Tensor]:
    """Logistic function, (1 + tanh(z / 2)) / 2."""
    halves = tanh(z / 2, order)
    return [0.5 + halves[0] / 2, *(h / 2 ** (m + 2) for m, h in enumerate(halves[1:]))]


def sinh(z: Tensor, order: int) -> list[Tensor]:
    """Hyperbolic sine: the derivatives repeat with period two."""
    pair = [torch.sinh(z), torch.cosh(z)]
    return [pair[m % 2] for m in range(order + 1)]


def cosh(z: Tensor, order: int) -> list[Tensor]:
    """Hyperbolic cosine."""
    return sinh(z, order + 1)[1:]


def atan(z: Tensor, order: int) -> list[Tensor]:
    """Arctangent: every derivative is p_m(z) / (1 + z^2)^m, with p_(m+1) = (1 + z^2) p_m' - 2 m z p_m."""
    out, polynomial, inverse = [torch.atan(z)], [1.0], 1 / (1 + z * z)
    for m in range(1, order + 1):
        out.append(_horner(polynomial, z) * inverse**m)
        slope = _slope(polynomial)
        polynomial = _sum([0.0, 0.0, *slope], slope, [0.0, *(-2 * m * a for a in polynomial)])
    return out


def erf(z: Tensor, order: int) -> list[Tensor]:
    """Error function: every derivative is a polynomial times exp(-z^2), p' - 2 z p (Hermite's). Real numbers only."""
    _real(z, "erf")
    out, polynomial = [torch.erf(z)], [2 / math.sqrt(math.pi)]
    bell = torch.exp(-z * z)
    for _ in range(order):
        out.append(_horner(polynomial, z) * bell)
        polynomial = _sum(_slope(polynomial), [0.0, *(-2 * a for a in polynomial)])
    return out


def relu(z: Tensor, order: int) -> list[Tensor]:
    """max(z, 0), with slope 0 at 0; real numbers only.

    All derivatives from the second on are zero away from the kink, which is passed over: a residual of second order
    does not see a network of these alone.
    """
    _real(z, "relu")
    return [torch.relu(z), (z > 0).to(z), *(torch.zeros_like(z) for _ in range(order - 1))][: order + 1]


def softplus(beta: float = 1.0, threshold: float = 20.0) -> Derivatives:
    """log(1 + exp(beta z)) / beta, and as in torch z itself where beta z > threshold; real numbers only."""

    def derivatives(z: Tensor, order: int) -> list[Tensor]:
        _real(z, "softplus")
        out, linear = [functional.softplus(z, beta, threshold)], beta * z > threshold
        for m, slope in enumerate(sigmoid(beta * z, order - 1) if order else []):
            out.append(torch.where(linear, 0.0 if m else 1.0, beta**m * slope))
        return out

    return derivatives


def silu(z: Tensor, order: int) -> list[Tensor]:
    """z sigmoid(z), also called swish."""
    return _times_argument(z, sigmoid(z, order))


def gelu(approximate: str = "none") -> Derivatives:
    """z Phi(z) with the standard normal distribution Phi; real numbers only."""
    if approximate != "none":
        raise ProblemError(f"Of gelu's forms a jet knows the exact one, approximate='none'; got {approximate!r}.")

    def derivatives(z: Tensor, order: int) -> list[Tensor]:
        _real(z, "gelu")
        scaled = erf(z / math.sqrt(2), order)
        normal = [0.5 + scaled[0] / 2, *(d / (2 * math.sqrt(2) ** m) for m, d in enumerate(scaled[1:], 1))]
        return _times_argument(z, normal)

    return derivatives


def absolute(z: Tensor, order: int) -> list[Tensor]:
    """Absolute value; the kink at 0 is passed over. Real numbers only: abs of complex ones has no derivative."""
    _real(z, "abs")
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


def _real(z: Tensor, name: str) -> None:
    if z.is_complex():
        raise ProblemError(
            f"{name} of a complex jet has no derivative: in a residual take it of u.value, of its parts or modulus."
        )


def _times_argument(z: Tensor, g: list[Tensor]) -> list[Tensor]:
    """The derivatives of z g(z), from those of g."""
    return [z * g[0], *(z * g[m] + m * g[m - 1] for m in range(1, len(g)))]


def _slope(polynomial: list[float]) -> list[float]:
    return [k * a for k, a in enumerate(polynomial)][1:] or [0.0]


def _sum(*polynomials: list[float]) -> list[float]:
    return [sum(terms) for terms in itertools.zip_longest(*polynomials, fillvalue=0.0)]


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
    torch.sinh: sinh,
    torch.cosh: cosh,
    torch.atan: atan,
    torch.erf: erf,
    functional.relu: relu,
    functional.softplus: softplus(),
    functional.silu: silu,
    functional.gelu: gelu(),
}
"""The torch functions that a jet can be given to."""

BY_NAME: dict[str, Derivatives] = {f.__name__: d for f, d in ELEMENTARY.items()}

PARAMETRIC: dict[str, Callable[..., Derivatives]] = {"softplus": softplus, "gelu": gelu}
"""Those that take parameters beside their argument."""


def elementary(name: str, *parameters: Any, **named: Any) -> Derivatives:
    """The derivatives of the torch function of that name, called with these parameters after its argument.

    Raises ``ProblemError`` for parameters that it does not take of a jet.
    """
    if not parameters and not named:
        return BY_NAME[name]
    if name not in PARAMETRIC:
        given = ", ".join([*map(repr, parameters), *named])
        raise ProblemError(f"torch.{name} of a jet takes nothing beside the jet; got {given}.")
    return PARAMETRIC[name](*parameters, **named)
