"""Is a problem well stated? Each check is one message: what was expected, what came, what to do.

What cannot be meant raises ``ProblemError``; what can be meant but mostly is a mistake warns with ``StatementWarning``.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import Tensor

from .coefficients import Coefficient, values
from .conditions import Boundary, Condition, Constraint, Data, Dirichlet, Initial, Integral, Neumann
from .counts import bare, crowded
from .domains import Box, Sampler
from .equations import Eikonal, Helmholtz, Poisson, Wave
from .errors import NoReferenceError, ProblemError
from .exactness import exact_solution
from .jet import Jet, Plan
from .points import TIME, Points
from .problem import Problem, record
from .scales import Scales
from .system import checked

SAMPLES = 400
CORNER_TOLERANCE = 1e-3
TINY = 8
"""Cells an axis of the reference solve that only looks whether the statement can be solved."""
RESERVED = ("mask", "weights", "network", "history", "error", "record", "VTKHDF")
JUMP = 1e-3
"""How much of itself a coefficient may change within a billionth of the domain."""
LINES, NODES = 128, 257
"""Lines an axis along which jumps are looked for, and points on each."""
RESONANCE = 1e-3
"""How near k^2 may come to an eigenvalue, relatively."""
POINTS_A_WAVELENGTH = 4.0


class StatementWarning(UserWarning):
    """A statement that can be meant, but mostly is a mistake."""


def check(problem: Problem) -> None:
    """Every check of a problem. Takes well under a second."""
    for message in doubts(problem):
        warnings.warn(message, StatementWarning, stacklevel=4)


def doubts(problem: Problem, trial: bool = True) -> Iterator[str]:
    """Every check: what may be a mistake, said. ``trial``: with the tiny reference solve.

    Raises ``ProblemError`` for what cannot be meant.
    """
    sampler = Sampler(torch.Generator().manual_seed(20_011))
    for examine in (
        names, weights, coefficients, jumps, initial_rate, repeated, crowded, assigned, dependent, pointwise,
    ):  # fmt: skip
        if trial or examine is not assigned:
            examine(problem, sampler)
    for warn in (exact_solution, corners, resonance, layer, constant, bare):
        yield from warn(problem, sampler)


def coefficients(problem: Problem, sampler: Sampler) -> None:
    """Coefficients that are NaN, zero or negative where they may not be."""
    positive: dict[type[Problem], list[str]] = {
        Poisson: ["diffusion"],
        Helmholtz: ["speed"],
        Wave: ["speed"],
        Eikonal: ["velocity"],
    }
    p = problem.domain.interior(SAMPLES, sampler)
    for kind, names in positive.items():
        for name in names if isinstance(problem, kind) else []:
            found = values(getattr(problem, name), p, name)
            if found.is_complex() or not bool((found > 0).all()):
                lowest = found.real.min() if found.is_complex() else found.min()
                raise ProblemError(
                    f"{name} must be positive everywhere inside; its least value there is {float(lowest):g}."
                )
    if isinstance(problem, Poisson) and not bool((values(problem.reaction, p, "reaction").real >= 0).all()):
        raise ProblemError("reaction must not be negative: div(diffusion grad u) - reaction u = source is a Poisson "
                           "problem for reaction >= 0; for waves use Helmholtz.")  # fmt: skip


def jumps(problem: Problem, sampler: Sampler) -> None:
    """A diffusion that jumps where no interface is stated: the strong form says nothing of the flux there."""
    if not isinstance(problem, Poisson) or not callable(problem.diffusion):
        return
    for axis in problem.domain.space_axes:
        place, low, high = _steepest(problem, axis, sampler)
        jump = (high - low).abs() > JUMP * torch.maximum(high.abs(), low.abs())
        if not bool(jump.any()):
            continue
        first = int(jump.int().argmax())
        elsewhere = "" if problem.sides is None else ", where no Interface of the problem is"
        at = f"{float(place[first, problem.domain.axes.index(axis)]):.6g}"
        raise ProblemError(
            f"diffusion jumps from {float(low[first]):.4g} to {float(high[first]):.4g} at {axis}={at}{elsewhere}: "
            "div(diffusion grad u) has no meaning point by point there, and a solve would be wrong. State the curve "
            "in conditions, Interface(on=...) of a domain whose boundary it is, as Disk(center=(0, 0), radius=0.5); "
            "or smooth the jump over a few collocation points."
        )


def _steepest(problem: Poisson, axis: str, sampler: Sampler) -> tuple[Tensor, Tensor, Tensor]:
    """Where the diffusion changes most along each of many lines of one axis, within a side, by bisection: the places
    ``(lines, d)``, and the values on both sides of them, where these are on one side of every interface."""
    column, (low, high) = problem.domain.axes.index(axis), problem.domain.bounds[axis]
    starts = problem.domain.interior(LINES, sampler).coordinates

    def along(at: Tensor) -> tuple[Tensor, Tensor]:
        """Values and sides, ``(lines, k)``, at places ``(lines, k)`` of the axis."""
        coordinates = starts.repeat_interleave(at.shape[1], dim=0)
        coordinates[:, column] = at.reshape(-1)
        found = values(problem.diffusion, Points(problem.domain.axes, coordinates), "diffusion").real
        side = torch.zeros(len(coordinates)) if problem.sides is None else problem.sides.of(coordinates)
        return found.reshape(at.shape), side.reshape(at.shape)

    table, side = along(torch.linspace(low, high, NODES, dtype=torch.float64).expand(LINES, -1))
    width = (high - low) / (NODES - 1)
    left = low + width * (table.diff(dim=1).abs() * (side.diff(dim=1) == 0)).argmax(dim=1).double()
    for _ in range(30):
        width /= 2
        (a, middle, b), _ = (t.T for t in along(torch.stack([left, left + width, left + 2 * width], dim=1)))
        left = torch.where((b - middle).abs() > (middle - a).abs(), left + width, left)
    (a, b), (one, two) = (t.T for t in along(torch.stack([left, left + width], dim=1)))
    places = starts.clone()
    places[:, column] = left
    return places, a, torch.where(one == two, b, a)


def initial_rate(problem: Problem, sampler: Sampler) -> None:
    """An equation of second order in time needs u and du/dt at the first time."""
    if not problem.domain.has_time or problem.order(TIME) < 2:
        return
    for condition in problem.conditions:
        if isinstance(condition, Initial) and condition.rate is None:
            raise ProblemError(
                "The equation is of second order in time: Initial needs a rate too, rate=0 for a start at rest."
            )


def repeated(problem: Problem, sampler: Sampler) -> None:
    """Two conditions of one kind for one output on one side."""
    seen: dict[tuple[type, str, str | None], int] = {}
    for condition in problem.conditions:
        if not isinstance(condition, Boundary) or not isinstance(problem.domain, Box):
            continue
        on = condition.on
        if on is not None and not isinstance(on, str):
            continue
        for side in (on,) if isinstance(on, str) else problem.domain.side_names():
            key = (type(condition), side, condition.output)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > 1:
                kind = type(condition).__name__
                raise ProblemError(
                    f"Two {kind} conditions hold on the side {side!r}: give each its own on=, or keep one of them."
                )


def dependent(problem: Problem, sampler: Sampler) -> None:
    """A residual that holds no unknown and is not zero: no field makes it vanish."""
    for c in problem.constraints():
        points = c.sample(8, sampler)

        def evaluate(plan: Plan, c: Constraint = c, points: list[Points] = points) -> list[tuple[Tensor, ...]]:
            draws = [Sampler(torch.Generator().manual_seed(seed)) for seed in (5, 6)]
            return [checked(c, points, [problem.random_fields(p, plan, s) for p in points]) for s in draws]

        for one, other in zip(*record(evaluate, problem)[0], strict=True):
            if torch.equal(one, other) and bool((one != 0).any()):
                raise ProblemError(
                    f"The {c.name} residual does not depend on {', '.join(problem.fields)} and is not zero: no field "
                    "makes it vanish. Use u.value and its derivatives, such as u.laplacian, in it."
                )


def pointwise(problem: Problem, sampler: Sampler) -> None:
    """The residual at a point depends on that point alone: one point moves, the others' residuals stay."""
    for c in problem.constraints():
        points = c.sample(8, sampler)
        if len(points[0]) < 2:
            continue

        def evaluate(plan: Plan, c: Constraint = c, points: list[Points] = points) -> tuple[Tensor, Tensor]:
            fields = [problem.random_fields(p, plan, Sampler(torch.Generator().manual_seed(5))) for p in points]
            moved = [tuple(_first_changed(u) for u in jets) for jets in fields]
            return torch.stack(checked(c, points, fields)), torch.stack(checked(c, points, moved))

        before, after = record(evaluate, problem)[0]
        gap, size = (after - before)[:, 1:].abs().max(), before.abs().max()
        if float(gap) > 1e-9 * float(size):
            raise ProblemError(
                f"The {c.name} residual at one point depends on the field at others, as u.value.mean() would: it must "
                "be pointwise. State a mean, a flux or a mass as an Integral(quantity, value)."
            )


def _first_changed(u: Jet) -> Jet:
    channels = u.channels.clone()
    channels[:, 0] = channels[:, 0] * 1.7 + 0.3
    return Jet(channels, u.plan, u.points)


def names(problem: Problem, sampler: Sampler) -> None:
    """Outputs are named apart from each other, from the axes and from what the files hold beside them."""
    for i, name in enumerate(problem.outputs):
        taken = name in problem.domain.axes or name in RESERVED or name.endswith(("_error", "_exact", "_reference"))
        if taken or name in problem.outputs[:i]:
            raise ProblemError(
                f"The output {name!r} has the name of an axis, of another output or of something the files hold: name "
                f"it otherwise. Taken are {', '.join([*problem.domain.axes, *RESERVED])} and names that end in _error, "
                "_exact or _reference."
            )


def weights(problem: Problem, sampler: Sampler) -> None:
    """Weights in the loss are positive numbers."""
    for c in problem.constraints():
        if not isinstance(c.weight, int | float) or not c.weight > 0:
            raise ProblemError(f"The weight of {c.name} must be a positive number, got {c.weight!r}.")


def assigned(problem: Problem, sampler: Sampler) -> None:
    """Every side and the first time have conditions that the equation can take: a tiny reference solve says so."""
    if problem.reference is None:
        with suppress(NoReferenceError):
            problem.finite_differences(problem.cells(TINY))


def corners(problem: Problem, sampler: Sampler) -> Iterator[str]:
    """Initial and boundary values that disagree where they meet."""
    domain = problem.domain
    if not domain.has_time or not domain.space_axes:
        return
    starts = [c for c in problem.conditions if isinstance(c, Initial)]
    walls = [c for c in problem.conditions if isinstance(c, Dirichlet)]
    for start, wall in itertools.product(starts, walls):
        if start.output != wall.output:
            continue
        p = domain.boundary(64, sampler, wall.on)
        coordinates = p.coordinates.clone()
        coordinates[:, domain.axes.index(TIME)] = domain.bounds[TIME][0]
        p = p.replace(coordinates)
        first, held = values(start.value, p, "Initial value"), values(wall.value, p, "Dirichlet value")
        size = max(float(first.abs().max()), float(held.abs().max()), _size(start.value, domain.start(64, sampler)))
        gap = (first - held).abs()
        if float(gap.max()) > CORNER_TOLERANCE * size:
            worst = int(gap.argmax())
            place = ", ".join(f"{a}={float(v):.4g}" for a, v in zip(p.axes, p.coordinates[worst], strict=True))
            yield (
                f"Initial and Dirichlet values disagree where they meet, at {place}: {_shown(first[worst])} and "
                f"{_shown(held[worst])}. The solution jumps there, and no smooth network follows a jump: make them "
                "agree."
            )


def _size(coefficient: Coefficient, p: Points) -> float:
    return float(values(coefficient, p, "Initial value").abs().max())


def _shown(value: Tensor) -> str:
    return f"{value.item():.4g}"


def resonance(problem: Problem, sampler: Sampler) -> Iterator[str]:
    """A closed box of one speed whose k^2 is an eigenvalue: the solution is not unique, or very large."""
    if not isinstance(problem, Helmholtz) or callable(problem.speed) or not isinstance(problem.domain, Box):
        return
    k = problem.wavenumber / float(problem.speed.real)
    squares = [0.0]
    for axis in problem.domain.space_axes:
        kinds = [_kind(problem, problem.domain, axis, end) for end in (0, 1)]
        if None in kinds:
            return
        low, high = problem.domain.bounds[axis]
        shift = 0.0 if kinds[0] == kinds[1] else 0.5
        first = 1 if kinds == ["Dirichlet", "Dirichlet"] else 0
        count = int(k * (high - low) / math.pi) + 2
        modes = [((n + shift) * math.pi / (high - low)) ** 2 for n in range(first, count + 1)]
        squares = [s + m for s in squares for m in modes if s + m < 2 * k * k]
    near = min(squares, key=lambda s: abs(s - k * k), default=math.inf)
    if abs(near - k * k) <= RESONANCE * k * k:
        yield (
            f"The closed box resonates near this wavenumber: an eigenvalue lies at k = {math.sqrt(near):.6g}, and k is "
            f"{k:.6g}. The solution is not unique or very large there: change the wavenumber, or let waves out by "
            "Absorbing() or a PML."
        )


def _kind(problem: Problem, box: Box, axis: str, end: int) -> str | None:
    """Which kind of wall closes a side, where a single plain condition does."""
    name = next(s for s in box.side_names() if box.side(s) == (axis, end))
    beside = (Data, Integral, Condition)
    found = [c for c in problem.conditions if not isinstance(c, beside) and getattr(c, "on", None) in (None, name)]
    if len(found) != 1 or not isinstance(found[0], Dirichlet | Neumann):
        return None
    return type(found[0]).__name__


def layer(problem: Problem, sampler: Sampler) -> Iterator[str]:
    """An absorbing layer thinner than a quarter of a wavelength."""
    if not isinstance(problem, Helmholtz) or problem.layer is None:
        return
    k = problem.local_wavenumber(problem.domain.interior(SAMPLES, sampler))
    quarter = math.pi / 2 / float(k.min())
    thickness = problem.layer.thickness
    if thickness is not None and thickness < quarter:
        yield (
            f"The PML is {thickness:.3g} thick, thinner than a quarter of the longest wavelength, "
            f"{quarter:.3g}: it reflects. Make it half a wavelength thick."
        )


def constant(problem: Problem, sampler: Sampler) -> Iterator[str]:
    """Conditions that leave a constant free, or any harmonic field."""
    if problem.is_fit and all(isinstance(c, Data) and c.of == "laplacian" for c in problem.conditions):
        yield (
            "Data of the Laplacian alone leave any harmonic field free: add Data of the value or the gradient, or "
            "conditions on the boundary."
        )
    elif problem.free_constant:
        yield "The conditions leave a constant free: the solution of zero mean is given."


def resolution(scales: Scales, points: int) -> Iterator[str]:
    """Fewer collocation points than four a wavelength along each axis."""
    waves = math.prod(max(1.0, scales.wavenumber[a] * scales.half_width[a] / math.pi) for a in scales.wavenumber)
    needed = math.ceil(POINTS_A_WAVELENGTH ** len(scales.wavenumber) * waves)
    if points < needed:
        yield (
            f"{points} collocation points are fewer than {POINTS_A_WAVELENGTH:.0f} a shortest wavelength along each "
            f"axis, which takes {needed}: a small residual at them would mean nothing. Give points={needed} or more."
        )
