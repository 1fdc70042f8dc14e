"""Corners of obstacles in open space: sources, points and weights that close in on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .conditions import Constraint
from .domains import Domain, Sampler
from .domains.wedges import Edge, Wedge, wedges
from .points import Points, join
from .problem import Problem

SIGMA = 4.0
"""How steeply sources close in: distances go as ``exp(-SIGMA (sqrt n - sqrt j))``."""
REACH = 0.5
"""The farthest source and point of a corner, in units of its distance to what is next."""
CLOSEST = 1e-13
"""The closest source, in units of the largest coordinate: places are not known better."""
PER_POLE = 3
"""Points on each edge for every source."""
MOST_CORNERS = 16
"""So many corners have sources of their own, those of the widest angle; an outline of more is taken for a curve."""


@dataclass(frozen=True, eq=False)
class Spike:
    """A corner of an obstacle, where the field goes as ``r^(pi / angle)``, and sources toward it from inside.

    At the distances ``d_j = reach exp(-sigma (sqrt n - sqrt j))``, ``j = 1, ..., n``, on the obstacle's bisector the
    error falls as ``exp(-C sqrt n)`` whatever the angle (lightning method: Gopal and Trefethen 2019,
    doi:10.1137/19M125947X; for waves: doi:10.1073/pnas.1904139116). ``domain``: all that is outside the obstacles.
    """

    domain: Domain
    wedge: Wedge

    @property
    def reach(self) -> float:
        """The distance of the farthest source."""
        return REACH * self.wedge.room

    def poles(self, count: int) -> Tensor:
        """``(count or fewer, 2)``: the places of the sources, those left out that are not inside the obstacle."""
        distance = self._distances(np.arange(1, count + 1, dtype=np.float64), count)
        middle = self.wedge.start + self.wedge.angle / 2 + math.pi
        bisector = np.array([math.cos(middle), math.sin(middle)])
        far = distance > CLOSEST * self.domain.scale
        places = torch.from_numpy(self.wedge.place + distance[far, None] * bisector)
        return places[self.domain.level(places) > 0]

    def rows(self, constraint: Constraint, count: int) -> list[Points]:
        """Points on both edges, as close as ``count`` sources are, where a condition holds there."""
        distance = self._distances(np.arange(1, PER_POLE * count + 1) / PER_POLE, count)
        return self._on_edges(constraint, distance)

    def seen(self, constraint: Constraint, count: int, sampler: Sampler) -> list[Points]:
        """Points on both edges that are as many at every power of ten of their distance."""
        share = sampler.unit_cube(count, 1)[:, 0].numpy()
        return self._on_edges(constraint, self.reach * (CLOSEST * self.domain.scale / self.reach) ** share)

    def near(self, place: Tensor) -> bool:
        """Whether a point is in the corner's neighborhood."""
        return float((place - torch.from_numpy(self.wedge.place)).norm()) < self.reach

    def _distances(self, place: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        return np.asarray(self.reach * np.exp(-SIGMA * (math.sqrt(count) - np.sqrt(place))))

    def _on_edges(self, constraint: Constraint, distance: NDArray[np.float64]) -> list[Points]:
        kept = torch.from_numpy(distance[distance > CLOSEST * self.domain.scale])
        found = []
        for edge in (self.wedge.first, self.wedge.last):
            if _holds(self.domain, constraint, edge):
                way = torch.from_numpy(edge.end - edge.start)
                at = torch.from_numpy(edge.start) + kept[:, None] * way / way.norm()
                normal = torch.from_numpy(edge.normal).expand(len(at), 2)
                found.append(Points(self.domain.axes, at, normal))
        return found


def spikes_of(problem: Problem, constraints: Sequence[Constraint]) -> list[Spike]:
    """The corners of straight edges at both of which a condition holds; none in space, where they are edges."""
    domain = problem.domain
    found = [
        wedge
        for wedge in wedges(domain)
        if all(any(_holds(domain, c, edge) for c in constraints) for edge in (wedge.first, wedge.last))
    ]
    return [Spike(domain, wedge) for wedge in sorted(found, key=lambda w: -w.angle)[:MOST_CORNERS]]


def with_rows(points: Points, more: Sequence[Points]) -> Points:
    """Points of a condition and those close to corners."""
    return join([points, *more]) if more else points


def weights(spikes: Sequence[Spike], points: Points, order: int) -> Tensor:
    """``(n,)``: 1, and in the neighborhood of a corner ``(r / reach)^order``.

    A residual of derivatives of this order grows as ``r^(2/3 - order)`` at a right-angled corner. So weighted, and at
    points as many at every power of ten of ``r``, it is small where the field's error is.
    """
    found = torch.ones(len(points), dtype=torch.float64)
    for spike in spikes if order else ():
        away = (points.coordinates - torch.from_numpy(spike.wedge.place)).norm(dim=1)
        found = torch.minimum(found, (away / spike.reach) ** order)
    return found


def _holds(domain: Domain, constraint: Constraint, edge: Edge) -> bool:
    """Whether a condition is one on an edge."""
    place = constraint.place
    return place is not None and bool(domain.lies_on(edge.point(domain.axes, 0.5), place.on))


__all__ = ["Spike", "spikes_of", "weights", "with_rows"]
