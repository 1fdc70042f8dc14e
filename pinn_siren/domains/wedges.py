"""Wedges: the corners of plane regions with straight edges, and the edges that meet there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from ..points import Points
from .box import Box
from .csg import SetOperation
from .domain import Domain
from .outline import Outline

Real = NDArray[np.float64]
CLOSE = 1e-9
"""Lengths below this, in units of the largest coordinate, are rounding."""
NEAR = 1e-3
"""How far from a corner the two sides of a line are looked at, in units of its distance to what is next."""
STRAIGHT = 1e-6


@dataclass(frozen=True, eq=False)
class Edge:
    """A straight part of a boundary, from ``start`` to ``end`` ``(2,)``, with its outward unit normal."""

    start: Real
    end: Real
    normal: Real

    def point(self, axes: tuple[str, ...], share: float) -> Points:
        """One point on it, at a share of its length, with the normal."""
        at = torch.from_numpy(self.start + share * (self.end - self.start))[None]
        return Points(axes, at, torch.from_numpy(self.normal)[None])


@dataclass(frozen=True, eq=False)
class Wedge:
    """``0 < theta < angle`` about ``place`` ``(2,)``, ``theta`` anticlockwise from the direction ``start``, in radians.

    ``first``, ``last``: the edges at ``theta = 0`` and ``theta = angle``, both leading away from the corner; ``room``:
    how far the region is the wedge alone.
    """

    place: Real
    start: float
    angle: float
    first: Edge
    last: Edge
    room: float


def edges_of(domain: Domain, breaks: Sequence[Real] = ()) -> list[Edge]:
    """The straight edges of a plane region, cut at its corners and at the points ``breaks``; curved parts have none."""
    starts, ends = lines_of(domain)
    if not len(starts):
        return []
    scale = domain.scale
    cuts = _unique(np.concatenate([starts, ends, _crossings(starts, ends), *(b[None] for b in breaks)]), scale)
    found: list[Edge] = []
    for start, end in zip(starts, ends, strict=True):
        length = float(np.hypot(*(end - start)))
        along, off = _along(cuts, start, end)
        places = np.sort(along[(off <= CLOSE * scale) & (along >= -CLOSE) & (along <= 1 + CLOSE)])
        turned = np.array([end[1] - start[1], start[0] - end[0]]) / length
        for one, two in pairwise(places):
            a, b = start + one * (end - start), start + two * (end - start)
            middle, step = (a + b) / 2, NEAR * (two - one) * length * turned
            out, back = _outside(domain, np.stack([middle + step, middle - step]))
            if out != back and not any(_same(edge, a, b, scale) for edge in found):
                found.append(Edge(a, b, turned if out else -turned))
    return found


def wedges(domain: Domain, breaks: Sequence[Real] = ()) -> list[Wedge]:
    """The corners of a plane region where two straight edges meet, and those of ``breaks``, of any angle.

    A side that goes straight on is no corner, except at a break. Where parts touch in one point each has its wedge.
    """
    edges, scale = edges_of(domain, breaks), domain.scale
    if not edges:
        return []
    corners = _unique(np.concatenate([[e.start for e in edges], [e.end for e in edges]]), scale)
    found = []
    for corner in corners:
        meeting = [e for e in edges if _is(e.start, corner, scale) or _is(e.end, corner, scale)]
        away = [e if _is(e.start, corner, scale) else Edge(e.end, e.start, e.normal) for e in meeting]
        room = _room(corner, edges, meeting)
        headings = [math.atan2(*(e.end - e.start)[::-1]) for e in away]
        order = np.argsort(headings)
        for i, j in zip(order, np.roll(order, -1), strict=True):
            angle = (headings[j] - headings[i]) % (2 * math.pi) or 2 * math.pi
            middle = headings[i] + angle / 2
            beside = corner + NEAR * room * np.array([math.cos(middle), math.sin(middle)])
            straight = abs(angle - math.pi) < STRAIGHT and not any(_is(b, corner, scale) for b in breaks)
            if not straight and len(away) > 1 and not _outside(domain, beside[None])[0]:
                found.append(Wedge(corner, headings[i], angle, away[i], away[j], room))
    return found


def lines_of(domain: Domain) -> tuple[Real, Real]:
    """``(m, 2)``, ``(m, 2)``: where the straight edges of a plane region, or of all that it combines, start and end."""
    if isinstance(domain, SetOperation):
        (a, b), (c, d) = lines_of(domain.first), lines_of(domain.second)
        return np.concatenate([a, c]), np.concatenate([b, d])
    if isinstance(domain, Outline):
        return domain._start, domain._end
    if isinstance(domain, Box) and len(domain.axes) == 2 and not domain.has_time:
        (low, high), (bottom, top) = domain.bounds.values()
        ring = np.array([(low, bottom), (high, bottom), (high, top), (low, top)])
        return ring, np.roll(ring, -1, axis=0)
    return np.zeros((0, 2)), np.zeros((0, 2))


def _crossings(starts: Real, ends: Real) -> Real:
    """``(k, 2)``: where edges cross."""
    found = [np.zeros((0, 2))]
    for i in range(len(starts)):
        p, r = starts[i], ends[i] - starts[i]
        q, s = starts[i + 1 :], ends[i + 1 :] - starts[i + 1 :]
        across = r[0] * s[:, 1] - r[1] * s[:, 0]
        kept = np.abs(across) > 1e-12 * np.hypot(*r) * np.hypot(*s.T)
        q, s, across = q[kept], s[kept], across[kept]
        t = ((q - p)[:, 0] * s[:, 1] - (q - p)[:, 1] * s[:, 0]) / across
        u = ((q - p)[:, 0] * r[1] - (q - p)[:, 1] * r[0]) / across
        meets = (t >= -CLOSE) & (t <= 1 + CLOSE) & (u >= -CLOSE) & (u <= 1 + CLOSE)
        found.append(p + t[meets, None] * r)
    return np.concatenate(found)


def _along(points: Real, start: Real, end: Real) -> tuple[Real, Real]:
    """Shares of the way from start to end, and distances to the line."""
    way = end - start
    square = float(way @ way)
    from_start = points - start
    return from_start @ way / square, np.abs(from_start[:, 0] * way[1] - from_start[:, 1] * way[0]) / math.sqrt(square)


def _unique(points: Real, scale: float) -> Real:
    kept: list[Real] = []
    for point in points:
        if not any(_is(point, other, scale) for other in kept):
            kept.append(point)
    return np.array(kept)


def _is(a: Real, b: Real, scale: float) -> bool:
    return bool(np.abs(a - b).max() <= CLOSE * scale)


def _same(edge: Edge, a: Real, b: Real, scale: float) -> bool:
    forth = _is(edge.start, a, scale) and _is(edge.end, b, scale)
    return forth or (_is(edge.start, b, scale) and _is(edge.end, a, scale))


def _outside(domain: Domain, at: Real) -> list[bool]:
    return (domain.level(torch.from_numpy(at)) > 0).tolist()  # type: ignore[no-any-return]


def _room(corner: Real, edges: Sequence[Edge], meeting: Sequence[Edge]) -> float:
    """The distance to the nearest edge that does not meet here, or to the far end of one that does."""
    found = [float(np.hypot(*(e.end - e.start))) for e in meeting]
    for e in edges:
        if all(e is not other for other in meeting):
            share = float(np.clip(_along(corner[None], e.start, e.end)[0][0], 0, 1))
            found.append(float(np.hypot(*(e.start + share * (e.end - e.start) - corner))))
    return min(found)


__all__ = ["Edge", "Wedge", "edges_of", "lines_of", "wedges"]
