"""Fits on one patch: from the state at a slab's start to coefficients, by what the patch sees of medium and sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .basis import Basis, chebyshev, cone, grid
from .statement import Kind

SIDE_TIMES = 12
"""Times at which a condition on a side is asked for; along the side there are as many places as data."""
INSIDE = 1 + 1e-9


@dataclass(frozen=True)
class Wall:
    """A side that a patch touches and that its features must learn: at the ``end`` (-1 or 1) of an axis.

    A ``"joint"`` is where the medium jumps: beyond it the patch has functions of their own, and the field and its slope
    are the same from both sides.
    """

    axis: int
    end: int
    kind: Kind | Literal["joint"]


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
    even and odd functions are solved for together, as a side that lets waves out demands; ``rank``: functions of the
    patch itself, before those beyond its joints."""

    data: Tensor
    triangle: Tensor
    taken: Tensor
    coupled: bool
    rank: int

    def __call__(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As for ``Mirror``."""
        stack = torch.cat if self.coupled else torch.hstack
        right = self.data.T @ stack([u[self.taken], v[self.taken]])
        solved = torch.linalg.solve_triangular(self.triangle, right, upper=True)
        even, odd = solved.chunk(2) if self.coupled else solved.chunk(2, dim=1)
        return even[: self.rank], odd[: self.rank]


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


def fit(
    terms: Terms,
    speed: Callable[[Tensor], Tensor],
    walls: tuple[Wall, ...],
    closed: tuple[tuple[bool, bool], ...],
) -> Fit | Mirror:
    """The fit of patches that see the same.

    ``speed``: at ``(n, axes)`` local places, in units of the largest; ``walls``: the sides whose conditions are rows;
    ``closed``: whether the lower and the upper end of each axis is a side beyond which nothing is known, so that data
    and equation count inside alone.
    """
    basis = terms.basis
    if basis.own and not walls and not any(any(ends) for ends in closed):
        return Mirror(basis)
    taken, inside = _within(basis.data, closed), _within(terms.places, closed)
    coupled = any(w.kind == "absorbing" for w in walls)
    joints = tuple(w for w in walls if w.kind == "joint")

    def placed(rows: Tensor, x: Tensor) -> Tensor:
        """Rows at places, in the columns of the functions that hold there."""
        parts = [torch.ones(len(x), dtype=torch.bool)]
        for joint in joints:
            beyond = joint.end * x[:, joint.axis] > 1
            parts[0] &= ~beyond
            parts.append(beyond)
        return torch.cat([rows * part[:, None] for part in parts], dim=1)

    rows = [placed(basis.values[taken], basis.data[taken])]
    weight = basis.size.equation / basis.size.bandwidth**2
    square = speed(terms.places[inside]).square()
    places = terms.places[inside]
    equation = [placed(_equation(square, *(part[inside] for part in terms.even)) * weight, places)]
    if coupled:
        odd = basis.wave_terms(places, terms.times[inside], odd=True)
        equation.append(placed(_equation(square, *odd) * weight, places))
        rows = [torch.block_diag(rows[0], rows[0])]
        rows.append(torch.cat(equation, dim=1))
    else:
        rows += equation
    count = len(rows[0])
    for wall in walls:
        beyond = [1 + joints.index(wall)] if wall.kind == "joint" else []
        rows.append(_wall(basis, wall, speed, closed, coupled, (len(joints), beyond)))
    matrix = torch.cat(rows)
    ridge = basis.size.cut * torch.eye(matrix.shape[1], dtype=matrix.dtype)
    stacked = torch.cat([matrix, ridge])
    if len(basis.stretch) == 1 or basis.own:
        q, r = torch.linalg.qr(stacked)
        data = q[:count].contiguous()
    else:
        # A system for almost every patch: without Q each takes half as long, and is rounded to 1e-16 over the ridge.
        r = torch.linalg.qr(stacked, mode="r").R
        data = torch.linalg.solve_triangular(r, matrix[:count], upper=True, left=False)
    return Fit(data, r, taken, coupled, basis.rank)


def _equation(square: Tensor, laplacian: Tensor, rates: Tensor) -> Tensor:
    return square[:, None] * laplacian - rates


def _wall(
    basis: Basis,
    wall: Wall,
    speed: Callable[[Tensor], Tensor],
    closed: tuple[tuple[bool, bool], ...],
    coupled: bool,
    sets: tuple[int, list[int]],
) -> Tensor:
    """The rows of a condition: at places of the side that the data determine, over the slab's time. ``sets``: how many
    functions stand beside the patch's own, and which of them take part with the other sign."""
    times = basis.duration * (1 + chebyshev(SIDE_TIMES)) / 2
    axes = len(basis.stretch)
    line = grid(chebyshev(len(basis.nodes)), axes - 1) if axes > 1 else torch.zeros(1, 0, dtype=times.dtype)
    along = torch.cat([(basis.size.reach - float(t)) * line for t in times])
    t = times.repeat_interleave(len(line))
    across = torch.full((len(t), 1), float(wall.end), dtype=t.dtype)
    x = torch.cat([along[:, : wall.axis], across, along[:, wall.axis :]], dim=1)
    kept = _within(x, closed)
    x, t = x[kept], t[kept]

    def condition(rates: int) -> Tensor:
        rows = stated(rates)
        return torch.cat([rows, *(-rows * (i + 1 in sets[1]) for i in range(sets[0]))], dim=1)

    def stated(rates: int) -> Tensor:
        if wall.kind == "dirichlet":
            return basis.even(x, t, rates=rates)
        slope = wall.end * basis.even(x, t, rates=rates, across=wall.axis)
        if wall.kind == "absorbing":
            slope = slope * speed(x)[:, None] + basis.even(x, t, rates=rates + 1)
        slope = slope / basis.size.bandwidth
        return torch.cat([basis.even(x, t, rates=rates), slope]) if wall.kind == "joint" else slope

    return torch.cat([condition(0), condition(-1)], dim=1) if coupled else condition(0)


def _within(x: Tensor, closed: tuple[tuple[bool, bool], ...]) -> Tensor:
    kept = torch.ones(len(x), dtype=torch.bool)
    for column, (low, high) in zip(x.T, closed, strict=True):
        kept &= (column >= -INSIDE) | (not low)
        kept &= (column <= INSIDE) | (not high)
    return kept


__all__ = ["Fit", "Mirror", "Terms", "Wall", "fit", "make_terms"]
