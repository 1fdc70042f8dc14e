"""What slabs solve, read off a problem: the medium, the initial state, and a kind for every side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ..coefficients import Coefficient, values
from ..conditions import Absorbing, Dirichlet, Initial, Neumann, Periodic
from ..conditions.sides import is_zero
from ..domains import Box
from ..equations import Wave
from ..errors import ProblemError
from ..points import TIME, Points
from ..problem import Problem

Kind = Literal["dirichlet", "neumann", "absorbing", "periodic"]
STEADY = 1e-12
FINE = {1: 2001, 2: 201}
"""Points an axis at which the medium is looked at, by the number of axes."""


class NotCoveredError(ProblemError):
    """Slabs do not cover a problem; the message says why."""


@dataclass(frozen=True, eq=False)
class Statement:
    """A wave problem without sources on a box of one or two space axes, with zero data on its sides.

    ``sides``: the kind of the lower and the upper end of each space axis.
    """

    box: Box
    medium: Coefficient
    value: Coefficient
    rate: Coefficient
    sides: tuple[tuple[Kind, Kind], ...]

    @property
    def axes(self) -> tuple[str, ...]:
        """The space axes."""
        return self.box.space_axes

    @property
    def bounds(self) -> Tensor:
        """``(space axes, 2)``."""
        return torch.tensor([self.box.bounds[a] for a in self.axes], dtype=torch.float64)

    @property
    def span(self) -> tuple[float, float]:
        """The first and the last time."""
        return self.box.bounds[TIME]

    def speed(self, x: Tensor) -> Tensor:
        """``(n, space axes) -> (n,)``. Raises ``NotCoveredError`` where it is not positive."""
        found = values(self.medium, self.points(x, self.span[0]), "speed")
        if not bool((found > 0).all()):
            raise NotCoveredError("Slabs need a positive speed.")
        return found

    @cached_property
    def speeds(self) -> tuple[float, float]:
        """The smallest and the largest speed, on a fine grid."""
        count = FINE[len(self.axes)]
        lines = [torch.linspace(low, high, count, dtype=torch.float64) for low, high in self.bounds.tolist()]
        found = self.speed(torch.cartesian_prod(*lines).reshape(-1, len(lines)))
        return float(found.min()), float(found.max())

    @property
    def uniform(self) -> bool:
        """Whether the speed is constant."""
        slowest, fastest = self.speeds
        return fastest - slowest <= STEADY * fastest

    def state(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The initial value and rate at ``(n, space axes)`` points."""
        p = self.points(x, self.span[0])
        return values(self.value, p, "Initial value"), values(self.rate, p, "Initial rate")

    def points(self, x: Tensor, time: float) -> Points:
        """Points of the box at a time."""
        columns = dict(zip(self.axes, x.T, strict=True)) | {TIME: torch.full((len(x),), time, dtype=x.dtype)}
        return Points(self.box.axes, torch.stack([columns[a] for a in self.box.axes], dim=1))


def read(problem: Problem) -> Statement:
    """The statement of a problem. Raises ``NotCoveredError`` for what slabs do not solve."""
    box = problem.domain
    plain = isinstance(problem, Wave) and type(problem).residual is Wave.residual and problem.ansatz is None
    if not plain or not isinstance(box, Box) or len(box.space_axes) > 2:
        raise NotCoveredError("Slabs solve Wave problems on a Box of one or two space axes, without an ansatz.")
    assert isinstance(problem, Wave)
    if not is_zero(problem.source):
        raise NotCoveredError("Slabs solve wave equations without a source.")
    initial = [c for c in problem.conditions if isinstance(c, Initial)]
    if len(initial) != 1 or initial[0].rate is None:
        raise NotCoveredError("Slabs need one Initial(value, rate).")
    kinds: dict[tuple[str, int], Kind] = {}
    for condition in problem.conditions:
        if isinstance(condition, Initial):
            continue
        for place, kind in _sides(box, condition):
            if place in kinds:
                raise NotCoveredError("Slabs take one condition a side.")
            kinds[place] = kind
    try:
        sides = tuple((kinds[a, 0], kinds[a, 1]) for a in box.space_axes)
    except KeyError:
        raise NotCoveredError("Slabs need a condition on every side.") from None
    made = Statement(box, problem.speed, initial[0].value, initial[0].rate, sides)
    _expect_steady(made)
    return made


def _sides(box: Box, condition: object) -> list[tuple[tuple[str, int], Kind]]:
    """The sides that a condition holds, with their kind."""
    if isinstance(condition, Periodic):
        return [((condition.axis, 0), "periodic"), ((condition.axis, 1), "periodic")]
    kind: Kind
    if isinstance(condition, Dirichlet | Neumann) and is_zero(condition.value):
        kind = "dirichlet" if isinstance(condition, Dirichlet) else "neumann"
    elif isinstance(condition, Absorbing) and condition.speed is None and condition.wavenumber is None:
        kind = "absorbing"
    else:
        raise NotCoveredError("Slabs take Dirichlet(0), Neumann(0), Absorbing() and Periodic sides.")
    if not (condition.on is None or isinstance(condition.on, str)):
        raise NotCoveredError("Slabs take conditions on whole sides, by their names.")
    names = box.side_names() if condition.on is None else (condition.on,)
    return [(box.side(name), kind) for name in names]


def _expect_steady(statement: Statement) -> None:
    low, high = statement.bounds.T
    x = low + (high - low) * torch.rand(100, len(low), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    here, there = (values(statement.medium, statement.points(x, t), "speed") for t in statement.span)
    if float((here - there).abs().max()) > STEADY * float(here.abs().max()):
        raise NotCoveredError("Slabs need a speed that does not depend on time.")


__all__ = ["Kind", "NotCoveredError", "Statement", "read"]
