"""Finite differences for the residual and the conditions of any problem: what every problem falls back on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

from ..domains import Box, Product
from ..errors import NoReferenceError
from ..joined import together
from ..points import TIME
from ..problem import Problem
from .block import Block
from .cells import weighted
from .cut import cut_nodes
from .discrete import Discretization, Source
from .factors import GIVE
from .grid import GridSolution
from .levels import march, quotients
from .lines import Field
from .nodes import Nodes, box_nodes
from .rows import Rows, lay_out

MOST_UNKNOWNS = {2: 70_000, 3: 40_000}
"""Of the finest of three grids, of fields that constraints join, by the number of space axes: what a sparse LU takes
seconds for."""
MOST_CELLS_FOURTH = 256
"""Of the finest grid along an axis of fourth order: rounding grows with the fourth power of the cells."""


def solve_residual(problem: Problem, cells: Mapping[str, int]) -> GridSolution:
    """Solve ``residual = 0`` with the conditions of a problem, on one grid, for the values of its outputs.

    Vertex-centred differences of second order: central inside, one-sided on the boundary, with ghosts behind it for
    equations of third and fourth order; backward in time (see ``levels.quotients``). The fields at all nodes are the
    unknowns; the linearization of the residual gives a point's coefficients, and Newton's method with a sparse LU the
    fields, one step where the problem is linear. Which row stands where: ``rows.lay_out``. Of a nonlinear equation with
    several solutions the one is found that Newton's method reaches from zero, or from the level before.

    Raises ``NoReferenceError`` where this does not cover the problem, or finds no solution.
    """
    nodes = nodes_of(problem, cells)
    times, scheme = np.zeros(1), quotients(1.0)
    if problem.domain.has_time:
        times = np.linspace(*problem.domain.bounds[TIME], cells[TIME] + 1)
        scheme = quotients(float(times[1] - times[0]))
    d = Discretization(problem, nodes, times, scheme)
    rows = lay_out(d)
    found = march(d, rows) if problem.domain.has_time else [_steady(d, rows)]
    return _reported(problem, nodes, times, np.stack(found))


def affordable(problem: Problem, cells: Mapping[str, int]) -> dict[str, int]:
    """At most so many cells on the coarsest of three grids that the finest is solved in seconds."""
    axes = problem.domain.space_axes
    orders = {a: problem.order(a) for a in axes}
    fourth = max(orders.values(), default=0) > 2
    size = math.prod(4 * cells[a] for a in axes) * together(problem) * (1 + fourth)
    fit = min(1.0, (MOST_UNKNOWNS.get(len(axes), size) / size) ** (1 / max(1, len(axes))))
    limit = {a: MOST_CELLS_FOURTH // 4 if orders[a] > 2 else cells[a] for a in axes}
    return {a: min(limit[a], max(4, int(n * fit))) if a in limit else n for a, n in cells.items()}


def nodes_of(problem: Problem, cells: Mapping[str, int], accuracy: int = 2) -> Nodes:
    """The nodes of a problem's space; of an ``accuracy`` above two on boxes only."""
    domain = problem.domain
    if not isinstance(domain, Box):
        return cut_nodes(domain.space if isinstance(domain, Product) else domain, cells)
    if len(domain.space_axes) > 3:
        raise NoReferenceError(f"The finite-difference solver takes up to 3 space axes; {domain} has more: {GIVE}")
    orders = {a: problem.order(a) for a in domain.space_axes}
    periodic: dict[str, int] = {}
    for c in problem.constraints():
        if c.place is not None and c.place.kind == "periodic":
            assert c.place.axis is not None
            periodic[c.place.axis] = periodic.get(c.place.axis, 0) + 1
    for axis, count in periodic.items():
        if count != len(problem.fields):
            raise NoReferenceError(
                f"Periodic({axis!r}) holds for {count} of {len(problem.fields)} fields; the solver needs all: {GIVE}"
            )
    return box_nodes(domain, cells, orders, periodic, accuracy)


def _steady(d: Discretization, rows: Rows) -> Field:
    mean = d.problem.free_constant and d.fields == 1 and not rows.split
    block = Block(d, rows, lambda level: [Source(stated, level, part) for stated, part in rows.pieces], mean)
    zero: Field = np.zeros((1, d.fields, len(d.nodes.coordinates)), dtype=d.dtype)
    return np.asarray(block.solve((0,), {}, zero)[0])


def _reported(problem: Problem, nodes: Nodes, times: np.ndarray, found: Field) -> GridSolution:
    """The outputs on the grid, in the problem's order of axes, without an absorbing layer."""
    grids = np.stack([[nodes.on_grid(u) for u in level] for level in found])
    flat = torch.from_numpy(np.moveaxis(grids, 1, -1).reshape(-1, grids.shape[1]))
    outputs = problem.observe(flat).numpy().reshape(grids.shape[:1] + grids.shape[2:] + (-1,))
    outputs = np.moveaxis(outputs, 0, problem.domain.axes.index(TIME)) if problem.domain.has_time else outputs[0]
    coordinates = {a: times if a == TIME else nodes.grid[a] for a in problem.domain.axes}
    kept = {}
    for a, (low, high) in problem.physical_domain.bounds.items():
        slack = 1e-9 * (high - low)
        kept[a] = (coordinates[a] >= low - slack) & (coordinates[a] <= high + slack)
    outputs = outputs[np.ix_(*kept.values())]
    values = {name: np.ascontiguousarray(outputs[..., i]) for i, name in enumerate(problem.outputs)}
    if problem.free_constant:
        grid = GridSolution({a: coordinates[a][kept[a]] for a in kept}, {})
        weights = weighted(problem.physical_domain, grid).quadrature()
        for name, u in values.items():
            known = ~np.isnan(u)
            values[name] = u - np.average(u[known], weights=weights[known])
    return GridSolution({a: coordinates[a][kept[a]] for a in kept}, values)
