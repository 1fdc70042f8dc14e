"""Fits on one patch: from the state at a slab's start to coefficients, by what the patch sees of medium and sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .basis import Basis, chebyshev, cone, grid
from .statement import Kind

EQUATION = 30.0
"""The weight of the equation's rows, divided by the squared bandwidth."""
SIDE_TIMES = 12
"""Times at which a condition on a side is asked for; along the side there are as many places as data."""
INSIDE = 1 + 1e-9


@dataclass(frozen=True)
class Wall:
    """A side that a patch touches and that its features must learn: at the ``end`` (-1 or 1) of an axis."""

    axis: int
    end: int
    kind: Kind


@dataclass(frozen=True, eq=False)
class Mirror:
    """No system: the even functions' own orthonormal values take the state."""

    values: Tensor

    def __call__(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """``(data, patches)`` values and rates to ``(r, patches)`` coefficients of even and odd functions."""
        return self.values.T @ u, self.values.T @ v


@dataclass(frozen=True, eq=False)
class Fit:
    """One QR factorization ``A = Q R`` with a ridge. ``taken``: the nodes of the data that count; ``coupled``: whether
    even and odd functions are solved for together, as a side that lets waves out demands."""

    data: Tensor
    triangle: Tensor
    taken: Tensor
    coupled: bool

    def __call__(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As for ``Mirror``."""
        stack = torch.cat if self.coupled else torch.hstack
        right = self.data.T @ stack([u[self.taken], v[self.taken]])
        solved = torch.linalg.solve_triangular(self.triangle, right, upper=True)
        even, odd = solved.chunk(2) if self.coupled else solved.chunk(2, dim=1)
        return even, odd


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
        return Mirror(basis.values)
    taken, inside = _within(basis.data, closed), _within(terms.places, closed)
    coupled = any(w.kind == "absorbing" for w in walls)
    rows = [basis.values[taken]]
    weight = EQUATION / basis.size.bandwidth**2
    square = speed(terms.places[inside]).square()
    equation = [_equation(square, *(part[inside] for part in terms.even)) * weight]
    if coupled:
        odd = basis.wave_terms(terms.places[inside], terms.times[inside], odd=True)
        equation.append(_equation(square, *odd) * weight)
        rows = [torch.block_diag(rows[0], rows[0])]
        rows.append(torch.cat(equation, dim=1))
    else:
        rows += equation
    count = len(rows[0])
    for wall in walls:
        rows.append(_wall(basis, wall, speed, closed, coupled))
    matrix = torch.cat(rows)
    ridge = basis.size.cut * torch.eye(matrix.shape[1], dtype=matrix.dtype)
    q, r = torch.linalg.qr(torch.cat([matrix, ridge]))
    return Fit(q[:count].contiguous(), r, taken, coupled)


def _equation(square: Tensor, laplacian: Tensor, rates: Tensor) -> Tensor:
    return square[:, None] * laplacian - rates


def _wall(
    basis: Basis,
    wall: Wall,
    speed: Callable[[Tensor], Tensor],
    closed: tuple[tuple[bool, bool], ...],
    coupled: bool,
) -> Tensor:
    """The rows of a condition: at places of the side that the data determine, over the slab's time."""
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
        if wall.kind == "dirichlet":
            return basis.even(x, t, rates=rates)
        slope = wall.end * basis.even(x, t, rates=rates, across=wall.axis)
        if wall.kind == "absorbing":
            slope = slope * speed(x)[:, None] + basis.even(x, t, rates=rates + 1)
        return slope / basis.size.bandwidth

    return torch.cat([condition(0), condition(-1)], dim=1) if coupled else condition(0)


def _within(x: Tensor, closed: tuple[tuple[bool, bool], ...]) -> Tensor:
    kept = torch.ones(len(x), dtype=torch.bool)
    for column, (low, high) in zip(x.T, closed, strict=True):
        kept &= (column >= -INSIDE) | (not low)
        kept &= (column <= INSIDE) | (not high)
    return kept


__all__ = ["Fit", "Mirror", "Terms", "Wall", "fit", "make_terms"]
