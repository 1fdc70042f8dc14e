"""Fits on one patch: from the state at a slab's start to coefficients, by what the patch sees of medium and sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .basis import Basis, chebyshev, cone, grid
from .geometry import ROUNDED
from .statement import Kind

SIDE_TIMES = 12
"""Times at which a condition on a side is asked for; along the side there are as many places as data."""


@dataclass(frozen=True)
class Wall:
    """A side that a patch touches and that its features must learn: at the ``end`` (-1 or 1) of an axis, at a local
    ``place`` on it."""

    axis: int
    end: int
    kind: Kind
    place: float


@dataclass(frozen=True)
class Sight:
    """What a patch sees around it: patches of the same sight share a fit.

    ``joints``: along each axis the places at which the medium jumps. They part the enlarged patch into regions, the
    last axis fastest, each with functions of its own, of the pace in ``paces``; across a joint the field and its slope
    are continuous. ``walls``: sides whose conditions are rows; nothing is known beyond them. ``medium``: the number of
    what varies.
    """

    joints: tuple[tuple[float, ...], ...]
    paces: tuple[float, ...]
    walls: tuple[Wall, ...]
    medium: int

    @property
    def home(self) -> int:
        """The region of the patch itself."""
        return int(self.region(torch.zeros(1, len(self.joints), dtype=torch.float64)))

    def region(self, x: Tensor) -> Tensor:
        """``(n, axes) -> (n,)``: the region of local places."""
        number = torch.zeros(len(x), dtype=torch.long)
        for column, joints in zip(x.T, self.joints, strict=True):
            found = torch.bucketize(column.contiguous(), torch.tensor(joints, dtype=x.dtype))
            number = number * (len(joints) + 1) + found
        return number

    def known(self, x: Tensor) -> Tensor:
        """Which places lie on this side of all walls."""
        kept = torch.ones(len(x), dtype=torch.bool)
        for wall in self.walls:
            kept &= wall.end * (x[:, wall.axis] - wall.place) <= ROUNDED
        return kept


@dataclass(frozen=True, eq=False)
class Mirror:
    """No system: the even functions' own orthonormal values take the state."""

    basis: Basis

    def __call__(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """``(data, patches)`` values and rates to ``(r, patches)`` coefficients of even and odd functions."""
        even, odd = self.basis.project(torch.hstack([u, v])).chunk(2, dim=1)
        return even, odd


@dataclass(frozen=True, eq=False)
class Fit:
    """One QR factorization ``A = Q R`` with a ridge. ``taken``: the nodes of the data that count; ``coupled``: whether
    even and odd functions are solved for together, as a side that lets waves out demands; ``own``: the functions of the
    patch's own region among those of all."""

    data: Tensor
    triangle: Tensor
    taken: Tensor
    coupled: bool
    own: slice

    def __call__(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As for ``Mirror``."""
        stack = torch.cat if self.coupled else torch.hstack
        right = self.data.T @ stack([u[self.taken], v[self.taken]])
        solved = torch.linalg.solve_triangular(self.triangle, right, upper=True)
        even, odd = solved.chunk(2) if self.coupled else solved.chunk(2, dim=1)
        return even[self.own], odd[self.own]


@dataclass(frozen=True, eq=False)
class Terms:
    """The rows that all fits of a basis have in common."""

    basis: Basis
    places: Tensor
    times: Tensor
    even: tuple[Tensor, Tensor]


def make_terms(basis: Basis) -> Terms:
    """The data's rows, and those of the equation where the functions do not satisfy it."""
    places, times = cone(basis)
    if basis.own:
        places, times = places[:0], times[:0]
    return Terms(basis, places, times, basis.wave_terms(places, times))


def fit(terms: Terms, speed: Callable[[Tensor], Tensor], sight: Sight) -> Fit | Mirror:
    """The fit of patches of one sight. ``speed``: at ``(n, axes)`` local places, in units of the largest."""
    basis, count = terms.basis, len(sight.paces)
    if basis.own and not sight.walls and count == 1:
        return Mirror(basis)
    taken, inside = sight.known(basis.data), sight.known(terms.places)
    coupled = any(w.kind == "absorbing" for w in sight.walls)
    rows = [_placed(basis.values[taken], sight.region(basis.data[taken]), count)]
    weight = basis.size.equation / basis.size.bandwidth**2
    places = terms.places[inside]
    square, region = speed(places).square()[:, None], sight.region(places)
    space, time = (part[inside] for part in terms.even)
    equation = [_placed((square * space - time) * weight, region, count)]
    if coupled:
        space, time = basis.wave_terms(places, terms.times[inside], odd=True)
        equation.append(_placed((square * space - time) * weight, region, count))
        rows = [torch.block_diag(rows[0], rows[0])]
        rows.append(torch.cat(equation, dim=1))
    else:
        rows += equation
    data = len(rows[0])
    held = [_wall(basis, wall, speed, sight) for wall in sight.walls]
    held += [_joint(basis, axis, place, sight) for axis, line in enumerate(sight.joints) for place in line]
    rows += [torch.cat([made(0), made(-1)], dim=1) if coupled else made(0) for made in held]
    matrix = torch.cat(rows)
    ridge = basis.size.cut * torch.eye(matrix.shape[1], dtype=matrix.dtype)
    stacked = torch.cat([matrix, ridge])
    if len(basis.stretch) == 1 or basis.own:
        q, r = torch.linalg.qr(stacked)
        onto = q[:data].contiguous()
    else:
        # A system for almost every patch: without Q each takes half as long, and is rounded to 1e-16 over the ridge.
        r = torch.linalg.qr(stacked, mode="r").R
        onto = torch.linalg.solve_triangular(r, matrix[:data], upper=True, left=False)
    return Fit(onto, r, taken, coupled, slice(sight.home * basis.rank, (sight.home + 1) * basis.rank))


def _placed(rows: Tensor, region: Tensor, count: int) -> Tensor:
    """Rows at places, in the columns of the functions that hold there."""
    return torch.cat([rows * (region == s)[:, None] for s in range(count)], dim=1)


def _wall(basis: Basis, wall: Wall, speed: Callable[[Tensor], Tensor], sight: Sight) -> Callable[[int], Tensor]:
    """The rows of a condition, of the field and of its integral over time (-1)."""
    x, t = _side(basis, wall.axis, wall.place, sight)
    region = sight.region(x)

    def condition(rates: int) -> Tensor:
        if wall.kind == "dirichlet":
            return _functions(basis, x, t, region, sight, rates)
        slope = wall.end * _functions(basis, x, t, region, sight, rates, wall.axis)
        if wall.kind == "absorbing":
            slope = slope * speed(x)[:, None] + _functions(basis, x, t, region, sight, rates + 1)
        return slope / basis.size.bandwidth

    return condition


def _joint(basis: Basis, axis: int, place: float, sight: Sight) -> Callable[[int], Tensor]:
    """The rows of continuity across a joint: of the field, and of its slope."""
    x, t = _side(basis, axis, place, sight)
    step = torch.zeros(x.shape[1], dtype=x.dtype)
    step[axis] = ROUNDED
    low, high = sight.region(x - step), sight.region(x + step)

    def condition(rates: int) -> Tensor:
        change = [
            _functions(basis, x, t, low, sight, rates, across) - _functions(basis, x, t, high, sight, rates, across)
            for across in (None, axis)
        ]
        return torch.cat([change[0], change[1] / basis.size.bandwidth])

    return condition


def _functions(
    basis: Basis, x: Tensor, t: Tensor, region: Tensor, sight: Sight, rates: int, across: int | None = None
) -> Tensor:
    """The functions of each place's region, in their columns."""
    out = x.new_zeros(len(x), len(sight.paces) * basis.rank)
    for s in region.unique().tolist():
        at = region == s
        made = basis.even(x[at], t[at], rates=rates, across=across, pace=sight.paces[s])
        out[at, s * basis.rank : (s + 1) * basis.rank] = made
    return out


def _side(basis: Basis, axis: int, place: float, sight: Sight) -> tuple[Tensor, Tensor]:
    """Places and times on a line across an axis that the data determine."""
    times = basis.duration * (1 + chebyshev(SIDE_TIMES)) / 2
    axes = len(basis.stretch)
    line = grid(chebyshev(len(basis.nodes)), axes - 1) if axes > 1 else torch.zeros(1, 0, dtype=times.dtype)
    along = torch.cat([(basis.size.reach - float(t)) * line for t in times])
    t = times.repeat_interleave(len(line))
    across = torch.full((len(t), 1), place, dtype=t.dtype)
    x = torch.cat([along[:, :axis], across, along[:, axis:]], dim=1)
    kept = sight.known(x)
    for end in (-1, 1):
        # Within a wall what comes is known, elsewhere it comes in from beyond the data.
        if not any(wall.axis == axis and wall.end == end for wall in sight.walls):
            kept &= end * place <= basis.size.reach - t
    return x[kept], t[kept]


__all__ = ["Fit", "Mirror", "Sight", "Terms", "Wall", "fit", "make_terms"]
