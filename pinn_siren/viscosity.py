"""viscosity(solution): are travel times first arrivals, by causality and by fast marching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import UsageError
from .reference.causality import Causality, causality
from .solution import Solution
from .validation import SLOWNESS, relative_l2, slowness_on, solve_reference


@dataclass(frozen=True)
class Viscosity:
    """``causality``: whether every value comes from a smaller one; ``difference``: relative L2, to fast marching, whose
    own error is ``bar``. Prints as one line."""

    causality: Causality
    difference: float | None
    bar: float | None

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against first arrivals: the values are causal, and near to those of fast marching."""
        return self.causality.holds and self.difference is not None and self.difference <= LARGEST

    def __str__(self) -> str:
        own = "" if self.bar is None else f" (its own error is {self.bar:.1e})"
        return f"{self.causality}; {self.difference:.1e} from fast marching{own}"


LARGEST = 0.05
"""Relative L2: farther from fast marching, travel times are those of another solution."""


def viscosity(solution: Solution, resolution: int | None = None) -> Viscosity:
    """Whether a solution of the eikonal equation is the viscosity solution, the first arrival.

    ``|grad T| = slowness`` has folded solutions too, whose residual vanishes nearly everywhere. ``resolution``: cells
    of the coarsest of fast marching's three grids along the longest axis. Raises ``UsageError`` where the problem is
    not at hand, or has no travel times.
    """
    problem = solution.problem
    if problem is None:
        raise UsageError("A loaded solution has no problem to check; pinn-siren verify checks its folder.")
    reference = solve_reference(problem, resolution, method="finite-differences")
    grid = reference.best
    slowness = slowness_on(problem, grid)
    if not slowness:
        raise UsageError(f"{type(problem).__name__} has no travel times: this check is for Eikonal.")
    name = problem.outputs[0]
    found = solution.on_grid(grid.coordinates)[name]
    known = np.where(np.isnan(found), np.nan, grid.values[name])
    gap = relative_l2(found, known, grid.quadrature())
    return Viscosity(causality(found, slowness[SLOWNESS], grid.coordinates), gap, reference.bar)
