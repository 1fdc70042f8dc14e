"""High-order finite elements by scikit-fem (Gustafsson and McBain 2020, doi:10.21105/joss.02369).

``scikit-fem pK``: its hierarchical quadrilaterals ``ElementQuadP(K)``, ``ElementLinePp(K)`` on a line; ``p4`` takes
triangles, ``ElementTriP4``, ``p2`` hexahedra, the highest degree in space. Sparse direct solves; Newton where the
equation is not linear. The L is graded towards its corners, so convergence is fast in the layers (Guo and Babuska 1986,
doi:10.1007/BF00272624). Waves: the modes of the elements in space, exact in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import splu

from .sequence import Solved, refine

try:
    import skfem
    from skfem.helpers import dot, grad
except ModuleNotFoundError:  # states() answers without it; run() is not called then
    skfem = None

Array = NDArray[np.float64]
CELLS = {1: (2, 4, 8, 16, 32, 64, 128), 2: (2, 3, 4, 6, 8, 12, 16, 24, 32, 48), 3: (2, 4, 6, 8, 12, 16)}
LAYERS = (4, 6, 8, 12, 16, 20, 24, 32)
GRADING = 0.4


def degree(method: str) -> int:
    """``"scikit-fem p8"`` is of degree 8."""
    return int(method.rsplit("p", 1)[1])


def states(name: str, statement: Any, method: str) -> bool:
    """Second-order problems with boundary values, up to three dimensions (where it has degree 2 alone)."""
    if statement.values is None or statement.dimensions == 5:
        return False
    return degree(method) == 2 if statement.dimensions == 3 else degree(method) > 2


def run(race: Any, method: str) -> None:
    """Twice as many cells, or more layers around the corner."""
    s, p = race.statement, degree(method)

    def solve(size: int) -> Solved:
        basis = make_basis(s, size, p)
        if s.initial is not None:
            return _waves(race, basis, size)
        values = solve_on(s, basis)
        note = f"{size} {'layers' if s.polygon else 'cells an axis'}, degree {p}"

        def field(points: Array) -> Array:
            probes = basis.probes(points.T)
            return race.observe(points, np.stack([probes @ v for v in values], axis=1))

        return Solved(field, basis.N * s.components, note)

    refine(race, LAYERS if s.polygon else CELLS[1 if s.initial is not None else s.dimensions], solve, growth=2.5)


def make_basis(statement: Any, size: int, p: int) -> Any:
    """Elements of degree ``p`` on the statement's domain, without time."""
    axes = [np.linspace(*b, size + 1) for b in statement.bounds]
    if statement.polygon is not None:
        # The five other corners are singular too, but less: r^2 log r against r^(2/3).
        toward = GRADING ** np.arange(1, size // 2 + 1)
        graded = np.r_[0.0, np.sort(0.5 * np.r_[GRADING ** np.arange(size), 2 - toward]), 1.0]
        line = np.r_[-graded[:0:-1], graded]
        whole = skfem.MeshQuad.init_tensor(line, line)
        middle = whole.p[:, whole.t].mean(1)
        mesh, element = whole.remove_elements(np.nonzero((middle > 0).all(0))[0]), skfem.ElementQuadP(p)
        if p <= 4:
            mesh, element = mesh.to_meshtri(), skfem.ElementTriP4()
    elif statement.dimensions == 1 or statement.initial is not None:
        mesh, element = skfem.MeshLine(axes[0]), skfem.ElementLinePp(p)
    elif statement.dimensions == 3:
        mesh, element = skfem.MeshHex.init_tensor(*axes), skfem.ElementHex2()
    elif p <= 4:
        mesh, element = skfem.MeshTri.init_tensor(*axes), skfem.ElementTriP4()
    else:
        mesh, element = skfem.MeshQuad.init_tensor(*axes), skfem.ElementQuadP(p)
    return skfem.CellBasis(mesh, element, intorder=2 * p + 2)


def _mass(basis: Any) -> Any:
    return skfem.BilinearForm(lambda u, v, w: u * v).assemble(basis)


def solve_on(statement: Any, basis: Any) -> list[Array]:
    """Each component: held values projected onto the boundary, then Newton (one step and one matrix where linear)."""
    edge = basis.boundary()
    held = edge.get_dofs().all()
    free = np.setdiff1d(np.arange(basis.N), held)

    @skfem.BilinearForm
    def tangent(u: Any, v: Any, w: Any) -> Any:
        at = w["at"]
        c0, c1, c2 = statement.linear(np, list(w.x), at, list(at.grad))
        flow = sum(c * g for c, g in zip(c1, u.grad, strict=True))
        return -c2[0] * dot(grad(u), grad(v)) + (c0 * u + flow) * v

    def factors(u: Array) -> Any:
        return splu(tangent.assemble(basis, at=basis.interpolate(u))[free][:, free].tocsc())

    def residual(u: Array, component: int) -> Array:
        @skfem.LinearForm
        def form(v: Any, w: Any) -> Any:
            at = w["at"]
            x, d = list(w.x), list(at.grad)
            c2 = statement.linear(np, x, at, d)[2][0]
            low = statement.operator(np, x, at, d, [0.0] * len(d)) - statement.source(np, x)[component]
            return -c2 * dot(at.grad, grad(v)) + low * v

        return form.assemble(basis, at=basis.interpolate(u))

    found = []
    once = factors(np.zeros(basis.N)) if statement.affine else None
    for component in range(statement.components):
        u = np.zeros(basis.N)
        if not statement.zero:
            values = skfem.LinearForm(lambda v, w, k=component: statement.values(np, list(w.x))[k] * v)
            u[held] = splu(_mass(edge)[held][:, held].tocsc()).solve(values.assemble(edge)[held])
        for _ in range(1 if once is not None else 25):
            step = -(once or factors(u)).solve(residual(u, component)[free])
            u[free] += step
            if np.abs(step).max() < 1e-12 * np.abs(u).max():
                break
        found.append(u)
    return found


def _waves(race: Any, basis: Any, size: int) -> Solved:
    s = race.statement
    speed = (-s.linear(np, (), 0.0, ())[2][0]) ** 0.5
    free = np.setdiff1d(np.arange(basis.N), basis.get_dofs().all())
    stiff = skfem.BilinearForm(lambda u, v, w: dot(grad(u), grad(v))).assemble(basis)[free][:, free]
    mass = _mass(basis)[free][:, free]
    load = skfem.LinearForm(lambda v, w: s.initial(np, list(w.x)) * v).assemble(basis)[free]
    squares, modes = eigh(stiff.toarray(), mass.toarray())
    start = modes.T @ load

    def field(points: Array) -> Array:
        v = np.zeros((basis.N, len(points)))
        v[free] = modes @ (start[:, None] * np.cos(speed * np.sqrt(squares)[:, None] * points[:, 1]))
        return np.einsum("pn,np->p", basis.probes(points[:, :1].T).toarray(), v)

    return Solved(field, len(free), f"{size} cells, their modes in time")
