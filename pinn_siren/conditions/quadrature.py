"""Quadrature: nodes whose attached weights make a mean over them an integral over a domain or its boundary."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..domains import Box, Disk, Domain, On, Sampler
from ..domains.pieces import Piece
from ..domains.product import Product
from ..domains.sampling import allot
from ..errors import ProblemError
from ..points import TIME, Points, join

FEWEST, MOST = 8, 400
"""Gauss-Legendre nodes an axis."""
MANY = 4096
"""Sobol points where no Gauss rule is known: their error is about 1e-4 to 1e-3 of the integrand's variation."""

Rule = Callable[[int, Sampler], Points]
"""About as many nodes as asked for, or more; ``attached`` ``(n, 1)``: number of nodes times weight."""


def over_domain(domain: Domain) -> Rule:
    """Gauss-Legendre nodes in a box, and in a disk by radius squared and angle; Sobol points elsewhere."""

    def rule(n: int, sampler: Sampler) -> Points:
        if isinstance(domain, Box | Disk):
            unit, weights = _gauss(n, len(domain.axes), sampler)
            return Points(domain.axes, domain._fill(unit), None, domain.measure * weights)
        points = domain.interior(max(n, MANY), replace(sampler, scheme="sobol"))
        return replace(points, attached=torch.full_like(points.coordinates[:, :1], domain.measure))

    return _cast(rule)


def over_boundary(domain: Domain, on: On) -> Rule:
    """Gauss-Legendre nodes on every whole piece of the boundary, Sobol points on pieces that a mask has cut."""
    pieces: list[Piece] = []

    def rule(n: int, sampler: Sampler) -> Points:
        if not pieces:
            pieces.extend(domain.parts(on))
        counts = allot(n, [piece.measure for piece in pieces])
        parts = [_on_piece(piece, count, sampler) for piece, count in zip(pieces, counts, strict=True)]
        total = sum(len(part) for part in parts)
        return join([replace(p, attached=p.attached * (total / len(p))) for p in parts if p.attached is not None])

    return _cast(rule)


def at_time(domain: Domain, time: float, space_rule: Callable[[Domain], Rule]) -> Rule:
    """A rule over space at one time."""
    if not domain.has_time or not domain.space_axes:
        raise ProblemError(f"Integral(at=...) needs space and time, and {domain} has {', '.join(domain.axes)}.")
    low, high = domain.bounds[TIME]
    if not low <= time <= high:
        raise ProblemError(f"Integral(at={time:g}) lies outside t=({low:g}, {high:g}).")
    space = domain.space if isinstance(domain, Product) else Box(**{a: domain.bounds[a] for a in domain.space_axes})
    rule = space_rule(space)

    def held(n: int, sampler: Sampler) -> Points:
        return with_time(rule(n, sampler), domain.axes, time)

    return held


def with_time(p: Points, axes: Sequence[str], time: float) -> Points:
    """Points of space at one time."""
    columns = [
        p.coordinates[:, p.axes.index(a)] if a != TIME else torch.full_like(p.coordinates[:, 0], time) for a in axes
    ]
    return Points(tuple(axes), torch.stack(columns, dim=1), p.outward, p.attached)


def _on_piece(piece: Piece, n: int, sampler: Sampler) -> Points:
    if piece.fraction == 1:
        unit, weights = _gauss(n, piece.dimensions, sampler)
        points, _ = piece.place(unit)
        return replace(points, attached=piece.measure * weights)
    points = piece.draw(max(n, MANY), replace(sampler, dtype=torch.float64, scheme="sobol"))
    return replace(points, attached=torch.full_like(points.coordinates[:, :1], piece.measure))


def _gauss(n: int, dimensions: int, sampler: Sampler) -> tuple[Tensor, Tensor]:
    """At least ``4 n`` nodes of the unit cube, and ``(nodes, 1)`` weights of mean 1, in float64."""
    if dimensions == 0:
        return torch.zeros(1, 0, device=sampler.device).double(), torch.ones(1, 1, device=sampler.device).double()
    nodes, weights = _legendre(min(MOST, max(FEWEST, math.ceil((4 * n) ** (1 / dimensions)))))
    unit, shares = (
        torch.stack([g.reshape(-1) for g in torch.meshgrid(*[axis] * dimensions, indexing="ij")], dim=1)
        for axis in (nodes, weights)
    )
    return unit.to(sampler.device), shares.prod(1, keepdim=True).to(sampler.device)


@lru_cache(maxsize=16)
def _legendre(nodes: int) -> tuple[Tensor, Tensor]:
    x, w = np.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy((x + 1) / 2), torch.from_numpy(w * nodes / 2)


def _cast(rule: Rule) -> Rule:
    def cast(n: int, sampler: Sampler) -> Points:
        p = rule(n, sampler)
        outward, attached = (None if v is None else v.to(sampler.dtype) for v in (p.outward, p.attached))
        return Points(p.axes, p.coordinates.to(sampler.dtype), outward, attached)

    return cast
