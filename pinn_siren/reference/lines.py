"""Grids that the solvers share: lines, their tensor products, and their nodes as points.

Everything is vertex-centred: a node owns the control volume between its neighbouring half nodes, half a cell at a side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from numpy.typing import NDArray

from ..domains import Box
from ..errors import NoReferenceError, ProblemError, UsageError
from ..points import TIME, Points
from . import fourth

Real = NDArray[np.float64]
Field = NDArray[Any]
"""Real, or complex where layers or data are."""
Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Line:
    """One space axis: ascending nodes, the stretch ``e`` of each cell, and whether the last node is the first again.

    ``nodes``: (cells + 1,), both ends, also where periodic; ``stretch``: (cells,), 1 outside absorbing layers;
    ``order`` 4 asks for the summation-by-parts operators of ``fourth.py``, on equal cells without stretch.
    """

    name: str
    nodes: Real
    stretch: Field
    periodic: bool = False
    order: int = 2

    @property
    def steps(self) -> Real:
        """(cells,): the cells' widths."""
        return np.diff(self.nodes)

    @property
    def size(self) -> int:
        """The number of unknowns: a periodic line's last node is its first."""
        return len(self.nodes) - 1 if self.periodic else len(self.nodes)

    @property
    def unknowns(self) -> Real:
        """(size,): the nodes that hold unknowns."""
        return self.nodes[: self.size]

    @property
    def middles(self) -> Real:
        """(cells,): the half nodes."""
        return (self.nodes[:-1] + self.nodes[1:]) / 2

    @property
    def masses(self) -> Field:
        """(size,): the integral of the stretch over each control volume; its width where there is no stretch."""
        if self.order == 4:
            return fourth.masses(len(self.steps), float(self.steps[0]), self.periodic)
        halves = self.steps * self.stretch / 2
        masses = np.zeros(len(self.nodes), dtype=halves.dtype)
        masses[:-1] += halves
        masses[1:] += halves
        if self.periodic:
            masses[0] += masses[-1]
        return masses[: self.size]

    @property
    def conductances(self) -> Field:
        """(cells,): 1 / (stretch times step), the flux through a half node for a unit difference."""
        return 1 / (self.steps * self.stretch)

    def difference(self) -> sparse.csr_array:
        """(cells, size): the right node's value minus the left one's."""
        cells = len(self.steps)
        rows = np.repeat(np.arange(cells), 2)
        columns = np.stack([np.arange(cells), np.arange(1, cells + 1)], axis=1).ravel() % self.size
        return sparse.csr_array((np.tile([-1.0, 1.0], cells), (rows, columns)), shape=(cells, self.size))

    def stiffness(self) -> sparse.csr_array:
        """(size, size): minus the second derivative times the masses, boundary fluxes left out; symmetric."""
        if self.order == 4:
            return fourth.stiffness(len(self.steps), float(self.steps[0]), self.periodic)
        gradient = self.difference()
        return sparse.csr_array(gradient.T @ sparse.diags_array(self.conductances) @ gradient)


@dataclass(frozen=True, eq=False)
class Grid:
    """The product of lines. ``axes`` are the problem's, in its order, time included where it has one."""

    axes: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Unknowns an axis."""
        return tuple(line.size for line in self.lines)

    @property
    def size(self) -> int:
        """Unknowns in all."""
        return math.prod(self.shape)

    def points(self, time: float | None = None) -> Points:
        """The unknowns' nodes, the last axis fastest."""
        return self.product([line.unknowns for line in self.lines], time)

    def product(self, coordinates: list[Real], time: float | None = None) -> Points:
        """Points on the product of given coordinates a space axis, at one time where the problem has time."""
        spread = iter(m.ravel() for m in np.meshgrid(*coordinates, indexing="ij"))
        count = math.prod(len(c) for c in coordinates)
        columns = [np.full(count, time) if axis == TIME else next(spread) for axis in self.axes]
        return Points(self.axes, torch.from_numpy(np.stack(columns, axis=1)))

    def half_points(self, axis: int, time: float | None = None) -> Points:
        """The half nodes along one axis, at the other axes' nodes."""
        return self.product([w.middles if i == axis else w.unknowns for i, w in enumerate(self.lines)], time)

    def volumes(self) -> Field:
        """(size,): the control volumes."""
        return outer([line.masses for line in self.lines])

    def full(self, unknowns: Field) -> Field:
        """Unknowns (size,) or (..., size) on all nodes (..., *nodes): the periodic ends are filled in."""
        field = unknowns.reshape(*unknowns.shape[:-1], *self.shape)
        for i, line in enumerate(self.lines):
            if line.periodic:
                place = field.ndim - len(self.lines) + i
                field = np.concatenate([field, field.take([0], axis=place)], axis=place)
        return field


def uniform(domain: Box, cells: Mapping[str, int], periodic: frozenset[str] = frozenset(), order: int = 2) -> Grid:
    """The grid of a box with ``cells[axis]`` equal cells along each space axis."""
    lines = []
    for axis in domain.space_axes:
        count = cell_count(cells, axis, fourth.LEAST_CELLS if order == 4 else 3 if axis in periodic else 2)
        nodes = np.linspace(*domain.bounds[axis], count + 1)
        lines.append(Line(axis, nodes, np.ones(count), axis in periodic, order))
    return Grid(domain.axes, tuple(lines))


def cell_count(cells: Mapping[str, int], axis: str, least: int = 2) -> int:
    """The cells asked for along an axis. Raises ``UsageError`` where there are none, or fewer than the scheme needs."""
    count = cells.get(axis)
    if not isinstance(count, int | np.integer) or count < least:
        raise UsageError(f"The grid needs cells[{axis!r}], a whole number of at least {least}; got {count!r}.")
    return int(count)


def space_dimensions(domain: Box, what: str, time: bool) -> None:
    """Raise ``NoReferenceError`` unless ``domain`` is a box of 1 to 3 space axes, with time or without as stated."""
    if not isinstance(domain, Box):
        raise NoReferenceError(f"The {what} reference needs a Box, got {domain}.")
    if not 1 <= len(domain.space_axes) <= 3:
        raise NoReferenceError(f"The {what} reference covers 1 to 3 space dimensions; {domain} has another number.")
    if domain.has_time != time:
        raise ProblemError(
            f"The {what} equation needs a box {'with' if time else 'without'} a time axis t; got {domain}."
        )


def outer(factors: list[Field]) -> Field:
    """The flattened outer product of one array an axis."""
    return reduce(np.multiply.outer, factors).ravel()
