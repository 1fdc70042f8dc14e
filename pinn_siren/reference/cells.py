"""Quadrature weights on masked grids: how much of each node's cell lies in the domain."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import torch

from ..domains import Box, Domain, Product
from ..points import TIME
from .grid import GridSolution, trapezoidal
from .lines import Real, outer

SAMPLES = {1: 64, 2: 16, 3: 6}
"""Points an axis that look into a cell beside the boundary, by the number of space axes."""
CHUNK = 2**20


def weighted(domain: Domain, grid: GridSolution) -> GridSolution:
    """The same fields with ``cell_weights``, where the domain is no box and the grid has no weights of its own."""
    if isinstance(domain, Box) or grid.weights is not None:
        return grid
    return replace(grid, weights=cell_weights(domain, grid.coordinates))


def cell_weights(domain: Domain, coordinates: dict[str, Real]) -> Real:
    """Weights of the nodes of a tensor grid, in its shape: the part of each node's cell that lies in the domain.

    A cell reaches half way to the neighbouring nodes; beside the boundary its part is counted over a fixed sub-grid.
    What lies in the cells of nodes outside goes to the neighbouring nodes inside in equal shares, so the weights add
    up to the domain's measure and integrate smooth functions to second order. Over time: times trapezoidal weights.
    """
    space = domain.space if isinstance(domain, Product) else domain
    lines = [coordinates[a] for a in space.axes]
    shape = tuple(map(len, lines))
    weights = (_shares(space, lines) * outer([trapezoidal(line) for line in lines])).reshape(shape)
    held = space.contains(torch.from_numpy(_mesh(lines))).numpy().reshape(shape)
    weights = _to_the_inside(weights, held)
    if isinstance(domain, Product):
        weights = np.multiply.outer(weights, trapezoidal(coordinates[TIME]))
    return weights


def _shares(space: Domain, lines: list[Real]) -> Real:
    """(nodes,): the share of each node's cell that lies in the domain, the last axis fastest."""
    nodes = _mesh(lines)
    ends = [np.concatenate([line[:1], (line[:-1] + line[1:]) / 2, line[-1:]]) for line in lines]
    low, high = _mesh([end[:-1] for end in ends]), _mesh([end[1:] for end in ends])
    level = space.level(torch.from_numpy(nodes)).numpy()
    shares = (level < 0).astype(float)
    # The level is never larger than the distance to the boundary: most cells are whole or empty.
    mixed = np.flatnonzero(np.abs(level) <= np.linalg.norm(high - low, axis=1))
    count = SAMPLES[len(lines)]
    looks = _mesh([(np.arange(count) + 0.5) / count] * len(lines))
    for part in np.array_split(mixed, max(1, len(mixed) * len(looks) // CHUNK)):
        x = low[part, None] + looks * (high - low)[part, None]
        found = space.contains(torch.from_numpy(x.reshape(-1, len(lines)))).numpy()
        shares[part] = found.reshape(len(part), -1).mean(axis=1)
    return shares


def _to_the_inside(weights: Real, held: np.ndarray) -> Real:
    """Weights of nodes outside, handed to those of the nodes around them that are inside."""
    offsets = [o for o in itertools.product((0, 1, 2), repeat=held.ndim) if set(o) != {1}]
    padded = np.pad(held, 1)

    def window(offset: tuple[int, ...]) -> tuple[slice, ...]:
        return tuple(slice(k, k + n) for k, n in zip(offset, held.shape, strict=True))

    receivers = sum(padded[window(offset)].astype(int) for offset in offsets)
    given = np.where(held, 0.0, weights) / np.maximum(receivers, 1)
    taken = np.pad(np.zeros(held.shape), 1)
    for offset in offsets:
        taken[window(offset)] += given
    return np.where(held, weights + taken[window((1,) * held.ndim)], 0.0)


def _mesh(lines: list[Real]) -> Real:
    return np.stack([m.ravel() for m in np.meshgrid(*lines, indexing="ij")], axis=1)
