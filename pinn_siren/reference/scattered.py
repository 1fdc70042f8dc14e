"""Derivatives at scattered nodes: local polynomials through the node's own value, fitted to its neighbours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..errors import NoReferenceError
from .lines import Index, Real

NEIGHBOURS = {1: (6, 4, 3), 2: (20, 14, 8), 3: (56, 32, 14)}
"""Nodes that a fit of degree 3, 2 and 1 uses, by the number of axes."""
TRIED = 2.0
"""How many of the nearest nodes are looked at, for one that is used: some lie behind a wall."""
MOST_GAIN = 30.0
"""The largest sum of a gradient's coefficients, in units of the grid's step, before a fit of lower degree is taken."""
DENTED = 0.3
"""How deep, in grid steps, a line of sight may dip into the outside: round walls are convex."""

Visible = Callable[[Real], Real]
"""``(n, d)`` coordinates to the level there, in grid steps: positive outside."""


@dataclass(frozen=True, eq=False)
class LocalFit:
    """Derivatives at some nodes: that of ``powers`` at row r is ``sum_k weights[powers][r, k] u[columns[r, k]]``."""

    columns: Index
    weights: dict[tuple[int, ...], Real]


def fit(coordinates: Real, at: Index, steps: Real, level: Visible) -> LocalFit:
    """All derivatives up to the second at the nodes ``at`` (R,), from the nearest of all ``coordinates`` (N, d).

    Weighted least squares over polynomials through the node's own value (generalized finite differences: Liszka and
    Orkisz 1980, doi 10.1016/0045-7949(80)90149-2), of degree 3 where the neighbours determine it well,
    otherwise of a lower one. Nodes that cannot be seen in a straight line from inside are left out.
    Raises ``NoReferenceError`` where too few are left.
    """
    count, d = coordinates.shape
    wanted = sorted({p for p in itertools.product(range(3), repeat=d) if 0 < sum(p) <= 2})
    tried = min(count - 1, int(TRIED * NEIGHBOURS[d][0]))
    scaled = coordinates / steps
    _, columns = cKDTree(scaled).query(scaled[at], k=tried + 1)
    columns = columns.reshape(len(at), -1)
    # The node itself comes first, also where another lies within rounding.
    other = columns != at[:, None]
    order = np.argsort(other, axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    columns[:, 0] = at
    apart = scaled[columns[:, 1:]] - scaled[at][:, None]
    seen = _seen(coordinates, at, columns[:, 1:], level)
    weights = {p: np.zeros(columns.shape) for p in wanted}
    left = np.arange(len(at))
    for degree in range(3, 0, -1):
        powers = [p for p in itertools.product(range(degree + 1), repeat=d) if 0 < sum(p) <= degree]
        good, rows = _rows(apart[left], seen[left], powers, NEIGHBOURS[d][3 - degree])
        for k, p in enumerate(powers):
            if p in weights:
                scale = math.prod(math.factorial(m) / h**m for m, h in zip(p, steps, strict=True))
                weights[p][left[good], 1:] = scale * rows[good, k]
        left = left[~good]
        if not len(left):
            break
    else:
        place = ", ".join(f"{c:.4g}" for c in coordinates[at[left[0]]])
        raise NoReferenceError(f"The grid has too few nodes around ({place}) for a derivative there: refine it.")
    for row in weights.values():
        row[:, 0] = -row[:, 1:].sum(axis=1)
    return LocalFit(columns, weights)


def _seen(coordinates: Real, at: Index, columns: Index, level: Visible) -> np.ndarray:
    """(R, K) bool: whether the way from a node to its neighbour stays inside, up to a small dent."""
    start = coordinates[at][:, None]
    seen = np.ones(columns.shape, dtype=bool)
    for share in (0.25, 0.5, 0.75):
        way = start + share * (coordinates[columns] - start)
        seen &= level(way.reshape(-1, way.shape[-1])).reshape(columns.shape) <= DENTED
    return seen


def _rows(apart: Real, seen: np.ndarray, powers: list[tuple[int, ...]], used: int) -> tuple[np.ndarray, Real]:
    """Which fits are well determined (R,), and the coefficients of every monomial (R, monomials, K)."""
    kept = seen & (np.cumsum(seen, axis=1) <= used)
    distance = np.where(kept, np.linalg.norm(apart, axis=2), 0.0)
    reach = np.maximum(distance.max(axis=1, keepdims=True), 1e-300)
    weight = np.where(kept, np.exp(-2 * (distance / reach) ** 2), 0.0)
    if apart.shape[1] < len(powers):
        return np.zeros(len(apart), dtype=bool), np.zeros((len(apart), len(powers), apart.shape[1]))
    monomials = np.stack([np.prod(apart ** np.array(p), axis=2) for p in powers], axis=2)
    q, r = np.linalg.qr(weight[..., None] * monomials)
    diagonal = np.abs(np.diagonal(r, axis1=1, axis2=2))
    good = (diagonal.min(axis=1) > 1e-6 * diagonal.max(axis=1)) & (kept.sum(axis=1) > len(powers))
    r[~good] = np.eye(len(powers))
    rows = np.linalg.solve(r, np.swapaxes(q, 1, 2)) * weight[:, None]
    first = [k for k, p in enumerate(powers) if sum(p) == 1]
    return good & (np.abs(rows[:, first]).sum(axis=2).max(axis=1) <= MOST_GAIN), rows
