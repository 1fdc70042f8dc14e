"""Pictures of shapes: the surface, and the distance on a slice through it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from ..storage import replacing
from .cloud import Real
from .surface import Index

if TYPE_CHECKING:
    from ..solution import Solution
    from .distance import SignedDistance

FACES = 40_000
"""Faces that are drawn at most: matplotlib sorts them all."""
SLICE = 200


def draw_shape(path: Path, problem: SignedDistance, solution: Solution, vertices: Real, faces: Index) -> None:
    """Writes a PNG: the zero level as a shaded surface, and the distance on the slices through the box's middle."""
    while len(faces) > FACES:
        vertices, faces = problem.surface(solution, int(problem.resolution * (FACES / len(faces)) ** 0.5 * 0.95))
    bounds = problem.domain.bounds
    figure = Figure(figsize=(15, 4.4), dpi=130, layout="constrained")
    panels = figure.add_gridspec(1, 4, width_ratios=[1.2, 1, 1, 1])
    _paint_surface(figure.add_subplot(panels[0], projection="3d"), vertices, faces, bounds)
    longest = max(high - low for low, high in bounds.values())
    for k, fixed in enumerate("zyx", 1):
        axes = figure.add_subplot(panels[k])
        across, up = (a for a in "xyz" if a != fixed)
        middle = sum(bounds[fixed]) / 2
        grid = {a: np.linspace(*bounds[a], SLICE) if a != fixed else np.array([middle]) for a in "xyz"}
        values = solution.on_grid(grid)["u"].squeeze("xyz".index(fixed)).T
        levels = np.linspace(-longest / 2, longest / 2, 41)
        painted = axes.contourf(grid[across], grid[up], values, levels, cmap="RdBu", extend="both")
        axes.contour(grid[across], grid[up], values, [0.0], colors="black", linewidths=1.5)
        axes.set(aspect="equal", xlabel=across, ylabel=up, title=f"u at {fixed} = {middle:.3g}")
    figure.colorbar(painted, ax=figure.axes[-1], label="signed distance")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _paint_surface(axes: object, vertices: Real, faces: Index, bounds: dict[str, tuple[float, float]]) -> None:
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    shade = LightSource(azdeg=225, altdeg=45).shade_normals(normals, fraction=1.0)
    colours = np.clip(np.outer(0.25 + 0.75 * shade, [0.55, 0.7, 0.9]), 0, 1)
    axes.add_collection3d(Poly3DCollection(corners, facecolors=colours, edgecolors="none"))  # type: ignore[attr-defined]
    (x0, x1), (y0, y1), (z0, z1) = bounds.values()
    axes.set(xlim=(x0, x1), ylim=(y0, y1), zlim=(z0, z1), xlabel="x", ylabel="y", zlabel="z", title="u = 0")  # type: ignore[attr-defined]
    axes.set_box_aspect((x1 - x0, y1 - y0, z1 - z0))  # type: ignore[attr-defined]
