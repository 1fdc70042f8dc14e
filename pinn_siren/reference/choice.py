"""Which classical solution a problem is compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import NoReferenceError, UsageError, suggest
from ..problem import Problem
from .adaptive import solve_chebyshev
from .cells import weighted
from .convergence import converge
from .grid import GridSolution, Reference, trapezoidal
from .lines import Index

METHODS = ("auto", "finite differences", "chebyshev")
SHARE = 0.1
"""Of the tolerance: what a reference's own error should be at most."""
AGREE = 1.5
"""How far two references may differ, of the sum of their bars."""


def choose(problem: Problem, resolution: int | None, method: str, tolerance: float | None) -> Reference:
    """The reference by a method; ``"auto"``: finite differences, and where their bar is above a tenth of the tolerance,
    the smallest bar of what else covers the problem.

    Another reference knows the residual alone, so it must agree with the finite differences within both bars: a wrong
    sign in the residual must show. Raises ``NoReferenceError`` where nothing covers the problem, ``UsageError`` for
    another method.
    """
    if method not in METHODS:
        raise UsageError(f"method is one of {', '.join(map(repr, METHODS))}; got {method!r}.{suggest(method, METHODS)}")
    cells = problem.cells(resolution)
    if method == "chebyshev":
        return solve_chebyshev(problem, _twice(cells))

    def solve_on(cells: dict[str, int]) -> GridSolution:
        return weighted(problem.physical_domain, problem.finite_differences(cells))

    found = converge(solve_on, cells, method=problem.classical_method)
    enough = tolerance is None or (found.bar is not None and found.bar <= SHARE * tolerance)
    if method == "finite differences" or enough or problem.reference is not None or problem.is_fit:
        return found
    try:
        other = solve_chebyshev(problem, _twice(cells))
    except NoReferenceError:
        return found
    better = other.bar is not None and (found.bar is None or other.bar < found.bar)
    if better and found.bar is not None and agree(found, other):
        return replace(other, seconds=found.seconds + other.seconds)
    return found


def agree(one: Reference, other: Reference) -> bool:
    """Whether two references differ by no more than their bars, up to a half, on the nodes that they share."""
    assert one.bar is not None and other.bar is not None
    gap = size = 0.0
    picks = list[tuple[Index, Index]]()
    for axis, nodes in one.best.coordinates.items():
        slack = 1e-9 * (nodes[-1] - nodes[0])
        at = np.searchsorted(other.best.coordinates[axis], nodes - slack).clip(
            max=len(other.best.coordinates[axis]) - 1
        )
        shared = np.abs(other.best.coordinates[axis][at] - nodes) <= slack
        picks.append((np.flatnonzero(shared), at[shared]))
    if any(len(mine) < 2 for mine, _ in picks):
        return False
    weights = np.ones(())
    for (mine, _), nodes in zip(picks, one.best.coordinates.values(), strict=True):
        weights = np.multiply.outer(weights, trapezoidal(nodes[mine]))
    for name, u in one.best.values.items():
        theirs = other.best.values[name][np.ix_(*(t for _, t in picks))]
        gap += float((weights * np.abs(u[np.ix_(*(m for m, _ in picks))] - theirs) ** 2).sum())
        size += float((weights * np.abs(theirs) ** 2).sum())
    return bool(np.sqrt(gap) <= AGREE * (one.bar + other.bar) * np.sqrt(size))


def _twice(cells: dict[str, int]) -> dict[str, int]:
    return {axis: 2 * n for axis, n in cells.items()}
