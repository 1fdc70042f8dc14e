"""First arrivals where the velocity jumps: the times of each sequence of parts that rays pass, of head waves too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.spatial import KDTree
from torch import Tensor

from ..coefficients import Coefficient, values
from ..domains import Domain, Sampler
from ..errors import ProblemError
from ..points import Points
from .rays import FEW, Arrivals

NODES, SHOWN, INSIDE = 400, 4, 1600
"""Points on each jump, each how manieth of them tells a branch its times, and points in the domain."""
LEAST = 0.05
"""The share of a shape's boundary that is expected in the domain at least."""
PASSED = 5
"""How many parts a ray passes at most; a part counts again when it is entered again."""
SEGMENT = 11
"""Points at which a segment is looked at for other parts."""
GRAZING = 1e-3
"""How deep, in units of the domain's diagonal, segments may run in other parts: chords of curved jumps do."""
OFF = 1e-6
"""How far both sides of a jump are looked at, in the same units."""
TIE = 1e-4
"""How much later than others a sequence may be that still counts as first, in units of the time to cross the domain."""
BEYOND = 0.06
"""How far a sequence is followed beyond its first arrivals, in units of the diagonal: it is smooth far beyond them."""
EVEN = 1e-9
"""The relative difference of velocities that count as one."""


@dataclass(frozen=True, eq=False)
class _Parts:
    """What the jumps cut a domain into: a point's part is the sum of ``2^k`` over the shapes that it lies in."""

    jumps: Sequence[Domain]
    size: float

    def of(self, x: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: the numbers of the parts."""
        return parts(self.jumps, x)

    def joined(self, part: int, one: Tensor, other: Tensor) -> Tensor:
        """``(n, d), (m, d) -> (n, m)``: whether the segments between stay in a part."""
        first, second = one[:, None].expand(-1, len(other), -1), other.expand(len(one), -1, -1)
        clear = torch.ones(len(one), len(other), dtype=torch.bool)
        for share in torch.linspace(0, 1, SEGMENT).tolist()[1:-1]:
            at = torch.lerp(first, second, share).reshape(-1, one.shape[1])
            for k, shape in enumerate(self.jumps):
                level = shape.level(at) if part >> k & 1 else -shape.level(at)
                clear &= (level <= GRAZING * self.size).reshape(clear.shape)
        return clear


def parts(jumps: Sequence[Domain], x: Tensor) -> Tensor:
    """``(n, d) -> (n,)``: the sum of ``2^k`` over the shapes that each point lies in."""
    found = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for k, shape in enumerate(jumps):
        found += (shape.level(x) < 0).long() << k
    return found


def passing(
    domain: Domain, velocity: Coefficient, source: Tensor, jumps: Sequence[Domain], size: float
) -> list[Arrivals]:
    """The branches of a source's first arrivals, a sequence of parts each.

    Between jumps rays are straight, so the times of a sequence are least over the points of entry from one part into
    the next: ``T_k+1(x) = min_y T_k(y) + |x - y| / c`` (Fermat; stages as of de Kool, Rawlinson and Sambridge 2006,
    doi 10.1111/j.1365-246X.2006.03050.x). A head wave is the sequence of slow, fast, slow. Raises ``ProblemError``
    where the velocity is not constant between the jumps.
    """
    cut, sampler = _Parts(jumps, size), Sampler(torch.Generator().manual_seed(1))
    inside = domain.interior(INSIDE, sampler).coordinates
    speeds = _speeds(domain, velocity, torch.cat([source[None], inside]), cut)
    nodes, normals, sides = _nodes(domain, cut, sampler)
    start = int(cut.of(source[None]))
    where = {
        part: torch.cat([inside[cut.of(inside) == part], *_beside(nodes, normals, sides, part, size)])
        for part in speeds
    }
    ends = {part: torch.nonzero((sides == part).any(dim=1))[:, 0] for part in speeds}
    between = {
        part: _times(cut, part, nodes[ends[part]], torch.cat([where[part], nodes[ends[part]]]), speeds[part])
        for part in speeds
    }
    found: dict[int, list[Tensor]] = {part: [] for part in speeds}
    here = torch.cat([where[start], nodes[ends[start]]])
    stages: list[tuple[tuple[int, ...], Tensor]] = [
        ((start,), _times(cut, start, source[None], here, speeds[start])[0])
    ]
    while stages:
        sequence, times = stages.pop(0)
        part = sequence[-1]
        count = len(where[part])
        found[part].append(times[:count])
        if len(sequence) == PASSED:
            continue
        at = torch.full((len(nodes),), torch.inf, dtype=torch.float64)
        at[ends[part]] = times[count:]
        for following in speeds:
            shared = (sides[ends[following]] == part).any(dim=1)
            if following == part or not shared.any():
                continue
            entered = at[ends[following]][shared, None] + between[following][shared]
            stages.append(((*sequence, following), entered.amin(dim=0)))
    return [one for part in speeds for one in _first(where[part], torch.stack(found[part]), part, speeds[part], size)]


def _speeds(domain: Domain, velocity: Coefficient, x: Tensor, cut: _Parts) -> dict[int, float]:
    """The velocity of each part."""
    found = values(velocity, Points(domain.axes, x), "velocity")
    which = cut.of(x)
    speeds = {}
    for part in which.unique().tolist():
        own = found[which == part]
        if float(own.max() - own.min()) > EVEN * float(own.max()):
            raise ProblemError(
                f"jumps= takes a velocity that is constant between the jumps; between them it runs from "
                f"{float(own.min()):g} to {float(own.max()):g}. Leave jumps out, or state the shapes across whose "
                "boundaries it jumps."
            )
        speeds[int(part)] = float(own[0])
    return speeds


def _nodes(domain: Domain, cut: _Parts, sampler: Sampler) -> tuple[Tensor, Tensor, Tensor]:
    """``(n, d), (n, d), (n, 2)``: points on the jumps, their normals, and the parts behind and before them."""
    shares = [domain.contains(shape.boundary(NODES, sampler).coordinates).double().mean() for shape in cut.jumps]
    points = [
        shape.boundary(round(NODES / max(float(share), LEAST)), sampler)
        for shape, share in zip(cut.jumps, shares, strict=True)
    ]
    x, normals = torch.cat([p.coordinates for p in points]), torch.cat([p.normal for p in points])
    deep = OFF * cut.size
    kept = domain.contains(x - deep * normals) & domain.contains(x + deep * normals)
    sides = torch.stack([cut.of(x - deep * normals), cut.of(x + deep * normals)], dim=1)
    kept &= sides[:, 0] != sides[:, 1]
    return x[kept], normals[kept], sides[kept]


def _beside(nodes: Tensor, normals: Tensor, sides: Tensor, part: int, size: float) -> list[Tensor]:
    """Some of the nodes of a part, moved into it: on the jump itself it is none's."""
    moved = [nodes + way * OFF * size * normals for way in (-1, 1)]
    return [x[own == part][::SHOWN] for x, own in zip(moved, sides.T, strict=True)]


def _times(cut: _Parts, part: int, one: Tensor, other: Tensor, speed: float) -> Tensor:
    """``(n, m)``: along segments that stay in a part, else infinite."""
    return torch.where(cut.joined(part, one, other), torch.cdist(one, other) / speed, torch.inf)


def _first(x: Tensor, times: Tensor, part: int, speed: float, size: float) -> list[Arrivals]:
    """The sequences of a part that come first somewhere, with their times there and a little beyond."""
    earliest = times.amin(dim=0)
    found = []
    for k, row in enumerate(times):
        first = row <= earliest + TIE * size / speed
        # Of sequences that come at the same time, as by a detour of no length, the shortest one is meant.
        before = times[:k].amin(dim=0) if k else torch.full_like(row, torch.inf)
        if (first & (row < before - TIE * size / speed)).sum() < FEW * len(x):
            continue
        near = torch.from_numpy(KDTree(x[first].numpy()).query(x.numpy())[0] <= BEYOND * size)
        kept = near & row.isfinite()
        found.append(Arrivals(x[kept].numpy(), row[kept].numpy(), part))
    return found


__all__ = ["parts", "passing"]
