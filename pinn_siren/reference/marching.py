"""Fast marching of second order from a set of points, in any number of dimensions."""

from __future__ import annotations

import heapq
import math

import numpy as np
import torch
from scipy.spatial import KDTree

from ..coefficients import Coefficient
from ..points import Points
from .lines import Grid, Real
from .stencil import positive

BAND = 3.0
NEIGHBOURS = 8


def march(grid: Grid, velocity: Real, function: Coefficient, places: Real) -> Real:
    """(size,): the first-arrival time from points, ``velocity |grad u| = 1``.

    Nodes near the points take straight-ray times; the others are accepted in ascending order, each from the upwind
    differences of its accepted neighbours, of second order where two of them lie in a row and ascend (Sethian 1999,
    doi 10.1137/S0036144598347059). ``velocity``: (size,) at the nodes; ``places``: (m, d). O(n log n) steps.
    """
    # A rim of two nodes that are never accepted spares every look across the sides.
    padded = tuple(n + 4 for n in grid.shape)
    strides = [math.prod(padded[i + 1 :]) for i in range(len(padded))]
    inside = np.arange(math.prod(padded)).reshape(padded)[(slice(2, -2),) * len(padded)].ravel()
    times = np.full(math.prod(padded), np.inf)
    times[inside] = _band(grid, function, places)
    slowness = np.full(len(times), np.inf)
    slowness[inside] = 1 / velocity
    outside = np.ones(len(times), dtype=bool)
    outside[inside] = False
    weights = [1 / float(line.steps[0]) ** 2 for line in grid.lines]
    accepted = _accept(times.tolist(), slowness.tolist(), outside.tolist(), list(zip(strides, weights, strict=True)))
    return np.array(accepted)[inside]


def _accept(
    times: list[float], slowness: list[float], outside: list[bool], axes: list[tuple[int, float]]
) -> list[float]:
    """Accept nodes in ascending order of time; plain lists, since this touches one number at a time."""
    known = [False] * len(times)
    given = [math.isfinite(t) for t in times]
    front = [(t, i) for i, t in enumerate(times) if given[i]]
    heapq.heapify(front)
    while front:
        time, node = heapq.heappop(front)
        if known[node] or time > times[node]:
            continue
        known[node] = True
        for stride, _ in axes:
            for near in (node - stride, node + stride):
                if known[near] or given[near] or outside[near]:
                    continue
                found = _update(near, times, known, slowness[near], axes)
                if found < times[near]:
                    times[near] = found
                    heapq.heappush(front, (found, near))
    return times


def _update(node: int, times: list[float], known: list[bool], slowness: float, axes: list[tuple[int, float]]) -> float:
    """The larger root of ``sum w (u - v)^2 = slowness^2`` over the upwind axes; late neighbours are left out."""
    terms = []
    for stride, weight in axes:
        low, high = node - stride, node + stride
        step = -stride if known[low] and not (known[high] and times[high] < times[low]) else stride
        if not known[node + step]:
            continue
        value, scale = times[node + step], weight
        beyond = node + 2 * step
        if known[beyond] and times[beyond] <= value:
            value, scale = (4 * value - times[beyond]) / 3, weight * 2.25
        terms.append((value, scale))
    terms.sort()
    while True:
        a = sum(w for _, w in terms)
        b = sum(w * v for v, w in terms)
        c = sum(w * v * v for v, w in terms) - slowness * slowness
        root = b * b - a * c
        if root >= 0:
            return (b + math.sqrt(root)) / a
        terms.pop()


def _band(grid: Grid, function: Coefficient, places: Real) -> Real:
    """(size,): the straight-ray times of nodes within three cells of a point (Simpson's rule), infinite elsewhere."""
    nodes = grid.points().coordinates.numpy()
    reach = BAND * max(float(line.steps[0]) for line in grid.lines)
    count = min(NEIGHBOURS, len(places))
    distances, nearest = KDTree(places).query(nodes, k=count, distance_upper_bound=reach)
    distances, nearest = distances.reshape(-1, count), nearest.reshape(-1, count)
    rows, columns = np.nonzero(np.isfinite(distances))
    start, end = places[nearest[rows, columns]], nodes[rows]
    slowness = sum(
        weight / positive(function, Points(grid.axes, torch.from_numpy(start + share * (end - start))), "velocity")
        for share, weight in ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6))
    )
    times = np.full(len(nodes), np.inf)
    np.minimum.at(times, rows, distances[rows, columns] * slowness)
    return times
