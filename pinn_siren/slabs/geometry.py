"""Patches of a box, cut where the medium jumps, what lies beyond its sides, and the state there."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from .statement import Statement

SIGN = {"dirichlet": -1.0, "neumann": 1.0, "absorbing": 1.0, "periodic": 1.0}
"""Of the field's mirror image beyond a side; where waves leave it is not used."""
WIDEST = 3.0
"""Of patches beside a layer of the medium that ends at an absorbing side, in its thickness: marching was unstable where
few data lie in such a layer (from 6 on)."""
ROUNDED = 1e-9
"""Lengths, in half-widths, that are the same."""


class Patches:
    """At least ``wanted`` patches along each space axis, equal but for their ends, which hold all jumps of the medium.

    ``lines``: the ends along each axis, ``count``: the patches between them; ``half`` ``(axes,)``: half-widths of the
    widest, in which local coordinates of all are measured, from each one's center on; ``centers`` ``(patches, axes)``,
    ``extent`` ``(patches, axes)``: each one's own half-widths in these; ``places``: the number of each along each axis;
    ``unit``: what the fastest wave takes for the smaller half-width.
    """

    def __init__(self, statement: Statement, wanted: tuple[int, ...]) -> None:
        self.statement, self.bounds = statement, statement.bounds
        self.lines = tuple(
            _cut(torch.cat([ends[:1], jumps, ends[1:]]), n, (sides[0] == "absorbing", sides[1] == "absorbing"))
            for ends, jumps, n, sides in zip(self.bounds, statement.jumps, wanted, statement.sides, strict=True)
        )
        self.count = tuple(len(line) - 1 for line in self.lines)
        self.half = torch.stack([line.diff().max() / 2 for line in self.lines])
        self.middles = [(line[:-1] + line[1:]) / 2 for line in self.lines]
        self.centers = torch.cartesian_prod(*self.middles).reshape(-1, len(wanted))
        widths = [
            (line.diff() / (2 * half) / ROUNDED).round() * ROUNDED
            for line, half in zip(self.lines, self.half, strict=True)
        ]
        self.extent = torch.cartesian_prod(*widths).reshape(-1, len(wanted))
        self.places = list(itertools.product(*(range(n) for n in self.count)))
        self.slowest, self.fastest = statement.speeds
        self.unit = float(self.half.min()) / self.fastest

    def __len__(self) -> int:
        return len(self.centers)

    def points(self, local: Tensor, patches: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(patches * n, axes)`` points inside for ``(n, axes)`` local places, or ``(patches, n, axes)``, and the
        field's sign: what lies beyond a side is its mirror image, or comes back in at the other one."""
        centers = self.centers if patches is None else self.centers[patches]
        x = (centers[:, None] + self.half * local).reshape(-1, len(self.half))
        inside = [self.within(axis, column) for axis, column in enumerate(x.T)]
        return torch.stack([column for column, _ in inside], dim=1), math.prod(sign for _, sign in inside)  # type: ignore[return-value]

    def within(self, axis: int, column: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates along an axis as those of the same points inside, and the field's sign there."""
        (low, high), ends = self.bounds[axis].tolist(), self.statement.sides[axis]
        below, above = column < low, column > high
        one = torch.ones_like(column)
        if ends[0] == "periodic":
            moved = torch.where(below, column + high - low, torch.where(above, column - high + low, column))
            return moved, one
        mirrored = torch.where(below, 2 * low - column, torch.where(above, 2 * high - column, column))
        return mirrored, torch.where(below, SIGN[ends[0]] * one, torch.where(above, SIGN[ends[1]] * one, one))

    def holding(self, reach: float) -> Tensor:
        """The patches that hold, enlarged by ``reach``, a part of the initial state."""
        held = torch.ones(len(self), dtype=torch.bool)
        for i, (low, high) in enumerate(self.statement.support.tolist()):
            if self.statement.sides[i][0] != "periodic":
                held &= self.centers[:, i] + reach * self.half[i] >= low
                held &= self.centers[:, i] - reach * self.half[i] <= high
        return held.nonzero()[:, 0]

    def sides(self, patch: int) -> list[tuple[float, float]]:
        """Along each axis, the local places of the box's two ends."""
        local = (self.bounds - self.centers[patch][:, None]) / self.half[:, None]
        return [(round(low, 9), round(high, 9)) for low, high in local.tolist()]

    def joints(self, patch: int, reach: float) -> tuple[tuple[float, ...], ...]:
        """Local places along each axis of the lines that cross a patch enlarged by ``reach`` and at which the speed, of
        the medium and its mirror images, jumps there."""
        found, chosen, axes = [], torch.tensor([patch]), len(self.half)
        for axis, (jumps, (low, high)) in enumerate(zip(self.statement.jumps, self.bounds, strict=True)):
            sides = self.statement.sides[axis]
            images = [jumps - (high - low), jumps + (high - low)] if sides[0] == "periodic" else [
                2 * low - jumps, 2 * high - jumps
            ]  # fmt: skip
            if sides[0] == "periodic":
                # The speed may differ between the two ends.
                images += [torch.stack([low, high])]
            lines = ((torch.cat([jumps, *images]) - self.centers[patch, axis]) / self.half[axis]).sort().values
            beside = torch.linspace(-reach, reach, 24, dtype=torch.float64)[:, None].expand(-1, axes).clone()
            kept: list[float] = []
            for place in lines[lines.abs() < reach - ROUNDED].tolist():
                near = []
                for step in (-1e-6, 1e-6):
                    beside[:, axis] = place + step
                    near.append(self.speed(beside, chosen))
                if float((near[1] - near[0]).abs().max()) > ROUNDED and place - ROUNDED > (kept or [-math.inf])[-1]:
                    kept.append(round(place, 9))
            found.append(tuple(kept))
        return tuple(found)

    def state(self, local: Tensor, patches: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(n, patches)`` each at local places: the initial values, and the rates times ``unit``."""
        x, sign = self.points(local, patches)
        u, v = self.statement.state(x)
        shape = (-1, local.shape[-2])
        return (u * sign).reshape(shape).T.contiguous(), (v * sign * self.unit).reshape(shape).T.contiguous()

    def speed(self, local: Tensor, patches: Tensor | None = None) -> Tensor:
        """``(n, patches)`` at local places, in units of the largest."""
        x, _ = self.points(local, patches)
        return (self.statement.speed(x) / self.fastest).reshape(-1, local.shape[-2]).T


def _cut(ends: Tensor, wanted: int, absorbing: tuple[bool, bool]) -> Tensor:
    """Ends of at least ``wanted`` patches, equal between the given ends and nowhere wider than asked for, nor than what
    is stable at an absorbing side."""
    widest = (ends[-1] - ends[0]) / wanted
    for side, thickness in zip(absorbing, ends.diff()[[0, -1]], strict=True):
        widest = torch.minimum(widest, WIDEST * thickness) if side else widest
    parts = [
        torch.linspace(float(low), float(high), max(1, math.ceil(float((high - low) / widest) - ROUNDED)) + 1,
                       dtype=ends.dtype)[:-1]
        for low, high in itertools.pairwise(ends)
    ]  # fmt: skip
    return torch.cat([*parts, ends[-1:]])


__all__ = ["ROUNDED", "SIGN", "Patches"]
