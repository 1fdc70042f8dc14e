"""The sides of a grid as points with outward normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..domains import Box
from ..points import TIME, Points
from .lines import Field, Grid, Index, outer


@dataclass(frozen=True, eq=False)
class Face:
    """One side of a grid: its nodes' indices, their share of its area (stretched), points with the outward normal."""

    side: str
    nodes: Index
    areas: Field
    points: Points
    edge: np.ndarray


def at_time(p: Points, time: float) -> Points:
    """The same points at another time."""
    coordinates = p.coordinates.clone()
    coordinates[:, p.axes.index(TIME)] = time
    return p.replace(coordinates)


def faces(grid: Grid, domain: Box, time: float | None = None) -> list[Face]:
    """The sides of a grid that are not periodic."""
    numbers = np.arange(grid.size).reshape(grid.shape)
    found = []
    for name in domain.side_names():
        axis, end = domain.side(name)
        i = domain.space_axes.index(axis)
        if grid.lines[i].periodic:
            continue
        cells = [w.masses if j != i else 1 / w.stretch[[-end]] for j, w in enumerate(grid.lines)]
        flat = grid.product([w.unknowns if j != i else w.nodes[[-end]] for j, w in enumerate(grid.lines)], time)
        normal = torch.zeros(len(flat), len(grid.lines), dtype=torch.float64)
        normal[:, i] = 2.0 * end - 1.0
        rims = [_rim(w.size, w.periodic) if j != i else np.zeros(1, dtype=bool) for j, w in enumerate(grid.lines)]
        rim = np.any(np.meshgrid(*rims, indexing="ij"), axis=0).ravel()
        nodes = numbers.take([-end], axis=i).ravel()
        found.append(Face(name, nodes, outer(cells), Points(flat.axes, flat.coordinates, normal), rim))
    return found


def _rim(size: int, periodic: bool) -> np.ndarray:
    rim = np.zeros(size, dtype=bool)
    if not periodic:
        rim[[0, -1]] = True
    return rim
