"""Rays: straight lines along a cloud's normals, on which the distance to it grows as they do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from .cloud import Cloud, Real

ROUNDS = 6
"""Points that are tried on the line of every point of the cloud."""
SAME = 1e-9
"""How much nearer, relative to the distance, another point must be to count as nearer."""


def along_normals(cloud: Cloud, bounds: Mapping[str, tuple[float, float]], seed: int = 0) -> tuple[Real, Real]:
    """Points ``(n, 3)`` inside ``bounds`` and the signed distances ``(n,)`` there, in the cloud's unit of length.

    The characteristics of ``|grad u| = 1``, ``u = 0`` on a surface, are the lines ``y + t n``, and ``u = t`` on them up
    to where another part of the surface is as near. Of random ``t`` those are kept where no other point of the cloud is
    nearer than ``|t|``: exact, but for parts of the surface that are nearer between the cloud's points, at its edges.
    The cloud needs normals.
    """
    assert cloud.normals is not None
    low, high = (np.array(ends) for ends in zip(*bounds.values(), strict=True))
    tree, random = cKDTree(cloud.points), np.random.default_rng(seed)
    longest = float((high - low).max()) / 2
    found: list[tuple[Real, Real]] = []
    for _ in range(ROUNDS):
        t = random.uniform(-longest, longest, len(cloud.points))
        x = cloud.points + t[:, None] * cloud.normals
        inside = ((low <= x) & (x <= high)).all(axis=1)
        x, t = x[inside], t[inside]
        own = tree.query(x)[0] >= np.abs(t) * (1 - SAME)
        found.append((x[own], t[own]))
    points, distances = (np.concatenate(column) for column in zip(*found, strict=True))
    return points, distances
