"""Branches of travel times: around an obstacle rays pass on either side, and the time of each side is smooth alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..coefficients import Coefficient
from ..conditions import Constraint
from ..domains import Box, Domain, Sampler, from_configuration
from ..jet import Jet, JetPoints, jet
from ..points import Points
from .bending import fastest
from .layers import parts
from .rays import CELLS, Arrivals
from .roadmap import Roadmap
from .sources import PointSources

MARGIN = 0.035
"""How far a branch reaches beyond its own part of the domain, in units of the domain's diagonal."""
TAUT = 1e-3
"""How far the times of bent paths may be from the first arrival, in units of it."""
NEAR = 0.2
"""How far beyond its points a branch reaches where the times of all are known at the same ones, in units of the cells
of those that are not."""
SEEN = 128
"""Cells an axis on which obstacles are looked for."""
FEW = 0.02
"""A branch of a smaller share of the map than this goes to its neighbours."""
MOST = 8
"""Branches of all sources; where there were more, each source keeps one field."""
LATE = 2.0
"""What a branch says where no ray of it arrives, in units of the latest time of the map."""


@dataclass(frozen=True, eq=False)
class Branches(PointSources):
    """The ansatz ``T_b = T0_b (1 + u_b)`` where the rays of branch b arrive, and ``late`` elsewhere.

    Where rays from both sides of an obstacle meet, the first arrival has a kink, which no smooth function has. The time
    of the rays of one side has none, and goes on beyond the kink; the earliest of all is the first arrival.

    ``sources``, ``slownesses``: of each branch; ``points``: ``(m, d)`` of a map; ``own``: the numbers of each branch's
    points; it arrives where one of its own is not ``margin`` farther than the nearest of all. Where the velocity jumps,
    across the boundaries of the shapes whose ``configuration()`` are ``jumps``, each is confined to one of ``parts``.
    """

    points: tuple[tuple[float, ...], ...]
    own: tuple[tuple[int, ...], ...]
    margin: float
    late: float
    jumps: tuple[dict[str, Any], ...] = ()
    parts: tuple[int, ...] = ()

    def __call__(self, p: Points, *factors: Jet) -> tuple[Jet, ...]:
        """The times from the factors, a branch each."""
        assert isinstance(p, JetPoints)
        arrives = self.arrives(p.coordinates)
        held = [jet(lambda q, a=a: a.to(q.coordinates), p) for a in arrives.T]  # type: ignore[misc]
        times = super().__call__(p, *factors)
        return tuple(self.late + on * (t - self.late) for on, t in zip(held, times, strict=True))

    def constraint(self, axes: tuple[str, ...], times: Tensor) -> Constraint:
        """Each branch's known ``times``, (branches, m), at its own points; NaN at others."""

        def late(points: list[Points], fields: list[tuple[Jet, ...]]) -> tuple[Tensor, ...]:
            like = points[0].coordinates
            which = torch.cdist(like, torch.tensor(self.points, dtype=like.dtype, device=like.device)).argmin(dim=1)
            known = times.to(like)[:, which]
            return tuple(
                torch.where(time.isnan(), 0.0, u.value - time.nan_to_num())
                for u, time in zip(fields[0], known, strict=True)
            )

        def sample(n: int, sampler: Sampler) -> list[Points]:
            return [Points(axes, torch.tensor(self.points, dtype=sampler.dtype, device=sampler.device))]

        return Constraint("times", sample, late, slack=TAUT, first=True)

    def arrives(self, x: Tensor) -> Tensor:
        """``(n, d) -> (n, branches)``: where rays of each branch arrive."""
        away = torch.stack([torch.cdist(x, own.to(x)).amin(dim=1) for own in self._places], dim=1)
        if self.jumps:
            here = parts(self._shapes, x.detach())[:, None] == torch.tensor(self.parts, device=x.device)
            away = torch.where(here, away, torch.inf)
        return away <= away.amin(dim=1, keepdim=True) + self.margin

    @cached_property
    def _shapes(self) -> list[Domain]:
        return [from_configuration(shape) for shape in self.jumps]

    @cached_property
    def _places(self) -> list[Tensor]:
        """Each branch's own points; every point is one's."""
        points = torch.tensor(self.points, dtype=torch.float64)
        return [points[list(own)] for own in self.own]


def crossed(
    fans: list[list[Arrivals]], lone: PointSources, size: float, jumps: Sequence[Domain] = ()
) -> tuple[Branches, Tensor] | None:
    """The branches of each source's rays where they cross, with the known times, (branches, m); None of one field each.

    Where some source's rays do, others have one field, which arrives everywhere.
    """
    found = [part for fan in fans for part in fan]
    if not found or len(found) + sum(not fan for fan in fans) > MOST:
        return None
    # Branches may tell their times at the same points.
    every, numbers = np.unique(np.concatenate([part.points for part in found]), axis=0, return_inverse=True)
    pieces = iter(np.split(numbers.ravel(), np.cumsum([len(part.times) for part in found])[:-1]))
    which: list[int] = []
    own: list[tuple[int, ...]] = []
    rows: list[Tensor] = []
    for i, fan in enumerate(fans):
        ways: list[Arrivals | None] = [*fan] or [None]
        for part in ways:
            row = torch.full((len(every),), torch.nan, dtype=torch.float64)
            mine = np.arange(len(every)) if part is None else next(pieces)
            if part is not None:
                row[mine] = torch.from_numpy(part.times)
            which.append(i)
            own.append(tuple(mine.tolist()))
            rows.append(row)
    made = Branches(
        tuple(lone.sources[i] for i in which), tuple(lone.slownesses[i] for i in which),
        tuple(map(tuple, every.tolist())), tuple(own), (NEAR if jumps else 1) * size / CELLS,
        LATE * max(float(part.times.max()) for part in found),
        tuple(shape.configuration() for shape in jumps), tuple(part.part for part in found) if jumps else (),
    )  # fmt: skip
    return made, torch.stack(rows)


def taut(made: Branches, bounds: Roadmap, domain: Domain, velocity: Coefficient) -> Tensor:
    """``(branches, m)``: the times at each branch's own points, of the fastest paths that the map's bend into."""
    starts = list(dict.fromkeys(made.sources))
    times = torch.full((len(made.own), len(made.points)), torch.nan, dtype=torch.float64)
    for row, source, own in zip(times, made.sources, made.own, strict=True):
        row[list(own)] = fastest(domain, velocity, bounds.paths[starts.index(source)][list(own)])
    return times


def branches(domain: Domain, bounds: Roadmap, lone: PointSources) -> Branches | None:
    """The branches of plane travel times, from the sides on which the paths of a map pass obstacles; None of one field.

    Two paths belong to one branch where they turn the same way about every obstacle, as seen from the source.
    """
    holes = obstacles(domain)
    if not len(holes):
        return None
    which: list[int] = []
    own: list[tuple[int, ...]] = []
    for i in range(len(lone.sources)):
        _, labels, counts = np.unique(bounds.turns(i, holes) > 0, axis=0, return_inverse=True, return_counts=True)
        labels = labels.ravel()
        kept = np.flatnonzero(counts >= FEW * len(labels))
        known = np.isin(labels, kept)
        nearest = torch.cdist(bounds.points, bounds.points[torch.from_numpy(known)]).argmin(dim=1).numpy()
        labels = labels[known][nearest]
        which += [i] * len(kept)
        own += [tuple(np.flatnonzero(labels == k).tolist()) for k in kept]
    if len(own) > MOST:
        return None
    return Branches(
        tuple(lone.sources[i] for i in which), tuple(lone.slownesses[i] for i in which),
        tuple(map(tuple, bounds.points.tolist())), tuple(own), MARGIN * bounds.size,
        LATE * float(bounds.times.max()),
    )  # fmt: skip


def obstacles(domain: Domain) -> NDArray[np.float64]:
    """``(m, 2)``: a point in each hole of a plane domain, deep inside; none where it has none, or no two axes."""
    if isinstance(domain, Box) or len(domain.axes) != 2:
        return np.empty((0, 2))
    lines = [np.linspace(low, high, SEEN) for low, high in domain.bounds.values()]
    nodes = np.stack([m.ravel() for m in np.meshgrid(*lines, indexing="ij")], axis=1)
    outside = ~domain.contains(torch.from_numpy(nodes)).numpy().reshape(SEEN, SEEN)
    pieces, count = ndimage.label(outside)
    edge = set(np.concatenate([pieces[[0, -1]].ravel(), pieces[:, [0, -1]].ravel()]).tolist())
    inner = [k for k in range(1, count + 1) if k not in edge]
    deepest = [int(ndimage.distance_transform_edt(pieces == k).argmax()) for k in inner]
    return nodes[deepest]
