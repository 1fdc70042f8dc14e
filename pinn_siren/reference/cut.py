"""Nodes of a region that is no box: the grid's nodes inside, and the points where its lines cut the boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..domains import Domain
from ..errors import NoReferenceError, ProblemError
from .grid import masked
from .lines import Field, Index, Real, cell_count
from .nodes import Nodes
from .scattered import LocalFit, fit

LOOKS = 16
"""Parts of a grid cell in which a second boundary would be found."""
TINY = 1e-4
"""A node nearer to a cut than this many steps counts as the cut itself: shorter legs only cost digits."""
BRIDGES = 12
"""Nearest nodes that are tried where grid lines leave a part of the nodes on its own."""
ROUNDING = 1e-12


def cut_nodes(domain: Domain, cells: Mapping[str, int]) -> Nodes:
    """The nodes of a region of 1 to 3 space axes on a grid of ``cells[axis]`` equal cells over its bounds.

    Unknowns are the grid's nodes in the region and the points where grid lines leave it. At nodes inside, the
    derivatives along one axis take the three-point formula with unequal legs (Shortley and Weller 1938, doi
    10.1063/1.1710426), so values on the boundary enter where it is. At boundary nodes, and for mixed derivatives beside
    them, a local polynomial is fitted (``scattered.fit``), so normal derivatives are second order on curved boundaries.

    Derivatives up to the second are known. Raises ``ProblemError`` for a domain with time, ``NoReferenceError`` where
    the grid is too coarse for the region, and for higher derivatives when asked for one.
    """
    if domain.has_time or not 1 <= len(domain.axes) <= 3:
        raise ProblemError(f"Cut cells need a region of 1 to 3 space axes without time, got {domain}.")
    grid = {a: np.linspace(*domain.bounds[a], cell_count(cells, a) + 1) for a in domain.axes}
    found = cut(domain, grid)
    index, normals = domain.normals_at(torch.from_numpy(found.coordinates[found.edge]))
    missing = np.setdiff1d(np.arange(len(found.edge)), index.numpy())
    if len(missing):
        place = ", ".join(f"{c:.6g}" for c in found.coordinates[found.edge[missing[0]]])
        raise NoReferenceError(f"The boundary of {domain} has no normal at ({place}): change the grid a little.")
    boundary, outward = found.edge[index.numpy()], normals.numpy()
    return Nodes(domain.axes, found.coordinates, found.inside, boundary, outward, found.derivative, grid, found.on_grid)


@dataclass(frozen=True, eq=False)
class Cut:
    """The numbered nodes: those of the grid first, in its order, then the cuts.

    ``number``: the grid's shape, -1 outside. ``inside``: (M,), ``edge``: (B,), together all nodes. ``legs``: (M, d, 2)
    lengths and ``ends``: (M, d, 2) node numbers, down and up each axis from the nodes inside.
    """

    domain: Domain
    grid: dict[str, Real]
    number: Index
    coordinates: Real
    inside: Index
    edge: Index
    legs: Real
    ends: Index

    @cached_property
    def steps(self) -> Real:
        """(d,): the grid's steps."""
        return np.array([nodes[1] - nodes[0] for nodes in self.grid.values()])

    @cached_property
    def kept(self) -> dict[str, sparse.csr_matrix]:
        """The derivatives that were asked for."""
        return {"": sparse.csr_matrix(sparse.identity(len(self.coordinates)))}

    def derivative(self, key: str) -> sparse.csr_matrix:
        """(N, N): the derivative named by axis letters, up to the second. Raises ``NoReferenceError`` for others."""
        key = "".join(sorted(key))
        if len(key) > 2 or not set(key) <= set(self.domain.axes):
            raise NoReferenceError(
                f"The reference on {self.domain} knows derivatives along {', '.join(self.domain.axes)} up to the "
                f"second, not {key!r}: give reference=, or a Box."
            )
        if key not in self.kept:
            self.kept[key] = self._matrix([key.count(a) for a in self.domain.axes])
        return self.kept[key]

    def on_grid(self, values: Field) -> Field:
        """(N,) to the grid's shape, NaN outside."""
        return masked(values[self.number], self.number < 0)

    @cached_property
    def links(self) -> sparse.csr_array:
        """(N, N): 1 between nodes that follow each other on a grid line, with no boundary in between."""
        pairs = [np.stack([np.repeat(self.inside, 2 * len(self.grid)), self.ends.reshape(-1)])]
        on_edge = np.zeros(len(self.coordinates), dtype=bool)
        on_edge[self.edge] = True
        for axis in range(len(self.grid)):
            low, high = (np.moveaxis(self.number, axis, 0)[part].ravel() for part in (slice(-1), slice(1, None)))
            both = (low >= 0) & (high >= 0) & on_edge[low] & on_edge[high]
            low, high = low[both], high[both]
            middle = (self.coordinates[low] + self.coordinates[high]) / 2
            clear = _level(self.domain, middle) <= ROUNDING * self.domain.scale
            pairs.append(np.stack([low[clear], high[clear]]))
        one, two = np.concatenate(pairs, axis=1)
        size = len(self.coordinates)
        once = sparse.csr_array((np.ones(len(one)), (one, two)), shape=(size, size))
        links = sparse.csr_array(once + once.T)
        return links + self._bridges(links)

    def _bridges(self, links: sparse.csr_array) -> sparse.csr_array:
        """Links along straight lines inside, to where no grid line leads: into sharp corners."""
        size = len(self.coordinates)
        _, part = connected_components(links, directed=False)
        apart = np.flatnonzero(part != np.bincount(part).argmax())
        _, near = cKDTree(self.coordinates).query(self.coordinates[apart], k=min(BRIDGES, size))
        one, two = np.repeat(apart, near.shape[1]), near.ravel()
        one, two = one[part[one] != part[two]], two[part[one] != part[two]]
        shares = (np.arange(1, LOOKS) / LOOKS)[:, None]
        way = self.coordinates[one, None] * (1 - shares) + self.coordinates[two, None] * shares
        outside = _level(self.domain, way.reshape(-1, len(self.grid))) > ROUNDING * self.domain.scale
        clear = ~outside.reshape(-1, LOOKS - 1).any(axis=1)
        once = sparse.csr_array((np.ones(clear.sum()), (one[clear], two[clear])), shape=(size, size))
        return sparse.csr_array(once + once.T)

    @cached_property
    def at_edge(self) -> LocalFit:
        """Local polynomials at the boundary's nodes."""
        return fit(self.coordinates, self.edge, self.steps, self.links)

    def _matrix(self, powers: list[int]) -> sparse.csr_matrix:
        parts = [_entries(self.edge, self.at_edge.columns, self.at_edge.weights[tuple(powers)])]
        if max(powers) == sum(powers):
            parts.append(self._along(powers.index(max(powers)), max(powers)))
        else:
            parts += self._mixed(powers)
        rows, columns, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        size = len(self.coordinates)
        return sparse.csr_matrix((values, (rows, columns)), shape=(size, size))

    def _along(self, axis: int, order: int) -> tuple[Index, Index, Real]:
        """The three-point formula at the nodes inside."""
        low, high = self.legs[:, axis].T
        columns = np.stack([self.ends[:, axis, 0], self.inside, self.ends[:, axis, 1]], axis=1)
        weights = [-high / (low * (low + high)), (high - low) / (low * high), low / (high * (low + high))]
        if order == 2:
            weights = [2 / (low * (low + high)), -2 / (low * high), 2 / (high * (low + high))]
        return _entries(self.inside, columns, np.stack(weights, axis=1))

    def _mixed(self, powers: list[int]) -> list[tuple[Index, Index, Real]]:
        """Four diagonal neighbours where the grid has them all around, a fit elsewhere."""
        one, two = np.flatnonzero(powers)
        padded = np.pad(self.number, 1, constant_values=-1)
        place = np.stack(np.unravel_index(np.flatnonzero((self.number >= 0).ravel()), self.number.shape), axis=1)
        corners, signs = [], []
        for first in (-1, 1):
            for second in (-1, 1):
                shift = np.zeros(len(powers), dtype=int)
                shift[one], shift[two] = first, second
                corners.append(padded[tuple((place[self.inside] + 1 + shift).T)])
                signs.append(first * second / (4 * self.steps[one] * self.steps[two]))
        columns = np.stack(corners, axis=1)
        whole = np.isclose(self.legs[:, [one, two]], self.steps[[one, two], None], rtol=1e-9).all(axis=(1, 2))
        regular = whole & (columns >= 0).all(axis=1)
        parts = [_entries(self.inside[regular], columns[regular], np.tile(signs, (int(regular.sum()), 1)))]
        beside = self.inside[~regular]
        if len(beside):
            found = fit(self.coordinates, beside, self.steps, self.links)
            parts.append(_entries(beside, found.columns, found.weights[tuple(powers)]))
        return parts


def cut(domain: Domain, grid: dict[str, Real]) -> Cut:
    """Sort the grid's nodes into inside, boundary and outside, and follow its lines to the boundary."""
    mesh = np.stack(np.meshgrid(*grid.values(), indexing="ij"), axis=-1)
    shape, d = mesh.shape[:-1], mesh.shape[-1]
    nodes = mesh.reshape(-1, d).copy()
    held = domain.contains(torch.from_numpy(nodes)).numpy()
    level = _level(domain, nodes)
    on_edge = np.zeros(len(nodes), dtype=bool)
    near = np.flatnonzero(held & (level >= -ROUNDING * domain.scale))
    if len(near):
        # Level 0 alone would also mean the seam between the parts of a union.
        on_edge[near[np.unique(domain.normals_at(torch.from_numpy(nodes[near]))[0].numpy())]] = True
    free = np.flatnonzero(held & ~on_edge)
    steps = np.array([line[1] - line[0] for line in grid.values()])
    legs = np.tile(steps[None, :, None], (len(free), 1, 2))
    for axis in range(d):
        for side in (0, 1):
            legs[:, axis, side] = _leg(domain, nodes, level, held, free, shape, axis, side, steps[axis])
    shares = legs / steps[:, None]
    tiny = shares.min(axis=(1, 2)) < TINY
    for k in np.flatnonzero(tiny):
        shortest = np.unravel_index(np.argmin(shares[k]), (d, 2))
        nodes[free[k], shortest[0]] += (2 * shortest[1] - 1) * legs[k][shortest]
    on_edge[free[tiny]] = True
    free, legs = free[~tiny], legs[~tiny]
    if not len(free):
        raise NoReferenceError(f"No grid node lies inside {domain}: refine the grid.")
    number = np.full(len(nodes), -1)
    number[held] = np.arange(held.sum())
    strides = np.array([np.prod(shape[axis + 1 :], dtype=int) for axis in range(d)])
    beside = free[:, None, None] + strides[:, None] * np.array([-1, 1])
    crossed = legs < steps[:, None]
    ends = np.where(crossed, -1, number[np.where(crossed, 0, beside)])
    rows, axes, sides = np.nonzero(crossed)
    cuts = nodes[free[rows]]
    cuts[np.arange(len(cuts)), axes] += (2 * sides - 1) * legs[rows, axes, sides]
    ends[rows, axes, sides] = held.sum() + np.arange(len(cuts))
    coordinates = np.concatenate([nodes[held], cuts])
    edge = np.concatenate([number[on_edge], held.sum() + np.arange(len(cuts))])
    return Cut(domain, grid, number.reshape(shape), coordinates, number[free], edge, legs, ends)


def _leg(
    domain: Domain, nodes: Real, level: Real, held: np.ndarray, free: Index, shape: tuple[int, ...],
    axis: int, side: int, step: float,
) -> Real:  # fmt: skip
    """(M,): how far the line along an axis stays in the domain from each free node, at most one step."""
    place = np.unravel_index(free, shape)[axis]
    beyond = place == (shape[axis] - 1) * side
    stride = int(np.prod(shape[axis + 1 :], dtype=int)) * (2 * side - 1)
    other = np.where(beyond, free, free + stride)
    # The level is never larger than the distance, so a line that leaves the domain is near it at one of its ends.
    doubtful = np.flatnonzero(beyond | ~held[other] | (-level[free] + np.maximum(-level[other], 0) <= step))
    start = nodes[free[doubtful]]
    direction = np.zeros(nodes.shape[1])
    direction[axis] = 2 * side - 1

    def outside(shares: Real, rows: Index) -> np.ndarray:
        return _level(domain, start[rows] + (shares * step)[:, None] * direction) > ROUNDING * domain.scale

    everyone = np.arange(len(doubtful))
    leaves = np.stack([outside(np.full(len(everyone), k / LOOKS), everyone) for k in range(1, LOOKS + 1)], axis=1)
    crossing = np.flatnonzero(leaves.any(axis=1))
    high = (leaves[crossing].argmax(axis=1) + 1) / LOOKS
    low = high - 1 / LOOKS
    for _ in range(52):
        middle = (low + high) / 2
        out = _level(domain, start[crossing] + (middle * step)[:, None] * direction) > 0
        low, high = np.where(out, low, middle), np.where(out, middle, high)
    legs = np.full(len(free), step)
    # A cut on the next node itself is that node where it is held: then the leg is whole.
    legs[doubtful[crossing]] = np.minimum(low, 1 - 1e-15) * step
    return legs


def _level(domain: Domain, coordinates: Real) -> Real:
    return np.asarray(domain.level(torch.from_numpy(np.ascontiguousarray(coordinates))).numpy())


def _entries(rows: Index, columns: Index, weights: Real) -> tuple[Index, Index, Real]:
    """The entries of matrix rows (R,), from their columns (R, K) and weights (R, K)."""
    return np.repeat(rows, columns.shape[1]), columns.ravel(), weights.ravel()
