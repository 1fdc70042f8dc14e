"""Rays of a source through a smooth medium in the plane, and the branches of first arrivals where they cross."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from ..coefficients import Coefficient, values
from ..domains import Domain
from ..points import Points

RAYS, STEPS = 720, 160
"""Take-off angles, and steps of a length that crosses the domain."""
FARTHER = 1.5
"""How long rays are followed, in units of the domain's diagonal."""
SHIFT = 1e-5
"""How far to both sides the velocity is differentiated, in the same units."""
EARLY = 8
"""Steps from the source in which no rays cross."""
WINDOW = 6
"""To how many rays at both sides a focus is the first."""
CELLS = 40
"""Cells along the diagonal, of which each keeps the earliest ray of a branch."""
TIE = 2e-3
"""How much later than others a ray may be that still counts as first, in units of the time to cross the domain."""
FEW = 0.02
"""A branch that comes first at a smaller share of the points than this is left out."""
BESIDE = 0.05
"""How far a branch goes on beyond its first arrivals, in units of the diagonal."""


@dataclass(frozen=True, eq=False)
class Arrivals:
    """A branch: ``points`` ``(m, 2)`` on its rays, their ``times`` ``(m,)``, and the part that it is confined to where
    the velocity jumps."""

    points: NDArray[np.float64]
    times: NDArray[np.float64]
    part: int = 0


@dataclass(frozen=True, eq=False)
class _Fan:
    """Rays by step and angle: places ``(k, n, 2)``, slowness vectors alike, times ``(k, n)``; ``focus``: the
    step, between whole ones, at which each first meets its neighbours, infinite where it leaves the domain before;
    ``alive``: before that, and inside."""

    places: NDArray[np.float64]
    slowness: NDArray[np.float64]
    times: NDArray[np.float64]
    focus: NDArray[np.float64]
    alive: NDArray[np.bool_]


def crossing(domain: Domain, velocity: Coefficient, source: Tensor) -> list[Arrivals]:
    """The branches of a source's first arrivals, smooth each; none where its rays do not cross.

    The kink between two arrivals begins at a cusp of the caustic, where a ray meets its neighbours before those beside
    it do (Zeldovich's pancakes; Arnold 1990, doi 10.1007/978-94-011-3330-2). So the rays part at those that reach a
    cusp as first arrivals, and each part is smooth where it comes first and a little beyond.
    """
    size = math.dist(*zip(*domain.bounds.values(), strict=True))
    fan = _shoot(domain, velocity, source, size)
    every = _Cloud.of(fan, fan.alive, size)
    cuts = [ray for ray in _foci(fan) if not _overtaken(fan, ray, every, size)]
    if not cuts:
        return []
    return _parts(fan, cuts, size)


def _shoot(domain: Domain, velocity: Coefficient, source: Tensor, size: float) -> _Fan:
    """``dx/ds = n, dn/ds = -(I - n n^T) grad c / c, dt/ds = 1/c`` by Runge and Kutta's method of fourth order."""
    low, high = torch.tensor(list(domain.bounds.values()), dtype=torch.float64).T
    shifts = SHIFT * size * torch.tensor([[0.0, 0.0], [1, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)

    def rates(state: Tensor) -> Tensor:
        # Beyond the domain's bounds the velocity need not be known.
        at = (state[:, :2] + shifts[:, None]).clamp(low, high)
        c = values(velocity, Points(domain.axes, at.reshape(-1, 2)), "velocity").reshape(5, -1)
        span = (at[1::2] - at[2::2]).diagonal(dim1=0, dim2=2).clamp(min=SHIFT * size)
        slope = (c[1::2] - c[2::2]).T / span
        cos, sin = state[:, 2].cos(), state[:, 2].sin()
        return torch.stack([cos, sin, (slope[:, 0] * sin - slope[:, 1] * cos) / c[0], 1 / c[0]], dim=1)

    angles = torch.arange(RAYS, dtype=torch.float64) * (2 * math.pi / RAYS)
    state = torch.cat([source.expand(RAYS, 2), angles[:, None], torch.zeros(RAYS, 1, dtype=torch.float64)], dim=1)
    step = FARTHER * size / STEPS
    states, slownesses = [state], [rates(state)[:, 3]]
    for _ in range(STEPS):
        first = rates(state)
        second = rates(state + step / 2 * first)
        third = rates(state + step / 2 * second)
        fourth = rates(state + step * third)
        state = state + step / 6 * (first + 2 * second + 2 * third + fourth)
        states.append(state)
        slownesses.append(rates(state)[:, 3])
    all_states = torch.stack(states).numpy()
    places, angle, times = all_states[..., :2], all_states[..., 2], all_states[..., 3]
    across = np.stack([-np.sin(angle), np.cos(angle)], axis=2)
    spread = ((np.roll(places, -1, axis=1) - np.roll(places, 1, axis=1)) * across).sum(axis=2)
    crossed = np.cumsum(spread[EARLY:] <= 0, axis=0) > 0
    inside = domain.contains(torch.from_numpy(places.reshape(-1, 2))).numpy().reshape(times.shape)
    alive = np.logical_and.accumulate(inside, axis=0)
    alive[EARLY:] &= ~crossed
    last, numbers = EARLY + crossed.argmax(axis=0), np.arange(RAYS)
    before, after = spread[last - 1, numbers], spread[last, numbers]
    meet = crossed.any(axis=0) & (alive.sum(axis=0) == last) & inside[last, numbers]
    focus = np.where(meet, last - (after / np.minimum(after - before, -1e-30)).clip(0, 1), np.inf)
    heading = np.stack([np.cos(angle), np.sin(angle)], axis=2)
    return _Fan(places, heading * torch.stack(slownesses).numpy()[..., None], times, focus, alive)


@dataclass(frozen=True, eq=False)
class _Cloud:
    """Points on rays, the earliest in each cell: places ``(m, 2)``, slowness vectors, times, and the rays' numbers."""

    places: NDArray[np.float64]
    slowness: NDArray[np.float64]
    times: NDArray[np.float64]
    reach: float

    @classmethod
    def of(cls, fan: _Fan, kept: NDArray[np.bool_], size: float) -> _Cloud:
        places, slowness, times = fan.places[kept], fan.slowness[kept], fan.times[kept]
        order = np.argsort(times)
        cells = np.floor(places[order] * (CELLS / size)).astype(np.int64)
        _, first = np.unique(cells, axis=0, return_index=True)
        chosen = order[first]
        return cls(places[chosen], slowness[chosen], times[chosen], 1.5 * size / CELLS)

    def earliest(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The first arrival at ``(n, 2)`` places as the nearby points tell it; infinite where there are none."""
        near = KDTree(self.places).query_ball_point(x, self.reach)
        found = np.full(len(x), np.inf)
        for i, own in enumerate(near):
            if own:
                found[i] = (self.times[own] + ((x[i] - self.places[own]) * self.slowness[own]).sum(axis=1)).min()
        return found


def _foci(fan: _Fan) -> list[int]:
    """The rays that meet their neighbours before those beside them do."""
    around = np.min([np.roll(fan.focus, shift) for shift in range(-WINDOW, WINDOW + 1)], axis=0)
    return [int(ray) for ray in np.flatnonzero(np.isfinite(fan.focus) & (fan.focus == around))]


def _overtaken(fan: _Fan, ray: int, every: _Cloud, size: float) -> bool:
    """Whether another arrival is at the ray's focus before it."""
    k = int(fan.focus[ray])  # the last step before it
    before = every.earliest(fan.places[k, ray][None])[0]
    return bool(before < fan.times[k, ray] - TIE * size * np.linalg.norm(fan.slowness[k, ray]))


def _parts(fan: _Fan, cuts: list[int], size: float) -> list[Arrivals]:
    """The branches between the cuts; those of more than half a turn are halved, since they could meet themselves."""
    count = fan.alive.shape[1]
    ends: list[int] = []
    for cut, after in zip(cuts, [*cuts[1:], cuts[0] + count], strict=True):
        ends += [cut, (cut + after) // 2] if after - cut > count // 2 else [cut]
    rays = np.arange(count)
    spans = [(rays - a) % count < b - a for a, b in zip(ends, [*ends[1:], ends[0] + count], strict=True)]
    clouds = [_Cloud.of(fan, fan.alive & span, size) for span in spans]
    found = []
    for i, cloud in enumerate(clouds):
        others = np.min([c.earliest(cloud.places) for k, c in enumerate(clouds) if k != i], axis=0)
        first = cloud.times <= others + TIE * size * np.linalg.norm(cloud.slowness, axis=1)
        if first.sum() >= FEW * sum(len(c.times) for c in clouds):
            kept = KDTree(cloud.places[first]).query(cloud.places)[0] <= BESIDE * size
            found.append(Arrivals(cloud.places[kept], cloud.times[kept]))
    return found if len(found) > 1 else []


__all__ = ["Arrivals", "crossing"]
