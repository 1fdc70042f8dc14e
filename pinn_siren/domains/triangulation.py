"""Closed outlines as arrays of vertices: whether they are simple, and the triangles that cover their inside."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import ProblemError

Real = NDArray[np.float64]

ROWS = 256
"""How many edges are compared with all others at once."""


def cross(a: Real, b: Real) -> Real:
    """``(..., 2), (..., 2) -> (...)``: the area of the parallelogram, positive anticlockwise."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def ring(owner: str, vertices: object) -> Real:
    """Three or more vertices ``(m, 2)``, the first not repeated. Raises ``ProblemError`` for anything else."""
    try:
        given = np.array(vertices, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.ndim == 2 and len(given) > 1 and (given[0] == given[-1]).all():
        given = given[:-1]
    if given.ndim != 2 or given.shape[0] < 3 or given.shape[1] != 2 or not np.isfinite(given).all():
        raise ProblemError(
            f"{owner} needs three or more vertices of two finite numbers, as in [(0, 0), (1, 0), (0, 1)]."
        )
    return given


def anticlockwise(owner: str, vertices: Real) -> Real:
    """The vertices ``(m, 2)`` of a simple outline in anticlockwise order.

    Raises ``ProblemError`` where edges have no length, fold back, cross or touch, or there is no area.
    """
    following = np.roll(vertices, -1, axis=0)
    edges = following - vertices
    size = float(np.ptp(vertices, axis=0).max())
    lengths = np.hypot(*edges.T)
    short = np.flatnonzero(lengths <= 1e-12 * size)
    if len(short):
        raise ProblemError(f"A {owner} needs distinct vertices: vertex {short[0]} {_say(vertices[short[0]])} is twice.")
    before = np.roll(edges, 1, axis=0)
    sine = np.abs(cross(before, edges)) / (lengths * np.roll(lengths, 1))
    spike = np.flatnonzero((sine <= 1e-12) & ((before * edges).sum(axis=1) < 0))
    if len(spike):
        raise ProblemError(
            f"A {owner} must not fold back on itself, as at vertex {spike[0]} {_say(vertices[spike[0]])}."
        )
    meeting = _meeting(vertices, following, 1e-12 * size)
    if meeting is not None:
        i, j = meeting
        raise ProblemError(
            f"A {owner} must be simple: edge {i} from {_say(vertices[i])} and edge {j} from {_say(vertices[j])} meet. "
            "List the vertices in order along the outline; holes and parts are rings of their own, as in Region(rings)."
        )
    return vertices if cross(vertices, following).sum() > 0 else vertices[::-1].copy()


def _meeting(start: Real, end: Real, near: float) -> tuple[int, int] | None:
    """The first pair of edges that are no neighbours and have a point in common, within a distance."""
    m = len(start)
    low, high = np.minimum(start, end), np.maximum(start, end)

    def side(a: Real, b: Real, c: Real) -> Real:
        value = cross(b - a, c - a) / np.hypot(*(b - a).T)
        return np.where(np.abs(value) <= near, 0.0, np.sign(value))

    for first in range(0, m, ROWS):
        row, column = np.arange(first, min(m, first + ROWS))[:, None], np.arange(m)
        overlap = ((low[row] <= high[column] + near) & (low[column] <= high[row] + near)).all(axis=2)
        i, j = np.nonzero(overlap & (column > row + 1) & ((column + 1) % m != row))
        i += first
        straddle = (side(start[i], end[i], start[j]) * side(start[i], end[i], end[j]) <= 0) & (
            side(start[j], end[j], start[i]) * side(start[j], end[j], end[i]) <= 0
        )
        if straddle.any():
            found = int(np.argmax(straddle))
            return int(i[found]), int(j[found])
    return None


def triangles(start: Real, end: Real) -> Real:
    """``(m, 2), (m, 2) -> (k, 3, 2)``: anticlockwise triangles that cover once what closed outlines enclose.

    ``start`` and ``end`` are the edges of all the outlines, in any direction; what an even number of them goes round
    is outside. Between the heights of two successive vertices the inside is a row of trapezoids (the slabs of Dobkin
    and Lipton 1976, doi 10.1137/0205015), each of them two triangles.
    """
    low, high = np.where(start[:, 1:] <= end[:, 1:], (start, end), (end, start))
    slabs = []
    heights = np.unique(start[:, 1])
    for bottom, top in pairwise(heights):
        through = (low[:, 1] <= bottom) & (high[:, 1] >= top)
        (x, y), (width, height) = low[through].T, (high - low)[through].T
        at = np.array([[bottom], [top]])
        crossing = np.stack(np.broadcast_arrays(x + width * ((at - y) / height), at), axis=2)
        crossing = crossing[:, np.argsort(crossing[:, :, 0].sum(axis=0))]
        left, right = crossing[:, ::2], crossing[:, 1::2]
        slabs.append(np.stack([left[0], right[0], right[1], left[1]], axis=1))
    found = np.concatenate(slabs)[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 2)
    # Where the row ends in a vertex, one of the two has no area.
    return found[cross(found[:, 1] - found[:, 0], found[:, 2] - found[:, 0]) > 0]


def _say(vertex: Real) -> str:
    return f"({vertex[0]:g}, {vertex[1]:g})"
