"""The Helmholtz equation by wide differences of fourth order, as ``helmholtz.solve_helmholtz`` calls them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sparse
import torch

from ..coefficients import Coefficient
from ..domains import Box
from ..points import Points
from .boundary import Piece, prescribe
from .layer import Layers, physical
from .linear import direct, eliminate
from .lines import Field, Grid, cell_count
from .stencil import evaluate, kron
from .wide import LEAST_CELLS, stretched, wide


def solve_wide(
    grid: Grid,
    domain: Box,
    found: Layers,
    local: Callable[[Points], torch.Tensor],
    source: Coefficient,
    pieces: tuple[list[Piece], list[Piece]],
) -> Field:
    """(size,): the field at the grid's unknowns.

    ``found``: the layers; ``local``: wavenumber over speed; ``pieces``: where values and where slopes are prescribed.
    The equation stands at inner nodes, ``a u + b du/dn`` on the sides with one-sided slopes; where sides meet, the sum.
    """
    for line in grid.lines:
        cell_count({line.name: len(line.steps)}, line.name, LEAST_CELLS)
    fixed, flux = pieces
    held, prescribed = prescribe(grid, fixed)
    inner = physical(domain, found)
    places = [
        stretched(w.nodes, *inner[w.name], {end: layer for (a, end), layer in found.items() if a == w.name})
        for w in grid.lines
    ]
    eyes = [sparse.csr_array(sparse.eye_array(w.size)) for w in grid.lines]

    def derivative(axis: int, order: int) -> sparse.csr_array:
        own = wide(places[axis], order, grid.lines[axis].periodic)
        return kron([own if i == axis else eye for i, eye in enumerate(eyes)])

    square = evaluate(lambda p: local(p) ** 2, grid.points(), "(wavenumber / speed)^2")
    operator = sum((derivative(i, 2) for i in range(len(grid.lines))), sparse.diags_array(square.astype(complex)))
    on_side = np.zeros(grid.size, dtype=bool)
    for piece in flux:
        on_side[piece.nodes] = True
    matrix = sparse.csr_array(sparse.diags_array((~on_side).astype(complex)) @ operator)
    load = -np.where(on_side, 0, evaluate(source, grid.points(), "source")).astype(complex)
    for piece in flux:
        axis, end = domain.side(piece.side)
        i = domain.space_axes.index(axis)
        # Over the step, so that rows of sides and of the equation are of one size.
        size = 1 / float(grid.lines[i].steps[-end])
        rows = np.zeros(grid.size, dtype=complex)
        rows[piece.nodes] = size * (2.0 * end - 1.0)
        robin = np.zeros(grid.size, dtype=complex)
        robin[piece.nodes] = size * piece.a / piece.b
        matrix = sparse.csr_array(matrix + sparse.diags_array(rows) @ derivative(i, 1) + sparse.diags_array(robin))
        np.add.at(load, piece.nodes, size * piece.data() / piece.b)
    return eliminate(matrix, load, held, prescribed, direct)
