"""Classes of patches that are equal up to reflections and quarter turns: each is factored once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from .operator import Operator
from .square import KEPT, KEYS, Reference

EQUAL = 1e-12
"""Rows that differ by less, in units of the largest coefficient, are equal."""


@dataclass(frozen=True, eq=False)
class Symmetries:
    """The eight symmetries of the square as matrices ``turn`` ``(8, 2, 2)``, ``z' = turn z``.

    A patch seen through one has the coefficient ``sign[o, k] * c[channel[o, k]]`` of derivative k at node a, where c is
    taken at node ``node[o, a]``; likewise ``side`` for the nodes on its sides.
    """

    turn: Tensor
    channel: Tensor
    sign: Tensor
    node: Tensor
    side: Tensor

    @classmethod
    @lru_cache(maxsize=KEPT)
    def of(cls, square: Reference) -> Symmetries:
        """The symmetries of a reference square's nodes."""
        flips = torch.cartesian_prod(*[torch.tensor([1.0, -1.0], dtype=torch.float64)] * 2)
        straight = torch.diag_embed(flips)
        turn = torch.cat([straight, straight.flip(1)])
        channel, sign = zip(*(_derivatives(m) for m in turn), strict=True)
        node = torch.stack([_places(square.inside, m) for m in turn])
        side = torch.stack([_places(square.sides, m) for m in turn])
        return cls(turn, torch.stack(channel), torch.stack(sign), node, side)

    def to(self, device: torch.device | None) -> Symmetries:
        """The same on a device."""
        return Symmetries(*(t.to(device) for t in (self.turn, self.channel, self.sign, self.node, self.side)))

    @cached_property
    def back(self) -> Tensor:
        """``(8, E)``: the inverse of ``side``."""
        return self.side.argsort(dim=1)


def _derivatives(m: Tensor) -> tuple[Tensor, Tensor]:
    """With ``z' = m z``, the coefficient of derivative k by z' is ``sign[k]`` times that of ``channel[k]`` by z."""
    along = m.abs().argmax(dim=1).tolist()
    signs = [float(m[i, j]) for i, j in enumerate(along)]
    channel, sign = [], []
    for key in KEYS:
        letters = ["xy".index(a) for a in key]
        channel.append(KEYS.index("".join(sorted("xy"[along[i]] for i in letters))))
        product = torch.tensor([signs[i] for i in letters]).prod() if letters else torch.tensor(1.0)
        sign.append(product.to(torch.float64))
    return torch.tensor(channel), torch.stack(sign)


def _places(nodes: Tensor, m: Tensor) -> Tensor:
    """``(n,)``: the node at which each turned node lies before the turn."""
    return torch.cdist(nodes @ m, nodes).argmin(dim=1)


@dataclass(frozen=True, eq=False)
class Classes:
    """``member`` ``(P,)``: each patch's class; ``view`` ``(P,)``: the symmetry through which it is its class;
    ``first`` ``(classes,)``: a patch of each."""

    member: Tensor
    view: Tensor
    first: Tensor

    def to(self, device: torch.device | None) -> Classes:
        """The same on a device."""
        return Classes(self.member.to(device), self.view.to(device), self.first.to(device))


def classify(operator: Operator, symmetries: Symmetries) -> Classes:
    """Group patches whose rows are equal through one of the symmetries.

    A random projection of all rows is compared: equal patches have equal ones, others agree by chance only.
    """
    generator = torch.Generator().manual_seed(1)
    rows = operator.coefficients.flatten(1), operator.traces.flatten(1)
    projected = torch.zeros(len(rows[0]), 8, dtype=torch.float64)
    for values, channels, places in (
        (rows[0], slice(0, 6), symmetries.node), (rows[1], slice(0, 3), symmetries.side),
    ):  # fmt: skip
        parts = [values.real, values.imag] if values.is_complex() else [values]
        for part in parts:
            draw = torch.rand(symmetries.channel[0, channels].shape[0], places.shape[1], generator=generator)
            seen = torch.zeros(8, *draw.shape, dtype=torch.float64)
            for o in range(8):
                turned = symmetries.sign[o, channels, None] * draw
                inner = torch.zeros_like(turned)
                inner[:, places[o]] = turned
                seen[o, symmetries.channel[o, channels]] = inner
            projected += part @ seen.flatten(1).T
    smallest, view = projected.min(dim=1)
    order = smallest.argsort()
    gap = smallest[order].diff() > EQUAL * projected.abs().max()
    member = torch.zeros_like(view)
    member[order] = torch.cat([torch.zeros_like(view[:1]), gap.long().cumsum(0)])
    # Of a symmetric patch several symmetries give the smallest projection up to rounding; any of them is right.
    first = torch.full((int(member.max()) + 1,), len(member))
    first = first.scatter_reduce(0, member, torch.arange(len(member)), "amin")
    return Classes(member, view, first)


def seen(values: Tensor, view: Tensor, channel: Tensor, sign: Tensor, places: Tensor) -> Tensor:
    """``(n, keys, nodes)`` coefficients of patches through a symmetry each."""
    keys = values.shape[1]
    which = torch.arange(len(values), device=values.device)[:, None, None]
    turned = values[which, channel[view, :keys, None], places[view, None, :]]
    return turned * sign[view, :keys, None]


__all__ = ["Classes", "Symmetries", "classify", "seen"]
