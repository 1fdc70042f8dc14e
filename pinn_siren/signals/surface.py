"""The zero level of a field as a triangle mesh: marching cubes slab by slab, so that any resolution fits the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains.extra import extra
from ..errors import ProblemError, expect_whole
from ..storage import replacing
from .cloud import Real

Index = NDArray[np.int64]
Evaluate = Callable[[dict[str, Real]], Real]
"""From a grid's coordinates to the field there, ``(nx, ny, nz)``."""

NODES = 2**21
"""Nodes that are held at once."""


def extract(evaluate: Evaluate, bounds: Mapping[str, tuple[float, float]], resolution: int) -> tuple[Real, Index]:
    """Vertices ``(m, 3)`` and faces ``(k, 3)`` of the surface where a field is zero, in the units of ``bounds``.

    Marching cubes with consistent topology (Lewiner et al. 2003, doi 10.1080/10867651.2003.10487582), faces outward of
    where the field is negative; ``resolution``: cells along the longest side. Slabs share a plane of nodes, and the
    vertices on it are welded, so that a surface that does not leave the box is closed.

    Raises ``ProblemError`` where the field has no zero there, ``UsageError`` for fewer than 4 cells.
    """
    expect_whole("resolution", resolution, 4)
    measure = extra("skimage.measure", "Marching cubes", "signals")
    low, high = (np.array(ends) for ends in zip(*bounds.values(), strict=True))
    step = float((high - low).max()) / resolution
    cells = np.maximum(1, np.ceil((high - low) / step - 1e-9).astype(int))
    nodes = [np.linspace(low[i], high[i], cells[i] + 1) for i in range(3)]
    depth = max(1, NODES // ((cells[1] + 1) * (cells[2] + 1)))
    vertices: list[Real] = []
    faces: list[Index] = []
    shared: dict[tuple[float, ...], int] = {}
    total = 0
    for start in range(0, cells[0], depth):
        end = min(start + depth, int(cells[0]))
        values = evaluate(dict(zip(bounds, [nodes[0][start : end + 1], *nodes[1:]], strict=True)))
        # A node that is zero to the last digit would leave triangles without area.
        values = np.where(values == 0, np.finfo(np.float64).tiny, values)
        if not (values.min() < 0 < values.max()):
            shared = {}
            continue
        found, triangles, *_ = measure.marching_cubes(values, 0.0, gradient_direction="descent")
        found = found.astype(np.float64)
        found[:, 0] += start
        number = total + np.arange(len(found))
        new = np.ones(len(found), dtype=bool)
        for i in np.flatnonzero(found[:, 0] == start):
            known = shared.get(tuple(found[i].round(4)))
            if known is not None:
                number[i], new[i] = known, False
        number[new] = total + np.arange(new.sum())
        shared = {tuple(found[i].round(4)): int(number[i]) for i in np.flatnonzero(found[:, 0] == end)}
        total += int(new.sum())
        vertices.append(found[new])
        faces.append(number[triangles])
    if not faces:
        raise ProblemError("The field has one sign everywhere: there is no surface where it is zero.")
    spacing = (high - low) / cells
    whole = np.concatenate(faces)
    whole = whole[(whole != np.roll(whole, 1, axis=1)).all(axis=1)]
    return low + np.concatenate(vertices) * spacing, whole


def write_mesh(path: str | Path, vertices: Real, faces: Index) -> None:
    """Writes a mesh as .ply, .obj or .stl, by the ending of the name; raises ``StorageError`` where that fails."""
    mesh = as_trimesh(vertices, faces)
    with replacing(path) as temporary:
        mesh.export(temporary)


def as_trimesh(vertices: Real, faces: Index) -> Any:
    """A ``trimesh.Trimesh`` with these vertices and faces as they are."""
    return extra("trimesh", "A mesh").Trimesh(vertices, faces, process=False)
