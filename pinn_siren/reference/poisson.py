"""Finite differences for the diffusion-reaction equation on a box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sparse

from ..coefficients import Coefficient
from ..conditions import Boundary, ConditionBase, Periodic
from ..domains import Box
from ..errors import ProblemError
from .boundary import Piece, assign, periodic_axes, prescribe, sided
from .grid import GridSolution
from .linear import conjugate_gradients, direct, eliminate
from .lines import Grid, Real, space_dimensions, uniform
from .stencil import diffusive, positive, real


def solve_poisson(
    domain: Box,
    *,
    diffusion: Coefficient,
    reaction: Coefficient,
    source: Coefficient,
    conditions: Sequence[ConditionBase],
    cells: Mapping[str, int],
    output: str = "u",
) -> GridSolution:
    """Solve ``div(diffusion grad u) - reaction u = source`` on a box of 1 to 3 space axes.

    Second-order vertex-centred finite differences in conservative flux form: the flux through a half node is the
    diffusion at that half node times the difference quotient, and a boundary node owns half a control volume, whose
    outer face takes the flux from Neumann (``du/dn = g``) or Robin (``a u + b du/dn = g``) data, so these are second
    order too. (Samarskii 2001, "The Theory of Difference Schemes", doi 10.1201/9780203908518.) A corner with a
    Dirichlet side is Dirichlet; any other corner takes each side's own flux.

    ``diffusion`` > 0, ``reaction``, ``source``: numbers or ``callable(Points) -> (n,)``, real. ``conditions``:
    Dirichlet, Neumann, Robin and Periodic, together on the whole boundary. ``cells``: equal cells an axis. Solved by
    sparse LU in 1D and 2D, by conjugate gradients with multigrid in 3D where the operator is definite.

    Where nothing fixes a constant (Neumann or periodic only, no reaction) the solution of zero mean is returned.

    Returns ``values[output]`` of shape (cells + 1, ...). Raises ``ProblemError`` where a side has no condition or two,
    the diffusion is not positive, the data is incompatible (the integral of the source must equal that of
    ``diffusion du/dn``, up to the quadrature's O(h^2)), or the equations are singular; ``NoReferenceError`` for
    another domain or kind of condition.
    """
    space_dimensions(domain, "Poisson", time=False)
    sides = sided(conditions, output, "Poisson", (Boundary, Periodic))
    grid = uniform(domain, cells, periodic_axes(domain, conditions))
    fixed, flux = assign(grid, domain, sides)
    held, prescribed = prescribe(grid, fixed)
    slope, load = fluxes(grid, flux, diffusion)
    decay = real(reaction, grid.points(), "reaction")
    volumes = grid.volumes()
    inflow, sources = load.sum(), volumes * real(source, grid.points(), "source")
    load = load - sources
    matrix = sparse.csr_array(diffusive(grid, diffusion) + sparse.diags_array(slope + volumes * decay))
    definite = bool((decay >= 0).all() and (slope >= 0).all())
    solve = conjugate_gradients(grid) if len(grid.lines) == 3 and definite else direct
    if len(held) or slope.any() or decay.any():
        solution = eliminate(matrix, load, held, prescribed, solve)
    else:
        _check_compatible(grid, sources, inflow, np.abs(load).sum())
        load = load - volumes * load.sum() / volumes.sum()
        # With compatible data any one equation follows from the others: drop the first, and fix its node.
        solution = eliminate(matrix, load, np.zeros(1, dtype=np.intp), np.zeros(1), solve)
        solution = solution - (volumes * solution).sum() / volumes.sum()
    if np.iscomplexobj(solution):
        raise ProblemError("A condition's data is complex, and the Poisson equation here is real.")
    return GridSolution({line.name: line.nodes for line in grid.lines}, {output: grid.full(solution)})


def fluxes(grid: Grid, flux: list[Piece], diffusion: Coefficient) -> tuple[Real, Real]:
    """(size,) each: the diagonal term and the load of ``diffusion du/dn = diffusion (g - a u) / b`` on the sides."""
    slope, load = np.zeros(grid.size), np.zeros(grid.size)
    for piece in flux:
        factor = piece.areas * positive(diffusion, piece.points, "diffusion") / piece.b
        if np.iscomplexobj(factor * piece.a * piece.data()):
            raise ProblemError("A condition's data is complex, and the Poisson equation here is real.")
        np.add.at(slope, piece.nodes, factor * piece.a)
        np.add.at(load, piece.nodes, factor * piece.data())
    return slope, load


def _check_compatible(grid: Grid, sources: Real, inflow: float, scale: float) -> None:
    """Raise unless the source balances the flux, up to what trapezoidal quadrature can get wrong on this grid."""
    coarse = max(1 / len(line.steps) for line in grid.lines)
    if abs(sources.sum() - inflow) > max(20 * coarse**2, 1e-10) * scale:
        raise ProblemError(
            "No condition fixes a constant (Neumann or periodic sides only, no reaction), so the source must balance "
            f"the flux: its integral is {sources.sum():.6g}, that of diffusion du/dn over the boundary is "
            f"{inflow:.6g}. Change one of them, or add a Dirichlet or Robin condition."
        )
