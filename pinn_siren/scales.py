"""Scales read off a problem before it is solved: wavenumbers along each axis, sizes of residuals and of the fields.

Nothing here looks at ``exact``. The operator's coefficients come from the residual's linearization, the spectra from
the residual of the zero field: sources, boundary and initial data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .ansatz import build_in
from .conditions import Constraint
from .domains import Sampler
from .errors import ProblemError
from .jet import LAPLACIAN, VALUE, Jet, Linearization, Plan, linearize
from .points import TIME, Points
from .problem import Problem, record
from .spectra import ROUNDING, highest_frequency, of_points
from .system import checked

SMOOTHEST = 3.0
"""The least highest wavenumber, in units of 1 / half-width: about one oscillation over the domain."""
GENEROUS = 3.0
"""The amplitude is taken this much larger: too large costs little, too small lets high frequencies fit the points."""
PROBE, FAR = 0.1, 10.0
"""The size of the random field that residuals are linearized at; a field this many times larger is far from it."""
LINES, LINE = 8, 256
"""Lines sampled an axis and constraint, and points on each."""
SCATTERED = 2000
"""Points at which data are read that lines would leave."""


@dataclass(frozen=True)
class Scales:
    """A problem's sizes.

    ``center`` and ``half_width``: of its bounding box, an axis each; ``wavenumber``: the highest along each axis, in
    radians per unit length or time; ``residual``: of each part of each constraint, for a field of size 1 at these
    wavenumbers; ``response``: the likely size of the field that a residual of size 1 in that part makes;
    ``amplitude``: that of the fields.
    """

    center: dict[str, float]
    half_width: dict[str, float]
    wavenumber: dict[str, float]
    residual: dict[str, tuple[float, ...]]
    response: dict[str, tuple[float, ...]]
    amplitude: float


def measure_scales(
    problem: Problem,
    seed: int = 0,
    placed: Mapping[str, Callable[[Constraint], Constraint]] | None = None,
    narrowest: dict[str, float] | None = None,
) -> Scales:
    """Scales of a problem from a few hundred sample points, in float64 on the CPU. Raises what its functions raise.

    ``placed``: what puts constraints on points of their own, dense where the sources are (``Concentration.placed``);
    ``wavenumber`` is then that of the rest of the problem, which fills the domain. ``narrowest``: the wavenumbers of
    these sources, among which their power is spread.
    """
    sampler = Sampler(torch.Generator().manual_seed(1000 + seed))
    bounds = problem.domain.bounds
    half = {a: (high - low) / 2 for a, (low, high) in bounds.items()}
    wavenumber = {a: SMOOTHEST / h for a, h in half.items()}
    constraints = problem.constraints()
    placed = placed or {}
    constraints = [placed[c.name](c) if c.name in placed else c for c in constraints]
    blocks = {c.name: _linearized(problem, c, wavenumber, sampler) for c in constraints}
    by_part = {name: _by_part(block) for name, block in blocks.items()}
    for c in constraints:
        if c.name in placed:
            continue
        found = _spectrum(problem, c, sampler, _rounding(blocks[c.name])) if c.wavenumbers is None else c.wavenumbers()
        for axis, k in found.items():
            wavenumber[axis] = max(wavenumber[axis], k)
    for c in constraints:
        if c.on_interior:
            for block in by_part[c.name]:
                wavenumber = _dispersed(block, wavenumber)
    sizes = {name: tuple(_size(block, wavenumber) for block in by_part[name]) for name in by_part}
    response = {
        c.name: _response(blocks[c.name], sizes[c.name], bounds, wavenumber, sampler)
        if c.on_interior
        else tuple(_held(block, bounds) for block in by_part[c.name])
        for c in constraints
    }
    spread = dict(response)
    if narrowest is not None:
        for c in filter(everywhere, constraints):
            spread[c.name] = _response(blocks[c.name], sizes[c.name], bounds, narrowest, sampler)
    data = {c.name: _data(problem, c, sampler) for c in constraints}
    driven = {
        c.name: max(
            d * r * _proportional(block, d * r, d)
            for d, r, block in zip(data[c.name], spread[c.name], by_part[c.name], strict=True)
        )
        for c in constraints
    }
    amplitude = max(driven[c.name] * (GENEROUS if c.on_interior else 1.0) for c in constraints)
    center = {a: (low + high) / 2 for a, (low, high) in bounds.items()}
    # Data that are not finite for the zero field (1 / u, log u) say nothing of its size.
    return Scales(center, half, wavenumber, sizes, response, amplitude if 0 < amplitude < math.inf else 1.0)


def _linearized(problem: Problem, c: Constraint, wavenumber: dict[str, float], sampler: Sampler) -> Linearization:
    """The linearization at a small random field: at zero itself a term such as |grad u|^2 would vanish."""
    points = c.sample(200, sampler)

    def evaluate(plan: Plan) -> Linearization:
        size = torch.tensor([PROBE * _symbol(key, wavenumber) for key in plan.keys], dtype=torch.float64)
        raw = [
            tuple(Jet(u.channels * size[:, None], plan, p) for u in problem.random_fields(p, plan, sampler))
            for p in points
        ]

        def composed(at: list[Points], free: list[tuple[Jet, ...]]) -> tuple[Tensor, ...]:
            return checked(c, at, [build_in(problem.ansatz, p, plan, u) for p, u in zip(at, free, strict=True)])

        return linearize(composed, points, raw)

    return record(evaluate, problem)[0]


def everywhere(c: Constraint) -> bool:
    """Whether a constraint holds at every point inside: no integral, no data at points of their own."""
    return c.on_interior and c.reduce == "points" and c.place is not None


def _by_part(block: Linearization) -> list[Linearization]:
    """A block a part, so that each has a size of its own."""
    chosen = [[i for i, part in enumerate(block.parts) if part == number] for number in sorted(set(block.parts))]
    return [
        replace(block, values=block.values[:, rows], coefficients=block.coefficients[:, rows], parts=(0,) * len(rows))
        for rows in chosen
    ]


def at_zero(problem: Problem, c: Constraint, points: list[Points]) -> Tensor:
    """``(n, parts)``: the residual of the zero field, which holds the sources and data."""

    def evaluate(plan: Plan) -> tuple[Tensor, ...]:
        dtype = torch.complex128 if problem.complex_valued else torch.float64
        zeros = [
            tuple(Jet(torch.zeros(len(plan.keys), len(p), dtype=dtype), plan, p) for _ in problem.fields)
            for p in points
        ]
        return checked(c, points, [build_in(problem.ansatz, p, plan, u) for p, u in zip(points, zeros, strict=True)])

    return torch.stack([part.detach().to(torch.complex128) for part in record(evaluate, problem)[0]], dim=1)


def _rounding(block: Linearization) -> list[float]:
    """What rounding leaves of terms that cancel, a part each."""
    return [ROUNDING * float(part.values.square().mean().sqrt()) for part in _by_part(block)]


def _spectrum(problem: Problem, c: Constraint, sampler: Sampler, rounding: list[float]) -> dict[str, float]:
    """The highest wavenumber of the data along each axis in which the constraint's points extend.

    White data below ``rounding`` are what is left of terms that cancel, and have no wavenumber.
    """
    if c.scattered:
        p = c.sample(SCATTERED, sampler)[0]
        side = torch.zeros(len(p)) if problem.sides is None else problem.sides.of(p.coordinates)
        some = [p[side == k] for k in side.unique()]
        each = [of_points(q.coordinates, torch.nan_to_num(at_zero(problem, c, [q]), 0.0, 0.0, 0.0)) for q in some]
        return {axis: max(k) for axis, k in zip(p.axes, zip(*each, strict=True), strict=True) if max(k) > 0}
    highest = {}
    for axis, (low, high) in problem.domain.bounds.items():
        start = c.sample(LINES, sampler)
        column = problem.domain.axes.index(axis)
        fixed = any(
            bool(((p.coordinates[:, column] - low) * (p.coordinates[:, column] - high) == 0).all()) for p in start
        )
        if fixed or len(start) > 1:
            continue
        line = torch.linspace(low, high, LINE, dtype=torch.float64)
        p = start[0][: min(LINES, len(start[0]))]
        coordinates = p.coordinates.repeat_interleave(LINE, dim=0)
        coordinates[:, column] = line.repeat(len(p))
        outward = None if p.outward is None else p.outward.repeat_interleave(LINE, dim=0)
        try:
            data = at_zero(problem, c, [Points(p.axes, coordinates, outward)]).reshape(len(p), LINE, -1)
        except ProblemError:
            continue  # A line leaves the set that the data are given on.
        data = torch.nan_to_num(data, 0.0, 0.0, 0.0)
        # A part each: in other units one would drown the others.
        k = max(highest_frequency(data[..., [i]], r) for i, r in enumerate(rounding)) / (high - low)
        if k > 0:
            highest[axis] = k
    return highest


def _symbol(key: str, wavenumber: dict[str, float]) -> float:
    """The size of a derivative of a unit wave."""
    if key == LAPLACIAN:
        return sum(k * k for a, k in wavenumber.items() if a != TIME)
    return math.prod(wavenumber[a] for a in key)


def _coefficient(block: Linearization, key: str) -> float:
    """The root mean square over points of a derivative's coefficient, those of all fields and parts together."""
    columns = [i for i, c in enumerate(block.columns) if c.key == key]
    return math.sqrt(float(block.coefficients[:, :, columns].square().sum(dim=(1, 2)).mean()))


def _dispersed(block: Linearization, wavenumber: dict[str, float]) -> dict[str, float]:
    """Wavenumbers that the operator links: a wave of one along one axis brings its own along the others.

    With second-order coefficients ``a_j`` the frequency ``sqrt(a_j) k_j`` is common, and a term in the value adds its
    root: the wavenumber of a Helmholtz equation, the width of a layer.
    """
    second = {
        a: math.hypot(_coefficient(block, 2 * a), _coefficient(block, LAPLACIAN) if a != TIME else 0.0)
        for a in wavenumber
    }
    linked = {a: math.sqrt(s) for a, s in second.items() if s > 0}
    if not linked:
        return wavenumber
    common = max([linked[a] * wavenumber[a] for a in linked] + [math.sqrt(_coefficient(block, VALUE))])
    return {a: max(k, common / linked[a]) if a in linked else k for a, k in wavenumber.items()}


def _size(block: Linearization, wavenumber: dict[str, float]) -> float:
    """The root mean square residual of a field of size 1 whose derivatives are those of a wave."""
    total = sum((_coefficient(block, key) * _symbol(key, wavenumber)) ** 2 for key in {c.key for c in block.columns})
    return math.sqrt(total) or 1.0


def _data(problem: Problem, c: Constraint, sampler: Sampler) -> list[float]:
    """The root mean square of a constraint's sources or data, a part each."""
    return [math.sqrt(float(c.square(part))) for part in at_zero(problem, c, c.sample(500, sampler)).T]


def _proportional(block: Linearization, answer: float, data: float) -> bool:
    """Whether a residual of size ``data`` speaks of a field as large as its slope says, ``answer``.

    One that a small random field halves already is no straight line there: a penalty such as exp(-100 |u|) is flat but
    at zero, and says nothing of the field's size.
    """
    return answer <= FAR * PROBE or 2 * math.sqrt(float(block.values.square().mean())) >= data


def _response(
    block: Linearization,
    sizes: tuple[float, ...],
    bounds: dict[str, tuple[float, float]],
    wavenumber: dict[str, float],
    sampler: Sampler,
) -> tuple[float, ...]:
    """The size of the field that answers a residual of size 1 inside, a part each, spread over all waves up to the
    highest.

    That is the inverse of the operator's symbol, its parts in units of their sizes, root mean square over those waves:
    near a resonance far more than the highest of them alone would have.
    """
    units = torch.tensor([sizes[part] for part in block.parts], dtype=torch.float64)
    block = replace(block, coefficients=block.coefficients / units[:, None])
    lowest = {a: math.pi / (high - low) for a, (low, high) in bounds.items()}
    draw = sampler.unit_cube(2000, len(bounds))
    waves = {a: lowest[a] + (wavenumber[a] - lowest[a]) * draw[:, i] for i, a in enumerate(bounds)}
    symbol = _symbol_of(block, waves)
    square = torch.linalg.svdvals(symbol)[:, -1].square()
    for a in bounds:
        # In a finite domain a wavenumber is sharp to half a line width only, so no resonance is infinite.
        shifted = {b: k + lowest[a] / 2 * (a == b) for b, k in waves.items()}
        square = square + torch.linalg.svdvals(_symbol_of(block, shifted) - symbol)[:, 0].square()
    response = math.sqrt(float((1 / square.clamp(min=1e-300)).mean()))
    return tuple(response / size for size in sizes)


def _held(block: Linearization, bounds: dict[str, tuple[float, float]]) -> float:
    """The size of the field that a residual of size 1 on a boundary leaves: by its value where that is held, else by
    its slope over the domain."""
    value = _coefficient(block, VALUE)
    return 1 / (value or _size(block, {a: 1 / (high - low) for a, (low, high) in bounds.items()}))


def _symbol_of(block: Linearization, waves: dict[str, Tensor]) -> Tensor:
    """``(waves, residuals, fields)``: ``sum_key c_key (i k)^key`` for each wave, at one of the sample points."""
    fields = 1 + max(c.field for c in block.columns)
    # Of a complex residual the real part says all: its derivative by the imaginary part is i times minus the other.
    rows = slice(0, None, 2 if block.complex_parts else 1)
    coefficients = block.coefficients[:, rows]
    which = torch.arange(len(next(iter(waves.values())))) % len(coefficients)
    total = torch.zeros(len(which), coefficients.shape[1], fields, dtype=torch.complex128)
    for i, column in enumerate(block.columns):
        if column.points:
            continue
        if column.key == LAPLACIAN:
            factor = -sum((k.square() for a, k in waves.items() if a != TIME), start=torch.zeros(()))
        else:
            factor = torch.ones(())
            for axis in column.key:
                factor = factor * 1j * waves[axis]
        factor = factor * (-1j if column.imaginary else 1.0)
        total[:, :, column.field] += coefficients[which, :, i] * factor.reshape(-1, 1)
    return torch.nan_to_num(total, 0.0, 0.0, 0.0)
