"""Finite-difference solutions, on three grids each, with their error bars."""

from .cells import cell_weights, weighted
from .cfl import cfl_limit, check_cfl
from .convergence import converge, estimate, extrapolate, judged, single
from .eikonal import solve_eikonal
from .grid import GridSolution, Reference, masked
from .helmholtz import solve_helmholtz
from .interface import mean_around, on_grid_lines, solve_sides
from .poisson import solve_poisson
from .wave import solve_wave

__all__ = [
    "GridSolution", "Reference", "cell_weights", "cfl_limit", "check_cfl", "converge", "estimate", "extrapolate",
    "judged", "masked", "mean_around", "on_grid_lines", "single", "solve_eikonal", "solve_helmholtz", "solve_poisson",
    "solve_sides", "solve_wave", "weighted",
]  # fmt: skip
