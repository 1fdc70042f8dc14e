"""Finite differences for the Helmholtz equation on a box, with radiation conditions and absorbing layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sparse
import torch

from ..coefficients import Coefficient, values
from ..conditions import PML, Absorbing, Boundary, ConditionBase, Dirichlet, Periodic, Robin
from ..domains import Box
from ..errors import ProblemError, UsageError
from ..points import Points
from .boundary import Sided, assign, periodic_axes, prescribe, sided
from .grid import GridSolution
from .helmholtz_fourth import solve_wide
from .layer import layered, layers
from .linear import direct, eliminate
from .lines import space_dimensions
from .stencil import evaluate, laplacian, volume_mean


def solve_helmholtz(
    domain: Box,
    *,
    wavenumber: Coefficient,
    speed: Coefficient,
    source: Coefficient,
    conditions: Sequence[ConditionBase],
    cells: Mapping[str, int],
    output: str = "u",
    order: int = 2,
) -> GridSolution:
    """Solve ``laplacian u + (wavenumber / speed)^2 u = -source``, complex, on a box of 1 to 3 space axes.

    The time factor is exp(-i omega t): an outgoing wave is ``exp(+i k r)``. Second-order vertex-centred finite
    differences in symmetric flux form, half control volumes at the sides (see ``solve_poisson``), sparse LU.
    ``(wavenumber / speed)^2`` is averaged over each control volume, so a jump along grid nodes keeps second order;
    the phase error grows like ``k^3 h^2`` times the distance (Babuska and Sauter 1997, doi 10.1137/S0036142994269186).

    ``order`` 4: differences of fourth order on five nodes a line, six beside the sides, one-sided slopes on them, in
    the layer's complex coordinates. The medium and the source are taken at nodes and must be smooth. Shin and Sohn
    1998, doi 10.1190/1.1444323, has other wide stencils.

    Conditions: Dirichlet, Neumann, Robin (complex data), Periodic; ``Absorbing``: ``du/dn = i (wavenumber / speed) u``,
    or ``i`` times its own ``wavenumber``; ``PML``: each axis is stretched by
    ``e(d) = 1 + i strength (d / thickness)^order``, taken at half nodes (strength 5 and order 2 unless given), with
    u = 0 behind the layer (Chew and Weedon 1994, doi 10.1002/mop.4650071304).

    ``cells``: an axis' cells over the whole box. Where a layer's edge would be no node, the physical region and the
    layers get cells of their own, none wider than asked for, and doubled when ``cells`` doubles.

    Returns complex ``values[output]`` on the physical region only, whose nodes are equally spaced. Raises
    ``ProblemError`` where a side has no condition or two, or the equations are singular (a resonance);
    ``NoReferenceError`` for another domain or kind of condition. In 3D the factors fill up: 30^3 cells take seconds,
    60^3 more memory than most machines have.
    """
    space_dimensions(domain, "Helmholtz", time=False)
    kept = sided(conditions, output, "Helmholtz", (Boundary, Absorbing, PML, Periodic))
    if order not in (2, 4):
        raise UsageError(f"order is 2 or 4, got {order!r}.")
    found = layers(domain, [c for c in conditions if isinstance(c, PML)])
    grid, inside = layered(domain, cells, periodic_axes(domain, conditions), found)
    walls: list[Sided] = [Dirichlet(0.0, on=n) for n in domain.side_names() if domain.side(n) in found]

    def local(p: Points) -> torch.Tensor:
        return values(wavenumber, p, "wavenumber") / values(speed, p, "speed")

    fixed, flux = assign(grid, domain, [_as_robin(c, local) for c in kept] + walls)
    coordinates = {line.name: line.nodes[part] for line, part in zip(grid.lines, inside, strict=True)}
    if order == 4:
        field = grid.full(solve_wide(grid, domain, found, local, source, (fixed, flux)))
        return GridSolution(coordinates, {output: field[inside]})
    held, prescribed = prescribe(grid, fixed)
    volumes = grid.volumes()
    load = volumes * evaluate(source, grid.points(), "source").astype(complex)
    diagonal = -volumes * volume_mean(grid, lambda p: local(p) ** 2, "(wavenumber / speed)^2").astype(complex)
    for piece in flux:
        np.add.at(diagonal, piece.nodes, piece.areas * piece.a / piece.b)
        np.add.at(load, piece.nodes, piece.areas * piece.data() / piece.b)
    matrix = sparse.csr_array(laplacian(grid).astype(complex) + sparse.diags_array(diagonal))
    field = grid.full(eliminate(matrix, load, held, prescribed, direct))
    return GridSolution(coordinates, {output: field[inside]})


def _as_robin(condition: Sided, local: Coefficient) -> Sided:
    """Absorbing as ``-i k u + du/dn = 0``."""
    if not isinstance(condition, Absorbing):
        return condition
    if condition.wavenumber is None and condition.speed is not None:
        raise ProblemError("Absorbing(speed=...) is for problems with time; here give wavenumber=, or nothing.")
    own = local if condition.wavenumber is None else condition.wavenumber
    return Robin(lambda p: -1j * values(own, p, "Absorbing wavenumber"), 1.0, 0.0, on=condition.on)
