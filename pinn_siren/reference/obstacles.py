"""Obstacles for a march: the medium continued into them so that no path gains by it, and walls that nothing passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..coefficients import Coefficient
from ..domains import Box, Domain
from ..points import Points
from .lines import Grid, Real
from .nearest import Boundary
from .stencil import positive

STRETCH = 4.0
"""Neighbours whose feet lie this many cells apart, or more, are on two sides of an obstacle's medial axis."""
TURN = 0.7
"""So are neighbours whose normals have a smaller scalar product."""
CORNER = 2.0
"""Nodes inside within so many cells of a corner are left out."""
BEHIND = 0.25
"""A node outside that is this many cells behind the tangent plane of a node inside sees another side of it."""


@dataclass(frozen=True, eq=False)
class Medium:
    """What a march runs through: slowness at all nodes, walls, and corners.

    ``slowness``: (size,); ``barred``: pairs of neighbours, both ways round, between which nothing passes;
    ``corners``: (m, d), points of the boundary where rays bend at once.
    """

    slowness: Real
    barred: set[tuple[int, int]]
    corners: Real


def medium(grid: Grid, domain: Domain, velocity: Coefficient, free: NDArray[np.bool_]) -> Medium:
    """The medium outside obstacles, and continued into them so that no path gains by it.

    A node in an obstacle has the slowness of its nearest boundary point times how much that projection stretches
    lengths there, ``1 / (1 - curvature depth)``, and neighbours whose projections jump do not see each other. So a path
    inside takes at least as long as its projection on the boundary, which is a path outside: the first arrivals outside
    are those around the obstacle, and creeping rays keep to its true boundary. With the nodes inside merely left out
    they would follow the stairs of the grid, an error of order sqrt(h). About corners the march takes straight rays.
    """
    nodes = grid.points().coordinates
    x = nodes.numpy()
    slowness = np.empty(grid.size)
    slowness[free] = 1 / positive(velocity, Points(grid.axes, nodes[torch.from_numpy(free)]), "velocity")
    steps = np.array([float(line.steps[0]) for line in grid.lines])
    if isinstance(domain, Box):
        return Medium(slowness, set(), np.empty((0, len(steps))))
    boundary = Boundary(domain, float(steps.min()))
    near = ~free | (domain.level(nodes).abs().numpy() <= 2 * steps.max())
    feet, normals = x.copy(), np.zeros_like(x)
    feet[near], normals[near] = boundary.feet(x[near])
    if not free.all():
        columns = [
            (boundary.feet(x[~free] + shift)[0] - boundary.feet(x[~free] - shift)[0]) / (2 * shift.sum())
            for shift in np.diag(steps / 2)
        ]
        stretch = np.linalg.norm(np.stack(columns, axis=2), ord=2, axis=(1, 2)).clip(1, STRETCH)
        at_feet = positive(velocity, Points(grid.axes, torch.from_numpy(feet[~free])), "velocity")
        slowness[~free] = stretch / at_feet
    # Straight rays lead about corners; what enters there by one side could leave by another.
    around = np.zeros(grid.size, dtype=bool)
    if len(boundary.corners):
        around = ~free & (KDTree(boundary.corners).query(x)[0] <= CORNER * steps.max())
    barred: set[tuple[int, int]] = set()
    numbers = np.arange(grid.size).reshape(grid.shape)
    for axis, step in enumerate(steps):
        pair = np.stack([np.delete(numbers, end, axis=axis).ravel() for end in (-1, 0)])
        pair = pair[:, near[pair].all(axis=0)]
        walls = _walls(x[pair], feet[pair], normals[pair], free[pair], step)
        walls |= around[pair].any(axis=0)
        for i, j in pair[:, walls].T.tolist():
            barred |= {(i, j), (j, i)}
    return Medium(slowness, barred, boundary.bends)


def _walls(x: Real, feet: Real, normals: Real, free: NDArray[np.bool_], step: float) -> NDArray[np.bool_]:
    """``(2, n, d)`` and ``(2, n)`` of n pairs of neighbours ``-> (n,)``: whether nothing passes between them."""
    turn = (normals[0] * normals[1]).sum(axis=1)
    apart = np.linalg.norm(feet[0] - feet[1], axis=1) > STRETCH * step
    # The domain's normals lead into the obstacle: how far one is behind the tangent plane at the other's foot.
    behind = ((x[::-1] - feet) * normals).sum(axis=2)
    hidden = ~free & (free[::-1] & (behind > BEHIND * step))
    thin = free.all(axis=0) & (turn < 0) & (behind > 0).all(axis=0)
    walls: NDArray[np.bool_] = (~free.any(axis=0) & (apart | (turn < TURN))) | hidden.any(axis=0) | thin
    return walls
