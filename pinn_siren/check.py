"""Is a problem well stated? Each check is one message: what was expected, what came, what to do.

What cannot be meant raises ``ProblemError``; what can be meant but mostly is a mistake warns with ``StatementWarning``.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .coefficients import Coefficient, values
from .conditions import Boundary, Constraint, Dirichlet, Initial, Neumann
from .domains import Box, Sampler
from .equations import Eikonal, Helmholtz, Poisson, Wave
from .errors import ProblemError
from .jet import Jet, Plan, lift
from .points import TIME, Points
from .problem import Problem, record
from .scales import Scales
from .system import checked

SAMPLES = 400
EXACT_TOLERANCE = 1e-6
"""How large the exact solution's residual may be, of the size of its own terms."""
CORNER_TOLERANCE = 1e-6
BALANCE, BALANCE_TOLERANCE = 4096, 0.02
"""Points that integrate the data, and how far the integrals may differ: they are sums over points."""
RESONANCE = 1e-3
"""How near k^2 may come to an eigenvalue, relatively."""
POINTS_A_WAVELENGTH = 4.0


class StatementWarning(UserWarning):
    """A statement that can be meant, but mostly is a mistake."""


def check(problem: Problem, scales: Scales, points: int) -> None:
    """Every check of a problem; ``points`` is the number of collocation points inside. Takes well under a second."""
    sampler = Sampler(torch.Generator().manual_seed(20_011))
    for examine in (coefficients, initial_rate, repeated, pointwise, exact_solution):
        examine(problem, sampler)
    for warn in (corners, resonance, layer, constant):
        for message in warn(problem, sampler):
            warnings.warn(message, StatementWarning, stacklevel=4)
    for message in resolution(scales, points):
        warnings.warn(message, StatementWarning, stacklevel=4)


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
        if not isinstance(condition, Boundary) or callable(condition.on) or not isinstance(problem.domain, Box):
            continue
        on = condition.on
        for side in (on,) if isinstance(on, str) else problem.domain.side_names():
            key = (type(condition), side, condition.output)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > 1:
                kind = type(condition).__name__
                raise ProblemError(
                    f"Two {kind} conditions hold on the side {side!r}: give each its own on=, or keep one of them."
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
                "be pointwise. State a mean, a flux or an integral as a condition of its own."
            )


def _first_changed(u: Jet) -> Jet:
    channels = u.channels.clone()
    channels[:, 0] = channels[:, 0] * 1.7 + 0.3
    return Jet(channels, u.plan, u.points)


def exact_solution(problem: Problem, sampler: Sampler) -> None:
    """``exact`` satisfies the equation and every condition, judged against the size of their own terms."""
    if problem.exact is None or problem.fields != problem.outputs:
        return
    inside = problem.domain.interior(100, sampler)
    for c in problem.constraints():
        points = c.sample(100, sampler)

        def evaluate(plan: Plan, c: Constraint = c, points: list[Points] = points) -> tuple[Tensor, Tensor]:
            exact = [_exact_jets(problem, p, plan) for p in points]
            # Sizes from inside: on a boundary where u = 0 the field has no size of its own.
            sizes = [_sizes(u) for u in _exact_jets(problem, inside, plan)]
            other = [tuple(_disturbed(u, size) for u, size in zip(jets, sizes, strict=True)) for jets in exact]
            return torch.stack(checked(c, points, exact)), torch.stack(checked(c, points, other))

        left, disturbed = record(evaluate, problem)[0]
        known = torch.isfinite(left) & torch.isfinite(disturbed)
        left, size = left[known].abs(), (disturbed - left)[known].abs()
        if left.numel() and float(left.square().mean().sqrt()) > EXACT_TOLERANCE * float(size.square().mean().sqrt()):
            raise ProblemError(
                f"exact does not satisfy the {c.name}: its residual reaches {float(left.max()):.2e}, where a change of "
                f"the field by its own size makes {float(size.max()):.2e}. Look at signs and factors in exact, the "
                "source and the data."
            )


def _exact_jets(problem: Problem, p: Points, plan: Plan) -> tuple[Jet, ...]:
    """Jets of the exact solution by autograd."""
    assert problem.exact is not None

    def output(i: int) -> Callable[[Points], Tensor]:
        def one(q: Points) -> Tensor:
            assert problem.exact is not None
            came = problem.exact(q)
            part = came[i] if isinstance(came, tuple | list) else came
            return part.to(torch.complex128) if problem.complex_valued else part

        return one

    return tuple(lift(output(i), p, plan) for i in range(len(problem.outputs)))


def _sizes(u: Jet) -> Tensor:
    """``(C, 1)``: the root mean square of every channel, infinities left out."""
    square = u.channels.abs().square()
    known = torch.isfinite(square)
    return (torch.where(known, square, 0.0).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)).sqrt()


def _disturbed(u: Jet, sizes: Tensor) -> Jet:
    """Every channel changed by about its own size, independently."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(u.channels.shape, generator=generator, dtype=torch.float64)
    return Jet(u.channels + noise * sizes, u.plan, u.points)


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
    found = [c for c in problem.conditions if getattr(c, "on", None) in (None, name)]
    if len(found) != 1 or not isinstance(found[0], Dirichlet | Neumann):
        return None
    return type(found[0]).__name__


def layer(problem: Problem, sampler: Sampler) -> Iterator[str]:
    """An absorbing layer thinner than a quarter of a wavelength."""
    if not isinstance(problem, Helmholtz) or problem.layer is None:
        return
    k = problem.local_wavenumber(problem.domain.interior(SAMPLES, sampler))
    quarter = math.pi / 2 / float(k.min())
    if problem.layer.thickness < quarter:
        yield (
            f"The PML is {problem.layer.thickness:.3g} thick, thinner than a quarter of the longest wavelength, "
            f"{quarter:.3g}: it reflects. Make it half a wavelength thick."
        )


def constant(problem: Problem, sampler: Sampler) -> Iterator[str]:
    """Sides that leave the constant free: data must be compatible, and the solution of zero mean is given."""
    if not isinstance(problem, Poisson) or not problem.free_constant:
        return
    inside = problem.domain.interior(BALANCE, sampler)
    supply = problem.domain.measure * float(values(problem.source, inside, "source").mean())
    size = problem.domain.measure * float(values(problem.source, inside, "source").abs().mean())
    flux = 0.0
    for condition in problem.conditions:
        if isinstance(condition, Neumann):
            p, length = _wall(problem, condition, sampler)
            through = values(problem.diffusion, p, "diffusion") * values(condition.value, p, "Neumann value")
            flux, size = flux + length * float(through.mean()), size + length * float(through.abs().mean())
    if abs(supply - flux) > BALANCE_TOLERANCE * size:
        raise ProblemError(
            f"With Neumann and periodic sides only, the source's integral, {supply:.4g}, must equal the flux through "
            f"the boundary, {flux:.4g} (diffusion times du/dn): there is no solution. Correct one of them, or fix u "
            "somewhere."
        )
    yield "The conditions leave a constant free: the solution of zero mean is given."


def _wall(problem: Problem, condition: Neumann, sampler: Sampler) -> tuple[Points, float]:
    """Points where a condition holds, and the length or area there."""
    whole = problem.domain.boundary(BALANCE, sampler)
    p = problem.domain.boundary(BALANCE, sampler, condition.on)
    bounds = problem.domain.bounds
    area = sum(2 * problem.domain.measure / (bounds[a][1] - bounds[a][0]) for a in problem.domain.space_axes)
    if condition.on is None:
        return p, area
    if isinstance(condition.on, str) and isinstance(problem.domain, Box):
        axis, _ = problem.domain.side(condition.on)
        return p, problem.domain.measure / (bounds[axis][1] - bounds[axis][0])
    assert callable(condition.on)
    return p, area * float(condition.on(whole).double().mean())


def resolution(scales: Scales, points: int) -> Iterator[str]:
    """Fewer collocation points than four a wavelength along each axis."""
    waves = math.prod(max(1.0, scales.wavenumber[a] * scales.half_width[a] / math.pi) for a in scales.wavenumber)
    needed = math.ceil(POINTS_A_WAVELENGTH ** len(scales.wavenumber) * waves)
    if points < needed:
        yield (
            f"{points} collocation points are fewer than {POINTS_A_WAVELENGTH:.0f} a shortest wavelength along each "
            f"axis, which takes {needed}: a small residual at them would mean nothing. Give points={needed} or more."
        )
