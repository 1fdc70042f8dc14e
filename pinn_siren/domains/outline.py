"""Outline: what plane regions with straight edges have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..points import Points
from .domain import ROUNDING
from .sampling import choose, on_triangles
from .shape import Shape, space_axes
from .triangulation import Real, cross, triangles

CHUNK = 2**15
"""How many distances from a point to an edge are held at once."""


class Outline(Shape):
    """What closed rings of vertices ``(m, 2)`` enclose: outer rings run anticlockwise, holes clockwise.

    Points on the boundary are even in arc length and keep off the vertices, where there is no normal.
    """

    def __init__(self, rings: Sequence[Real], axes: Sequence[str]) -> None:
        self.axes = space_axes(type(self).__name__, axes, 2)
        self.rings = tuple(rings)
        self._start, self._end = edges(self.rings)
        self.scale = float(np.abs(self._start).max())

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """An interval an axis."""
        low, high = self._start.min(axis=0), self._start.max(axis=0)
        return {a: (float(low[i]), float(high[i])) for i, a in enumerate(self.axes)}

    @property
    def measure(self) -> float:
        """The area, by the shoelace formula about the first vertex of every ring."""
        about = [ring - ring[0] for ring in self.rings]
        return sum(float(cross(ring, np.roll(ring, -1, axis=0)).sum()) for ring in about) / 2

    @property
    def _surface(self) -> float:
        return float(self._lengths.sum())

    @cached_property
    def _lengths(self) -> Real:
        return np.asarray(np.hypot(*(self._end - self._start).T))

    @cached_property
    def _triangles(self) -> Real:
        return triangles(self._start, self._end)

    def level(self, coordinates: Tensor) -> Tensor:
        """``(n, 2) -> (n,)``: the signed distance to the boundary, negative inside."""
        return signed_distance(coordinates, self._start, self._end)

    def normals_at(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and outward unit normals of the points that lie on an edge: a vertex has those of both edges."""
        start, end = (torch.from_numpy(a).to(coordinates) for a in (self._start, self._end))
        parts = coordinates.split(max(1, CHUNK // len(start)))
        near = torch.cat([_squares(part, start, end).sqrt() <= ROUNDING * self.scale for part in parts])
        found, which = torch.nonzero(near, as_tuple=True)
        edge = (end - start)[which]
        return found, torch.stack([edge[:, 1], -edge[:, 0]], dim=1) / edge.norm(dim=1, keepdim=True)

    def _fill(self, unit: Tensor) -> Tensor:
        return on_triangles(unit, torch.from_numpy(self._triangles).to(unit))[1]

    def _place(self, unit: Tensor) -> tuple[Points, Tensor]:
        start, end, length = (torch.from_numpy(a).to(unit) for a in (self._start, self._end, self._lengths))
        which, along = choose(unit[:, 0], length)
        edge = end - start
        normal = torch.stack([edge[:, 1], -edge[:, 0]], dim=1) / length[:, None]
        kept = torch.minimum(along, 1 - along) * length[which] > 1e-9 * self.scale
        return Points(self.axes, start[which] + along[:, None] * edge[which], normal[which]), kept


def edges(rings: Sequence[Real]) -> tuple[Real, Real]:
    """``(m, 2)`` and ``(m, 2)``: where the edges of closed rings start and end."""
    return np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])


def signed_distance(x: Tensor, start: Real, end: Real) -> Tensor:
    """``(n, 2) -> (n,)``: the distance to the edges of closed rings, negative inside an odd number of them.

    The direction of the rings does not matter.
    """
    tail, head = (torch.from_numpy(a).to(x) for a in (start, end))
    return torch.cat([_signed_distance(part, tail, head) for part in x.split(max(1, CHUNK // len(start)))])


def _squares(x: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """``(n, edges)``: squared distances."""
    # An array for each component: sums over a last axis of two are slow.
    (across, up), (right, above) = (end - start).T, (x[:, :, None] - start.T).unbind(dim=1)
    along = ((right * across + above * up) / (across.square() + up.square())).clamp(0, 1)
    return (right - along * across).square() + (above - along * up).square()


def _signed_distance(x: Tensor, start: Tensor, end: Tensor) -> Tensor:
    (across, up), (right, above) = (end - start).T, (x[:, :, None] - start.T).unbind(dim=1)
    # A ray along x leaves the inside through an odd number of edges.
    below, below_end = above < 0, x[:, 1:] < end[:, 1]
    crossed = (below != below_end) & ((across * above > up * right) == below_end)
    distance = _squares(x, start, end).amin(dim=1).sqrt()
    return torch.where(crossed.sum(dim=1) % 2 == 1, -distance, distance)
