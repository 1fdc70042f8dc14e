"""Plane polygons as arrays of vertices: whether they are simple, and the triangles that they are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import ProblemError

Real = NDArray[np.float64]


def cross(a: Real, b: Real) -> Real:
    """``(..., 2), (..., 2) -> (...)``: the area of the parallelogram, positive anticlockwise."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def anticlockwise(vertices: Real) -> Real:
    """The vertices ``(m, 2)`` of a simple polygon in anticlockwise order.

    Raises ``ProblemError`` where edges have no length, fold back, cross or touch, or there is no area.
    """
    following = np.roll(vertices, -1, axis=0)
    edges = following - vertices
    size = float(np.ptp(vertices, axis=0).max())
    short = np.flatnonzero(np.hypot(*edges.T) <= 1e-12 * size)
    if len(short):
        raise ProblemError(f"A Polygon needs distinct vertices: vertex {short[0]} {_say(vertices[short[0]])} is twice.")
    turn, along = cross(np.roll(edges, 1, axis=0), edges), (np.roll(edges, 1, axis=0) * edges).sum(axis=1)
    spike = np.flatnonzero((np.abs(turn) <= 1e-12 * size**2) & (along < 0))
    if len(spike):
        raise ProblemError(
            f"A Polygon must not fold back on itself, as at vertex {spike[0]} {_say(vertices[spike[0]])}."
        )
    first, second = _meeting(vertices, following, 1e-12 * size**2)
    if len(first):
        i, j = int(first[0]), int(second[0])
        raise ProblemError(
            f"A Polygon must be simple: edge {i} from {_say(vertices[i])} and edge {j} from {_say(vertices[j])} meet. "
            "List the vertices in order along the outline; put several parts together with a + b and a - b."
        )
    return vertices if cross(vertices, following).sum() > 0 else vertices[::-1].copy()


def _meeting(start: Real, end: Real, tolerance: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pairs of edges that are no neighbours and have a point in common."""
    m = len(start)
    i, j = np.triu_indices(m, 2)
    apart = (j + 1) % m != i
    i, j = i[apart], j[apart]

    def side(a: Real, b: Real, c: Real) -> Real:
        value = cross(b - a, c - a)
        return np.where(np.abs(value) <= tolerance, 0.0, np.sign(value))

    straddle = (side(start[i], end[i], start[j]) * side(start[i], end[i], end[j]) <= 0) & (
        side(start[j], end[j], start[i]) * side(start[j], end[j], end[i]) <= 0
    )
    # Collinear edges straddle each other wherever they are: their boxes must meet too.
    low, high = np.minimum(start, end), np.maximum(start, end)
    overlap = ((low[i] <= high[j]) & (low[j] <= high[i])).all(axis=1)
    found = straddle & overlap
    return i[found], j[found]


def triangles(vertices: Real) -> Real:
    """``(m, 2) -> (k, 3, 2)``: triangles that cover a simple anticlockwise polygon once, by cutting ears.

    The ear theorem (Meisters 1975, doi 10.2307/2319703): every simple polygon with more than three vertices has two
    vertices whose triangle with their neighbours lies inside.
    """
    left = list(range(len(vertices)))
    cut = []
    while len(left) > 3:
        k = _ear(vertices[left])
        cut.append(vertices[[left[k - 1], left[k], left[(k + 1) % len(left)]]])
        del left[k]
    cut.append(vertices[left])
    found = np.array(cut)
    # A vertex on a straight line is an ear without area.
    return found[cross(found[:, 1] - found[:, 0], found[:, 2] - found[:, 0]) > 0]


def _ear(ring: Real) -> int:
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    area = cross(ring - before, after - ring)
    flat = 1e-14 * np.ptp(ring, axis=0).max() ** 2
    if (np.abs(area) <= flat).any():
        return int(np.argmin(np.abs(area)))
    for k in np.argsort(-area):
        if area[k] <= flat:
            break
        a, b, c = before[k], ring[k], after[k]
        within = (cross(b - a, ring - a) >= 0) & (cross(c - b, ring - b) >= 0) & (cross(a - c, ring - c) >= 0)
        # Its own three corners are the only vertices that may be in the triangle.
        if within.sum() <= 3:
            return int(k)
    return int(np.argmin(np.abs(area)))


def _say(vertex: Real) -> str:
    return f"({vertex[0]:g}, {vertex[1]:g})"
