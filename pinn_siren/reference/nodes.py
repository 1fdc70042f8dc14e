"""Nodes of a region of space, and the difference matrices between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import scipy.sparse as sparse

from .lines import Field, Index, Real


@dataclass(frozen=True, eq=False)
class Nodes:
    """``N`` nodes of a region of space, the derivatives between them, and the grid on which the answer is reported.

    ``coordinates``: (N, d) of all unknown nodes, in the order of ``space_axes``. ``inside``: (M,) nodes where the
    equation is always stated. ``boundary``: (B,) node indices and ``outward``: (B, d) unit normals, matched; a corner
    comes once for each of its faces. ``derivative(key)``: (N, N), row i the derivative named by axis letters at node
    i, ``""`` the identity. ``grid``: node coordinates an axis; ``on_grid``: (N,) values to the grid's shape, NaN
    outside the region.
    """

    space_axes: tuple[str, ...]
    coordinates: Real
    inside: Index
    boundary: Index
    outward: Real
    derivative: Callable[[str], sparse.csr_matrix]
    grid: dict[str, Real]
    on_grid: Callable[[Field], Field]
