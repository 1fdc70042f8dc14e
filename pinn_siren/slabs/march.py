"""From slab to slab: every patch takes the state on a larger patch around it, and hands its own on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .basis import Basis, Size, grid, make_basis
from .geometry import SIGN, Patches
from .local import Fit, Mirror, Wall, fit, make_terms
from .statement import Kind, Statement

SILENT = 1e-3
"""Patches whose data are below this part of the error that is aimed at, relative to the largest value, are left out."""
SAME = 1e-8
FRESH = 24
"""Points of each patch at which jumps and residuals are looked at."""


@dataclass(frozen=True)
class Cut:
    """``patches``: their number along each space axis; ``size``: of the functions on each; ``slabs``: at least."""

    patches: tuple[int, ...]
    size: Size
    slabs: int = 1

    def __str__(self) -> str:
        return " x ".join(map(str, self.patches))


@dataclass(frozen=True, eq=False)
class Slab:
    """The field from ``start`` to ``end``: on the patches ``active`` the ``weights`` ``(len(active), width)`` of the
    travelling sines of ``Basis.layer``.

    ``jump``: the root mean square at fresh points of what the field changed from the slab before, of what its rates
    did, in units of the field, and of what it leaves of the equation; ``rms``: of the field.
    """

    start: float
    end: float
    active: Tensor
    weights: Tensor
    jump: float
    rms: float


class March:
    """The slabs of a statement, one at a time: what is held does not grow with the final time.

    Data live on ``nodes^axes`` points of every patch enlarged, and a slab lasts no longer than
    the fastest wave takes to come in from there. Beyond sides with zero data the field is
    continued as an odd (Dirichlet) or even (Neumann) one, where the medium is constant; other sides are rows of the
    patches' systems. Equal patches share one factorization, made when the field first reaches them.
    """

    def __init__(self, statement: Statement, cut: Cut, seed: int, accuracy: float) -> None:
        self.statement, self.cut, self.accuracy = statement, cut, accuracy
        self.patches = patches = Patches(statement, cut.patches)
        first, last = statement.span
        longest = (cut.size.reach - 1) * patches.unit
        self.slabs = max(cut.slabs, math.ceil((last - first) / longest - 1e-9))
        self.step = (last - first) / self.slabs
        stretch = patches.half.min() / patches.half
        slowest = patches.slowest / patches.fastest
        self.basis = make_basis(cut.size, stretch, self.step / patches.unit, slowest, statement.uniform, seed)
        self.terms = make_terms(self.basis)
        self._hand_over = _HandOver(self.basis, cut.patches, statement.sides)
        self._fits: dict[tuple[object, ...], Fit | Mirror] = {}
        self._class: dict[int, tuple[object, ...]] = {}
        self._seen: dict[float, list[tuple[Tensor, int]]] = {}

    def __iter__(self) -> Iterator[Slab]:
        u, v = self.patches.state(self.basis.data)
        first, last = self.statement.span
        floor = SILENT * self.accuracy * max(float(u.abs().max()), float(v.abs().max()) / self.cut.size.bandwidth)
        fresh, noise = _Fresh(self.basis), 0.0
        before = torch.zeros(2 * FRESH, len(self.patches), dtype=u.dtype)
        for number in range(self.slabs):
            # What is smaller than what earlier slabs changed is noise.
            floor = max(floor, noise)
            loud = (u.abs().amax(0) > floor) | (v.abs().amax(0) > floor * self.cut.size.bandwidth)
            active = loud.nonzero()[:, 0]
            even, odd = self._coefficients(u, v, active)
            jump, rms = self._misfit(fresh, before, active, even, odd, number)
            noise = max(noise, jump)
            weights = self.basis.travelling(even, odd)
            start = first + number * self.step
            end = last if number == self.slabs - 1 else start + self.step
            yield Slab(start, end, active, weights, jump, rms)
            if number < self.slabs - 1:
                before = torch.zeros_like(before)
                before[:, active] = fresh.after(even, odd)
                u, v = self._hand_over(even, odd, active)

    def _coefficients(self, u: Tensor, v: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """``(r, len(active))`` each: of the even and odd functions."""
        even = torch.zeros(self.basis.rank, len(active), dtype=u.dtype)
        odd = torch.zeros_like(even)
        members: dict[tuple[object, ...], list[int]] = {}
        for i, patch in enumerate(active.tolist()):
            members.setdefault(self._key(patch), []).append(i)
        for key, where in members.items():
            patches = active[where]
            even[:, where], odd[:, where] = self._fits[key](u[:, patches], v[:, patches])
        return even, odd

    def _key(self, patch: int) -> tuple[object, ...]:
        """The class of a patch, with its fit made."""
        if patch not in self._class:
            speed, number = self._medium(patch)
            closed, walls = [], []
            varies = float(speed.max() - speed.min()) > SAME * self.accuracy
            for axis, (place, count) in enumerate(zip(self.patches.places[patch], self.cut.patches, strict=True)):
                ends = []
                for end, edge in enumerate((0, count - 1)):
                    kind = self.statement.sides[axis][end]
                    learned = kind == "absorbing" or (kind != "periodic" and varies)
                    ends.append(place == edge and learned)
                    if place == edge and learned:
                        walls.append(Wall(axis, 2 * end - 1, kind))
                closed.append((ends[0], ends[1]))
            key = (number, tuple(walls))
            if key not in self._fits:
                self._fits[key] = fit(self.terms, self._speed(patch), tuple(walls), tuple(closed))
            self._class[patch] = key
        return self._class[patch]

    def _medium(self, patch: int) -> tuple[Tensor, int]:
        """The speed where the patch has data and equation, and the number of the medium there."""
        speed = self._speed(patch)(torch.cat([self.basis.data, self.terms.places]))
        known = self._seen.setdefault(round(float(speed.mean()), 6), [])
        for other, number in known:
            if float((other - speed).abs().max()) <= SAME * self.accuracy:
                return speed, number
        known.append((speed, sum(map(len, self._seen.values()))))
        return known[-1]

    def _speed(self, patch: int) -> Callable[[Tensor], Tensor]:
        """The speed at local places of a patch, in units of the largest."""
        chosen = torch.tensor([patch])

        def at(local: Tensor) -> Tensor:
            if self.basis.own or not len(local):
                return torch.ones(len(local), dtype=local.dtype)
            return self.patches.speed(local, chosen)[:, 0]

        return at

    def _misfit(
        self, fresh: _Fresh, before: Tensor, active: Tensor, even: Tensor, odd: Tensor, number: int
    ) -> tuple[float, float]:
        now = torch.zeros_like(before)
        now[:, active] = fresh.start(even, odd)
        if number == 0:
            before = torch.cat(self.patches.state(fresh.places))
        change = now - before
        change[FRESH:] /= self.cut.size.bandwidth
        total = 2 * float(change.square().mean())
        if not self.basis.own and len(active):
            square = self.patches.speed(fresh.places, active).square()
            left = fresh.residual(square, even, odd) * self.basis.duration / self.cut.size.bandwidth
            total += float(left.square().sum()) / (FRESH * len(self.patches))
        return math.sqrt(total), float(now[:FRESH].square().mean().sqrt())


class _Fresh:
    """Points of a patch that no fit has seen."""

    def __init__(self, basis: Basis) -> None:
        axes = len(basis.stretch)
        draw = torch.rand(FRESH, axes + 1, generator=torch.Generator().manual_seed(4712), dtype=torch.float64)
        self.places = 2 * draw[:, :axes] - 1
        zero, end = torch.zeros(FRESH, dtype=draw.dtype), torch.full((FRESH,), basis.duration, dtype=draw.dtype)
        self._first = basis.even(self.places, zero)
        self._last = [basis.even(self.places, end, rates=r) for r in (-1, 0, 1)]
        self._terms = [basis.wave_terms(self.places, basis.duration * draw[:, -1], odd) for odd in (False, True)]

    def start(self, even: Tensor, odd: Tensor) -> Tensor:
        """Values and rates at the slab's start."""
        return torch.cat([self._first @ even, self._first @ odd])

    def after(self, even: Tensor, odd: Tensor) -> Tensor:
        """Values and rates at the slab's end."""
        integral, value, rate = self._last
        return torch.cat([value @ even + integral @ odd, rate @ even + value @ odd])

    def residual(self, square: Tensor, even: Tensor, odd: Tensor) -> Tensor:
        """What is left of the equation within the slab."""
        (space, time), (space_odd, time_odd) = self._terms
        return square * (space @ even + space_odd @ odd) - (time @ even + time_odd @ odd)


class _HandOver:
    """The state at a slab's end, from the coefficients of the patches to the data of their neighbours."""

    def __init__(self, basis: Basis, patches: tuple[int, ...], sides: tuple[tuple[Kind, Kind], ...]) -> None:
        self.patches, self.sides, self.nodes = patches, sides, len(basis.nodes)
        # The data of the patch `offset` further that lie in this one, in its coordinates.
        seen = [(o, i, x + 2 * o) for o in (-1, 0, 1) for i, x in enumerate(basis.nodes.tolist())]
        owned = [(o, i, x) for o, i, x in seen if -1 <= x < 1]
        self.offset = torch.tensor([o for o, _, _ in owned])
        self.index = torch.tensor([i for _, i, _ in owned])
        x = grid(torch.tensor([x for _, _, x in owned], dtype=torch.float64), len(patches))
        end = torch.full((len(x),), basis.duration, dtype=x.dtype)
        integral, value, rate = (basis.even(x, end, rates=r) for r in (-1, 0, 1))
        self.matrix = torch.cat([torch.cat([value, integral], dim=1), torch.cat([rate, value], dim=1)])

    def __call__(self, even: Tensor, odd: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        axes = len(self.patches)
        made = self.matrix @ torch.cat([even, odd])
        whole = made.new_zeros(len(made), math.prod(self.patches))
        whole[:, active] = made
        state = whole.reshape(2, *[len(self.index)] * axes, *self.patches)
        for axis in range(axes):
            state = self._along(state, axis)
        u, v = state.reshape(2, self.nodes**axes, -1)
        return u, v

    def _along(self, state: Tensor, axis: int) -> Tensor:
        """One axis: its owned values become the data of each patch, those beyond a side by reflection."""
        axes, count = len(self.patches), self.patches[axis]
        moved = state.movedim((1 + axis, 1 + axes + axis), (0, 1))
        out = moved.new_zeros(self.nodes, *moved.shape[1:])
        for o in (-1, 0, 1):
            which = self.offset == o
            part, index = moved[which], self.index[which]
            if o == 0:
                out[index] = part
                continue
            edge, inner = (count - 1, 0) if o == 1 else (0, count - 1)
            end = self.sides[axis][1 if o == 1 else 0]
            if count > 1:
                to, of = (slice(1, None), slice(None, -1)) if o == 1 else (slice(None, -1), slice(1, None))
                out[index, to] = part[:, of]
            if end == "periodic":
                out[index, inner] = part[:, edge]
            else:
                # Beyond the side lies the patch's own mirror image.
                out[self.nodes - 1 - index, edge] = SIGN[end] * part[:, edge]
        return out.movedim((0, 1), (1 + axis, 1 + axes + axis))


__all__ = ["Cut", "March", "Slab"]
