"""From slab to slab: every patch takes the state on a larger patch around it, and hands its own on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .basis import Size, make_basis
from .geometry import ROUNDED, Patches
from .handover import FRESH, Fresh, HandOver
from .local import Fit, Mirror, Sight, Wall, fit, make_terms
from .statement import Statement

SILENT = 1e-3
"""Patches whose data are below this part of the error that is aimed at, relative to the largest value, are left out."""
SAME = 1e-4


@dataclass(frozen=True)
class Cut:
    """At least so many ``patches`` along each space axis, and ``slabs``; ``size``: of the functions on each patch."""

    patches: tuple[int, ...]
    size: Size
    slabs: int = 1


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
        speeds = statement.pieces / patches.fastest
        self.basis = make_basis(cut.size, stretch, self.step / patches.unit, speeds, statement.kind == "varies", seed)
        self.terms = make_terms(self.basis)
        # Where the functions satisfy the equation, each patch has those of the speed that it has.
        here = torch.zeros(1, len(stretch), dtype=torch.float64)
        self.paces = patches.speed(here)[0] if self.basis.own else torch.ones(len(patches), dtype=torch.float64)
        self._hand_over = HandOver(self.basis, patches, self.paces)
        self._fits: dict[Sight, Fit | Mirror] = {}
        self._sight: dict[int, Sight] = {}
        self._seen: dict[float, list[tuple[Tensor, int]]] = {}

    def __iter__(self) -> Iterator[Slab]:
        held = self.patches.holding(self.cut.size.reach)
        u, v = self.patches.state(self.basis.data, held)
        first, last = self.statement.span
        floor = SILENT * self.accuracy * max(float(u.abs().max()), float(v.abs().max()) / self.cut.size.bandwidth)
        fresh, noise = Fresh(self.basis, self.patches, self.paces), 0.0
        before = torch.zeros(2 * FRESH, len(self.patches), dtype=u.dtype)
        for number in range(self.slabs):
            # What is smaller than what earlier slabs changed is noise.
            floor = max(floor, noise)
            loud = (u.abs().amax(0) > floor) | (v.abs().amax(0) > floor * self.cut.size.bandwidth)
            active = held[loud]
            even, odd = self._coefficients(u[:, loud], v[:, loud], active)
            jump, rms = self._misfit(fresh, before, active, even, odd, number)
            noise = max(noise, jump)
            weights = self.basis.travelling(even, odd / self.paces[active])
            start = first + number * self.step
            end = last if number == self.slabs - 1 else start + self.step
            yield Slab(start, end, active, weights, jump, rms)
            if number < self.slabs - 1:
                before = torch.zeros_like(before)
                before[:, active] = fresh.after(even, odd, active)
                u, v, held = self._hand_over(even, odd, active)

    def _coefficients(self, u: Tensor, v: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """``(r, len(active))`` each: of the even and odd functions, from the data of the patches ``active``."""
        even = torch.zeros(self.basis.rank, len(active), dtype=u.dtype)
        odd = torch.zeros_like(even)
        members: dict[Sight, list[int]] = {}
        for i, patch in enumerate(active.tolist()):
            members.setdefault(self._fitted(patch), []).append(i)
        for sight, where in members.items():
            even[:, where], odd[:, where] = self._fits[sight](u[:, where], v[:, where])
        return even, odd

    def _fitted(self, patch: int) -> Sight:
        """What a patch sees, with its fit made."""
        if patch not in self._sight:
            sight = self._look(patch)
            if sight not in self._fits:
                self._fits[sight] = fit(self.terms, self._speed(patch), sight)
            self._sight[patch] = sight
        return self._sight[patch]

    def _look(self, patch: int) -> Sight:
        speed, medium = self._medium(patch)
        joints = self.patches.joints(patch, self.cut.size.reach)
        varies = not self.basis.own and float(speed.max() - speed.min()) > SAME * self.accuracy
        walls, reach = [], self.cut.size.reach
        for axis, sides in enumerate(self.patches.sides(patch)):
            for out, place, kind in zip((-1, 1), sides, self.statement.sides[axis], strict=True):
                if abs(place) < reach - ROUNDED and (kind == "absorbing" or (kind != "periodic" and varies)):
                    walls.append(Wall(axis, out, kind, place))
        # Nothing is asked beyond a wall.
        joints = tuple(
            tuple(x for x in line if all(w.axis != axis or w.end * (w.place - x) > ROUNDED for w in walls))
            for axis, line in enumerate(joints)
        )
        breaks = [(-reach, *line, reach) for line in joints]
        middles = [torch.tensor([(a + b) / 2 for a, b in itertools.pairwise(ends)]) for ends in breaks]
        regions = torch.cartesian_prod(*middles).reshape(-1, len(joints)).double()
        paces = self._speed(patch)(regions) if self.basis.own else torch.ones(len(regions))
        return Sight(joints, tuple(round(float(p), 12) for p in paces), tuple(walls), medium)

    def _medium(self, patch: int) -> tuple[Tensor, int]:
        """The speed where the patch has data and equation, and the number of the medium there."""
        speed = self._speed(patch)(torch.cat([self.basis.data, self.terms.places]))
        if self.basis.own:
            return speed, 0
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
            if self.statement.uniform or not len(local):
                return torch.ones(len(local), dtype=local.dtype)
            return self.patches.speed(local, chosen)[:, 0]

        return at

    def _misfit(
        self, fresh: Fresh, before: Tensor, active: Tensor, even: Tensor, odd: Tensor, number: int
    ) -> tuple[float, float]:
        now = torch.zeros_like(before)
        now[:, active] = fresh.start(even, odd, active)
        if number == 0:
            before = torch.cat(self.patches.state(fresh.places))
        change = now - before
        change[FRESH:] /= self.cut.size.bandwidth
        total = 2 * float(change.square().mean())
        if not self.basis.own and len(active):
            square = self.patches.speed(fresh.places[active], active).square()
            left = fresh.residual(square, even, odd, active) * self.basis.duration / self.cut.size.bandwidth
            total += float(left.square().sum()) / (FRESH * len(self.patches))
        return math.sqrt(total), float(now[:FRESH].square().mean().sqrt())


__all__ = ["Cut", "March", "Slab"]
