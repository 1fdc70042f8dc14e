"""The nearest point of a boundary, from samples of it and their tangents."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..domains import Domain, Sampler
from .lines import Real

BEND = 0.3
"""The sine of the least angle at a corner."""
FINENESS = {2: 32, 3: 4}
"""Samples along an edge of a cell, by the number of space dimensions."""
OFF = 0.05
"""A foot this far from the boundary, in units of the spacing, is beyond a corner."""
MOST = 2**18


class Boundary:
    """A domain's boundary as samples ``h / 32`` apart (``h / 4`` in space), with their tangents.

    The nearest sample, moved along its tangent to the foot of the point: an error of order ``(h / 32)^2``. Where the
    foot lies more than the spacing away, the sample is the end of a smooth part, a corner, and stays.
    ``within``: only samples in this domain are kept; there may be none.
    """

    def __init__(self, domain: Domain, h: float, within: Domain | None = None) -> None:
        self.domain = domain
        dimensions = len(domain.axes)
        size = sum(piece.measure for piece in domain.pieces())
        fineness = FINENESS.get(dimensions, 1)
        count = min(MOST, max(256, math.ceil(size * (fineness / h) ** (dimensions - 1))))
        points = domain.boundary(count, Sampler(torch.Generator().manual_seed(1)))
        if within is not None:
            points = points[within.contains(points.coordinates)]
        self.samples, self.normals = points.coordinates.numpy(), points.normal.numpy()
        # Gaps of a low-discrepancy sequence are up to twice the mean.
        self.spacing = 2 * (size / count) ** (1 / max(1, dimensions - 1))

    def feet(self, x: Real) -> tuple[Real, Real]:
        """The nearest points of ``(n, d)`` points, and the domain's outward normals there."""
        _, nearest = self._tree.query(x)
        normals = self.normals[nearest]
        offset = x - self.samples[nearest]
        across = (offset * normals).sum(axis=1, keepdims=True)
        along = offset - across * normals
        feet = self.samples[nearest] + along
        beyond = np.linalg.norm(along, axis=1) > self.spacing
        beyond |= np.abs(self.domain.level(torch.from_numpy(feet)).numpy()) > OFF * self.spacing
        feet[beyond] = self.samples[nearest[beyond]]
        if len(self.corners) and beyond.any():
            gap, corner = KDTree(self.corners).query(x[beyond])
            nearer = gap <= np.linalg.norm(x[beyond] - feet[beyond], axis=1)
            feet[beyond] = np.where(nearer[:, None], self.corners[corner], feet[beyond])
        return feet, normals

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.samples)

    @cached_property
    def corners(self) -> Real:
        """``(m, 2)``: where the normals turn at once, the tangents' intersections; none but in the plane."""
        return self._corners[0]

    @cached_property
    def bends(self) -> Real:
        """``(m, 2)``: the corners that shortest paths bend about, those that reach into the domain."""
        corners, reentrant = self._corners
        return corners[reentrant]

    @cached_property
    def _corners(self) -> tuple[Real, NDArray[np.bool_]]:
        if self.samples.shape[1] != 2:
            return np.empty((0, self.samples.shape[1])), np.empty(0, dtype=bool)
        i, j = self._tree.query_pairs(self.spacing, output_type="ndarray").T
        (ax, ay), (bx, by) = self.normals[i].T, self.normals[j].T
        sine = ax * by - ay * bx
        bent = np.abs(sine) > BEND
        a, b = ((self.normals[k] * self.samples[k]).sum(axis=1) for k in (i, j))
        found = np.stack([a * by - ay * b, ax * b - a * bx], axis=1)[bent] / sine[bent, None]
        # Normals lead outward: from an outward corner the other side is seen behind.
        inward = (((self.samples[j] - self.samples[i]) * self.normals[i]).sum(axis=1) > 0)[bent]
        kept: list[int] = []
        for k, place in enumerate(found):
            if all(np.abs(place - found[other]).max() > self.spacing for other in kept):
                kept.append(k)
        return found[kept].reshape(-1, 2), inward[kept]
