"""Solve a linear problem on patches: read its operator, solve each patch, merge, and put the network together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UsageError
from ..patchwork import Patchwork
from ..problem import Problem
from .classes import Classes, Symmetries, classify
from .decomposition import Decomposition
from .linearized import expect_covered
from .local import Local, solve_locally
from .merge import Blocks, Level, Place, Sizes, by_kind, dissect
from .operator import Operator, read_operator
from .square import Reference, reference_square, size_of


@dataclass(frozen=True, eq=False)
class Solved:
    """``weights`` ``(k, patches, width)``: each patch's coefficients of the features, a solution a source; ``turn``
    ``(patches, 2, 2)``: the symmetry through which each patch sees them; ``classes``: patches that were factored;
    ``amplification``: how near the problem is to a resonance (``merge.dissect``)."""

    decomposition: Decomposition
    square: Reference
    weights: Tensor
    turn: Tensor
    classes: int
    amplification: float


def solve_patches(
    problems: Problem | Sequence[Problem], decomposition: Decomposition, size: str = "M", seed: int = 0,
    device: torch.device | None = None,
) -> Solved:  # fmt: skip
    """Solve a linear elliptic problem of second order on a box of two axes, in float64.

    Every patch has ``size`` (``square.size_of``) frozen features. Their coefficients satisfy the equation at Chebyshev
    nodes inside and the impedance data on the sides in the least-squares sense; the data of neighbours are matched by
    nested dissection. Several problems that differ in sources and boundary data alone are solved at once, by one
    factorization. The linear algebra runs on ``device``, the CPU unless given.

    Raises ``NotCoveredError`` for a problem of another kind, ``UsageError`` for patches that do not fill its box.
    """
    several = [problems] if isinstance(problems, Problem) else list(problems)
    expect_covered(several[0])
    return solve_covered(several, decomposition, size, seed, device)


def solve_covered(
    several: Sequence[Problem], decomposition: Decomposition, size: str, seed: int, device: torch.device | None = None
) -> Solved:
    """``solve_patches`` of problems that are known to be covered."""
    if not decomposition.covers(several[0].domain):  # type: ignore[arg-type]
        raise UsageError(f"{decomposition} with ends {dict(decomposition.breaks)} do not fill {several[0].domain}.")
    square = reference_square(size_of(size), seed)
    symmetries = Symmetries.of(square)
    operator = read_operator(several, decomposition, square)
    classes = classify(operator, symmetries).to(device)
    square, symmetries, operator = square.to(device), symmetries.to(device), operator.to(device)
    local = solve_locally(operator, classes, symmetries, square)
    taken, amplification = _dissected(operator, classes, symmetries, local, decomposition)
    weights = _weights(classes, symmetries, local, square, taken)
    if not several[0].complex_valued and weights.is_complex():
        weights = weights.real
    return Solved(decomposition, square, weights, symmetries.turn[classes.view], len(classes.first), amplification)


def _dissected(
    operator: Operator, classes: Classes, symmetries: Symmetries, local: Local, decomposition: Decomposition
) -> tuple[Tensor, float]:
    """``(P, E, k)``: the data that every patch takes in through its sides; the amplification of the merges."""
    q = operator.traces.shape[2] // 4
    first, second = operator.shape
    outer = operator.outer.repeat_interleave(q, dim=1)
    taken = torch.where(outer[..., None], operator.data, torch.zeros_like(operator.data))
    level: Level = [[Place((0, 0, 0, 0), 0)] * second for _ in range(first)]
    blocks: dict[Sizes, Blocks] = {}
    members: dict[Sizes, Tensor] = {}
    shapes, shape_of = torch.unique(operator.outer, dim=0, return_inverse=True)
    for s, closed in enumerate(shapes):
        patches = torch.nonzero(shape_of == s)[:, 0]
        left, right, bottom, top = (0 if c else q for c in closed.tolist())
        sizes = (left, right, bottom, top)
        open_nodes = torch.nonzero(~closed.repeat_interleave(q))[:, 0]
        pairs = torch.stack([classes.member[patches], classes.view[patches]], dim=1)
        unique, kind = torch.unique(pairs, dim=0, return_inverse=True)
        back = symmetries.back[unique[:, 1]]
        maps = local.maps[unique[:, 0][:, None, None], back[:, :, None], back[:, None, :]]
        given = local.given[patches]
        if bool(taken[patches].any()):
            given = given + by_kind(maps, kind, taken[patches])
        maps = maps[:, open_nodes[:, None], open_nodes]
        blocks[sizes] = Blocks(maps, kind, given[:, open_nodes])
        members[sizes] = patches
        for number, patch in enumerate(patches.tolist()):
            level[patch // second][patch % second] = Place(sizes, number)
    lengths = [[b - a for a, b in itertools.pairwise(e)] for e in decomposition.breaks.values()]
    inner, amplification = dissect(level, blocks, (lengths[0], lengths[1]))
    for sizes, found in inner.items():
        patches = members[sizes]
        taken[patches[:, None], torch.nonzero(~outer[patches[0]])[:, 0]] = found
    return taken, amplification


def _weights(classes: Classes, symmetries: Symmetries, local: Local, square: Reference, taken: Tensor) -> Tensor:
    """``(k, P, width)``: the coefficients of the features themselves."""
    k = taken.shape[2]
    seen = torch.gather(taken, 1, symmetries.side[classes.view][..., None].expand(-1, -1, k))
    coefficients = by_kind(local.response, classes.member, seen) + local.own
    return torch.matmul(square.transform.to(taken.dtype), coefficients).movedim(2, 0)


def as_network(solved: Solved, problem: Problem, amplitude: float = 1.0, source: int | None = 0) -> Patchwork:
    """The network of one source's solution, over ``amplitude``, of the box's coordinates in half-widths.

    ``source`` None: of all solutions, their real parts and then their imaginary ones.
    """
    size = solved.square.size
    weights = (solved.weights if source is None else solved.weights[source : source + 1]) / amplitude
    breaks = []
    for axis, ends in solved.decomposition.breaks.items():
        low, high = problem.domain.bounds[axis]
        breaks.append([(2 * end - low - high) / (high - low) for end in ends])
    parts = torch.cat([weights.real, weights.imag]) if weights.is_complex() else weights
    network = Patchwork(breaks, len(parts), size.width, size.bandwidth, size.basis, dtype=torch.float64)
    with torch.no_grad():
        network.waves.copy_(solved.square.waves)
        network.phases.copy_(solved.square.phases)
        network.turn.copy_(solved.turn)
        network.weight.copy_(parts.movedim(0, 1))
    return network


__all__ = ["Solved", "as_network", "solve_covered", "solve_patches"]
