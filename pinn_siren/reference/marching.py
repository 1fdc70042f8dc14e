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
ALIGNED = 0.9
"""The least cosine at which a ray passes a corner."""
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
        shortcuts, through.corners.tolist(),
        list(zip(*(pad(column, 0.0) for column in nodes.numpy().T), strict=True)), floor,
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
    centers: list[list[float]]
    """The corners themselves."""
    places: list[tuple[float, ...]]
    """The nodes' coordinates."""
    floor: float

    def run(self) -> list[float]:
        """Accept nodes in ascending order of time."""
        times, barred = self.times, self.barred
        # Beyond the rim, and where the times are given, nothing is updated.
        self.known = [math.isnan(s) for s in self.slowness]
        settled = [rim or math.isfinite(t) for rim, t in zip(self.known, times, strict=True)]
        front = [(t, i) for i, t in enumerate(times) if math.isfinite(t)]
        heapq.heapify(front)
        # Corners are numbered after the nodes.
        size = self.size = len(times)
        self.origin = [-1] * size
        refined = [math.inf] * len(self.corners)
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
            if node >= size:
                time = times[node] = refined[node - size]
            rays = (
                self.corners[node - size].items()
                if node >= size
                else [(corner, self.corners[corner - size][node]) for corner in meeting.get(node, [])]
            )
            for near, ray in rays:
                if not settled[near] and time + ray < times[near]:
                    times[near] = time + ray
                    if near < size:
                        self.origin[near] = node - size
                    else:
                        refined[near - size] = time + ray * self._aligned(node, near - size)
                    heapq.heappush(front, (times[near], near))
            if node >= size:
                continue
            for stride in self.strides:
                for near in (node - stride, node + stride):
                    if settled[near] or (node, near) in barred:
                        continue
                    found, origin = self._update(near)
                    if found < times[near]:
                        times[near], self.origin[near] = found, origin
                        heapq.heappush(front, (found, near))
        return times[:size]

    def _update(self, node: int) -> tuple[float, int]:
        """The larger root of ``sum (a u - b)^2 = slowness^2`` over the upwind axes; what is later is left out.

        With it the number of the corner that the earliest neighbour's ray comes from, -1 for the start: the time is
        factored by the distance to that (Qi and Vladimirsky 2019, doi 10.1007/s10915-018-00905-w).
        """
        times, known, barred = self.times, self.known, self.barred
        upwind = []
        for axis, stride in enumerate(self.strides):
            low, high = node - stride, node + stride
            below = known[low] and times[low] < math.inf and (node, low) not in barred
            above = known[high] and times[high] < math.inf and (node, high) not in barred
            if not (below or above):
                continue
            if below and above:
                # A ridge, where two fronts meet: the side that the start lies on, the earlier one where that is open.
                toward = self.toward[axis][node]
                sign = (-1 if toward > 0 else 1) if toward else (-1 if times[low] < times[high] else 1)
            else:
                sign = -1 if below else 1
            near = node + sign * stride
            beyond = near + sign * stride
            far = known[beyond] and times[beyond] <= times[near] and (near, beyond) not in barred
            upwind.append((times[near], axis, sign, near, beyond if far else -1))
        upwind.sort()
        origin = self.origin[upwind[0][3]]
        begun, here, slopes = self._factor(node, origin)
        terms = []
        for time, axis, sign, near, beyond in upwind:
            weight, factor = 1 / self.steps[axis], (time - begun) / self._distance(near, origin)
            if beyond >= 0:
                weight *= 1.5
                factor = (4 * factor - (times[beyond] - begun) / self._distance(beyond, origin)) / 3
            a = weight - sign * slopes[axis]
            terms.append((a, weight * factor * here + a * begun))
        # The start may lie between this node and the next: the slope of the distance is small there, but not zero.
        for axis in set(range(len(slopes))) - {axis for _, axis, *_ in upwind}:
            if abs(slopes[axis]) * here**2 < self.steps[axis]:
                terms.insert(0, (slopes[axis], slopes[axis] * begun))
        square = self.slowness[node] ** 2
        while True:
            aa = sum(a * a for a, _ in terms)
            ab = sum(a * b for a, b in terms)
            root = ab * ab - aa * (sum(b * b for _, b in terms) - square)
            found = (ab + math.sqrt(root)) / aa if root >= 0 else -math.inf
            if found >= upwind[-1][0] or len(upwind) == 1:
                return found, origin
            terms.pop()
            upwind.pop()

    def _aligned(self, node: int, corner: int) -> float:
        """The cosine between the ray at a node and the way from it to a corner; 1 where they are not aligned."""
        _, here, slopes = self._factor(node, self.origin[node])
        way = [c - x for x, c in zip(self.places[node], self.centers[corner], strict=True)]
        cosine = sum(w * s for w, s in zip(way, slopes, strict=True)) * here / (math.hypot(*way) or 1.0)
        return cosine if cosine > ALIGNED else 1.0

    def _distance(self, node: int, origin: int) -> float:
        """From the start, or from a corner."""
        if origin < 0:
            return self.distance[node]
        return max(math.dist(self.places[node], self.centers[origin]), self.floor)

    def _factor(self, node: int, origin: int) -> tuple[float, float, list[float]]:
        """When the rays start, the distance they run to a node, and its derivatives over itself."""
        if origin < 0:
            return 0.0, self.distance[node], [column[node] for column in self.toward]
        away = self._distance(node, origin)
        slopes = [
            (x - c) / away**2 if away > self.floor else 0.0
            for x, c in zip(self.places[node], self.centers[origin], strict=True)
        ]
        return self.times[self.size + origin], away, slopes


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
