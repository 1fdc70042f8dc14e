"""Spectral elements in space and Runge-Kutta of order eight in time for the wave equation on a box."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.integrate import DOP853

from ..coefficients import Coefficient
from ..conditions import Absorbing, Boundary, ConditionBase, Initial, Periodic
from ..domains import Box
from ..errors import NoReferenceError
from ..points import TIME
from .boundary import assign, periodic_axes, prescribe, sided
from .convergence import judged
from .grid import GridSolution, Reference
from .lines import Grid, Line, Real, space_dimensions
from .spectral import SpectralLine, spectral_grid
from .stencil import laplacian, positive, real
from .wave import _initial, _real, _refuse_unsteady, _sides

METHOD = "spectral elements in space, Runge-Kutta of order eight in time"
DEGREES = (8, 12, 16)
ACCURACY = {8: 1e-7, 12: 1e-9, 16: 1e-11}
"""Of a step in time, relative, by degree: the three levels differ in time too."""
MOST_ELEMENTS = {1: 100, 2: 30, 3: 6}
"""An axis, by the number of space axes."""
CELLS = 8
"""Cells of the finite differences' grid that an element stands for."""
MOST_STEPS = 20_000
RESOLVED, PROBED = 1e-7, 64
"""How well the elements represent the data, relative to the largest value, and at how many points an axis."""


def spectral_wave(
    domain: Box,
    *,
    speed: Coefficient,
    source: Coefficient,
    conditions: Sequence[ConditionBase],
    cells: Mapping[str, int],
    output: str = "u",
) -> Reference:
    """Solve ``u_tt = speed^2 laplacian u + source`` at three degrees; the bar is twice the last difference.

    The statement and the conditions are those of ``solve_wave``; Absorbing sides too. The medium must be smooth, or
    jump between elements. Semidiscrete ``M u_tt + D u_t + K u = load`` as there, with diagonal M, symmetric K, so it is
    stable; in time the method of Dormand and Prince of order 8 with its step control (Hairer, Norsett and Wanner 1993,
    doi 10.1007/978-3-540-78862-1). Errors fall exponentially with the degree as long as all is smooth.

    ``cells``: of the uniform grid, in space and time, that all three are shown on; at most eight cells make an element,
    and as many are taken as represent the initial state. Raises like ``solve_wave``;
    ``NoReferenceError`` where too many steps are needed.
    """
    began = time.perf_counter()
    elements = _elements(domain, conditions, cells)
    levels = [_solve(domain, speed, source, conditions, cells, output, degree, elements) for degree in DEGREES]
    coarse, middle, fine = levels
    return judged((coarse, middle, fine), METHOD, math.inf, time.perf_counter() - began)


def _solve(
    domain: Box, speed: Coefficient, source: Coefficient, conditions: Sequence[ConditionBase],
    cells: Mapping[str, int], output: str, degree: int, elements: dict[str, int],
) -> GridSolution:  # fmt: skip
    space_dimensions(domain, "wave", time=True)
    sides = sided(conditions, output, "wave", (Boundary, Absorbing, Periodic, Initial))
    initial = _initial(conditions)
    first, last = domain.bounds[TIME]
    grid = spectral_grid(domain, elements, degree, periodic_axes(domain, conditions))
    fixed, flux = assign(grid, domain, sides, first)
    _refuse_unsteady(grid, speed, flux, (first, last))
    masses = grid.volumes() * positive(speed, grid.points(first), "speed") ** -2
    stiffness = laplacian(grid)
    slope, damping = _sides(grid, flux, speed)
    held, _ = prescribe(grid, fixed, first)
    free = np.setdiff1d(np.arange(grid.size), held)

    def load(at: float) -> Real:
        total = masses * real(source, grid.points(at), "source")
        for piece in flux:
            np.add.at(total, piece.nodes, piece.areas * _real(piece.data(at)) / piece.b)
        return total

    still = not callable(source) and source == 0 and all(p.steady and not p.data().any() for p in flux)

    def rates(at: float, state: Real) -> Real:
        u, v = np.zeros((2, grid.size))
        u[free], v[free] = np.split(state, 2)
        if len(held):
            u[held] = _real(prescribe(grid, fixed, at)[1])
        force = -(stiffness @ u) - slope * u - damping * v
        force = force if still else force + load(at)
        return np.concatenate([v[free], (force / masses)[free]])

    start = grid.points(first)
    value = real(initial.value, start, "Initial value")
    rate = real(initial.rate, start, "Initial rate")  # type: ignore[arg-type]
    times = np.linspace(first, last, cells[TIME] + 1)
    found = np.empty((len(times), grid.size))
    state = np.concatenate([value[free], rate[free]])
    scale = max(float(np.abs(state).max()), 1e-300)
    accuracy = ACCURACY[degree]
    solver = DOP853(rates, first, state, last, rtol=accuracy, atol=accuracy * scale)
    found[0] = _whole(state, free, held, value)
    steps, next_time = 0, 1
    while next_time < len(times):
        solver.step()
        steps += 1
        if solver.status == "failed" or steps > MOST_STEPS:
            raise NoReferenceError("The spectral wave solver needs too many steps in time.")
        dense = solver.dense_output()
        while next_time < len(times) and times[next_time] <= solver.t + 1e-12 * (last - first):
            at = float(min(times[next_time], solver.t))
            fixed_now = np.zeros(grid.size)
            if len(held):
                fixed_now[held] = _real(prescribe(grid, fixed, at)[1])
            found[next_time] = _whole(dense(at), free, held, fixed_now)
            next_time += 1
    shown = {a: np.linspace(*domain.bounds[a], cells[a] + 1) for a in domain.space_axes}
    field = _interpolated(found.reshape(len(times), *grid.shape), grid, shown, 1)
    field = np.moveaxis(field, 0, domain.axes.index(TIME))
    return GridSolution({a: times if a == TIME else shown[a] for a in domain.axes}, {output: field})


def _elements(domain: Box, conditions: Sequence[ConditionBase], cells: Mapping[str, int]) -> dict[str, int]:
    """So many elements an axis that the middle degree takes the initial state to ``RESOLVED``."""
    space_dimensions(domain, "wave", time=True)
    most, initial = MOST_ELEMENTS[len(domain.space_axes)], _initial(conditions)
    shown = Grid(domain.axes, tuple(Line(a, np.linspace(*domain.bounds[a], PROBED), np.ones(PROBED - 1), False, 2)
                                    for a in domain.space_axes))  # fmt: skip
    elements = {a: min(most, max(2, -(-cells[a] // CELLS))) for a in domain.space_axes}
    while True:
        grid = spectral_grid(domain, elements, DEGREES[1], frozenset())
        worst = 0.0
        for what in (initial.value, initial.rate):
            assert what is not None
            here, there = (real(what, g.points(domain.bounds[TIME][0]), "data") for g in (grid, shown))
            onto = _interpolated(here.reshape(grid.shape), grid, {line.name: line.nodes for line in shown.lines}, 0)
            size = float(np.abs(there).max())
            worst = max(worst, float(np.abs(onto.ravel() - there).max()) / size if size else 0.0)
        if worst <= RESOLVED or min(elements.values()) == most:
            return elements
        elements = {a: min(most, -(-3 * n // 2)) for a, n in elements.items()}


def _interpolated(field: Real, grid: Grid, shown: Mapping[str, Real], first: int) -> Real:
    """A field on the elements' nodes, its axes from the ``first`` on, at the nodes of another tensor grid."""
    for i, line in enumerate(grid.lines):
        assert isinstance(line, SpectralLine)
        moved = np.moveaxis(field, i + first, 0)
        onto = line.interpolation(shown[line.name]) @ moved.reshape(moved.shape[0], -1)
        field = np.moveaxis(onto.reshape(-1, *moved.shape[1:]), 0, i + first)
    return field


def _whole(state: Real, free: np.ndarray, held: np.ndarray, prescribed: Real) -> Real:
    """The field at all nodes from the values of the free ones and those prescribed."""
    u = np.zeros(len(free) + len(held))
    u[free] = state[: len(free)]
    u[held] = prescribed[held]
    return u
