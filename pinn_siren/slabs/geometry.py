"""Equal patches of a box, what lies beyond its sides, and the state there."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from .statement import Statement

SIGN = {"dirichlet": -1.0, "neumann": 1.0, "absorbing": 1.0, "periodic": 1.0}
"""Of the field's mirror image beyond a side; where waves leave it is not used."""


class Patches:
    """``count`` equal patches along each space axis; local coordinates run from -1 to 1 in each.

    ``half`` ``(axes,)``: their half-widths; ``centers`` ``(patches, axes)``; ``places``: the number of each along each
    axis; ``unit``: what the fastest wave takes for the smaller half-width.
    """

    def __init__(self, statement: Statement, count: tuple[int, ...]) -> None:
        self.statement, self.count = statement, count
        self.bounds = statement.bounds
        self.half = (self.bounds[:, 1] - self.bounds[:, 0]) / (2 * torch.tensor(count))
        lines = [
            low + h * (2 * torch.arange(n) + 1) for low, h, n in zip(self.bounds[:, 0], self.half, count, strict=True)
        ]
        self.centers = torch.cartesian_prod(*lines).reshape(-1, len(count))
        self.places = list(itertools.product(*(range(n) for n in count)))
        self.slowest, self.fastest = statement.speeds
        self.unit = float(self.half.min()) / self.fastest

    def __len__(self) -> int:
        return len(self.centers)

    def points(self, local: Tensor, patches: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(patches * n, axes)`` points inside for ``(n, axes)`` local places, and the field's sign: what lies beyond
        a side is its mirror image, or comes back in at the other one."""
        centers = self.centers if patches is None else self.centers[patches]
        x = (centers[:, None] + self.half * local).reshape(-1, len(self.half))
        sign, columns = torch.ones(len(x), dtype=x.dtype), []
        for column, (low, high), ends in zip(x.T, self.bounds.tolist(), self.statement.sides, strict=True):
            below, above = column < low, column > high
            if ends[0] == "periodic":
                columns.append(torch.where(below, column + high - low, torch.where(above, column - high + low, column)))
                continue
            columns.append(torch.where(below, 2 * low - column, torch.where(above, 2 * high - column, column)))
            sign = torch.where(below, SIGN[ends[0]] * sign, torch.where(above, SIGN[ends[1]] * sign, sign))
        return torch.stack(columns, dim=1), sign

    def state(self, local: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, patches)`` each at ``(n, axes)`` local places: the initial values, and the rates times ``unit``."""
        x, sign = self.points(local)
        u, v = self.statement.state(x)
        shape = (len(self), len(local))
        return (u * sign).reshape(shape).T.contiguous(), (v * sign * self.unit).reshape(shape).T.contiguous()

    def speed(self, local: Tensor, patches: Tensor | None = None) -> Tensor:
        """``(n, patches)`` at ``(n, axes)`` local places, in units of the largest."""
        x, _ = self.points(local, patches)
        return (self.statement.speed(x) / self.fastest).reshape(-1, len(local)).T


__all__ = ["SIGN", "Patches"]
