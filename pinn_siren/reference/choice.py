"""Which classical solution a problem is compared with."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ..errors import NoReferenceError, UsageError, suggest
from ..problem import Problem
from .adaptive import solve_chebyshev
from .cells import weighted
from .convergence import converge, single
from .grid import GridSolution, Reference, trapezoidal
from .lines import Index

SHARE = 0.1
"""Of the tolerance: what a reference's own error should be at most."""
AGREE, NEAR = 1.5, 0.1
"""How far two references may differ, of the sum of their bars; relative, where finite differences have no bar."""

ASYMPTOTIC = 0.5
"""How far the observed order of a reference that replaces finite differences may lie from the formal one."""


def choose(problem: Problem, resolution: int | None, method: str, tolerance: float | None) -> Reference:
    """The reference by a method; ``"auto"``: finite differences, and where their bar is above a tenth of the tolerance,
    the smallest bar of what else covers the problem. Where there is one grid alone, that.

    Another reference knows the residual alone, so it must agree with the finite differences within both bars: a wrong
    sign in the residual must show. Raises ``NoReferenceError`` where nothing covers the problem, ``UsageError`` for
    another method.
    """
    others = {**problem.alternatives(), "chebyshev": lambda cells: solve_chebyshev(problem, _twice(cells))}
    known = ("auto", "finite-differences", *others)
    if method not in known:
        raise UsageError(
            f"method of a reference is one of {', '.join(map(repr, known))} here; got {method!r}."
            f"{suggest(method, known)}"
        )
    cells = problem.cells(resolution)
    if method in others:
        return others[method](cells)

    def solve_on(cells: dict[str, int]) -> GridSolution:
        return weighted(problem.physical_domain, problem.finite_differences(cells))

    if problem.one_grid:
        started = time.perf_counter()
        grid = solve_on({})
        return single(grid, problem.classical_method, time.perf_counter() - started)
    found = converge(solve_on, cells, method=problem.classical_method)
    if method == "finite-differences" or tolerance is None or problem.reference is not None or problem.is_fit:
        return found
    best, seconds = found, found.seconds
    for solve in others.values():
        if best.bar is not None and best.bar <= SHARE * tolerance:
            break
        try:
            other = solve(cells)
        except NoReferenceError:
            continue
        seconds += other.seconds
        better = other.bar is not None and (best.bar is None or other.bar < best.bar)
        if better and _asymptotic(other) and agree(found, other):
            best = other
    return replace(best, seconds=seconds)


def agree(one: Reference, other: Reference) -> bool:
    """Whether two references differ by no more than their bars, up to a half, on the nodes that they share.

    Where the first has no bar: whether they differ by less than a tenth, which a wrong sign does not.
    """
    assert other.bar is not None
    allowed = NEAR if one.bar is None else AGREE * (one.bar + other.bar)
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
    return bool(np.sqrt(gap) <= allowed * np.sqrt(size))


def _asymptotic(reference: Reference) -> bool:
    """Whether the observed order is near the formal one: far above it, grids are too coarse for the bar to be right."""
    order, formal = reference.observed_order, reference.formal_order
    return order is None or abs(order - formal) <= ASYMPTOTIC


def _twice(cells: dict[str, int]) -> dict[str, int]:
    return {axis: 2 * n for axis, n in cells.items()}
