"""Conditions: what holds beside the equation, and where. Each turns into constraints C_m = 0 on Omega_m."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .coefficients import Coefficient, values
from .domains import Box, Domain, On, Sampler
from .errors import ProblemError, suggest
from .points import Points

Parts = Tensor | tuple[Tensor, ...]
Fields = tuple[Any, ...]
"""The jets of all fields at some points (``pinn_siren.jet.Jet``)."""


@dataclass(frozen=True, eq=False)
class Constraint:
    """``C(p, u) = 0`` on ``Omega``: a residual and the points where it must vanish.

    ``sample(n, sampler)`` gives one set of points, or several matched ones (periodic faces);
    ``residual(points, fields)`` takes them with the jets of all fields at each, and returns ``(n,)`` or a tuple.
    """

    name: str
    sample: Callable[[int, Sampler], list[Points]]
    residual: Callable[[list[Points], list[Fields]], Parts]
    weight: float = 1.0
    on_interior: bool = False


class ConditionBase(ABC):
    """A condition beside the equation."""

    @abstractmethod
    def constraints(self, problem: Any) -> list[Constraint]:
        """The constraints that state this condition for a problem (``pinn_siren.problem.Problem``)."""


def pick(fields: Fields, output: str | None, problem: Any, name: str) -> Any:
    """The jet that a condition speaks of. Raises ``ProblemError`` where several outputs leave it open."""
    names = problem.fields
    if output is None:
        if len(names) > 1:
            raise ProblemError(f"{name} needs output=, one of {', '.join(names)}: the problem has several outputs.")
        return fields[0]
    if output not in names:
        raise ProblemError(f"{name}(output={output!r}): the outputs are {', '.join(names)}.{suggest(output, names)}")
    return fields[names.index(output)]


def _on_boundary(domain: Domain, on: On) -> Callable[[int, Sampler], list[Points]]:
    return lambda n, sampler: [domain.boundary(n, sampler, on)]


def _label(name: str, on: On, output: str | None) -> str:
    where = (
        on if isinstance(on, str) else "" if on is None else getattr(on, "__name__", "part").replace("<lambda>", "part")
    )
    return " ".join(part for part in (name, where, output or "") if part)


class Boundary(ConditionBase):
    """``a u + b du/dn = value`` on the spatial boundary, ``n`` the outward normal."""

    a: Coefficient
    b: Coefficient
    value: Coefficient
    on: On
    output: str | None
    weight: float

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint on the boundary."""
        name = type(self).__name__

        def residual(points: list[Points], fields: list[Fields]) -> Tensor:
            p, u = points[0], pick(fields[0], self.output, problem, name)
            left = -values(self.value, p, f"{name} value")
            if not is_zero(self.a):
                left = left + values(self.a, p, f"{name} a") * u.value
            if not is_zero(self.b):
                left = left + values(self.b, p, f"{name} b") * u.normal_derivative
            return left

        label = _label(name.lower(), self.on, self.output)
        return [Constraint(label, _on_boundary(problem.domain, self.on), residual, self.weight)]


@dataclass(frozen=True, eq=False)
class Dirichlet(Boundary):
    """``u = value`` on the spatial boundary.

    ``value``: a number or a function of points; ``on``: a side's name, a function of points to a bool mask, or None
    for the whole boundary; ``output``: which field, where there are several; ``weight``: a factor in the loss.
    """

    value: Coefficient
    on: On = None
    output: str | None = None
    weight: float = 1.0
    a: Coefficient = field(default=1.0, init=False)
    b: Coefficient = field(default=0.0, init=False)


@dataclass(frozen=True, eq=False)
class Neumann(Boundary):
    """``du/dn = value`` on the spatial boundary, along the outward unit normal, never times a coefficient."""

    value: Coefficient
    on: On = None
    output: str | None = None
    weight: float = 1.0
    a: Coefficient = field(default=0.0, init=False)
    b: Coefficient = field(default=1.0, init=False)


@dataclass(frozen=True, eq=False)
class Robin(Boundary):
    """``a u + b du/dn = value`` on the spatial boundary, along the outward unit normal."""

    a: Coefficient
    b: Coefficient
    value: Coefficient
    on: On = None
    output: str | None = None
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Initial(ConditionBase):
    """``u = value`` and, where ``rate`` is given, ``du/dt = rate`` at the first time."""

    value: Coefficient
    rate: Coefficient | None = None
    output: str | None = None
    weight: float = 1.0

    def constraints(self, problem: Any) -> list[Constraint]:
        """The value, and the rate where it is given."""

        def value(points: list[Points], fields: list[Fields]) -> Tensor:
            u = pick(fields[0], self.output, problem, "Initial")
            return u.value - values(self.value, points[0], "Initial value")

        def rate(points: list[Points], fields: list[Fields]) -> Tensor:
            u = pick(fields[0], self.output, problem, "Initial")
            return u.t - values(self.rate or 0.0, points[0], "Initial rate")

        def sample(n: int, sampler: Sampler) -> list[Points]:
            return [problem.domain.start(n, sampler)]

        stated = [Constraint(_label("initial", None, self.output), sample, value, self.weight)]
        if self.rate is not None:
            stated.append(Constraint(_label("initial rate", None, self.output), sample, rate, self.weight))
        return stated


@dataclass(frozen=True, eq=False)
class Periodic(ConditionBase):
    """``u`` and its derivatives along ``axis``, up to the equation's order minus one, agree at both ends of it."""

    axis: str
    output: str | None = None
    weight: float = 1.0

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint with a part a derivative, on matched points of the two faces."""
        domain = problem.domain
        if not isinstance(domain, Box):
            raise ProblemError(f"Periodic needs a Box, got {domain}.")
        if self.axis not in domain.space_axes:
            raise ProblemError(
                f"Periodic({self.axis!r}) names no space axis of {domain}: use {', '.join(domain.space_axes)}."
            )
        order = max(1, problem.order(self.axis))

        def residual(points: list[Points], fields: list[Fields]) -> tuple[Tensor, ...]:
            low, high = (pick(f, self.output, problem, "Periodic") for f in fields)
            return tuple(
                getattr(high, self.axis * m if m else "value") - getattr(low, self.axis * m if m else "value")
                for m in range(order)
            )

        def sample(n: int, sampler: Sampler) -> list[Points]:
            return domain.faces(self.axis, n, sampler)

        return [Constraint(_label("periodic", self.axis, self.output), sample, residual, self.weight)]


@dataclass(frozen=True, eq=False)
class Absorbing(ConditionBase):
    """First-order radiation: waves along the outward normal leave.

    Helmholtz (time factor exp(-i omega t)): ``du/dn - i (wavenumber / speed) u = 0``; wave equation:
    ``du/dt + speed du/dn = 0`` (Engquist and Majda 1977, doi 10.1090/S0025-5718-1977-0436612-4, first order).
    The built-in equations know their own; for another, give ``wavenumber`` (no time axis) or ``speed`` (with one).
    """

    on: On = None
    speed: Coefficient | None = None
    wavenumber: Coefficient | None = None
    output: str | None = None
    weight: float = 1.0

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint on the boundary. Raises ``ProblemError`` where neither speed nor wavenumber is known."""
        speed, wavenumber = self.speed, self.wavenumber
        if speed is None and wavenumber is None:
            speed, wavenumber = problem.radiation()
        if speed is None and wavenumber is None:
            raise ProblemError(
                f"Absorbing() does not know the waves of {type(problem).__name__}: give speed= (with a time axis) or "
                "wavenumber= (without one)."
            )

        def residual(points: list[Points], fields: list[Fields]) -> Tensor:
            p, u = points[0], pick(fields[0], self.output, problem, "Absorbing")
            if wavenumber is not None:
                return u.normal_derivative - 1j * values(wavenumber, p, "Absorbing wavenumber") * u.value
            assert speed is not None
            return u.t + values(speed, p, "Absorbing speed") * u.normal_derivative

        label = _label("absorbing", self.on, self.output)
        return [Constraint(label, _on_boundary(problem.domain, self.on), residual, self.weight)]


@dataclass(frozen=True, eq=False)
class PML(ConditionBase):
    """A perfectly matched layer inside the domain, along all or the named sides, with ``u = 0`` behind it.

    Coordinates are stretched by ``e(d) = 1 + i strength (d / thickness)^order``, ``d`` the depth in the layer
    (Berenger 1994, doi 10.1006/jcph.1994.1159; Chew and Weedon 1994); ``strength`` is nondimensional, 5 unless given,
    ``order`` is 2 unless given. The solution is physical outside the layer only, and compared only there.
    """

    thickness: float
    strength: float | None = None
    order: int | None = None
    on: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.strength is not None and not self.strength > 0:
            raise ProblemError(f"PML(strength={self.strength}) must be positive, or the layer amplifies.")
        if self.order is not None and self.order < 1:
            raise ProblemError(f"PML(order={self.order}) must be at least 1.")

    def depths(self, domain: Domain) -> dict[str, tuple[float, float]]:
        """The layer's thickness at the minimum and maximum of each space axis, 0 where there is none."""
        if not isinstance(domain, Box):
            raise ProblemError(f"PML needs a Box, got {domain}.")
        sides = domain.side_names() if self.on is None else (self.on,) if isinstance(self.on, str) else tuple(self.on)
        depth = {axis: [0.0, 0.0] for axis in domain.space_axes}
        for name in sides:
            axis, end = domain.side(name)
            depth[axis][end] = float(self.thickness)
        for axis, (low, high) in depth.items():
            length = domain.bounds[axis][1] - domain.bounds[axis][0]
            if self.thickness <= 0 or low + high >= length:
                raise ProblemError(
                    f"PML(thickness={self.thickness:g}) must be positive and leave a physical region: axis {axis} is "
                    f"{length:g} long, its layers {low + high:g}. The layer lies inside the domain: enlarge the box."
                )
        return {axis: (low, high) for axis, (low, high) in depth.items()}

    def physical(self, domain: Domain) -> Box:
        """The box without the layer."""
        depths = self.depths(domain)
        bounds = {
            a: (low + depths.get(a, (0.0, 0.0))[0], high - depths.get(a, (0.0, 0.0))[1])
            for a, (low, high) in domain.bounds.items()
        }
        return Box(**bounds)

    def constraints(self, problem: Any) -> list[Constraint]:
        """``u = 0`` on the sides behind the layer."""
        depths = self.depths(problem.domain)
        if not problem.stretches:
            raise ProblemError(f"PML works with Helmholtz only, not with {type(problem).__name__}: use Absorbing().")
        names = [n for n in problem.domain.side_names() if depths[problem.domain.side(n)[0]][problem.domain.side(n)[1]]]
        wall: list[Constraint] = []
        for name in [None] if len(names) == len(problem.domain.side_names()) else names:
            wall += Dirichlet(0.0, on=name).constraints(problem)
        return wall


@dataclass(frozen=True, eq=False)
class Condition(ConditionBase):
    """Anything else: ``residual(p, u) -> (n,)``, or a tuple of them, zero on the boundary where ``on`` says.

    ``on="interior"`` states it inside the domain. With several outputs the residual takes them
    all, or the one that ``output`` names.
    """

    residual: Callable[..., Parts]
    on: On = None
    output: str | None = None
    weight: float = 1.0

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint with the user's residual."""

        def residual(points: list[Points], fields: list[Fields]) -> Parts:
            if self.output is not None:
                return self.residual(points[0], pick(fields[0], self.output, problem, "Condition"))
            return self.residual(points[0], *fields[0])

        def inside(n: int, sampler: Sampler) -> list[Points]:
            return [problem.domain.interior(n, sampler)]

        interior = self.on == "interior"
        sample = inside if interior else _on_boundary(problem.domain, self.on)
        label = _label("condition", self.on, None)
        return [Constraint(label, sample, residual, self.weight, on_interior=interior)]


def unique_names(constraints: Sequence[Constraint]) -> list[Constraint]:
    """The same constraints with repeated names numbered, so that loss terms can be told apart."""
    seen: dict[str, int] = {}
    renamed = []
    for c in constraints:
        seen[c.name] = seen.get(c.name, 0) + 1
        name = c.name if seen[c.name] == 1 else f"{c.name} {seen[c.name]}"
        renamed.append(Constraint(name, c.sample, c.residual, c.weight, c.on_interior))
    return renamed


def is_zero(coefficient: Coefficient) -> bool:
    """Whether a coefficient is the number zero (a function never is)."""
    if callable(coefficient):
        return False
    if not isinstance(coefficient, numbers.Number):
        raise ProblemError(f"A coefficient must be a number or a function of points, got {coefficient!r}.")
    return coefficient == 0


__all__ = [
    "Absorbing", "Boundary", "Condition", "ConditionBase", "Constraint", "Dirichlet", "Initial", "Neumann", "PML",
    "Periodic", "Robin", "is_zero", "pick", "unique_names",
]  # fmt: skip
