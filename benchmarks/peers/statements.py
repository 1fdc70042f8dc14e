"""The problems of ``rows.py`` once more, for solvers that are not pinn_siren.

Each is ``operator(u) = source`` with pointwise functions of the coordinates and of ``u``, its first derivatives ``d``
and its unmixed second derivatives ``dd``, written for any array module ``m`` (numpy, torch, jax.numpy): so every peer
solves the same equations, and none borrows ours. A complex field is two real ones. ``tests/test_benchmarks.py`` checks
each against the exact solution of its row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Array = Any
PI = math.pi


def _as_it_is(m: Any, x: Sequence[Array], u: Array) -> Array:
    return u


@dataclass(frozen=True)
class Statement:
    """``operator(m, x, u, d, dd) = source(m, x)[k]`` for every component ``k``, on a box.

    ``linear(m, x, u, d)`` is the operator's derivative by u, d and dd: ``(c0, [c1], [c2])``, numbers or arrays.
    ``values``: the components on the boundary, ``None`` where there is no condition. ``initial``: the last axis is
    time, these are the values at its start, the rate there is zero, and there is no condition at its end.
    ``observe(m, x, u)``: what is compared, where that is not the unknown. ``affine``: coefficients that are constant.
    """

    bounds: tuple[tuple[float, float], ...]
    operator: Callable[..., Array]
    linear: Callable[..., tuple[Any, list[Any], list[Any]]]
    source: Callable[[Any, Sequence[Array]], tuple[Array, ...]]
    values: Callable[[Any, Sequence[Array]], tuple[Array, ...]] | None
    zero: bool = False
    affine: bool = True
    initial: Callable[[Any, Sequence[Array]], Array] | None = None
    observe: Callable[[Any, Sequence[Array], Array], Array] = _as_it_is
    components: int = 1
    polygon: tuple[tuple[float, float], ...] | None = None

    @property
    def dimensions(self) -> int:
        """Of the box, time included."""
        return len(self.bounds)

    @property
    def sides(self) -> list[tuple[int, int]]:
        """``(axis, end)`` of every face with boundary values; end 0 is the lower one."""
        space = self.dimensions - (self.initial is not None)
        return [] if self.values is None else [(i, end) for i in range(space) for end in (0, 1)]


def _zero(m: Any, x: Sequence[Array]) -> tuple[Array, ...]:
    return (0 * x[0],)


def _linear(coefficients: Sequence[float], reaction: float = 0.0) -> dict[str, Any]:
    """``sum of c_i u_ii + reaction u``, constant coefficients."""

    def operator(m: Any, x: Any, u: Array, d: Any, dd: Sequence[Array]) -> Array:
        return sum((c * v for c, v in zip(coefficients, dd, strict=True)), reaction * u)

    def linear(m: Any, x: Any, u: Any, d: Any) -> tuple[Any, list[Any], list[Any]]:
        return reaction, [0.0] * len(coefficients), list(coefficients)

    return {"operator": operator, "linear": linear}


def _modes(m: Any, x: Sequence[Array], a: float, b: float) -> Array:
    return m.sin(a * PI * x[0]) * m.sin(b * PI * x[1])


def poisson() -> Statement:
    """``laplacian u = f``."""
    return Statement(((-1, 1),) * 2, **_linear((1, 1)), source=lambda m, x: (-2 * PI**2 * _modes(m, x, 1, 1),),
                     values=_zero, zero=True)  # fmt: skip


def multiscale() -> Statement:
    """``laplacian u = f``, four modes."""

    def source(m: Any, x: Sequence[Array]) -> tuple[Array, ...]:
        return (sum(-2 * (k * PI) ** 2 * _modes(m, x, k, k) for k in (4, 8, 12, 16)),)

    return Statement(((0, 1),) * 2, **_linear((1, 1)), source=source, values=_zero, zero=True)


def _smooth(d: int) -> Statement:
    def values(m: Any, x: Sequence[Array]) -> tuple[Array, ...]:
        return (m.exp(sum(x) / d) * m.cos(sum(c**2 for c in x) / 2),)

    def source(m: Any, x: Sequence[Array]) -> tuple[Array, ...]:
        s, r2 = sum(x) / d, sum(c**2 for c in x)
        return (m.exp(s) * ((1 / d - r2) * m.cos(r2 / 2) - (2 * s + d) * m.sin(r2 / 2)),)

    return Statement(((-1, 1),) * d, **_linear((1,) * d), source=source, values=values)


def poisson_3d() -> Statement:
    """``laplacian u = f`` with values on six sides."""
    return _smooth(3)


def poisson_5d() -> Statement:
    """``laplacian u = f`` with values on ten sides."""
    return _smooth(5)


def helmholtz() -> Statement:
    """``laplacian u + k^2 u = f``, real and imaginary part."""
    k = 4 * PI

    def values(m: Any, x: Sequence[Array]) -> tuple[Array, ...]:
        phase = k * (0.6 * x[0] + 0.8 * x[1])
        envelope = 1 + 0.5 * m.sin(PI * x[0]) * m.cos(PI * x[1])
        return m.cos(phase) * envelope, m.sin(phase) * envelope

    def source(m: Any, x: Sequence[Array]) -> tuple[Array, ...]:
        phase = k * (0.6 * x[0] + 0.8 * x[1])
        c, s = m.cos(phase), m.sin(phase)
        sx, cx, sy, cy = m.sin(PI * x[0]), m.cos(PI * x[0]), m.sin(PI * x[1]), m.cos(PI * x[1])
        real, imaginary = -(PI**2) * sx * cy, k * PI * (0.6 * cx * cy - 0.8 * sx * sy)
        return c * real - s * imaginary, s * real + c * imaginary

    return Statement(((0, 1),) * 2, **_linear((1, 1), k**2), source=source, values=values, components=2)


def helmholtz_1_4() -> Statement:
    """``laplacian u + u = f``."""
    return Statement(((-1, 1),) * 2, **_linear((1, 1), 1.0), values=_zero, zero=True,
                     source=lambda m, x: (-(17 * PI**2 - 1) * _modes(m, x, 1, 4),))  # fmt: skip


def _wave(speed: float) -> Statement:
    def initial(m: Any, x: Sequence[Array]) -> Array:
        return m.sin(PI * x[0]) + 0.5 * m.sin(3 * PI * x[0])

    return Statement(((0, 1),) * 2, **_linear((-(speed**2), 1)), source=_zero, values=_zero, zero=True,
                     initial=initial)  # fmt: skip


def wave() -> Statement:
    """``u_tt = 4 u_xx``."""
    return _wave(2.0)


def wave_10() -> Statement:
    """``u_tt = 100 u_xx``."""
    return _wave(10.0)


SOURCE = (1.0, 0.5)
AT_SOURCE = 2.25
"""The velocity at the source."""


def arrival(m: Any, x: Sequence[Array]) -> Array:
    """The travel time through a homogeneous medium, the known factor; its square is smooth."""
    return m.sqrt((x[0] - SOURCE[0]) ** 2 + (x[1] - SOURCE[1]) ** 2) / AT_SOURCE


def eikonal() -> Statement:
    """``v^2 |grad T|^2 = 1`` with ``T = T0 (1 + u)``: factored (Fomel, Luo and Zhao 2009), smooth at the source.

    Written out with ``T0^2``, so that nothing is divided by the distance.
    """

    def parts(m: Any, x: Sequence[Array]) -> tuple[Array, Array, Array, Array]:
        a, b = x[0] - SOURCE[0], x[1] - SOURCE[1]
        return a / AT_SOURCE**2, b / AT_SOURCE**2, (a**2 + b**2) / AT_SOURCE**2, (2.0 + 0.5 * x[1]) ** 2

    def operator(m: Any, x: Sequence[Array], u: Array, d: Sequence[Array], dd: Any) -> Array:
        a, b, t2, v2 = parts(m, x)
        tau = 1 + u
        return v2 * (t2 * (d[0] ** 2 + d[1] ** 2) + 2 * tau * (a * d[0] + b * d[1]) + tau**2 / AT_SOURCE**2)

    def linear(m: Any, x: Sequence[Array], u: Array, d: Sequence[Array]) -> tuple[Any, list[Any], list[Any]]:
        a, b, t2, v2 = parts(m, x)
        tau = 1 + u
        c1 = [v2 * 2 * (t2 * d[0] + tau * a), v2 * 2 * (t2 * d[1] + tau * b)]
        return v2 * 2 * (a * d[0] + b * d[1] + tau / AT_SOURCE**2), c1, [0.0, 0.0]

    return Statement(((0, 4), (0, 2)), operator, linear, source=lambda m, x: (0 * x[0] + 1,), values=None, affine=False,
                     observe=lambda m, x, u: arrival(m, x) * (1 + u))  # fmt: skip


def burgers() -> Statement:
    """``u u_x - nu u_xx = 0``."""
    nu = 0.1
    return Statement(
        ((-1, 1),),
        operator=lambda m, x, u, d, dd: u * d[0] - nu * dd[0],
        linear=lambda m, x, u, d: (d[0], [u], [-nu]),
        source=_zero,
        values=lambda m, x: (-m.tanh(x[0] / (2 * nu)),),
        affine=False,
    )


def allen_cahn() -> Statement:
    """``epsilon laplacian u + u - u^3 = f``."""

    def source(m: Any, x: Sequence[Array]) -> tuple[Array, ...]:
        u = _modes(m, x, 1, 1)
        return ((1 - 0.2 * PI**2) * u - u**3,)

    return Statement(
        ((0, 1),) * 2,
        operator=lambda m, x, u, d, dd: 0.1 * (dd[0] + dd[1]) + u - u**3,
        linear=lambda m, x, u, d: (1 - 3 * u**2, [0.0, 0.0], [0.1, 0.1]),
        source=source, values=_zero, zero=True, affine=False,
    )  # fmt: skip


def bratu() -> Statement:
    """``laplacian u + exp(u) = f``."""

    def source(m: Any, x: Sequence[Array]) -> tuple[Array, ...]:
        a, b = x
        sx, cx, sy, cy = m.sin(PI * a), m.cos(PI * a), m.sin(PI * b), m.cos(PI * b)
        grow = m.exp(a * b)
        lap = grow * ((a**2 + b**2 - 2 * PI**2) * sx * sy + 2 * PI * (b * cx * sy + a * sx * cy))
        return (lap + m.exp(sx * sy * grow),)

    return Statement(
        ((0, 1),) * 2,
        operator=lambda m, x, u, d, dd: dd[0] + dd[1] + m.exp(u),
        linear=lambda m, x, u, d: (m.exp(u), [0.0, 0.0], [1.0, 1.0]),
        source=source, values=_zero, zero=True, affine=False,
    )  # fmt: skip


def l_shape() -> Statement:
    """``laplacian u = -1`` on an L: the box is the one around it."""
    return Statement(((-1, 1),) * 2, **_linear((1, 1)), source=lambda m, x: (0 * x[0] - 1,), values=_zero, zero=True,
                     polygon=((-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)))  # fmt: skip


STATEMENTS: dict[str, Callable[[], Statement]] = {
    f.__name__: f
    for f in (
        poisson, multiscale, poisson_3d, poisson_5d, helmholtz, helmholtz_1_4, wave, wave_10, eikonal, burgers,
        allen_cahn, bratu, l_shape,
    )
}  # fmt: skip
