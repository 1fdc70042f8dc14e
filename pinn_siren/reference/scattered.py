"""Derivatives at scattered nodes: local polynomials through the node's own value, fitted to its neighbours."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from ..errors import NoReferenceError
from .lines import Index, Real

NEIGHBOURS = {1: (6, 4, 3), 2: (20, 14, 8), 3: (56, 32, 14)}
"""Nodes that a fit of degree 3, 2 and 1 uses, by the number of axes."""
HOPS = 6
"""How far neighbours are looked for, in steps from node to node: what lies behind a wall is farther."""
MOST_GAIN = 30.0
"""The largest sum of a gradient's coefficients, in units of the grid's step, before a fit of lower degree is taken."""


@dataclass(frozen=True, eq=False)
class LocalFit:
    """Derivatives at some nodes: that of ``powers`` at row r is ``sum_k weights[powers][r, k] u[columns[r, k]]``."""

    columns: Index
    weights: dict[tuple[int, ...], Real]


def fit(coordinates: Real, at: Index, steps: Real, links: sparse.csr_array) -> LocalFit:
    """All derivatives up to the second at the nodes ``at`` (R,), from nodes around them among ``coordinates`` (N, d).

    Weighted least squares over polynomials through the node's own value (generalized finite differences: Liszka and
    Orkisz 1980, doi 10.1016/0045-7949(80)90149-2), of degree 3 where the neighbours determine it well, otherwise of a
    lower one. ``links`` (N, N): which nodes are next to each other, with nothing in between. Raises
    ``NoReferenceError`` where too few nodes can be reached.
    """
    d = coordinates.shape[1]
    wanted = [p for p in itertools.product(range(3), repeat=d) if 0 < sum(p) <= 2]
    scaled = coordinates / steps
    columns, found = _around(scaled, at, links, NEIGHBOURS[d][0])
    apart = scaled[columns[:, 1:]] - scaled[at][:, None]
    weights = {p: np.zeros(columns.shape) for p in wanted}
    left = np.arange(len(at))
    for degree, used in zip((3, 2, 1), NEIGHBOURS[d], strict=True):
        powers = [p for p in itertools.product(range(degree + 1), repeat=d) if 0 < sum(p) <= degree]
        good, rows = _rows(apart[left, :used], found[left, :used], powers)
        for p in set(powers) & set(wanted):
            scale = math.prod(math.factorial(m) / h**m for m, h in zip(p, steps, strict=True))
            weights[p][left[good], 1 : used + 1] = scale * rows[good, powers.index(p)]
        left = left[~good]
    if len(left):
        place = ", ".join(f"{c:.4g}" for c in coordinates[at[left[0]]])
        raise NoReferenceError(f"The grid has too few nodes around ({place}) for a derivative there: refine it.")
    for row in weights.values():
        row[:, 0] = -row[:, 1:].sum(axis=1)
    return LocalFit(columns, weights)


def _around(scaled: Real, at: Index, links: sparse.csr_array, count: int) -> tuple[Index, np.ndarray]:
    """(R, 1 + count): each node and the nearest of those within reach; (R, count) bool: which of these there are."""
    step = links + sparse.eye_array(len(scaled), format="csr")
    reach = sparse.csr_array((np.ones(len(at)), (np.arange(len(at)), at)), shape=(len(at), len(scaled)))
    for _ in range(HOPS):
        reach = reach @ step
        reach.data[:] = 1
    pairs = reach.tocoo()
    other = pairs.col != at[pairs.row]
    rows, columns = pairs.row[other], pairs.col[other]
    distance = np.linalg.norm(scaled[columns] - scaled[at[rows]], axis=1)
    order = np.lexsort((distance, rows))
    rows, columns = rows[order], columns[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    near = rank < count
    chosen, found = np.repeat(at[:, None], count + 1, axis=1), np.zeros((len(at), count), dtype=bool)
    chosen[rows[near], 1 + rank[near]] = columns[near]
    found[rows[near], rank[near]] = True
    return chosen, found


def _rows(apart: Real, found: np.ndarray, powers: list[tuple[int, ...]]) -> tuple[np.ndarray, Real]:
    """Which fits are well determined (R,), and the coefficients of every monomial (R, monomials, K)."""
    distance = np.where(found, np.linalg.norm(apart, axis=2), 0.0)
    reach = np.maximum(distance.max(axis=1, keepdims=True), 1e-300)
    weight = np.where(found, np.exp(-2 * (distance / reach) ** 2), 0.0)
    monomials = np.stack([np.prod(apart ** np.array(p), axis=2) for p in powers], axis=2)
    if monomials.shape[1] < len(powers):
        return np.zeros(len(apart), dtype=bool), np.swapaxes(monomials, 1, 2)
    q, r = np.linalg.qr(weight[..., None] * monomials)
    diagonal = np.abs(np.diagonal(r, axis1=1, axis2=2))
    good = (diagonal.min(axis=1) > 1e-6 * diagonal.max(axis=1)) & (found.sum(axis=1) >= len(powers))
    r[~good] = np.eye(len(powers))
    rows = np.linalg.solve(r, np.swapaxes(q, 1, 2)) * weight[:, None]
    first = [k for k, p in enumerate(powers) if sum(p) == 1]
    return good & (np.abs(rows[:, first]).sum(axis=2).max(axis=1) <= MOST_GAIN), rows
