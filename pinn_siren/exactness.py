"""Does the exact solution that a problem carries satisfy it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .conditions import Constraint
from .domains import Sampler
from .errors import ProblemError
from .jet import LAPLACIAN, Jet, Plan, lift, make_plan
from .points import Points
from .problem import Problem, exact_outputs, record
from .system import checked

EXACT_TOLERANCE = 1e-6
"""How large the exact solution's residual may be, of the size of its own terms."""


def exact_solution(problem: Problem, sampler: Sampler) -> Iterator[str]:
    """``exact`` satisfies the equation, and every condition, judged against the size of their own terms.

    An ``exact`` that torch cannot differentiate (a table, a special function of another library) is left unchecked.
    """
    if problem.exact is None or problem.stated_fields != problem.outputs:
        return
    region = problem.physical_domain
    inside = region.interior(100, sampler)
    exact_outputs(problem, inside)
    for c in problem.constraints():
        points = c.sample(100, sampler)
        known = torch.stack([region.contains(p.coordinates) for p in points]).all(0)
        points = [p[known] for p in points]
        if not bool(known.any()) or (c.reduce == "mean" and not bool(known.all())):
            continue
        try:
            left, size = _left_over(problem, c, points, inside)
        except _NotDifferentiableError:
            return
        if size == 0 or left <= max(EXACT_TOLERANCE, c.slack) * size:
            continue
        message = (
            f"exact does not satisfy the {c.name}: its residual is {left:.2e}, where a change of the field by its own "
            f"size makes {size:.2e}. Look at signs and factors in exact, the source and the data."
        )
        if c.name.startswith("equation"):
            raise ProblemError(message)
        yield message


class _NotDifferentiableError(Exception):
    """The exact solution is no differentiable torch function."""


def _left_over(problem: Problem, c: Constraint, points: list[Points], inside: Points) -> tuple[float, float]:
    """Root mean squares of the exact solution's residual, and of the change that another field makes."""

    def evaluate(plan: Plan) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        exact = [_exact_fields(problem, c, p, plan) for p in points]
        # Sizes from inside: on a boundary where u = 0 the field has no size of its own.
        sizes = _sizes(problem, inside, plan) * (len(problem.fields) // len(problem.outputs))
        other = [tuple(_disturbed(u, s, generator) for u, s in zip(jets, sizes, strict=True)) for jets in exact]
        return torch.stack(checked(c, points, exact)), torch.stack(checked(c, points, other))

    left, disturbed = record(evaluate, problem)[0]
    known = torch.isfinite(left) & torch.isfinite(disturbed)
    if not bool(known.any()):
        return 0.0, 0.0
    if c.reduce == "mean" and not bool(known.all()):
        return 0.0, 0.0
    size = float((disturbed - left)[known].abs().square().mean().sqrt())
    return float(c.square(left[known]).sqrt()), size


def _exact_fields(problem: Problem, c: Constraint, p: Points, plan: Plan) -> tuple[Jet, ...]:
    """Jets of the exact solution as those of all fields; on interfaces each side's is that side's limit."""
    sides = problem.sides
    if sides is None or c.place is None or c.place.kind != "interface":
        return _exact_jets(problem, p, plan) * (1 if sides is None else len(sides))
    behind, before = (_exact_jets(problem, sides.moved(p, step), plan) for step in (-1, 1))
    inner, _ = sides.beside(p)
    return tuple(
        Jet(torch.where(inner == k, one.channels, other.channels), plan, p)
        for k in range(len(sides))
        for one, other in zip(behind, before, strict=True)
    )


def _exact_jets(problem: Problem, p: Points, plan: Plan) -> tuple[Jet, ...]:
    """Jets of the exact solution by autograd."""

    def output(i: int) -> Callable[[Points], Tensor]:
        def one(q: Points) -> Tensor:
            part = exact_outputs(problem, q)[i]
            return part.to(torch.complex128) if problem.complex_valued else part

        return one

    try:
        jets = tuple(lift(output(i), p, plan) for i in range(len(problem.outputs)))
    except (RuntimeError, TypeError) as error:
        raise _NotDifferentiableError from error
    for i, u in enumerate(jets):
        varies = float((u.value - u.value[:1]).abs().max()) > 0
        if varies and plan.order and not bool((u.channels[1:] != 0).any()) and not _has_graph(output(i), p):
            raise _NotDifferentiableError
    return jets


def _has_graph(one: Callable[[Points], Tensor], p: Points) -> bool:
    return one(p.replace(p.coordinates.detach().clone().requires_grad_())).requires_grad


def _sizes(problem: Problem, inside: Points, plan: Plan) -> list[Tensor]:
    """``(C, 1)`` a field: the root mean square of every channel, infinities left out; a Laplacian's is that of its
    terms, which cancel in a harmonic field."""
    pure = {2 * a for a in plan.space_axes} if LAPLACIAN in plan.index else set()
    wide = make_plan(plan.axes, frozenset(plan.keys) | pure)

    def size(u: Jet, key: str) -> Tensor:
        square = torch.cat([u.channel(k).abs().square() for k in (pure if key == LAPLACIAN else {key})])
        known = torch.isfinite(square)
        return (torch.where(known, square, 0.0).sum() / known.sum().clamp(min=1)).sqrt()

    fields = _exact_jets(problem, inside, wide)
    return [torch.stack([size(u, key) for key in plan.keys])[:, None] for u in fields]


def _disturbed(u: Jet, sizes: Tensor, generator: torch.Generator) -> Jet:
    """Every channel changed by about its own size, independently."""
    noise = torch.randn(u.channels.shape, generator=generator, dtype=torch.float64)
    return Jet(u.channels + noise * sizes, u.plan, u.points)
