"""Factored fast marching from points or a surface, around obstacles, in any number of dimensions."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..coefficients import Coefficient
from ..domains import Domain
from ..points import Points
from .lines import Grid, Real
from .obstacles import medium
from .stencil import positive

BAND = 3.0
"""Nodes within so many cells of the start take straight-ray times."""
SEGMENT = 25
"""Points at which a straight ray is looked at for obstacles."""


def march(grid: Grid, domain: Domain, velocity: Coefficient, feet: Real) -> Real:
    """(size,): the first-arrival time ``velocity |grad u| = 1`` from a start, in a domain; infinite elsewhere.

    ``feet``: (size, d), the nearest point of the start for each node. With its distance D, ``u = D tau``, and upwind
    differences of second order are taken of tau (Fomel, Luo and Zhao 2009, doi 10.1016/j.jcp.2009.05.029; Sethian 1999,
    doi 10.1137/S0036144598347059): where the velocity is constant and the straight ray is free, that is exact.
    Paths run around obstacles, as ``medium`` says, and about corners along straight rays. O(n log n) steps.
    """
    nodes = grid.points().coordinates
    free = domain.contains(nodes).numpy()
    steps = [float(line.steps[0]) for line in grid.lines]
    through = medium(grid, domain, velocity, free)
    offset = nodes.numpy() - feet
    distance = np.linalg.norm(offset, axis=1)
    reach = BAND * max(steps)
    given = _band(grid, domain, velocity, feet, free & (distance <= reach))
    # Only nodes of the band, which are given, and nodes hidden from the start lie so near it.
    floor = 0.5 * min(steps)
    toward = np.where(distance[:, None] > floor, offset / np.maximum(distance, floor)[:, None] ** 2, 0.0)
    # A rim of two nodes that are never reached spares every look across the sides.
    padded = tuple(n + 4 for n in grid.shape)
    strides = [math.prod(padded[i + 1 :]) for i in range(len(padded))]
    inside = np.arange(math.prod(padded)).reshape(padded)[(slice(2, -2),) * len(padded)].ravel()

    def pad(values: Real, rim: float) -> list[float]:
        whole = np.full(math.prod(padded), rim)
        whole[inside] = values
        found: list[float] = whole.tolist()
        return found

    shortcuts: list[dict[int, float]] = []
    for corner in through.corners:
        near = free & (np.abs(nodes.numpy() - corner).max(axis=1) <= reach)
        rays = _band(grid, domain, velocity, np.broadcast_to(corner, feet.shape), near)
        shortcuts.append({int(inside[i]): float(rays[i]) for i in np.flatnonzero(np.isfinite(rays))})
    front = _March(
        strides, steps, pad(given, np.inf), pad(through.slowness, np.nan), pad(np.maximum(distance, floor), 1.0),
        [pad(column, 0.0) for column in toward.T], {(int(inside[i]), int(inside[j])) for i, j in through.barred},
        shortcuts,
    )  # fmt: skip
    times = np.array(front.run())[inside]
    times[~free] = np.inf
    return times


@dataclass(eq=False)
class _March:
    """One march; plain lists, since it touches one number at a time."""

    strides: list[int]
    steps: list[float]
    times: list[float]
    slowness: list[float]
    distance: list[float]
    toward: list[list[float]]
    """An axis each: the derivative of the distance over the distance."""
    barred: set[tuple[int, int]]
    """Neighbours between which nothing passes, both ways."""
    corners: list[dict[int, float]]
    """For each corner, nodes around it and the times there along straight rays."""

    def run(self) -> list[float]:
        """Accept nodes in ascending order of time."""
        times, barred = self.times, self.barred
        # Beyond the rim, and where the times are given, nothing is updated.
        self.known = [math.isnan(s) for s in self.slowness]
        settled = [rim or math.isfinite(t) for rim, t in zip(self.known, times, strict=True)]
        front = [(t, i) for i, t in enumerate(times) if math.isfinite(t)]
        heapq.heapify(front)
        # Corners are numbered after the nodes.
        size = len(times)
        times += [math.inf] * len(self.corners)
        self.known += [False] * len(self.corners)
        settled += [False] * len(self.corners)
        meeting: dict[int, list[int]] = {}
        for corner, nodes in enumerate(self.corners):
            for node in nodes:
                meeting.setdefault(node, []).append(size + corner)
        while front:
            time, node = heapq.heappop(front)
            if self.known[node]:
                continue
            self.known[node] = settled[node] = True
            rays = (
                self.corners[node - size].items()
                if node >= size
                else [(corner, self.corners[corner - size][node]) for corner in meeting.get(node, [])]
            )
            for near, ray in rays:
                if not settled[near] and time + ray < times[near]:
                    times[near] = time + ray
                    heapq.heappush(front, (times[near], near))
            if node >= size:
                continue
            for stride in self.strides:
                for near in (node - stride, node + stride):
                    if settled[near] or (node, near) in barred:
                        continue
                    found = self._update(near)
                    if found < times[near]:
                        times[near] = found
                        heapq.heappush(front, (found, near))
        return times[:size]

    def _update(self, node: int) -> float:
        """The larger root of ``sum (a u - b)^2 = slowness^2`` over the upwind axes; what is later is left out."""
        times, distance, known, barred = self.times, self.distance, self.known, self.barred
        terms, aside = [], 0.0
        for axis, stride in enumerate(self.strides):
            low, high = node - stride, node + stride
            below = known[low] and times[low] < math.inf and (node, low) not in barred
            above = known[high] and times[high] < math.inf and (node, high) not in barred
            toward = self.toward[axis][node]
            if not (below or above):
                # The start may lie between this node and the next: the slope of the distance is small, but not zero.
                if abs(toward) * distance[node] ** 2 < self.steps[axis]:
                    aside += toward**2
                continue
            if below and above:
                # A ridge, where two fronts meet: the side that the start lies on, the earlier one where that is open.
                sign = (-1 if toward > 0 else 1) if toward else (-1 if times[low] < times[high] else 1)
            else:
                sign = -1 if below else 1
            near = node + sign * stride
            beyond = near + sign * stride
            weight, factor = 1 / self.steps[axis], times[near] / distance[near]
            if known[beyond] and times[beyond] <= times[near] and (near, beyond) not in barred:
                weight, factor = 1.5 * weight, (4 * factor - times[beyond] / distance[beyond]) / 3
            terms.append((times[near], weight - sign * toward, weight * factor * distance[node]))
        terms.sort()
        square = self.slowness[node] ** 2
        while True:
            a = aside + sum(t[1] * t[1] for t in terms)
            b = sum(t[1] * t[2] for t in terms)
            root = b * b - a * (sum(t[2] * t[2] for t in terms) - square)
            time = (b + math.sqrt(root)) / a if root >= 0 else -math.inf
            if time >= terms[-1][0] or len(terms) == 1:
                return time
            terms.pop()


def _band(grid: Grid, domain: Domain, velocity: Coefficient, feet: Real, near: NDArray[np.bool_]) -> Real:
    """(size,): the straight-ray times of nodes near the start (Simpson's rule), infinite elsewhere."""
    times = np.full(len(feet), np.inf)
    start, end = feet[near], grid.points().coordinates.numpy()[near]
    shares = np.linspace(0, 1, SEGMENT)[1:]
    rays = [torch.from_numpy(start + share * (end - start)) for share in shares]
    clear = np.all([domain.contains(at).numpy() for at in rays], axis=0)
    start, end = start[clear], end[clear]
    slowness = sum(
        weight / positive(velocity, Points(grid.axes, torch.from_numpy(start + share * (end - start))), "velocity")
        for share, weight in ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6))
    )
    times[np.flatnonzero(near)[clear]] = np.linalg.norm(end - start, axis=1) * slowness
    return times
