"""Finite differences on a sequence of grids, timed one by one, and Richardson's extrapolation of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..errors import NoReferenceError, PinnSirenError
from ..points import TIME
from ..problem import Problem
from ..reference import GridSolution, estimate, weighted

COARSEST = (8, 16, 32, 64)
"""Cells along the longest axis of the first grid: the first of these that the solver takes."""
MOST_NODES = 1_200_000
"""Nodes in space of the finest grid: more would fill the memory before they fill a budget."""
MOST_LEVELS = 20_000_000
"""Nodes in space and time."""
FORMAL_ORDER = 2.0


@dataclass(frozen=True, eq=False)
class Level:
    """A solution on one grid, and the seconds that it took alone."""

    solution: GridSolution
    seconds: float

    @property
    def nodes(self) -> int:
        """Unknowns of the grid, boundary and all times included."""
        return math.prod(self.solution.shape)


def solve_grids(problem: Problem, budget: float, least: int = 3) -> list[Level]:
    """Grids of which each has twice the cells of the one before, as long as the next is likely to fit into ``budget``
    seconds in all; at least ``least`` of them.

    Raises ``NoReferenceError`` where no solver covers the problem.
    """
    started = time.perf_counter()
    cells, levels = _first(problem)
    while True:
        cells = {axis: 2 * n for axis, n in cells.items()}
        left = budget - (time.perf_counter() - started)
        enough = len(levels) >= least and _likely(levels, len(cells)) > left
        if enough or _nodes(cells, False) > MOST_NODES or _nodes(cells, True) > MOST_LEVELS:
            return levels
        levels.append(_timed(problem, cells))
        if levels[-1].solution.shape == levels[-2].solution.shape:
            raise NoReferenceError("The reference is known on one grid alone: there is no sequence of grids.")


def _first(problem: Problem) -> tuple[dict[str, int], list[Level]]:
    """The coarsest grid that the solver takes; solved twice, since the first solve pays for what is loaded then."""
    refused: PinnSirenError | None = None
    for resolution in COARSEST:
        cells = problem.cells(resolution)
        try:
            _timed(problem, cells)
            return cells, [_timed(problem, cells)]
        except PinnSirenError as error:
            refused = refused or error
    raise NoReferenceError(str(refused))


def _timed(problem: Problem, cells: dict[str, int]) -> Level:
    started = time.perf_counter()
    solved = problem.finite_differences(cells)
    seconds = time.perf_counter() - started
    # Weights serve to judge, not to solve.
    return Level(weighted(problem.physical_domain, solved), seconds)


def _likely(levels: Sequence[Level], axes: int) -> float:
    """Seconds that the next grid will take: it grows by as much as the last did, and by no less than the nodes."""
    last = levels[-1].seconds
    grown = last / max(levels[-2].seconds, 1e-6) if len(levels) > 1 else 1.0
    return last * max(grown, 2.0**axes)


def _nodes(cells: dict[str, int], times: bool) -> int:
    return math.prod(n + 1 for axis, n in cells.items() if times or axis != TIME)


def extrapolations(levels: Sequence[Level]) -> list[Level]:
    """Richardson's extrapolation of each three consecutive grids, on the middle one's nodes; their seconds summed.

    ``u_{h/4} + (u_{h/4} - u_{h/2}) / (2^q - 1)``, q the order observed over the three, at most the formal one. Left out
    are grids that show no order.
    """
    found = []
    for k in range(2, len(levels)):
        three = levels[k - 2 : k + 1]
        order, error = bar_of(three)
        if order is None or error is None:
            continue
        gain = 1 / (2 ** min(order, FORMAL_ORDER) - 1)
        coarse, fine = three[1].solution, picked(three[2].solution, three[1].solution)
        fields = {name: fine[name] + gain * (fine[name] - coarse.values[name]) for name in fine}
        solution = GridSolution(coarse.coordinates, fields, coarse.weights)
        found.append(Level(solution, sum(level.seconds for level in three)))
    return found


def bar_of(levels: Sequence[Level], formal_order: float = FORMAL_ORDER) -> tuple[float | None, float | None]:
    """The order observed over the last three grids, and the error bar of the finest."""
    return estimate([level.solution for level in levels[-3:]], formal_order)


def picked(grid: GridSolution, coarse: GridSolution) -> dict[str, NDArray[Any]]:
    """The fields on a coarser grid's nodes, which are every so many of the grid's own."""
    strides = [(fine - 1) // (few - 1) for fine, few in zip(grid.shape, coarse.shape, strict=True)]
    every = tuple(slice(None, None, stride) for stride in strides)
    return {name: values[every] for name, values in grid.values.items()}
