"""Leapfrog finite differences for the wave equation on a box."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from ..coefficients import Coefficient
from ..conditions import Absorbing, Boundary, ConditionBase, Initial, Periodic
from ..domains import Box
from ..errors import NoReferenceError, ProblemError, UsageError
from ..points import TIME, Points
from .boundary import Piece, assign, periodic_axes, prescribe, sided
from .cfl import SPECTRAL_RADIUS, cfl_limit, check_cfl
from .faces import at_time
from .grid import GridSolution
from .lines import Field, Grid, Real, cell_count, space_dimensions, uniform
from .stencil import laplacian, positive, real, volume_mean

COURANT = 0.85
"""The internal time step, at most, as a fraction of the stability limit."""


def solve_wave(
    domain: Box,
    *,
    speed: Coefficient,
    source: Coefficient,
    conditions: Sequence[ConditionBase],
    cells: Mapping[str, int],
    output: str = "u",
    space_order: int = 2,
) -> GridSolution:
    """Solve ``u_tt = speed^2 laplacian u + source`` on a box of 1 to 3 space axes and time ``t``.

    Leapfrog in time (second order), with a Taylor step of the equation itself at the start; in space vertex-centred
    differences in flux form of second order, or fourth order with summation by parts (``space_order=4``; Mattsson and
    Nordstrom 2004, doi 10.1016/j.jcp.2004.03.001). Written as ``M u_tt + D u_t + K u = load`` with diagonal M (control
    volumes over speed^2) and D, symmetric K: stable for every positive speed below the step limit of ``check_cfl``.

    Sides: Dirichlet, Neumann, Robin with data that may depend on time, Periodic, and ``Absorbing``
    ``u_t + speed du/dn = 0`` (first-order radiation, Engquist and Majda 1977, doi 10.1090/S0025-5718-1977-0436612-4),
    taken centrally in time in the side's half control volume: second order, and it only takes energy out.
    With second order in space, ``1 / speed^2`` is averaged over control volumes: a jump along nodes keeps the order.

    ``speed`` > 0 must not depend on time. ``conditions`` hold one ``Initial(value, rate)``. ``cells``: equal cells an
    axis; ``cells["t"]`` are the stored steps, each cut into as many steps as stability needs, at most 0.85 of the
    limit. Refining all axes alike keeps that number, unless a varying speed's maximum falls between nodes.

    Returns ``values[output]`` of shape (cells + 1, ...) in the domain's order of axes. Raises ``ProblemError`` for a
    missing Initial or rate, a side without a condition or with two, or a speed that is not positive;
    ``NoReferenceError`` for another domain, a speed or Robin coefficient that depends on time, or another condition.
    """
    if space_order not in SPECTRAL_RADIUS:
        raise UsageError(f"space_order is 2 or 4, got {space_order!r}.")
    space_dimensions(domain, "wave", time=True)
    sides = sided(conditions, output, "wave", (Boundary, Absorbing, Periodic, Initial))
    initial = _initial(conditions)
    first, last = domain.bounds[TIME]
    stored = cell_count(cells, TIME, 1)
    grid = uniform(domain, cells, periodic_axes(domain, conditions), space_order)
    fixed, flux = assign(grid, domain, sides, first)
    _refuse_unsteady(grid, speed, flux, (first, last))
    inverse_square = _inverse_square(grid, speed, first, space_order)
    masses, stiffness = grid.volumes() * inverse_square, laplacian(grid)
    slope, damping = _sides(grid, flux, speed)
    stiffness = sparse.csr_array(stiffness + sparse.diags_array(slope))
    fastest, spacing = float(inverse_square.min()) ** -0.5, [float(w.steps[0]) for w in grid.lines]
    limit = cfl_limit(fastest, spacing, space_order)
    # Robin terms stiffen the sides' nodes beyond what the bound for the interior covers.
    limit = min(limit, 2 / math.sqrt(float((abs(stiffness).sum(axis=1) / masses).max())))
    substeps = math.ceil((last - first) / stored / (COURANT * limit) - 1e-9)
    check_cfl((last - first) / stored / substeps, speed=fastest, spacing=spacing, space_order=space_order)

    def load(time: float) -> Real:
        total = masses * real(source, grid.points(time), "source")
        for piece in flux:
            np.add.at(total, piece.nodes, piece.areas * _real(piece.data(time)) / piece.b)
        return total

    def hold(field: Real, time: float) -> Real:
        nodes, prescribed = prescribe(grid, fixed, time)
        field[nodes] = _real(prescribed)
        return field

    steady = not callable(source) and all(piece.steady for piece in flux)
    system = _System(masses, damping, stiffness, _once(load) if steady else load, hold if fixed else lambda u, _: u)
    start = grid.points(first)
    value, rate = real(initial.value, start, "Initial value"), real(initial.rate, start, "Initial rate")  # type: ignore[arg-type]
    times = np.linspace(first, last, stored + 1)
    history = grid.full(_march(system, value, rate, times, substeps))
    history = np.moveaxis(history, 0, domain.axes.index(TIME))
    lines = {line.name: line.nodes for line in grid.lines}
    return GridSolution({axis: times if axis == TIME else lines[axis] for axis in domain.axes}, {output: history})


@dataclass(frozen=True, eq=False)
class _System:
    """``masses u_tt + damping u_t + stiffness u = load(t)``, and ``hold``, which sets prescribed values in place."""

    masses: Real
    damping: Real
    stiffness: sparse.csr_array
    load: Callable[[float], Real]
    hold: Callable[[Real, float], Real]


def _march(system: _System, value: Real, rate: Real, times: Real, substeps: int) -> Real:
    """(len(times), size): leapfrog with central differences of u_t and u_tt."""
    step = float(times[1] - times[0]) / substeps
    forward = system.masses / step**2 + system.damping / (2 * step)
    backward = system.masses / step**2 - system.damping / (2 * step)
    history = np.empty((len(times), len(value)))
    now = system.hold(value.copy(), float(times[0]))
    history[0] = now
    acceleration = (system.load(float(times[0])) - system.stiffness @ now - system.damping * rate) / system.masses
    before = now - step * rate + step**2 / 2 * acceleration
    for i in range(1, (len(times) - 1) * substeps + 1):
        time = float(times[0]) + (i - 1) * step
        force = system.load(time) - system.stiffness @ now
        after = (force + 2 * system.masses / step**2 * now - backward * before) / forward
        before, now = now, system.hold(after, time + step)
        if i % substeps == 0:
            history[i // substeps] = now
    return history


def _sides(grid: Grid, flux: list[Piece], speed: Coefficient) -> tuple[Real, Real]:
    """(size,) each: the sides' diagonal terms in u (Robin: area a / b) and in u_t (absorbing: area / speed)."""
    slope, damping = np.zeros(grid.size), np.zeros(grid.size)
    for piece in flux:
        c = piece.condition
        if not isinstance(c, Absorbing):
            np.add.at(slope, piece.nodes, piece.areas * _real(piece.a / piece.b))
            continue
        if c.speed is None and c.wavenumber is not None:
            raise ProblemError("Absorbing(wavenumber=...) is for problems without time; here give speed=, or nothing.")
        own = positive(speed if c.speed is None else c.speed, piece.points, "Absorbing speed")
        np.add.at(damping, piece.nodes, piece.areas / own)
    return slope, damping


def _inverse_square(grid: Grid, speed: Coefficient, time: float, space_order: int) -> Real:
    """(size,): 1 / speed^2, averaged over control volumes for second order, at nodes for fourth."""
    if space_order == 4 or not callable(speed):
        return positive(speed, grid.points(time), "speed") ** -2

    def function(p: Points) -> Tensor:
        return torch.from_numpy(positive(speed, p, "speed") ** -2)

    return volume_mean(grid, function, "speed", time)


def _initial(conditions: Sequence[ConditionBase]) -> Initial:
    found = [c for c in conditions if isinstance(c, Initial)]
    if not found:
        raise ProblemError("The wave equation needs the initial state: add Initial(value, rate) to the conditions.")
    if len(found) > 1:
        raise ProblemError(f"There are {len(found)} Initial conditions: keep one, Initial(value, rate).")
    if found[0].rate is None:
        raise ProblemError(
            "The wave equation is of second order in time, and Initial has no rate: add the initial velocity u_t, as "
            "in Initial(value, rate=0)."
        )
    return found[0]


def _refuse_unsteady(grid: Grid, speed: Coefficient, flux: list[Piece], span: tuple[float, float]) -> None:
    """Raise where the speed or a Robin coefficient differs between the first time, the last and one between."""
    for time in (span[0] + 0.37 * (span[1] - span[0]), span[1]):
        pairs = [("speed", speed, grid.points(span[0]))]
        for c, p in ((piece.condition, piece.points) for piece in flux):
            pairs += [("Robin a", c.a, p), ("Robin b", c.b, p)] if isinstance(c, Boundary) else []
            pairs += [("Absorbing speed", c.speed, p)] if isinstance(c, Absorbing) and c.speed is not None else []
        for name, coefficient, p in pairs:
            if not np.allclose(real(coefficient, p, name), real(coefficient, at_time(p, time), name), rtol=1e-12):
                raise NoReferenceError(f"The wave reference does not cover a {name} that depends on time.")


def _once(load: Callable[[float], Real]) -> Callable[[float], Real]:
    """A load that does not depend on time, computed once."""
    kept = load(0.0)
    return lambda time: kept


def _real(data: Field) -> Real:
    if np.iscomplexobj(data):
        raise ProblemError("A condition's data is complex, and the wave equation here is real.")
    return data
