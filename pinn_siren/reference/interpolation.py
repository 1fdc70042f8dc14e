"""Interpolation from the nodes of a box to points in it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from .lines import Field, Index, Real
from .nodes import Nodes


def interpolation(nodes: Nodes, at: Real, count: int) -> sparse.csr_matrix:
    """(m, N): the values at points (m, d) from ``count`` nodes an axis around each, polynomials of degree below it."""
    numbers = np.asarray(nodes.on_grid(np.arange(len(nodes.coordinates)))).astype(np.intp)
    lines = [_lagrange(nodes.grid[a], at[:, i], count) for i, a in enumerate(nodes.space_axes)]
    rows, columns, entries = [], [], []
    for choice in itertools.product(*(range(weights.shape[1]) for _, weights in lines)):
        columns.append(numbers[tuple(first + k for (first, _), k in zip(lines, choice, strict=True))])
        entries.append(math.prod(weights[:, k] for (_, weights), k in zip(lines, choice, strict=True)))
        rows.append(np.arange(len(at)))
    table = (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(table, shape=(len(at), len(nodes.coordinates)))


def _lagrange(line: Real, at: Real, count: int) -> tuple[Index, Real]:
    """(m,) the first of ``count`` neighbouring nodes, and (m, count) their weights."""
    count = min(count, len(line))
    step = (line[-1] - line[0]) / (len(line) - 1)
    first: NDArray[np.intp] = np.clip(np.floor((at - line[0]) / step) - count // 2 + 1, 0, len(line) - count).astype(
        int
    )
    places: Field = (at - line[0]) / step - first
    weights = np.ones((len(at), count))
    for k, m in itertools.permutations(range(count), 2):
        weights[:, k] *= (places - m) / (k - m)
    return first, weights
