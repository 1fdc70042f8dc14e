"""What is understood of a problem, before it is solved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .check import TINY
from .conditions import Boundary
from .domains import Sampler
from .errors import NoReferenceError
from .jet import Plan, is_linear
from .parameters import forward
from .plan import TRAINED, StagePlan, make_stages, squares_alone
from .points import Points
from .problem import Problem, record
from .siren import count_parameters
from .system import checked
from .trainer import Trainer
from .unknowns import first, stated

Row = tuple[str, str]
SHOWN = 512
"""Points that show where a condition holds that needs none."""


def describe(problem: Problem) -> str:
    """What is understood of a problem, as a table; every check is run, and nothing is trained.

    Raises ``ProblemError`` for a wrong statement, and warns like ``Trainer``.
    """
    trainer = Trainer(problem, device="cpu", progress=False)
    found, classical = ", ".join(stated(problem)), forward(problem)
    problem = first(problem)
    rows = [
        ("problem", type(problem).__name__),
        ("unknowns", _unknowns(problem)),
        *([("found from data", found)] if found else []),
        ("domain", f"{problem.domain}, {_axes(problem)}"),
        ("equation", _equation(problem)),
        *_places(problem, trainer),
        ("wavenumbers", ", ".join(f"{a}: up to {k:.3g}" for a, k in trainer.scales.wavenumber.items())),
        ("size of the solution", f"about {trainer.scales.amplitude:.2g}"),
        ("exact solution", "none" if problem.exact is None else "given, and used for the verdict only"),
        ("reference", _reference(classical)),
        ("solve would run", _method(trainer)),
        ("because", _plan(problem).reason),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _unknowns(problem: Problem) -> str:
    kind = "complex" if problem.complex_valued else "real"
    made = "" if problem.fields == problem.outputs else f", made of {', '.join(problem.fields)}"
    return f"{', '.join(problem.outputs)} ({kind}){made}"


def _axes(problem: Problem) -> str:
    space = problem.domain.space_axes
    named = f"space {', '.join(space)}" if space else "no space"
    return f"{named} and time t" if problem.domain.has_time else f"{named}, no time"


def _equation(problem: Problem) -> str:
    if problem.is_fit:
        return "none: a fit of data"
    orders = ", ".join(f"{problem.order(a)} in {a}" for a in problem.domain.axes)
    asked = ", ".join(sorted(k for k in problem.derivatives if k)) or "none"
    return f"{'linear' if _is_linear(problem) else 'nonlinear'}, of order {orders}; derivatives: {asked}"


def _is_linear(problem: Problem) -> bool:
    equation = problem.constraints()[0]
    points = equation.sample(32, _sampler())

    def evaluate(plan: Plan) -> bool:
        fields = [problem.random_fields(p, plan, _sampler()) for p in points]
        return is_linear(lambda at, free: checked(equation, at, free), points, fields)

    return record(evaluate, problem, problem.derivatives)[0]


def _places(problem: Problem, trainer: Trainer) -> list[Row]:
    rows, counts = [], trainer.objective.counts
    for c in problem.constraints():
        built_in = c.name not in counts
        points = c.sample(SHOWN if built_in else counts[c.name], _sampler())
        name, count = "inside" if c.name == "equation" else c.name, len(points[0])
        how = "built into the output" if built_in else f"{count} point{'s' * (count > 1)}"
        rows.append((name, f"{how}, at {_place(points)}"))
    for i, condition in enumerate(problem.conditions):
        on = getattr(condition, "on", None)
        if callable(on) and isinstance(condition, Boundary):
            share = _share(problem, on)
            rows.append((f"condition {i + 1}, on=", f"matches {share:.0%} of the boundary"))
    return rows


def _share(problem: Problem, on: Callable[[Points], Tensor]) -> float:
    return float(on(problem.domain.boundary(4096, _sampler())).double().mean())


def _place(points: list[Points]) -> str:
    """The extent of the points along each axis; of matched sets both."""

    def extent(p: Points, axis: str) -> str:
        column = p.coordinates[:, p.axes.index(axis)]
        low, high = f"{float(column.min()):.3g}", f"{float(column.max()):.3g}"
        return f"{axis} = {low}" if low == high else f"{axis} = {low} to {high}"

    return " and ".join(", ".join(extent(p, a) for a in p.axes) for p in points)


def _reference(problem: Problem) -> str:
    if problem.one_grid:
        return f"{problem.classical_method}, on one grid"
    try:
        cells = problem.cells()
        if problem.reference is None:
            problem.finite_differences(problem.cells(TINY))
    except NoReferenceError as error:
        return f"none: {error}"
    grids = ", ".join("x".join(str(n * factor + 1) for n in cells.values()) for factor in (1, 2, 4))
    return f"{problem.classical_method}, on {grids} nodes"


def _method(trainer: Trainer) -> str:
    plan = _plan(trainer.problem)
    stages = ", then ".join(f"{s.name} for {s.steps} steps at most" for s in plan.stages)
    if plan.frozen:
        stages = f"least squares on frozen sine features; where these stay above {TRAINED:g}: {stages}"
    return f"{stages}; a network of {count_parameters(trainer.model)} parameters"


def _plan(problem: Problem) -> StagePlan:
    return make_stages(signal=problem.is_signal, rate=problem.learning_rate, squares=squares_alone(problem))


def _sampler() -> Sampler:
    return Sampler(torch.Generator().manual_seed(17))


__all__ = ["describe"]
