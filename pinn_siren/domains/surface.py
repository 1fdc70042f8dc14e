"""Closed triangle surfaces as arrays: whether they are closed, and which side is out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import ProblemError
from .triangulation import Real

Index = NDArray[np.int64]

PROBES = 64
"""At how many faces of a shell it is looked whether other shells go round it."""


def welded(vertices: Real, faces: Index) -> tuple[Real, Index]:
    """Equal vertices made one, and faces that then have a vertex twice left out."""
    distinct, number = np.unique(vertices + 0.0, axis=0, return_inverse=True)
    corners = number.reshape(-1)[faces]
    return distinct, corners[(corners != np.roll(corners, 1, axis=1)).all(axis=1)]


def outward(vertices: Real, faces: Index) -> Index:
    """The faces ``(k, 3)`` in the order in which their normals point out of what they enclose.

    Raises ``ProblemError`` where an edge has not two faces, a face has no area, the surface has one side only, or
    its shells cross.
    """
    one, two, turned = _neighbours(faces)
    corners = vertices[faces]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    flat = np.linalg.norm(_normals(corners), axis=1) <= 1e-12 * sides**2
    if flat.any():
        raise ProblemError(
            f"Mesh needs faces with an area: {flat.sum()} of {len(faces)} have none, the first is face "
            f"{np.argmax(flat)}. Remesh it, or close its seams by merging vertices that are near each other."
        )
    # Every face as it is and turned round: those reached from each other belong to the same choice.
    k = len(faces)
    first, second = np.concatenate([one, one + k]), np.concatenate([two + k * turned, two + k * ~turned])
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(2 * k, 2 * k))
    choice = connected_components(graph, directed=False)[1].reshape(2, k)
    if (choice[0] == choice[1]).any():
        raise ProblemError("Mesh needs a surface with two sides; this one has no inside, as a Klein bottle.")
    faces = np.where((choice[0] > choice[1])[:, None], faces[:, ::-1], faces)
    shells = [np.flatnonzero(choice.min(axis=0) == label) for label in np.unique(choice.min(axis=0))]
    for shell in shells:
        if volume(vertices[faces[shell]]) < 0:
            faces[shell] = faces[shell, ::-1]
    return _nested(vertices, faces, shells)


def volume(corners: Real) -> float:
    """``(k, 3, 3)``: the volume that outward faces enclose, by the divergence theorem."""
    about = corners - corners.mean(axis=(0, 1))
    return float(np.linalg.det(about).sum()) / 6


def winding_number(x: Real, corners: Real) -> Real:
    """``(n, 3), (k, 3, 3) -> (n,)``: how often a closed surface goes round points, 1 inside and 0 outside.

    The sum of solid angles (Jacobson, Kavan and Sorkine-Hornung 2013, doi 10.1145/2461912.2461916), each by van
    Oosterom and Strackee (1983, doi 10.1109/TBME.1983.325207).
    """
    found = np.zeros(len(x))
    for i, point in enumerate(x):
        a = corners - point
        length = np.linalg.norm(a, axis=2)
        inner = (a * np.roll(a, -1, axis=1)).sum(axis=2)
        below = length.prod(axis=1) + (inner * np.roll(length, 1, axis=1)).sum(axis=1)
        found[i] = np.arctan2(np.linalg.det(a), below).sum() / (2 * np.pi)
    return found


def _nested(vertices: Real, faces: Index, shells: list[Index]) -> Index:
    """The shells that an odd number of others go round are cavities: turned round."""
    given, turned = vertices[faces], faces.copy()
    for shell in shells if len(shells) > 1 else ():
        others = np.ones(len(faces), dtype=bool)
        others[shell] = False
        probes = given[shell[:: max(1, len(shell) // PROBES)]].mean(axis=1)
        times = np.round(winding_number(probes, given[others])).astype(int)
        if (times != times[0]).any():
            raise ProblemError(
                "The shells of a Mesh must not cross each other: make a Mesh of each, and put them together with a + b."
            )
        if times[0] % 2 == 1:
            turned[shell] = faces[shell, ::-1]
    return turned


def _neighbours(faces: Index) -> tuple[Index, Index, NDArray[np.bool_]]:
    """The pairs of faces that share an edge, and whether one of them has to be turned round to agree with the other."""
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    _, edge, count = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True, return_counts=True)
    if len(faces) == 0 or (count != 2).any():
        raise ProblemError(
            f"Mesh needs a closed surface, two faces at every edge: of {len(count)} edges, {(count == 1).sum()} have "
            f"one face and {(count > 2).sum()} more than two. Merge vertices that are near each other, and fill holes "
            "with trimesh.repair.fill_holes or a mesh editor."
        )
    order = np.argsort(edge.reshape(-1), kind="stable").reshape(-1, 2)
    one, two = order.T
    return one // 3, two // 3, ends[one, 0] == ends[two, 0]


def _normals(corners: Real) -> Real:
    """``(k, 3, 3) -> (k, 3)``: as long as twice the area."""
    return np.asarray(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
