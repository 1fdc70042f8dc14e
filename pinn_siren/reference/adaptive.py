"""Chebyshev elements that fit a problem, found from its data and its solution, and three degrees on them."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch

from ..conditions import Constraint
from ..errors import NoReferenceError
from ..jet import Jet, Plan, linearize
from ..points import Points
from ..problem import Problem, record
from ..system import checked
from .chebyshev import Axis, tails, unit_nodes
from .collocation import Collocation, covered
from .convergence import judged
from .elements import Elements
from .grid import GridSolution, Reference
from .lines import Field, Real

METHOD = "Chebyshev collocation of the residual on elements"
DEGREES = {1: (16, 20, 24), 2: (14, 17, 20), 3: (8, 10, 12)}
"""By the number of axes."""
MOST_ELEMENTS = {1: 400, 2: 400, 3: 12}
RESOLVED = 2e-9
"""The last Chebyshev coefficients of the solution at the least degree, of its largest value."""
SEEN = 1e-4
"""The same of the data: so far that no narrow source or medium is missed; the solution says what else is needed."""
JUMP = 1e-2
"""Data that no element resolves better than this are not smooth."""
ROUNDS = 12
INSET = 1e-9
"""How far inside an element its data are looked at, in units of its width: they may jump between elements."""

Breaks = dict[str, list[float]]


def solve_chebyshev(
    problem: Problem, cells: Mapping[str, int], breaks: Mapping[str, list[float]] | None = None
) -> Reference:
    """Solve ``residual = 0`` by Chebyshev collocation on elements, at three degrees.

    One field of second order on a box without time, linear or not, real or complex: tensor Chebyshev nodes in each
    element, the equation inside, equal slopes between, the conditions on the boundary; coefficients are the residual's
    linearization. Elements are cut where the data, then where the solution is not resolved, and at the edge of an
    absorbing layer; ``breaks``: axis to more places, where coefficients jump. Orszag (1980),
    doi 10.1016/0021-9991(80)90005-4; Martinsson (2013), doi 10.1016/j.jcp.2013.02.019.

    ``cells``: of the uniform grid of the physical region that all three are shown on; the bar is twice the difference
    of the last two. Raises ``NoReferenceError`` where this does not cover the problem, or its data are not smooth.
    """
    began = time.perf_counter()
    equation, _, periodic = covered(problem)
    degrees = DEGREES[len(problem.domain.axes)]
    cuts = _start(problem, breaks or {})
    _resolve_data(problem, equation, cuts, degrees[0])
    guess = _resolve_solution(problem, cuts, periodic, degrees[0])
    grid = {
        a: np.linspace(low, high, max(4, cells[a]) + 1) for a, (low, high) in problem.physical_domain.bounds.items()
    }
    levels = []
    for degree in degrees:
        elements = _elements(problem, cuts, periodic, degree)
        before, found = guess
        lines = [a.nodes for a in elements.axes]
        found = found if degree == degrees[0] else Collocation(problem, elements).solve(
            before.interpolate(found, lines).ravel()
        )  # fmt: skip
        guess = elements, found
        levels.append(GridSolution(grid, {problem.outputs[0]: elements.interpolate(found, list(grid.values()))}))
    coarse, middle, fine = levels
    return judged((coarse, middle, fine), METHOD, float("inf"), time.perf_counter() - began)


def _start(problem: Problem, breaks: Mapping[str, list[float]]) -> Breaks:
    """The ends of the axes, the edges of an absorbing layer, and the places that are given."""
    cuts = {}
    physical = problem.physical_domain.bounds
    for axis, (low, high) in problem.domain.bounds.items():
        inner = {float(b) for b in (*physical[axis], *breaks.get(axis, [])) if low < b < high}
        cuts[axis] = [low, *sorted(inner), high]
    return cuts


def _resolve_data(problem: Problem, equation: Constraint, cuts: Breaks, degree: int) -> None:
    """Halve intervals until the equation's coefficients and sources are resolved on every element."""
    for _ in range(ROUNDS):
        elements = _elements(problem, cuts, set(), degree)
        worst = _tails(_data(problem, equation, elements, cuts), elements)
        if not _halve(cuts, worst, SEEN):
            break
    if max(float(w.max()) for w in worst.values()) > JUMP:
        raise NoReferenceError("The equation's coefficients or sources are not smooth: Chebyshev elements need that.")


def _data(problem: Problem, equation: Constraint, elements: Elements, cuts: Breaks) -> list[Field]:
    """(elements, (n + 1)^d) each: the residual of the zero field, and its linearization there, inside the elements."""
    places = [
        (line[:-1, None] + line[1:, None]) / 2 + np.diff(line)[:, None] / 2 * (1 - INSET) * unit_nodes(axis.degree)
        for line, axis in ((np.array(cuts[a.name]), a) for a in elements.axes)
    ]
    mesh = np.meshgrid(*(p.ravel() for p in places), indexing="ij")
    points = Points(problem.domain.axes, torch.from_numpy(np.stack([m.ravel() for m in mesh], axis=1)))

    def evaluate(plan: Plan) -> list[Field]:
        kind = torch.complex128 if problem.complex_valued else torch.float64
        zero = Jet(torch.zeros(len(plan.keys), len(points), dtype=kind), plan, points)
        seen = linearize(lambda at, free: checked(equation, at, free), [points], [(zero,)])
        return [v.numpy() for v in (*seen.values.T, *seen.coefficients.flatten(1).T)]

    found, _ = record(evaluate, problem, problem.derivatives)
    shape = [n for p in places for n in p.shape]
    d = len(places)
    order = [*range(0, 2 * d, 2), *range(1, 2 * d, 2)]
    return [np.transpose(v.reshape(shape), order) for v in found if np.isfinite(v).all() and v.any()]


def _resolve_solution(problem: Problem, cuts: Breaks, periodic: set[str], degree: int) -> tuple[Elements, Field]:
    """Halve intervals until the solution is resolved too; the elements and the solution on them."""
    guess: Field | None = None
    before: Elements | None = None
    for _ in range(ROUNDS):
        elements = _elements(problem, cuts, periodic, degree)
        if before is not None and guess is not None:
            guess = before.interpolate(guess, [a.nodes for a in elements.axes]).ravel()
        guess, before = Collocation(problem, elements).solve(guess), elements
        shape = [n for a in elements.axes for n in (a.elements,)] + [degree + 1] * len(elements.axes)
        if not _halve(cuts, _tails([guess[elements.members].reshape(shape)], elements), RESOLVED):
            break
    else:
        elements = _elements(problem, cuts, periodic, degree)
        guess = Collocation(problem, elements).solve()
        before = elements
    assert before is not None and guess is not None
    return before, guess


def _elements(problem: Problem, cuts: Breaks, periodic: set[str], degree: int) -> Elements:
    return Elements(tuple(Axis(a, np.array(cuts[a]), degree, a in periodic) for a in problem.domain.axes))


def _tails(fields: list[Field], elements: Elements) -> dict[str, Real]:
    """By axis, ``(intervals,)``: the largest tail in any element over that interval, of the field's largest value."""
    d = len(elements.axes)
    found = {a.name: np.zeros(a.elements) for a in elements.axes}
    for u in fields:
        size = float(np.abs(u).max()) or 1.0
        for i, a in enumerate(elements.axes):
            others = [j for j in range(d) if j != i]
            own = tails(u, d + i).max(axis=tuple(others + [d + j - (j > i) for j in others])) if d > 1 else tails(u, 1)
            found[a.name] = np.maximum(found[a.name], own / size)
    return found


def _halve(cuts: Breaks, worst: dict[str, Real], enough: float) -> bool:
    """Halve every interval that is not resolved, as far as there is room; whether anything was halved."""
    most = MOST_ELEMENTS[len(cuts)]
    changed = False
    ranked = sorted(((float(w[i]), a, i) for a, w in worst.items() for i in range(len(w)) if w[i] > enough))
    count = {a: len(line) - 1 for a, line in cuts.items()}
    middles: dict[str, list[float]] = {a: [] for a in cuts}
    for _, a, i in reversed(ranked):
        after = {**count, a: count[a] + 1}
        if np.prod(list(after.values())) > most:
            continue
        middles[a].append((cuts[a][i] + cuts[a][i + 1]) / 2)
        count, changed = after, True
    for a, more in middles.items():
        cuts[a] = sorted([*cuts[a], *more])
    return changed
