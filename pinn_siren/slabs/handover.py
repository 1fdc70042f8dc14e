"""The state at a slab's end: from the coefficients of each patch to the data of those around it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .basis import Basis, unfold
from .geometry import Patches

FRESH = 24
"""Points of each patch at which jumps and residuals are looked at."""
Part = tuple[Tensor, list[Tensor], list[tuple[Tensor, Tensor]]]
"""Even functions at a slab's start; their integral, values and rates at its end; terms of the equation within it."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Along an axis, the places of each patch's data: ``owner`` ``(patches, nodes)`` is the patch that holds them, with
    the field's ``sign`` where that is beyond a side, and ``slot`` their number among all that the owner holds.

    ``lines``: the lists of places, in local coordinates, that patches hold, all as long as the longest; ``kind``
    ``(patches,)``: the list of each.
    """

    owner: Tensor
    slot: Tensor
    sign: Tensor
    lines: Tensor
    kind: Tensor

    @property
    def spread(self) -> int:
        """How many patches further data come from at most."""
        return int((self.owner - torch.arange(len(self.owner))[:, None]).abs().amax())


def make_axis(patches: Patches, axis: int, nodes: Tensor) -> Axis:
    """Who holds what along an axis."""
    line, middles, half = patches.lines[axis], patches.middles[axis], patches.half[axis]
    x, sign = patches.within(axis, (middles[:, None] + half * nodes).flatten())
    owner = torch.bucketize(x.contiguous(), line[1:-1].contiguous(), right=True)
    # Rounded, places that only rounding parts are one.
    local = ((x - middles[owner]) / half * 1e10).round() / 1e10
    held = [local[owner == j].unique() for j in range(len(middles))]
    longest = max(map(len, held))
    padded = torch.stack([torch.cat([h, h.new_zeros(longest - len(h))]) for h in held])
    lines, kind = padded.unique(dim=0, return_inverse=True)
    slot = torch.zeros_like(owner)
    for j, h in enumerate(held):
        slot[owner == j] = torch.searchsorted(h, local[owner == j])
    shape = (len(middles), len(nodes))
    return Axis(owner.reshape(shape), slot.reshape(shape), sign.reshape(shape), lines, kind)


class HandOver:
    """The state at a slab's end. ``paces``: the speed of each patch's waves."""

    def __init__(self, basis: Basis, patches: Patches, paces: Tensor) -> None:
        self.basis, self.patches, self.nodes = basis, patches, len(basis.nodes)
        self.axes = [make_axis(patches, a, basis.nodes) for a in range(len(patches.count))]
        kinds = torch.cartesian_prod(*[a.kind for a in self.axes]).reshape(len(patches), -1)
        self.classes, self.member = torch.cat([kinds, paces[:, None]], dim=1).unique(dim=0, return_inverse=True)
        self.counts = [p.transform.shape[1] for p in basis.parities] or [basis.rank]
        self._matrices: dict[int, tuple[bool, list[Tensor]]] = {}

    def __call__(self, even: Tensor, odd: Tensor, active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(data, n)`` values and rates, and the ``(n,)`` patches that they are of: those that are active, and all
        within a box around them and their neighbours."""
        count, axes = self.patches.count, len(self.axes)
        number = torch.arange(math.prod(count)).reshape(count)
        if not len(active):
            return even.new_zeros(self.nodes**axes, 0), even.new_zeros(self.nodes**axes, 0), active
        windows = []
        for i, axis in enumerate(self.axes):
            place = active // math.prod(count[i + 1 :]) % count[i]
            whole = self.patches.statement.sides[i][0] == "periodic"
            low, high = int(place.min()) - axis.spread, int(place.max()) + 1 + axis.spread
            window = (0, count[i]) if whole else (max(low, 0), min(high, count[i]))
            windows.append(window)
            number = number.narrow(i, window[0], window[1] - window[0])
        held = number.flatten()
        made = self._held(even, odd, active)
        state = made.new_zeros(len(made), len(held))
        state[:, torch.searchsorted(held, active)] = made
        state = state.reshape(2, *(axis.lines.shape[1] for axis in self.axes), *number.shape)
        for i, window in enumerate(windows):
            state = self._along(state, i, window)
        u, v = state.reshape(2, self.nodes**axes, -1)
        return u, v, held

    def _held(self, even: Tensor, odd: Tensor, active: Tensor) -> Tensor:
        """``(2 places, n)``: values and rates at the places that patches hold, from their coefficients."""
        places = math.prod(axis.lines.shape[1] for axis in self.axes)
        out, member = even.new_zeros(2 * places, len(active)), self.member[active]
        for kind in member.unique().tolist():
            which = member == kind
            folded, matrices = self._of(kind)
            pairs = zip(matrices, *(part[:, which].split(self._counts(folded)) for part in (even, odd)), strict=True)
            if not folded:
                out[:, which] = torch.cat([m @ torch.cat([e, o]) for m, e, o in pairs])
                continue
            parts = [torch.hstack((m @ torch.cat([e, o])).chunk(2)) for m, e, o in pairs]
            whole = unfold(parts, self.axes[0].lines.shape[1], len(self.axes))
            out[:, which] = torch.cat(whole.chunk(2, dim=1))
        return out

    def _counts(self, folded: bool) -> list[int]:
        return self.counts if folded else [self.basis.rank]

    def _of(self, kind: int) -> tuple[bool, list[Tensor]]:
        """The matrices of a class: by parity, where its places are their own mirror images and one quadrant tells."""
        if kind not in self._matrices:
            *lists, pace = self.classes[kind].tolist()
            lines = [axis.lines[int(i)] for axis, i in zip(self.axes, lists, strict=True)]
            like = all(line.shape == lines[0].shape and torch.equal(line, -line.flip(0)) for line in lines)
            folded = bool(self.basis.parities) and like and len(lines[0]) % 2 == 0
            if folded:
                lines = [line[len(line) // 2 :] for line in lines]
            x = torch.cartesian_prod(*lines).reshape(-1, len(lines))
            end = torch.full((len(x),), self.basis.duration, dtype=x.dtype)
            parts = [self.basis.even(x, end, rates=r, pace=pace) for r in (-1, 0, 1)]
            split = (p.split(self._counts(folded), dim=1) for p in parts)
            self._matrices[kind] = (
                folded,
                [
                    torch.cat([torch.cat([value, integral], dim=1), torch.cat([rate, value], dim=1)])
                    for integral, value, rate in zip(*split, strict=True)
                ],
            )
        return self._matrices[kind]

    def _along(self, state: Tensor, number: int, window: tuple[int, int]) -> Tensor:
        """One axis: the values that patches hold become the data of all."""
        axis, axes = self.axes[number], len(self.axes)
        mine = slice(*window)
        owner = axis.owner[mine] - window[0]
        inside = (owner >= 0) & (owner < window[1] - window[0])
        moved = state.movedim((1 + number, 1 + axes + number), (0, 1))
        data = moved[axis.slot[mine].T, owner.clamp(0, window[1] - window[0] - 1).T]
        sign = (axis.sign[mine] * inside).T
        data = data * sign.reshape(*sign.shape, *[1] * (data.ndim - 2))
        return data.movedim((0, 1), (1 + number, 1 + axes + number))


class Fresh:
    """Points of each patch that no fit has seen."""

    def __init__(self, basis: Basis, patches: Patches, paces: Tensor) -> None:
        axes = len(basis.stretch)
        draw = torch.rand(FRESH, axes + 1, generator=torch.Generator().manual_seed(4712), dtype=torch.float64)
        unit = 2 * draw[:, :axes] - 1
        self.basis, self.paces, self.times = basis, paces, basis.duration * draw[:, -1]
        # ``(patches, FRESH, axes)``
        self.places = patches.extent[:, None] * unit
        kinds = torch.cat([patches.extent, paces[:, None]], dim=1)
        self.classes, self.member = kinds.unique(dim=0, return_inverse=True)
        self._parts = [self._make(kind[:-1] * unit, float(kind[-1])) for kind in self.classes]

    def _make(self, x: Tensor, pace: float) -> Part:
        zero, end = torch.zeros(FRESH, dtype=x.dtype), torch.full((FRESH,), self.basis.duration, dtype=x.dtype)
        last = [self.basis.even(x, end, rates=r, pace=pace) for r in (-1, 0, 1)]
        return self.basis.even(x, zero), last, [self.basis.wave_terms(x, self.times, odd) for odd in (False, True)]

    def start(self, even: Tensor, odd: Tensor, active: Tensor) -> Tensor:
        """``(2 FRESH, n)``: values and rates at the slab's start."""
        return self._over(active, lambda part, e, o: torch.cat([part[0] @ e, part[0] @ o]), even, odd)

    def after(self, even: Tensor, odd: Tensor, active: Tensor) -> Tensor:
        """Values and rates at the slab's end."""

        def made(part: Part, e: Tensor, o: Tensor) -> Tensor:
            integral, value, rate = part[1]
            return torch.cat([value @ e + integral @ o, rate @ e + value @ o])

        return self._over(active, made, even, odd)

    def residual(self, square: Tensor, even: Tensor, odd: Tensor, active: Tensor) -> Tensor:
        """``(FRESH, n)``: what is left of the equation within the slab, the squared speed being ``square``."""

        def made(part: Part, e: Tensor, o: Tensor, c: Tensor) -> Tensor:
            (space, time), (space_odd, time_odd) = part[2]
            return c * (space @ e + space_odd @ o) - (time @ e + time_odd @ o)

        return self._over(active, made, even, odd, square)

    def _over(self, active: Tensor, made: Callable[..., Tensor], *columns: Tensor) -> Tensor:
        member = self.member[active]
        out: Tensor | None = None
        for kind in member.unique().tolist():
            which = member == kind
            found = made(self._parts[kind], *(c[:, which] for c in columns))
            if out is None:
                out = found.new_zeros(len(found), len(active))
            out[:, which] = found
        return columns[0].new_zeros(2 * FRESH, 0) if out is None else out


__all__ = ["FRESH", "Fresh", "HandOver"]
