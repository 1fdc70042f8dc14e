"""Finite-difference operators and coefficients on grids, as the solvers share them.

Each equation is multiplied by its node's control volume, which makes the operators symmetric.
"""

from __future__ import annotations

from functools import reduce
from itertools import product

import numpy as np
import scipy.sparse as sparse

from ..coefficients import Coefficient, values
from ..errors import ProblemError
from ..points import Points
from .lines import Field, Grid, Line, Real, outer


def kron(factors: list[sparse.csr_array]) -> sparse.csr_array:
    """The Kronecker product of one matrix an axis."""
    return reduce(lambda a, b: sparse.kron(a, b, format="csr"), factors)


def laplacian(grid: Grid) -> sparse.csr_array:
    """(size, size): K with ``-K u`` the Laplacian times the control volumes, boundary fluxes left out; symmetric."""
    terms = []
    for i in range(len(grid.lines)):
        factors = [w.stiffness() if j == i else sparse.diags_array(w.masses) for j, w in enumerate(grid.lines)]
        terms.append(kron(factors))
    return sparse.csr_array(sum(terms[1:], terms[0]))


def diffusive(grid: Grid, diffusion: Coefficient, name: str = "diffusion") -> sparse.csr_array:
    """(size, size): K with ``(K u)_i`` the flux of ``-diffusion grad u`` out of control volume i, sides left out.

    The flux through a half node is the diffusion *there* times the difference of its two nodes: second order, exactly
    conservative, symmetric, and right where the diffusion jumps at a node, as a mean of nodal values is not.
    """
    terms = []
    for i in range(len(grid.lines)):
        areas = outer([w.conductances if j == i else w.masses for j, w in enumerate(grid.lines)])
        flows = areas * positive(diffusion, grid.half_points(i), name)
        gradient = kron([w.difference() if j == i else sparse.eye_array(w.size) for j, w in enumerate(grid.lines)])
        terms.append(gradient.T @ sparse.diags_array(flows) @ gradient)
    return sparse.csr_array(sum(terms[1:], terms[0]))


def evaluate(coefficient: Coefficient, p: Points, name: str) -> Field:
    """(n,) values of a coefficient as a NumPy array."""
    return values(coefficient, p, name).detach().resolve_conj().resolve_neg().numpy()


def real(coefficient: Coefficient, p: Points, name: str) -> Real:
    """(n,) real values. Raises ``ProblemError`` where they are complex."""
    found = evaluate(coefficient, p, name)
    if np.iscomplexobj(found):
        raise ProblemError(f"{name} is complex, and this equation is real.")
    return found


def positive(coefficient: Coefficient, p: Points, name: str) -> Real:
    """(n,) positive real values. Raises ``ProblemError`` with a place where they are not."""
    found = real(coefficient, p, name)
    if (found <= 0).any():
        worst = int(found.argmin())
        where = dict(zip(p.axes, p.coordinates[worst].tolist(), strict=True))
        raise ProblemError(f"{name} must be positive; it is {found[worst]:g} at {where}.")
    return found


def volume_mean(grid: Grid, function: Coefficient, name: str, time: float | None = None) -> Field:
    """(size,): the mean over each control volume of a coefficient that may jump, from the centres of its 2^d parts.

    A jump along grid nodes is then resolved to second order; the value at the node would belong to one side only.
    """
    if not callable(function):
        return evaluate(function, grid.points(time), name)
    total: Field = np.zeros(grid.size)
    weight: Field = np.zeros(grid.size)
    for signs in product((-1, 1), repeat=len(grid.lines)):
        places, shares = zip(
            *(_quarters(line, sign) for line, sign in zip(grid.lines, signs, strict=True)), strict=True
        )
        share = outer(list(shares))
        total = total + share * evaluate(function, grid.product(list(places), time), name)
        weight = weight + share
    return total / weight


def _quarters(line: Line, sign: int) -> tuple[Real, Real]:
    """The centres and widths of the left (-1) or right (+1) halves of a line's control volumes."""
    steps = line.steps
    if line.periodic:
        widths = (np.roll(steps, 1) if sign < 0 else steps) / 2
    else:
        widths = np.concatenate([[0.0], steps] if sign < 0 else [steps, [0.0]]) / 2
    places = line.unknowns + sign * widths / 2
    # The left half of a periodic line's first node lies at the far end of it.
    return np.where(places < line.nodes[0], places + line.nodes[-1] - line.nodes[0], places), widths
