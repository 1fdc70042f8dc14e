"""Bounds of travel times around obstacles, from shortest paths over straight segments that keep clear of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from torch import Tensor

from ..coefficients import Coefficient, values
from ..conditions import Constraint
from ..domains import Domain, Sampler
from ..errors import ProblemError
from ..jet import Jet
from ..points import Points

INSIDE, RIM = 512, 128
"""Points of the map inside and on the boundary."""
LOOSE = {1: 0.08, 2: 0.08}
"""How much longer than the fastest paths those of the map may be; where there are more dimensions, ``LOOSEST``."""
LOOSEST = 0.15
SEGMENT = 17
"""Points at which a segment is looked at for obstacles."""
GRAZING = 1e-3
"""How deep, in units of the domain's diagonal, segments may run in obstacles: chords of curved boundaries do."""
SAME = 1e-4
"""How near a point of the map is meant, in units of the domain's diagonal."""
LOST = 0.05
"""The share of the map that may be out of reach: corners too narrow for it."""


@dataclass(frozen=True, eq=False)
class Roadmap:
    """``times``, (starts, m): the shortest times from each start to ``points``, (m, d), over the map's segments.

    Every path bounds the first arrival T from above, and the map's paths are at most ``loose`` longer than the
    fastest, after the time ``gap``, (starts, 1), between the points of a start that stand for a surface:
    ``(1 - loose) times - gap <= T <= times``.
    """

    points: Tensor
    times: Tensor
    gap: Tensor
    loose: float
    size: float
    paths: tuple[NDArray[np.float64], ...]
    """``(m, hops, d)`` for each start: the corners of the shortest paths, the first ones repeated."""

    def turns(self, start: int, centers: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(m, centers)``: the angle in radians by which each path turns about each center, in the plane."""
        ways = self.paths[start][:, :, None] - centers
        steps = np.diff(np.arctan2(ways[..., 1], ways[..., 0]), axis=1)
        turned: NDArray[np.float64] = ((steps + np.pi) % (2 * np.pi) - np.pi).sum(axis=1)
        return turned

    def constraint(self, axes: tuple[str, ...]) -> Constraint:
        """What a field, one a start, lies above or below the bounds."""

        def outside(points: list[Points], fields: list[tuple[Jet, ...]]) -> tuple[Tensor, ...]:
            like = points[0].coordinates
            upper = self.times.to(like)[:, self.numbers(like)]
            lower = (1 - self.loose) * upper - self.gap.to(like)
            return tuple(
                (u.value - high).clamp(min=0) - (low - u.value).clamp(min=0)
                for u, low, high in zip(fields[0], lower, upper, strict=True)
            )

        return Constraint("bounds", partial(self.sample, axes), outside)

    def sample(self, axes: tuple[str, ...], n: int, sampler: Sampler) -> list[Points]:
        """So many of the map's points, at most all."""
        chosen = torch.randperm(len(self.points), generator=sampler.generator, device=sampler.device)[:n].cpu()
        return [Points(axes, self.points[chosen].to(device=sampler.device, dtype=sampler.dtype))]

    def numbers(self, x: Tensor) -> Tensor:
        """Which of the map's points these are. Raises ``ProblemError`` where some are none."""
        away, which = torch.cdist(x, self.points.to(x)).min(dim=1)
        if bool((away > SAME * self.size).any()):
            raise ProblemError("The bounds of travel times are known at the points of their map only.")
        return which


def roadmap(domain: Domain, velocity: Coefficient, starts: list[Tensor]) -> Roadmap:
    """The map of a domain: its points joined by all segments that keep clear of obstacles, the times by Dijkstra.

    ``starts``: ``(k, d)`` points each, where the time is zero. Raises ``ProblemError`` where a part of the domain is
    out of reach: the travel time is infinite there.
    """
    sampler = Sampler(torch.Generator().manual_seed(1))
    drawn = torch.cat([domain.boundary(RIM, sampler).coordinates, domain.interior(INSIDE, sampler).coordinates])
    points = torch.cat([*starts, drawn])
    size = float((torch.tensor(list(domain.bounds.values())) * torch.tensor([-1.0, 1.0])).sum(1).norm())
    first, second = torch.triu_indices(len(points), len(points), 1)
    for share in np.linspace(0, 1, SEGMENT)[1:-1]:
        at = torch.lerp(points[first], points[second], float(share))
        clear = domain.level(at) <= GRAZING * size
        first, second = first[clear], second[clear]
    # The middle may graze an obstacle, where the velocity need not be known; the ends do not.
    slowness = torch.stack(
        [1 / values(velocity, Points(domain.axes, points[end]), "velocity") for end in (first, second)]
    ).mean(dim=0)
    ray = (points[first] - points[second]).norm(dim=1) * slowness
    lengths = np.full((len(points), len(points)), np.inf)
    lengths[first.numpy(), second.numpy()] = ray.numpy()
    ends = np.cumsum([0, *(len(start) for start in starts)])
    groups = [np.arange(a, b) for a, b in itertools.pairwise(ends)]
    found = [
        dijkstra(lengths, directed=False, indices=group, min_only=True, return_predecessors=True) for group in groups
    ]
    times = np.stack([row for row, _, _ in found])[:, ends[-1] :]
    reached = np.isfinite(times).all(axis=0)
    if (~reached).mean() > LOST:
        where = dict(zip(domain.axes, drawn[int((~reached).argmax())].tolist(), strict=True))
        raise ProblemError(
            f"No path in {domain} leads from the source or surface to {where}: the travel time is infinite there. "
            "Leave that part out of the domain."
        )
    ways = tuple(_paths(points.numpy(), before)[ends[-1] :][reached] for _, before, _ in found)
    kept = torch.from_numpy(reached)
    loose = LOOSE.get(len(domain.axes), LOOSEST)
    gap = torch.tensor([[_gap(start)] for start in starts], dtype=torch.float64) * slowness.max()
    return Roadmap(drawn[kept], torch.from_numpy(times)[:, kept], gap, loose, size, ways)


def _paths(points: NDArray[np.float64], before: NDArray[np.int32]) -> NDArray[np.float64]:
    """``(m, hops, d)``: the points on the way to each point, from where it starts."""
    hops = [np.arange(len(points))]
    while (further := before[hops[-1]] >= 0).any():
        hops.append(np.where(further, before[hops[-1]], hops[-1]))
    return points[np.stack(hops[::-1], axis=1)]


def _gap(start: Tensor) -> float:
    """The largest distance from one point to the next; none of a lone point."""
    if len(start) == 1:
        return 0.0
    return float(KDTree(start.numpy()).query(start.numpy(), k=2)[0][:, 1].max())
