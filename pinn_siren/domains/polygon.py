"""Polygon."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ProblemError
from ..points import Points
from .domain import ROUNDING
from .shape import Shape, space_axes
from .triangulation import Real, anticlockwise, cross, triangles

CHUNK = 2**22
"""How many distances from a point to an edge are held at once."""


class Polygon(Shape):
    """``Polygon([(x, y), ...])``: the inside of a closed simple outline, its vertices ``(m, 2)`` in either direction.

    ``axes`` names the two space axes; a last vertex that repeats the first is dropped. Points on the boundary are even
    in arc length and keep off the vertices, where there is no normal. Raises ``ProblemError`` for fewer than three
    vertices, numbers that are not finite, and an outline that crosses, touches or folds back on itself.
    """

    def __init__(self, vertices: Sequence[Sequence[float]], axes: Sequence[str] = ("x", "y")) -> None:
        self.axes = space_axes("Polygon", axes, 2)
        try:
            given = np.array(vertices, dtype=np.float64)
        except (TypeError, ValueError):
            given = np.zeros(0)
        if given.ndim == 2 and len(given) > 1 and (given[0] == given[-1]).all():
            given = given[:-1]
        if given.ndim != 2 or given.shape[0] < 3 or given.shape[1] != 2 or not np.isfinite(given).all():
            raise ProblemError(
                "Polygon needs three or more vertices of two finite numbers, as in [(0, 0), (1, 0), (0, 1)]."
            )
        self.vertices = anticlockwise(given)
        self.scale = float(np.abs(given).max())

    def __repr__(self) -> str:
        return f"Polygon({len(self.vertices)} vertices from ({', '.join(f'{c:g}' for c in self.vertices[0])}))"

    def configuration(self) -> dict[str, Any]:
        """Plain values that ``from_configuration`` turns into the same domain."""
        return {"shape": "Polygon", "vertices": self.vertices.tolist(), "axes": list(self.axes)}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """An interval an axis."""
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        return {a: (float(low[i]), float(high[i])) for i, a in enumerate(self.axes)}

    @property
    def measure(self) -> float:
        """The area, by the shoelace formula about the first vertex."""
        about = self.vertices - self.vertices[0]
        return float(cross(about, np.roll(about, -1, axis=0)).sum()) / 2

    @property
    def _surface(self) -> float:
        return float(self._lengths.sum())

    @cached_property
    def _edges(self) -> Real:
        return np.roll(self.vertices, -1, axis=0) - self.vertices

    @cached_property
    def _lengths(self) -> Real:
        return np.asarray(np.hypot(*self._edges.T))

    @cached_property
    def _triangles(self) -> Real:
        return triangles(self.vertices)

    def level(self, coordinates: Tensor) -> Tensor:
        """``(n, 2) -> (n,)``: the signed distance to the outline, negative inside."""
        parts = coordinates.split(max(1, CHUNK // len(self.vertices)))
        return torch.cat([self._level(part) for part in parts])

    def normals_at(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and outward unit normals of the points that lie on the outline: a vertex has those of both edges."""
        size = max(1, CHUNK // len(self.vertices))
        near = torch.cat([self._distances(part)[2] <= ROUNDING * self.scale for part in coordinates.split(size)])
        found, which = torch.nonzero(near, as_tuple=True)
        edge = torch.from_numpy(self._edges.copy()).to(coordinates)[which]
        return found, torch.stack([edge[:, 1], -edge[:, 0]], dim=1) / edge.norm(dim=1, keepdim=True)

    def _distances(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The edges ``(m, 2)``, the points relative to where they start ``(n, m, 2)``, and the distances ``(n, m)``."""
        start, edge = (torch.from_numpy(a.copy()).to(x) for a in (self.vertices, self._edges))
        relative = x[:, None] - start
        along = ((relative * edge).sum(dim=2) / edge.square().sum(dim=1)).clamp(0, 1)
        return edge, relative, (relative - along[:, :, None] * edge).norm(dim=2)

    def _level(self, x: Tensor) -> Tensor:
        edge, relative, distances = self._distances(x)
        distance = distances.amin(dim=1)
        # A ray along x leaves the inside through an odd number of edges.
        above, above_end = relative[:, :, 1] < 0, relative[:, :, 1] < edge[:, 1]
        turn = edge[:, 0] * relative[:, :, 1] - edge[:, 1] * relative[:, :, 0]
        crossed = (above != above_end) & ((turn > 0) == above_end)
        return torch.where(crossed.sum(dim=1) % 2 == 1, -distance, distance)

    def _fill(self, unit: Tensor) -> Tensor:
        corners = torch.from_numpy(self._triangles).to(unit)
        first, second, third = corners.unbind(dim=1)
        area = torch.from_numpy(
            cross(self._triangles[:, 1] - self._triangles[:, 0], self._triangles[:, 2] - self._triangles[:, 0])
        ).to(unit)
        which, rest = _choose(unit[:, 0], area)
        # Strips parallel to the side opposite the first corner have areas that grow with the distance to it.
        root, v = rest.sqrt()[:, None], unit[:, 1:2]
        return (1 - root) * first[which] + root * ((1 - v) * second[which] + v * third[which])

    def _place(self, unit: Tensor) -> tuple[Points, Tensor]:
        start, edge, length = (torch.from_numpy(a.copy()).to(unit) for a in (self.vertices, self._edges, self._lengths))
        which, along = _choose(unit[:, 0], length)
        normal = torch.stack([edge[:, 1], -edge[:, 0]], dim=1) / length[:, None]
        kept = torch.minimum(along, 1 - along) * length[which] > 1e-9 * self.scale
        return Points(self.axes, start[which] + along[:, None] * edge[which], normal[which]), kept


def _choose(unit: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """A part for every number in [0, 1], by size, and what of the number is left, again in [0, 1]."""
    ends = sizes.cumsum(0)
    position = unit * ends[-1]
    which = torch.searchsorted(ends, position).clamp(max=len(sizes) - 1)
    return which, (1 - (ends[which] - position) / sizes[which]).clamp(0, 1)
