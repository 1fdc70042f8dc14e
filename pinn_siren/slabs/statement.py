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
STEADY, SILENCE = 1e-12, 1e-14
PIECES, PROBES = 4, 1000
JUMP, HALVINGS = 1e-3, 40
"""A change between neighbouring points, in parts of the largest speed, that may be a jump, and how often the interval
is halved to see whether it is."""
LINES, ALIGNED = 8, 1e-9
"""Lines across an axis on which the speed may jump, at most, and how straight they are, in parts of the axis."""
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
    def pieces(self) -> Tensor:
        """The speeds on a fine grid, ascending, where they are at most ``PIECES``; else its ends."""
        count = FINE[len(self.axes)]
        lines = [torch.linspace(low, high, count, dtype=torch.float64) for low, high in self.bounds.tolist()]
        found = self.speed(torch.cartesian_prod(*lines).reshape(-1, len(lines))).sort().values
        unlike = found.diff() > STEADY * found[-1]
        if int(unlike.sum()) < PIECES:
            return torch.cat([found[:-1][unlike], found[-1:]])
        return found[[0, -1]]

    @property
    def speeds(self) -> tuple[float, float]:
        """The smallest and the largest speed."""
        return float(self.pieces[0]), float(self.pieces[-1])

    @property
    def uniform(self) -> bool:
        """Whether the speed is constant."""
        return len(self.pieces) == 1

    @cached_property
    def kind(self) -> Literal["uniform", "pieces", "varies"]:
        """Whether the speed is constant, constant between jumps on straight lines across the axes, or neither."""
        if self.uniform:
            return "uniform"
        return "pieces" if any(map(len, self.jumps)) and self._pieces_alone() else "varies"

    def _pieces_alone(self) -> bool:
        (low, high), n = self.bounds.T, len(self.axes)
        x = low + torch.rand(PROBES, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * (high - low)
        middles = []
        for column, line, ends in zip(x.T, self.jumps, self.bounds, strict=True):
            breaks = torch.cat([ends[:1], line, ends[1:]])
            cell = torch.bucketize(column.contiguous(), line)
            middles.append((breaks[cell] + breaks[cell + 1]) / 2)
        unlike = (self.speed(x) - self.speed(torch.stack(middles, dim=1))).abs()
        return float(unlike.max()) <= STEADY * self.speeds[1]

    @cached_property
    def jumps(self) -> tuple[Tensor, ...]:
        """For every axis the places, ascending, of the straight lines across it on which the speed jumps; none along
        any axis where a jump is no such line."""
        nothing = torch.zeros(0, dtype=torch.float64)
        return tuple(nothing if self.curved or line is None else line for line in self._lines)

    @property
    def curved(self) -> bool:
        """Whether the speed jumps along what is no straight line across an axis."""
        return any(line is None for line in self._lines)

    @cached_property
    def _lines(self) -> list[Tensor | None]:
        return [self._jumps(axis) for axis in range(len(self.axes))]

    def _jumps(self, axis: int) -> Tensor | None:
        found, count = list[float](), FINE[len(self.axes)]
        lines = [torch.linspace(low, high, count, dtype=torch.float64) for low, high in self.bounds.tolist()]
        grid = torch.cartesian_prod(*lines).reshape(*[count] * len(lines), len(lines)).movedim(axis, 0)
        speed = self.speed(grid.reshape(-1, len(lines))).reshape(count, -1)
        places = grid.reshape(count, -1, len(lines))
        wide = speed.diff(dim=0).abs() > JUMP * self.speeds[1]
        for i in wide.any(1).nonzero()[:, 0].tolist():
            x = self._bisected(places[i : i + 2, wide[i]], axis)
            if len(x) and float(x.max() - x.min()) > ALIGNED * float(lines[axis][-1] - lines[axis][0]):
                return None
            found += x[:1].tolist()
            if len(found) > LINES:
                return None
        return torch.tensor(found, dtype=torch.float64)

    def _bisected(self, ends: Tensor, axis: int) -> Tensor:
        """Where along an axis the speed jumps, of intervals ``(2, n, axes)``; those where it is only steep left out."""
        size = self.speed(ends[1]) - self.speed(ends[0])
        for _ in range(HALVINGS):
            three = torch.stack([ends[0], ends.mean(0), ends[1]])
            steps = self.speed(three.flatten(0, 1)).reshape(3, -1).diff(dim=0).abs()
            first = (steps[1] > steps[0]).long()
            ends = torch.stack([torch.where(first[:, None] == 0, three[k], three[k + 1]) for k in (0, 1)])
        return ends.mean(0)[steps.amax(0) > size.abs() / 2, axis]

    def state(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The initial value and rate at ``(n, space axes)`` points."""
        p = self.points(x, self.span[0])
        return values(self.value, p, "Initial value"), values(self.rate, p, "Initial rate")

    @cached_property
    def support(self) -> Tensor:
        """``(space axes, 2)``: what holds the initial state, but for ``SILENCE`` of its largest values."""
        low, high = self.bounds.T
        count = FINE[len(self.axes)]
        lines = [torch.linspace(a, b, count, dtype=torch.float64) for a, b in self.bounds.tolist()]
        sizes = [part.abs() for part in self.state(torch.cartesian_prod(*lines).reshape(-1, len(lines)))]
        loud = torch.stack([s > SILENCE * s.max() for s in sizes]).any(0).reshape([count] * len(lines))
        found = []
        for axis in range(len(lines)):
            other = [i for i in range(len(lines)) if i != axis]
            on = (loud.any(other[0]) if other else loud).nonzero()[:, 0]
            # A point further, since the lines are looked at between these.
            found.append([max(int(on[0]) - 1, 0), min(int(on[-1]) + 1, count - 1)] if len(on) else [0, 0])
        share = torch.tensor(found, dtype=torch.float64) / (count - 1)
        return low[:, None] + share * (high - low)[:, None]

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
