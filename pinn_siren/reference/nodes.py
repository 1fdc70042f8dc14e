"""Nodes of a region of space, and the difference matrices between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from ..domains import Box
from .lines import Field, Index, Real

EXTRAPOLATION = 5
"""Nodes of the line that a ghost is extrapolated from where it is no unknown: beside corners and edges."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes of a region of space, without time, and difference matrices between them.

    ``coordinates``: (N, d), of all unknown nodes; ``inside``: those where the equation is always stated; ``boundary``
    and ``outward``: (B,) nodes and (B, d) unit normals, matched, a corner once for each of its faces. What is neither
    is a ghost, behind the boundary node next to it.

    ``derivative(key)``: (N, N), row i the derivative named by axis letters at node i, of second order: central inside,
    one-sided on the boundary where nothing lies behind it, first derivatives of third order there; ``""`` is the
    identity. ``grid``: the nodes an axis of the tensor grid that answers are reported on; ``on_grid``: (N,) values to
    that grid's shape, NaN outside the region.
    """

    space_axes: tuple[str, ...]
    coordinates: Real
    inside: Index
    boundary: Index
    outward: Real
    derivative: Callable[[str], sparse.csr_matrix]
    grid: dict[str, Real]
    on_grid: Callable[[Field], Field]


def box_nodes(
    box: Box,
    cells: Mapping[str, int],
    order_by_axis: Mapping[str, int],
    periodic: Collection[str] = (),
    accuracy: int = 2,
) -> Nodes:
    """The nodes of a uniform grid on the space axes of a box, both ends included.

    ``order_by_axis``: the equation's order along each axis; from three on, ``ceil(order / 2) - 1`` layers of ghosts lie
    behind each face, none beside its edges: there they are extrapolated along the face's normal by a polynomial of
    degree four. Along ``periodic`` axes the last node is the first, and there is no boundary. ``accuracy``: the formal
    order of the differences, even, above two for equations of at most second order only.
    """
    lines = [_line(box.bounds[a], cells[a], order_by_axis.get(a, 2), a in periodic, accuracy) for a in box.space_axes]
    full = _Tensor(box.space_axes, tuple(lines))
    number = np.full(full.size, -1)
    number[full.unknown] = np.arange(full.unknown.sum())
    inner, spread = np.flatnonzero(full.unknown), full.filled()
    boundary, outward = full.boundary()

    @lru_cache(maxsize=64)
    def derivative(key: str) -> sparse.csr_matrix:
        factors = [line.matrix(key.count(a)) for a, line in zip(box.space_axes, lines, strict=True)]
        whole = reduce(lambda a, b: sparse.kron(a, b, format="csr"), factors, sparse.csr_matrix(np.ones((1, 1))))
        return sparse.csr_matrix(whole[inner] @ spread)

    def on_grid(values: Field) -> Field:
        return values[number[full.reported]]

    return Nodes(
        box.space_axes,
        full.coordinates[full.unknown],
        number[full.inside],
        number[boundary],
        outward,
        derivative,
        {a: np.linspace(*box.bounds[a], cells[a] + 1) for a in box.space_axes},
        on_grid,
    )


@dataclass(frozen=True)
class _Line:
    """A uniform line of ``cells`` cells from ``low`` with ``layers`` ghosts at both ends, or one that closes."""

    low: float
    step: float
    cells: int
    layers: int
    periodic: bool
    accuracy: int

    @property
    def size(self) -> int:
        return self.cells if self.periodic else self.cells + 1 + 2 * self.layers

    @property
    def depth(self) -> NDArray[np.int64]:
        """(size,): 0 inside, 1 at the ends, 1 + g for the ghosts of layer g."""
        if self.periodic:
            return np.zeros(self.size, dtype=np.int64)
        place = np.arange(self.size) - self.layers
        return np.maximum(0, 1 + np.maximum(-place, place - self.cells))

    def matrix(self, order: int) -> sparse.csr_matrix:
        """(size, size): the derivative of an order at every node."""
        rows, columns, entries = [], [], []
        half = (order + 1) // 2 + self.accuracy // 2 - 1
        # A slope of one order more keeps the error of Neumann and traction sides below that inside.
        width = order + self.accuracy + (order == 1)
        for i in range(self.size):
            if self.periodic or half <= i < self.size - half:
                nodes = np.arange(i - half, i + half + 1)
            else:
                first = min(max(0, i - width // 2), self.size - width)
                nodes = np.arange(first, first + width)
            rows += [i] * len(nodes)
            columns += (nodes % self.size).tolist()
            entries += (_weights(tuple((nodes - i).tolist()), order) / self.step**order).tolist()
        return sparse.csr_matrix((entries, (rows, columns)), shape=(self.size, self.size))


def _line(bounds: tuple[float, float], cells: int, order: int, periodic: bool, accuracy: int) -> _Line:
    low, high = bounds
    layers = 0 if periodic else max(0, (order + 1) // 2 - 1)
    return _Line(low, (high - low) / cells, cells, layers, periodic, accuracy)


@lru_cache(maxsize=256)
def _weights(offsets: tuple[int, ...], order: int) -> Real:
    """The weights at whole offsets that give a derivative at 0 of every polynomial of degree < ``len(offsets)``."""
    powers = np.vander(np.array(offsets, dtype=np.float64), increasing=True).T
    right = np.zeros(len(offsets))
    right[order] = math.factorial(order)
    weights = np.linalg.solve(powers, right)
    return np.where(np.abs(weights) < 1e-12, 0.0, weights)


@dataclass(frozen=True, eq=False)
class _Tensor:
    """The product of lines, ghosts and their corners included, the last axis fastest."""

    axes: tuple[str, ...]
    lines: tuple[_Line, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(line.size for line in self.lines)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def coordinates(self) -> Real:
        sides = [line.low + line.step * (np.arange(line.size) - line.layers) for line in self.lines]
        mesh = np.meshgrid(*sides, indexing="ij")
        return np.stack([m.ravel() for m in mesh], axis=1) if mesh else np.zeros((1, 0))

    @property
    def depth(self) -> NDArray[np.int64]:
        """(size, d): the lines' depths."""
        mesh = np.meshgrid(*(line.depth for line in self.lines), indexing="ij")
        return np.stack([m.ravel() for m in mesh], axis=1) if mesh else np.zeros((1, 0), dtype=np.int64)

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """All real nodes, and the ghosts that lie straight behind the inner nodes of one face."""
        depth = self.depth
        return np.asarray((depth <= 1).all(axis=1) | ((depth > 1).sum(axis=1) == 1) & ((depth > 0).sum(axis=1) == 1))

    @property
    def inside(self) -> Index:
        return np.flatnonzero((self.depth == 0).all(axis=1))

    @property
    def reported(self) -> NDArray[np.int64]:
        """The real nodes, in the shape of the grid with both ends."""
        places = [(np.arange(line.cells + 1) + line.layers) % line.size for line in self.lines]
        mesh = np.meshgrid(*places, indexing="ij")
        return np.asarray(np.ravel_multi_index(mesh, self.shape)) if mesh else np.zeros((), dtype=np.int64)

    def boundary(self) -> tuple[Index, Real]:
        """The nodes of each face and its normal."""
        places = np.indices(self.shape).reshape(len(self.lines), self.size).T
        real = (self.depth <= 1).all(axis=1)
        nodes, normals = [np.zeros(0, dtype=np.intp)], [np.zeros((0, len(self.lines)))]
        for i, line in enumerate(self.lines):
            for sign, end in ((-1.0, line.layers), (1.0, line.layers + line.cells)):
                if line.periodic:
                    continue
                face = np.flatnonzero(real & (places[:, i] == end))
                normal = np.zeros((len(face), len(self.lines)))
                normal[:, i] = sign
                nodes.append(face)
                normals.append(normal)
        return np.concatenate(nodes), np.concatenate(normals)

    def filled(self) -> sparse.csr_matrix:
        """(size, unknowns): every node from the unknown ones, ghosts beside edges by extrapolation."""
        unknown, depth = self.unknown, self.depth
        places = np.indices(self.shape).reshape(len(self.lines), self.size)
        known = np.flatnonzero(unknown)
        rows, columns, entries = [known], [known], [np.ones(len(known))]
        for node in np.flatnonzero(~unknown):
            axis = int(np.argmax(depth[node] > 1))
            line, at = self.lines[axis], places[:, node]
            inward = 1 if at[axis] < line.layers else -1
            end = line.layers if inward == 1 else line.layers + line.cells
            others = np.repeat(at[:, None], EXTRAPOLATION, axis=1)
            others[axis] = end + inward * np.arange(EXTRAPOLATION)
            rows.append(np.full(EXTRAPOLATION, node))
            columns.append(np.ravel_multi_index(tuple(others), self.shape))
            distance = int(abs(end - at[axis]))
            entries.append(_weights(tuple(range(distance, distance + EXTRAPOLATION)), 0))
        once = sparse.csr_matrix(
            (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(self.size, self.size)
        )
        # A ghost behind an edge is made of ghosts beside it: as many steps as it lies outside axes.
        steps = itertools.repeat(once, max(1, len(self.lines)))
        return sparse.csr_matrix(reduce(lambda a, b: a @ b, steps)[:, known])
