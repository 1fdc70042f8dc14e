"""Finite differences on a sequence of grids, timed one by one, and Richardson's extrapolation of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import NoReferenceError, PinnSirenError
from ..points import TIME
from ..problem import Problem
from ..reference import GridSolution, Reference, estimate, extrapolate, weighted

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
    """Richardson's extrapolation of each three consecutive grids, on the coarsest one's nodes; their seconds summed.

    Left out are grids that show no order.
    """
    found = []
    for k in range(2, len(levels)):
        three = levels[k - 2 : k + 1]
        reference = judged("", [level.solution for level in three])
        if reference.error is not None and reference.observed_order is not None:
            found.append(Level(extrapolate(reference), sum(level.seconds for level in three)))
    return found


def judged(method: str, solutions: Sequence[GridSolution], formal_order: float = FORMAL_ORDER) -> Reference:
    """The last three grids with their observed order and error bar."""
    coarse, middle, fine = solutions[-3:]
    order, error = estimate((coarse, middle, fine), formal_order)
    return Reference(method, (coarse, middle, fine), formal_order, order, error, 0.0)
