"""Nested dissection: patches merged two by two up to the box, then solved on the way back.

Data on sides are impedances. What one block takes in through a shared side is minus what its neighbour gives; taking
this out of two blocks' maps leaves one map of the sides that remain (Gillman, Barnett and Martinsson 2015, doi
10.1007/s10543-014-0499-8). Equal pairs are merged once.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

Runs = list[tuple[int, int]]
"""Where runs of entries start and end."""
Sizes = tuple[int, int, int, int]
"""Numbers of nodes on the left, right, bottom and top side of a block; 0 on the box's own sides."""
CHUNK = 2**22
STEPS = 3


@dataclass
class Blocks:
    """The blocks of one shape: ``maps`` ``(classes, e, e)``, ``kind`` ``(blocks,)`` and ``given`` ``(blocks, e, k)``.

    A block gives ``maps[kind] @ taken + given``, its sides one after the other.
    """

    maps: Tensor
    kind: Tensor
    given: Tensor


@dataclass(frozen=True)
class Place:
    """A block of a level: its shape, and its number among the blocks of that shape."""

    sizes: Sizes
    number: int


Level = list[list[Place]]
"""Blocks by their place along the first and the second axis."""
Kept = list[tuple[Place, Place]]
"""Blocks without a neighbour to merge with, as they are called on the level below and above."""


@dataclass(frozen=True, eq=False)
class Merge:
    """Pairs of two shapes that become one: how to get back what each takes in from what the pair takes in.

    What (first, second) take in at the interface is ``inner[kind] @ taken + offset``, ``taken`` by the first block's
    remaining sides and then the second's; ``order`` brings these into the pair's order.
    """

    numbers: Tensor
    firsts: Tensor
    seconds: Tensor
    shapes: tuple[Sizes, Sizes, Sizes]
    kind: Tensor
    inner: Tensor
    offset: Tensor
    order: Runs
    gain: float
    places: tuple[tuple[Runs, Runs], tuple[Runs, Runs]]


def dissect(
    level: Level, blocks: dict[Sizes, Blocks], lengths: tuple[list[float], list[float]]
) -> tuple[dict[Sizes, Tensor], float]:
    """What every patch takes in, ``(blocks, e, k)`` for the blocks of each shape of the first level; the amplification.

    ``lengths``: of the intervals along both axes; the axis whose blocks are shorter is merged first. The amplification
    is the largest factor by which a merge enlarges what goes in at its interface, over that of the first merges: about
    2, and as large as the resonances that the problem is near.
    """
    gains: list[float] = []
    steps: list[tuple[list[Merge], Kept, dict[Sizes, int]]] = []
    lines = [list(line) for line in lengths]
    while len(level) > 1 or len(level[0]) > 1:
        across = [sum(line) / len(line) for line in lines]
        axis = 0 if len(level[0]) == 1 or (len(level) > 1 and across[0] <= across[1]) else 1
        counts = {sizes: len(b.kind) for sizes, b in blocks.items()}
        above, merged, merges, kept = _merge_level(level, blocks, axis)
        steps.append((merges, kept, counts))
        gains.append(max(m.gain for m in merges))
        line = lines[axis]
        lines[axis] = [sum(line[i : i + 2]) for i in range(0, len(line), 2)]
        level, blocks = above, merged
    top = level[0][0].sizes
    taken = {top: torch.zeros_like(blocks[top].given)}
    for merges, kept, counts in reversed(steps):
        taken = _split_level(merges, kept, counts, taken)
    return taken, max(gains) / gains[0] if gains else math.inf


def _merge_level(
    level: Level, blocks: dict[Sizes, Blocks], axis: int
) -> tuple[Level, dict[Sizes, Blocks], list[Merge], Kept]:
    """Merge neighbours along an axis; an odd last block stays."""
    rows = level if axis == 0 else [list(column) for column in zip(*level, strict=True)]
    pairs: dict[tuple[Sizes, Sizes], list[tuple[int, int, int, int]]] = {}
    odd: list[tuple[int, int, Place]] = []
    for i in range(0, len(rows), 2):
        for j, first in enumerate(rows[i]):
            if i + 1 < len(rows):
                second = rows[i + 1][j]
                pairs.setdefault((first.sizes, second.sizes), []).append((i // 2, j, first.number, second.number))
            else:
                odd.append((i // 2, j, first))
    above: list[list[Place | None]] = [[None] * len(rows[0]) for _ in range((len(rows) + 1) // 2)]
    made: dict[Sizes, list[Blocks]] = {}
    filled: dict[Sizes, int] = {}
    merges = []
    for (one, two), found in pairs.items():
        where = torch.tensor(found)
        sizes = _joined(one, two, axis)
        start = filled.get(sizes, 0)
        numbers = torch.arange(start, start + len(found))
        pair, merge = _merge(blocks[one], blocks[two], where[:, 2], where[:, 3], (one, two, sizes), axis, numbers)
        made.setdefault(sizes, []).append(pair)
        merges.append(merge)
        for number, (i, j, _, _) in enumerate(found, start):
            above[i][j] = Place(sizes, number)
        filled[sizes] = start + len(found)
    kept: Kept = []
    for i, j, place in odd:
        lone = blocks[place.sizes]
        start = filled.get(place.sizes, 0)
        single = slice(place.number, place.number + 1)
        kind = lone.kind[single]
        made.setdefault(place.sizes, []).append(Blocks(lone.maps[kind], torch.zeros_like(kind), lone.given[single]))
        above[i][j] = new = Place(place.sizes, start)
        kept.append((place, new))
        filled[place.sizes] = start + 1
    whole = [[place for place in row if place is not None] for row in above]
    whole = whole if axis == 0 else [list(column) for column in zip(*whole, strict=True)]
    return whole, {sizes: _together(parts) for sizes, parts in made.items()}, merges, kept


def _together(parts: list[Blocks]) -> Blocks:
    kinds, start = [], 0
    for part in parts:
        kinds.append(part.kind + start)
        start += len(part.maps)
    return Blocks(torch.cat([p.maps for p in parts]), torch.cat(kinds), torch.cat([p.given for p in parts]))


def _joined(one: Sizes, two: Sizes, axis: int) -> Sizes:
    if axis == 0:
        return one[0], two[1], one[2] + two[2], one[3] + two[3]
    return one[0] + two[0], one[1] + two[1], one[2], two[3]


def _merge(
    one: Blocks, two: Blocks, firsts: Tensor, seconds: Tensor, shapes: tuple[Sizes, Sizes, Sizes], axis: int,
    numbers: Tensor,
) -> tuple[Blocks, Merge]:  # fmt: skip
    """Take the shared side out of pairs of blocks."""
    device = one.maps.device
    s1, e1 = _split(shapes[0], 2 * axis + 1)
    s2, e2 = _split(shapes[1], 2 * axis)
    order = _order(shapes, axis)
    both = torch.stack([one.kind[firsts.to(device)], two.kind[seconds.to(device)]], dim=1)
    unique, kind = torch.unique(both, dim=0, return_inverse=True)
    t1, t2 = one.maps[unique[:, 0]], two.maps[unique[:, 1]]
    (es1, ee1), (es2, ee2) = ((_parts(_parts(t, e, 1), s, 2), _parts(_parts(t, e, 1), e, 2))
                              for t, s, e in ((t1, s1, e1), (t2, s2, e2)))  # fmt: skip
    (ss1, se1), (ss2, se2) = ((_parts(_parts(t, s, 1), s, 2), _parts(_parts(t, s, 1), e, 2))
                              for t, s, e in ((t1, s1, e1), (t2, s2, e2)))  # fmt: skip
    n, a = ss1.shape[1], ee1.shape[1]
    # x1 = -(T2 x2 + se2 y2 + g2), x2 = -(T1 x1 + se1 y1 + g1); y: taken outside, g: given at the interface.
    factors, pivots = torch.linalg.lu_factor(torch.eye(n, dtype=t1.dtype, device=device) - ss2 @ ss1)
    gain = _gain(factors, pivots)
    inner1 = torch.linalg.lu_solve(factors, pivots, torch.cat([ss2 @ se1, -se2], dim=2))
    inner2 = -(ss1 @ inner1)
    inner2[..., :a] -= se1
    inner = torch.cat([inner1, inner2], dim=1)
    maps = torch.cat([es1 @ inner1, es2 @ inner2], dim=1)
    maps[:, :a, :a] += ee1
    maps[:, a:, a:] += ee2
    maps = _parts(_parts(maps, order, 1), order, 2)
    given1, given2 = one.given[firsts.to(device)], two.given[seconds.to(device)]
    offset = given1.new_zeros(len(kind), 2 * n, given1.shape[2])
    outside = torch.cat([_parts(given1, e1, 1), _parts(given2, e2, 1)], dim=1)
    active = torch.nonzero((given1.abs().amax((1, 2)) > 0) | (given2.abs().amax((1, 2)) > 0))[:, 0]
    for part in active.split(max(1, CHUNK // max(1, inner[0].numel()))):
        which, g1, g2 = kind[part], _parts(given1[part], s1, 1), _parts(given2[part], s2, 1)
        x1 = torch.linalg.lu_solve(factors[which], pivots[which], ss2[which] @ g1 - g2)
        x2 = -(ss1[which] @ x1 + g1)
        offset[part] = torch.cat([x1, x2], dim=1)
        outside[part, :a] += es1[which] @ x1
        outside[part, a:] += es2[which] @ x2
    pair = Blocks(maps, kind, _parts(outside, order, 1))
    return pair, Merge(numbers, firsts, seconds, shapes, kind, inner, offset, order, gain, ((e1, s1), (e2, s2)))


def _gain(factors: Tensor, pivots: Tensor) -> float:
    """About the largest absolute eigenvalue of the inverses of factored matrices, by a few steps of iteration."""
    ones = torch.ones_like(factors[:, :, :1])
    # No vector that symmetry makes orthogonal to what is looked for.
    vector = ones + torch.rand(ones.shape[1:], generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(ones)
    size = vector.norm(dim=1, keepdim=True)
    for _ in range(STEPS):
        vector = torch.linalg.lu_solve(factors, pivots, vector / size)
        size = vector.norm(dim=1, keepdim=True)
    return float(size.max())


def _split(sizes: Sizes, shared: int) -> tuple[Runs, Runs]:
    """The nodes on one side of a block, and those on the others."""
    ends = [0, *itertools.accumulate(sizes)]
    sides = list(itertools.pairwise(ends))
    return [sides[shared]], [side for i, side in enumerate(sides) if i != shared]


def _parts(values: Tensor, runs: Runs, dim: int) -> Tensor:
    """Runs of entries along a dimension, one after the other: copies of whole runs, far faster than of indices."""
    parts = [values.narrow(dim, start, end - start) for start, end in runs if end > start]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim) if parts else values.narrow(dim, 0, 0)


def _order(shapes: tuple[Sizes, Sizes, Sizes], axis: int) -> Runs:
    """The places of the pair's sides among the first block's remaining nodes and then the second's."""
    first, second = list(shapes[0]), list(shapes[1])
    first[2 * axis + 1], second[2 * axis] = 0, 0
    one, two = ([0, *itertools.accumulate(sizes)] for sizes in (first, second))
    start = one[-1]
    return [run for i in range(4) for run in ((one[i], one[i + 1]), (start + two[i], start + two[i + 1]))]


def _split_level(
    merges: list[Merge], kept: Kept, counts: dict[Sizes, int], taken: dict[Sizes, Tensor]
) -> dict[Sizes, Tensor]:
    """What the blocks of a level take in, from what those above it do."""
    like = next(iter(taken.values()))
    found = {sizes: like.new_zeros(count, sum(sizes), like.shape[2]) for sizes, count in counts.items()}
    for m in merges:
        outside = taken[m.shapes[2]][m.numbers.to(like.device)]
        back, start = torch.empty_like(outside), 0
        for low, high in m.order:
            back[:, low:high] = outside[:, start : start + high - low]
            start += high - low
        shared = m.offset + by_kind(m.inner, m.kind, back)
        numbers = (m.firsts.to(like.device), m.seconds.to(like.device))
        first, half = 0, shared.shape[1] // 2
        for block, ((rest, side), sizes) in enumerate(zip(m.places, m.shapes[:2], strict=True)):
            whole = like.new_zeros(len(shared), sum(sizes), like.shape[2])
            for low, high in rest:
                whole[:, low:high] = back[:, first : first + high - low]
                first += high - low
            ((low, high),) = side
            whole[:, low:high] = shared[:, block * half : (block + 1) * half]
            found[sizes][numbers[block]] = whole
    for old, new in kept:
        found[old.sizes][old.number] = taken[new.sizes][new.number]
    return found


def by_kind(maps: Tensor, kind: Tensor, vectors: Tensor) -> Tensor:
    """``maps[kind] @ vectors``, ``(kinds, m, n), (b,), (b, n, k) -> (b, m, k)``, without a copy of maps for each b."""
    found = vectors.new_zeros(len(kind), maps.shape[1], vectors.shape[2])
    order = kind.argsort(stable=True)
    numbers, counts = torch.unique_consecutive(kind[order], return_counts=True)
    for number, members in zip(numbers.tolist(), order.split(counts.tolist()), strict=True):
        columns = vectors[members].transpose(0, 1).flatten(1)
        found[members] = (maps[number] @ columns).unflatten(1, (len(members), -1)).transpose(0, 1)
    return found


__all__ = ["Blocks", "Level", "Place", "Sizes", "by_kind", "dissect"]
