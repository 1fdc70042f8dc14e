"""The first time, periodic axes, and anything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..coefficients import Coefficient, call, values
from ..domains import Box, On, Sampler
from ..errors import ProblemError
from ..points import Points
from .base import (
    ConditionBase,
    Constraint,
    Fields,
    Norm,
    Parts,
    Place,
    at_points,
    expect_norm,
    label_of,
    on_boundary,
    pick,
)


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

        place = Place("start")
        stated = [Constraint(label_of("initial", None, self.output), sample, value, self.weight, place=place)]
        if self.rate is not None:
            label = label_of("initial rate", None, self.output)
            stated.append(Constraint(label, sample, rate, self.weight, place=place))
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

        place = Place("periodic", axis=self.axis)
        return [Constraint(label_of("periodic", self.axis, self.output), sample, residual, self.weight, place=place)]


@dataclass(frozen=True, eq=False)
class Condition(ConditionBase):
    """Anything else: ``residual(p, u) -> (n,)``, or a tuple of them, zero on the boundary where ``on`` says.

    ``on="interior"`` states it inside the domain, ``on=Points(...)`` at these points, whose normals are
    ``p.normal`` if they have them. With several outputs the residual takes them all, or the one that ``output`` names.
    ``norm=1`` lets training minimize the mean absolute residual instead of the mean square; ``size``: the residual that
    counts as 1 there, read off the problem unless given.
    """

    residual: Callable[..., Parts]
    on: On | Points = None
    output: str | None = None
    weight: float = 1.0
    norm: Norm = 2
    size: float | None = None

    def __post_init__(self) -> None:
        expect_norm("Condition", self.norm, self.size)
        if not callable(self.residual):
            raise ProblemError(
                f"Condition needs a function residual(p, u), as in Condition(lambda p, u: u.x - 1); got "
                f"{type(self.residual).__name__}."
            )

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint with the user's residual."""

        def residual(points: list[Points], fields: list[Fields]) -> Parts:
            if self.output is not None:
                of = (pick(fields[0], self.output, problem, "Condition"),)
                return call(self.residual, (points[0], *of), f"residual(p, {self.output})")  # type: ignore[no-any-return]
            return call(self.residual, (points[0], *fields[0]), f"residual(p, {', '.join(problem.stated_fields)})")  # type: ignore[no-any-return]

        def inside(n: int, sampler: Sampler) -> list[Points]:
            return [problem.domain.interior(n, sampler)]

        strength = {"weight": self.weight, "norm": self.norm, "size": self.size}
        if isinstance(self.on, Points):
            label = label_of("condition", "points", self.output)
            sample = at_points(problem.domain, self.on)
            return [Constraint(label, sample, residual, on_interior=True, wavenumbers=dict, **strength)]  # type: ignore[arg-type]
        interior = self.on == "interior"
        sample = inside if interior else on_boundary(problem.domain, self.on)
        label = label_of("condition", self.on, self.output)
        place = Place("interior") if interior else Place("boundary", self.on)
        return [Constraint(label, sample, residual, on_interior=interior, place=place, **strength)]  # type: ignore[arg-type]
