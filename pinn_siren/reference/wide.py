"""Difference matrices of fourth order on a line whose coordinates may be complex, as in absorbing layers."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sparse

from .lines import Field

INSIDE = 5
"""Nodes of a derivative inside; a second derivative beside an end takes one more."""
LEAST_CELLS = 6


def wide(nodes: Field, order: int, periodic: bool = False) -> sparse.csr_array:
    """(size, size): the first or second derivative by the coordinate at each node, exact for degree four.

    ``nodes``: (cells + 1,), both ends; where periodic the last one is the first again and no unknown. Derivatives are
    by the coordinates themselves: with the complex ones of an absorbing layer, in which the field is analytic, nothing
    is lost at the layer's edge, where their derivatives jump. On equal steps (-1, 16, -30, 16, -1) / 12 inside.
    """
    cells = len(nodes) - 1
    size = cells if periodic else cells + 1
    every = np.arange(size)
    if periodic:
        length = nodes[-1] - nodes[0]
        around = every[:, None] + np.arange(-2, 3)
        places = nodes[around % cells] + (around // cells) * length
        return _matrix(every, around % cells, _weights(places - nodes[:size, None], order), size)
    inner = every[2:-2]
    middle = inner[:, None] + np.arange(-2, 3)
    width = INSIDE + (order == 2)
    ends = np.array([0, 1, size - 2, size - 1])
    beside = np.where(ends[:, None] < 2, np.arange(width), size - width + np.arange(width))
    parts = [
        _matrix(row, columns, _weights(nodes[columns] - nodes[row, None], order), size)
        for row, columns in ((inner, middle), (ends, beside))
    ]
    return sparse.csr_array(parts[0] + parts[1])


def stretched(nodes: Field, low: float, high: float, layers: dict[int, tuple[float, float, int]]) -> Field:
    """The complex coordinates ``X`` with ``dX/dx = 1 + i strength (d / thickness)^order``; ``low``, ``high``: the edges
    of the physical region; ``layers``: by end, 0 or 1, thickness, strength and order."""
    found: Field = nodes.astype(complex)
    for end, depth, sign in ((0, low - nodes, -1.0), (1, nodes - high, 1.0)):
        if end in layers:
            thickness, strength, order = layers[end]
            ratio = np.clip(depth / thickness, 0, None)
            found = found + sign * 1j * strength * thickness / (order + 1) * ratio ** (order + 1)
    return found


def _weights(gaps: Field, order: int) -> Field:
    """(n, w): the weights at ``gaps`` from a node, exact for polynomials of degree below w (Fornberg 1988,
    doi 10.1090/S0025-5718-1988-0935077-0)."""
    scale = np.abs(gaps).max(axis=1, keepdims=True)
    count = gaps.shape[1]
    powers = (gaps / scale)[:, None, :] ** np.arange(count)[:, None]
    right = np.zeros((len(gaps), count, 1), dtype=gaps.dtype)
    right[:, order, 0] = math.factorial(order)
    return np.asarray(np.linalg.solve(powers, right)[..., 0] / scale**order)


def _matrix(rows: Field, columns: Field, entries: Field, size: int) -> sparse.csr_array:
    places = (np.repeat(rows, columns.shape[1]), columns.ravel())
    return sparse.csr_array((entries.ravel(), places), shape=(size, size))
