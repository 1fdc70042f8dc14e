"""What patches can solve, and an equation's coefficients at points, read off the residual's linearization."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ..conditions import Constraint
from ..domains import Box, Sampler
from ..errors import ProblemError
from ..jet import LAPLACIAN, Jet, Plan, is_linear, linearize
from ..points import Points
from ..problem import Problem, record
from ..system import checked
from .square import KEYS

CHUNK = 2**16
"""Points whose residual is linearized at once."""
PROBED = 200
ELLIPTIC = 1e-4
"""The least size of an elliptic operator's principal symbol, in units of its coefficients; absorbing layers of
strength 5 reach 1e-2."""


class NotCoveredError(ProblemError):
    """The patches do not cover a problem; the message says why."""


def expect_covered(problem: Problem) -> None:
    """Raises ``NotCoveredError`` unless a problem is what patches solve.

    That is one field of a linear, elliptic equation of second order on a box of two space axes, with conditions on its
    whole boundary that determine it.
    """
    box = problem.domain
    if not isinstance(box, Box) or box.has_time or len(box.axes) != 2:
        raise NotCoveredError(f"Patches cut a Box of two space axes, not {box}.")
    if len(problem.fields) != 1 or problem.ansatz is not None or problem.is_fit or problem.free_constant:
        raise NotCoveredError(
            "Patches solve for one field that an equation and its boundary determine, without an ansatz."
        )
    equation, beside = stated(problem)
    sampler = Sampler(torch.Generator().manual_seed(1))
    for c in (equation, *beside):
        points = c.sample(PROBED, sampler)
        plan, _ = _recorded(problem, c, points[0])
        jets = [problem.random_fields(points[0], plan, sampler)]
        if not is_linear(partial(checked, c), points, jets):
            raise NotCoveredError(f"Patches solve linear problems, and the {c.name} residual is not linear.")
    principal = _linearized(problem, equation, equation.sample(PROBED, sampler)[0])[0][:, 3:]
    angle = torch.linspace(0, torch.pi, 181, dtype=torch.float64)
    waves = torch.stack([angle.cos() ** 2, angle.cos() * angle.sin(), angle.sin() ** 2]).to(principal.dtype)
    if bool(((principal @ waves).abs().amin(1) <= ELLIPTIC * principal.abs().amax(1)).any()):
        raise NotCoveredError("Patches solve elliptic equations of second order.")


class Kind:
    """An operator and its conditions on a domain, by their coefficients at some points."""

    def __init__(self, problem: Problem) -> None:
        sampler = Sampler(torch.Generator().manual_seed(1))
        self._problem = problem
        self._points = {c.name: c.sample(PROBED, sampler)[0] for c in _all(problem)}
        self._known = {c.name: _linearized(problem, c, self._points[c.name])[0] for c in _all(problem)}

    def holds(self, problem: Problem) -> bool:
        """Whether another problem differs in sources and data alone."""
        one, other = (
            (type(p), p.domain.bounds, p.physical_domain.bounds, [c.name for c in _all(p)])
            for p in (self._problem, problem)
        )
        return one == other and all(
            torch.allclose(_linearized(problem, c, self._points[c.name])[0], self._known[c.name], rtol=1e-10)
            for c in _all(problem)
        )


def expect_same_operator(problems: Sequence[Problem]) -> None:
    """Raises ``NotCoveredError`` unless patches cover the first problem and the others have its operator."""
    if not problems:
        raise NotCoveredError("Patches solve at least one problem, and there is none.")
    expect_covered(problems[0])
    kind = Kind(problems[0])
    for number, problem in enumerate(problems[1:], 2):
        if not kind.holds(problem):
            raise NotCoveredError(
                f"Problems solved at once differ in sources and data alone, and number {number} has another domain, "
                "operator or conditions than the first."
            )


def by_operator(problems: Sequence[Problem]) -> list[list[int]]:
    """The numbers of the problems that patches cover, those of one operator together."""
    kinds: list[tuple[Kind, list[int]]] = []
    for number, problem in enumerate(problems):
        try:
            for kind, members in kinds:
                if kind.holds(problem):
                    members.append(number)
                    break
            else:
                expect_covered(problem)
                kinds.append((Kind(problem), [number]))
        except NotCoveredError:
            continue
    return [members for _, members in kinds]


def definite(problem: Problem) -> bool:
    """Whether a real operator keeps one sign, as ``-laplacian u + c u`` with ``c >= 0`` does."""
    if problem.complex_valued:
        return False
    equation = stated(problem)[0]
    points = equation.sample(PROBED, Sampler(torch.Generator().manual_seed(1)))[0]
    c = _linearized(problem, equation, points)[0]
    return bool((c[:, 0] * c[:, 3] <= 0).all())


def coefficients(
    problems: Sequence[Problem], stated: Sequence[Constraint], p: Points, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """``(n, 6)`` coefficients of the first problem and ``(n, k)`` right sides of all."""
    pieces, right = [], []
    for start in range(0, len(p), CHUNK):
        part = p[start : start + CHUNK]
        c, value = _linearized(problems[0], stated[0], part)
        others = [_value(problem, c, part) for problem, c in zip(problems[1:], stated[1:], strict=True)]
        pieces.append(c.to(dtype))
        right.append(-torch.stack([value, *others], dim=1).to(dtype))
    return torch.cat(pieces), torch.cat(right)


def stated(problem: Problem) -> tuple[Constraint, list[Constraint]]:
    """The equation and the conditions beside it. Raises ``NotCoveredError`` for others than on the boundary."""
    equation, *beside = problem.constraints()
    for c in beside:
        if c.place is None or c.place.kind != "boundary" or c.reduce != "points":
            raise NotCoveredError(f"Patches take conditions on the boundary, and {c.name!r} is another.")
    return equation, beside


def _all(problem: Problem) -> list[Constraint]:
    equation, beside = stated(problem)
    return [equation, *beside]


def _zero(problem: Problem, p: Points, plan: Plan) -> tuple[Jet, ...]:
    dtype = torch.complex128 if problem.complex_valued else torch.float64
    return (Jet(torch.zeros(len(plan.keys), len(p), dtype=dtype), plan, p),)


def _recorded(problem: Problem, c: Constraint, p: Points) -> tuple[Plan, tuple[Tensor, ...]]:
    """The derivatives that a constraint asks for, pure second ones apart, and its parts for the zero field."""
    axes = problem.domain.axes
    asked = frozenset(axes) | {2 * a for a in axes}

    def evaluate(plan: Plan) -> tuple[Plan, tuple[Tensor, ...]]:
        return plan, checked(c, [p], [_zero(problem, p, plan)])

    plan, parts = record(evaluate, problem, asked)[0]
    if plan.order > 2 or LAPLACIAN in plan.index or len(parts) != 1:
        raise NotCoveredError(f"Patches solve for one field of second order, and the {c.name} residual is another.")
    return plan, parts


def _value(problem: Problem, c: Constraint, p: Points) -> Tensor:
    with torch.no_grad():
        return _recorded(problem, c, p)[1][0]


def _linearized(problem: Problem, c: Constraint, p: Points) -> tuple[Tensor, Tensor]:
    """``(n, 6)`` coefficients of the derivatives in the order of ``KEYS``, and ``(n,)`` the residual of zero."""
    plan, _ = _recorded(problem, c, p[:1])
    found = linearize(partial(checked, c), [p], [_zero(problem, p, plan)])
    if problem.complex_valued:
        blocks = found.complex_blocks()
        if blocks is None:
            raise NotCoveredError(f"The {c.name} residual takes real and imaginary part apart.")
        block, value = blocks[:, 0], torch.complex(found.values[:, 0], found.values[:, 1])
    else:
        block, value = found.coefficients[:, 0], found.values[:, 0]
    names = [column.key for column in found.columns if not column.imaginary]
    axes = dict(zip("xy", problem.domain.axes, strict=True))
    keys = ["".join(axes[a] for a in key) for key in KEYS]
    columns = [block[:, names.index(key)] if key in names else torch.zeros_like(value) for key in keys]
    return torch.stack(columns, dim=1), value


__all__ = [
    "NotCoveredError", "by_operator", "coefficients", "definite", "expect_covered", "expect_same_operator", "stated",
]  # fmt: skip
