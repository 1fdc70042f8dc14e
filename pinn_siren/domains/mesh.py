"""Mesh: the inside of a closed triangle surface, also from a file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ProblemError
from ..points import Points
from .domain import ROUNDING
from .extra import extra
from .nearest import Nearest
from .sampling import on_triangles
from .shape import Shape, space_axes
from .surface import Index, outward, volume, welded
from .triangulation import Real

STEP = 1e-6
"""How far to both sides, in units of the largest coordinate, a distance is differentiated."""

Surface = Any
"""A path, a ``trimesh.Trimesh``, or vertices ``(m, 3)`` and faces ``(k, 3)``."""


class Mesh(Shape):
    """``Mesh(surface)``: the inside of a closed surface of triangles.

    ``surface``: the path of an .stl, .obj or .ply file (which needs the extra ``shapes``), a ``trimesh.Trimesh``, or
    ``(vertices, faces)``, arrays ``(m, 3)`` and ``(k, 3)``. Faces may be in either direction; a shell inside another
    is a cavity. The surface must not cut through itself. ``axes`` names the three space axes.

    Points on the boundary are even in area and keep off the edges, where there is no normal. Raises ``ProblemError``
    for a surface that is not closed or has faces without area, for shells that cross, and for a file that cannot be
    read.
    """

    def __init__(self, surface: Surface, axes: Sequence[str] = ("x", "y", "z")) -> None:
        self.axes = space_axes("Mesh", axes, 3)
        self.vertices, faces = welded(*_arrays(surface))
        self.faces = outward(self.vertices, faces)
        self.scale = float(np.abs(self.vertices).max())

    def __repr__(self) -> str:
        return f"Mesh({len(self.vertices)} vertices, {len(self.faces)} faces)"

    def configuration(self) -> dict[str, Any]:
        """Plain values that ``from_configuration`` turns into the same domain, without trimesh."""
        return {"shape": "Mesh", "surface": [self.vertices.tolist(), self.faces.tolist()], "axes": list(self.axes)}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """An interval an axis."""
        low, high = self._corners.min(axis=(0, 1)), self._corners.max(axis=(0, 1))
        return {a: (float(low[i]), float(high[i])) for i, a in enumerate(self.axes)}

    @property
    def measure(self) -> float:
        """The volume, by the divergence theorem."""
        return volume(self._corners)

    @property
    def _surface(self) -> float:
        return float(np.linalg.norm(self._across, axis=1).sum()) / 2

    @cached_property
    def _corners(self) -> Real:
        return np.asarray(self.vertices[self.faces])

    @cached_property
    def _across(self) -> Real:
        """Normals as long as twice the area."""
        edges = self._corners[:, 1:] - self._corners[:, :1]
        return np.asarray(np.cross(edges[:, 0], edges[:, 1]))

    @cached_property
    def _nearest(self) -> Nearest:
        return Nearest(self.vertices, self.faces)

    def level(self, coordinates: Tensor) -> Tensor:
        """``(n, 3) -> (n,)``: the signed distance to the surface, negative inside."""
        return torch.from_numpy(self._nearest(coordinates.detach().cpu().double().numpy())).to(coordinates)

    def normals_at(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and outward unit normals of the points on the surface, by differences of the distance to it."""
        found = torch.nonzero(self.level(coordinates).abs() <= ROUNDING * self.scale)[:, 0]
        steps = STEP * self.scale * torch.eye(3).to(coordinates)
        at = coordinates[found]
        slope = torch.stack([self.level(at + step) - self.level(at - step) for step in steps], dim=1)
        return found, slope / slope.norm(dim=1, keepdim=True)

    def _fill(self, unit: Tensor) -> Tensor:
        low, high = (unit.new_tensor(ends) for ends in zip(*self.bounds.values(), strict=True))
        return low + (high - low) * unit

    def _place(self, unit: Tensor) -> tuple[Points, Tensor]:
        corners, across = (torch.from_numpy(a).to(unit) for a in (self._corners, self._across))
        which, coordinates, weights = on_triangles(unit, corners)
        twice = across.norm(dim=1, keepdim=True)
        heights = twice / (corners.roll(-1, 1) - corners.roll(1, 1)).norm(dim=2)
        kept = (weights * heights[which]).amin(dim=1) > 1e-9 * self.scale
        return Points(self.axes, coordinates, (across / twice)[which]), kept


def _arrays(surface: Surface) -> tuple[Real, Index]:
    read = _read(Path(surface)) if isinstance(surface, str | Path) else surface
    pair = (read.vertices, read.faces) if hasattr(read, "faces") and hasattr(read, "vertices") else read
    try:
        vertices, faces = (np.array(part, dtype=np.float64) for part in pair)
    except (TypeError, ValueError):
        vertices = faces = np.zeros(0)
    right = vertices.ndim == faces.ndim == 2 and vertices.shape[1] == faces.shape[1] == 3 and len(faces) > 0
    if not right or not np.isfinite(vertices).all() or (faces != faces.round()).any():
        raise ProblemError(
            "Mesh needs a path, a trimesh.Trimesh, or (vertices, faces): finite numbers (m, 3) and whole numbers "
            f"(k, 3), one face or more; got {type(surface).__name__}."
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ProblemError(
            f"The faces of a Mesh number its {len(vertices)} vertices from 0; they go from {faces.min():g} to "
            f"{faces.max():g}."
        )
    return vertices, faces.astype(np.int64)


def _read(path: Path) -> Any:
    trimesh = extra("trimesh", "A Mesh from a file")
    if not path.is_file():
        raise ProblemError(f"Mesh finds no file {path}.")
    try:
        read = trimesh.load_mesh(path)
    except Exception as error:  # every format has its own reader, each with its own errors
        raise ProblemError(f"Mesh cannot read {path} as .stl, .obj or .ply: {error}.") from None
    if len(read.faces) == 0:
        raise ProblemError(f"{path} holds no faces: export the surface again, as .stl, .obj or .ply.")
    return read
