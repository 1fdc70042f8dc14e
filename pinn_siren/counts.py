"""Does a problem have as many conditions on its sides as its equation's order along each axis?"""

from __future__ import annotations

from collections.abc import Iterator

from .conditions import Absorbing, Boundary, ConditionBase, Initial, Periodic
from .domains import Box, Sampler
from .errors import ProblemError
from .problem import Problem


def crowded(problem: Problem, sampler: Sampler) -> None:
    """More conditions on the two sides of an axis than the equation's order along it."""
    for axis, sides in _held(problem):
        held = [c for conditions in sides.values() for c in conditions]
        if len(held) <= problem.order(axis):
            continue
        side = max(sides, key=lambda name: len(sides[name]))
        raise ProblemError(
            f"The equation is of order {problem.order(axis)} along {axis} and takes as many conditions on both sides "
            f"together; here are {len(held)}, on {side!r} {_listed(sides[side])}: take away what is too much."
        )


def bare(problem: Problem, sampler: Sampler) -> Iterator[str]:
    """Fewer conditions on a side than an equation of fourth order needs."""
    if problem.ansatz is not None or any(not isinstance(c, Boundary | Initial | Periodic) for c in problem.conditions):
        return
    for axis, sides in _held(problem):
        order = problem.order(axis)
        for name, held in sides.items():
            if order >= 4 and len(held) < order // 2:
                yield (
                    f"The equation is of order {order} along {axis} and needs {order // 2} conditions on each side; "
                    f"{name!r} has {_listed(held) or 'none'}. A clamped plate has Dirichlet(0) and Neumann(0); a "
                    "supported one Dirichlet(0) and Condition(lambda p, u: u.laplacian)."
                )


def _held(problem: Problem) -> Iterator[tuple[str, dict[str, list[ConditionBase]]]]:
    """The conditions on the sides of every axis of a box, for a single unknown and orders of two and more.

    Where a condition holds on a part that a mask or a domain says, the sides are not counted.
    """
    sided = [c for c in problem.conditions if isinstance(c, Boundary | Absorbing)]
    whole = all(c.on is None or isinstance(c.on, str) for c in sided)
    if not isinstance(problem.domain, Box) or len(problem.fields) > 1 or not whole:
        return
    periodic = {c.axis for c in problem.conditions if isinstance(c, Periodic)}
    for axis in problem.domain.space_axes:
        if axis not in periodic and problem.order(axis) >= 2:
            names = [name for name in problem.domain.side_names() if problem.domain.side(name)[0] == axis]
            yield axis, {name: [c for c in sided if c.on in (None, name)] for name in names}


def _listed(conditions: list[ConditionBase]) -> str:
    return ", ".join(type(c).__name__ for c in conditions)
