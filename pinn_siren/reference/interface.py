"""The diffusion-reaction equation where the diffusion jumps: cut cells on each side, matched on the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..coefficients import Coefficient, values
from ..conditions import Boundary, ConditionBase, Interface
from ..domains import Box, Sampler, Sides
from ..errors import NoReferenceError
from ..jet import lift, make_plan
from ..points import Points
from .cut import Cut, cut
from .factors import lu
from .grid import GridSolution
from .lines import Index, Real, cell_count
from .stencil import evaluate, positive, real

NEAR = 1e-9
"""How far from a boundary, in units of the largest coordinate, a node counts as on it."""
LOOKS, STEP = 2**8, 1e-8
"""Points of a curve that are looked at, and how far beside a grid line its sides are, as ``NEAR``."""
SHARED = 1e-2
"""How far apart, in steps of the grid, nodes of two sides may be that stand for one place of a curve."""


def solve_sides(
    sides: Sides,
    *,
    diffusion: Coefficient,
    reaction: Coefficient,
    source: Coefficient,
    conditions: Sequence[ConditionBase],
    cells: Mapping[str, int],
    free_constant: bool = False,
    output: str = "u",
) -> GridSolution:
    """Solve ``div(diffusion grad u) - reaction u = source`` on a domain that curves cut into sides, on one grid.

    Each side has the grid's nodes inside it and the points where grid lines cut its boundary (``cut``), so that a place
    on a curve is a node of both sides, with a value each (the idea of LeVeque and Li 1994, doi 10.1137/0731054, the
    values on the curve kept as unknowns). There the values differ by the ``jump`` and the fluxes by the ``flux`` of an
    ``Interface``, slopes from local polynomials of each side, the diffusion in the limit from it: second order at any
    contrast. On the domain's boundary ``Dirichlet``, ``Neumann`` and ``Robin``; where several meet, one that holds the
    value. Sparse LU. With ``free_constant`` the field of zero mean over the nodes inside is meant.

    Raises ``NoReferenceError`` for other conditions, where none holds, and where the grid does not resolve the sides.
    """
    for c in conditions:
        if not isinstance(c, Boundary | Interface):
            raise NoReferenceError(f"The reference across interfaces does not cover {type(c).__name__}.")
    domain = sides.domain
    if domain.has_time:
        raise NoReferenceError(f"The reference across interfaces knows no time, and {domain} has it.")
    grid = {a: np.linspace(*domain.bounds[a], cell_count(cells, a) + 1) for a in domain.axes}
    system = _System(sides, [cut(region, grid) for region in sides.regions])
    boundary = [c for c in conditions if isinstance(c, Boundary)]
    interfaces = [c for c in conditions if isinstance(c, Interface) for _ in c.shapes]
    for k, part in enumerate(system.parts):
        _inside(system, k, diffusion, reaction, source)
        level = domain.level(system.points(k, part.edge).coordinates).numpy()
        outer = level >= -NEAR * sides.scale
        _boundary(system, k, part.edge[outer], boundary)
        for number, interface in enumerate(interfaces):
            _curve(system, k, part.edge[~outer], number, interface, diffusion)
    return GridSolution(grid, {output: system.on_grid(system.solve(free_constant))})


def on_grid_lines(sides: Sides, conditions: Sequence[ConditionBase], cells: Mapping[str, int]) -> bool:
    """Whether the domain is a box, values and fluxes are continuous, and all curves lie on lines of its grid.

    Then differences in flux form are right as they stand, with what jumps taken as ``mean_around``, at corners too.
    """
    if not isinstance(sides.domain, Box) or not all(c.plain for c in conditions if isinstance(c, Interface)):
        return False
    sampler = Sampler(torch.Generator().manual_seed(1))
    for number in range(len(sides.shapes)):
        p = sides.on_curve(number, LOOKS, sampler)
        lies = torch.zeros(len(p), dtype=torch.bool)
        for i, (axis, (low, high)) in enumerate(sides.domain.bounds.items()):
            steps = (p.coordinates[:, i] - low) / (high - low) * cells[axis]
            lies |= (p.normal[:, i].abs() > 1 - NEAR) & ((steps - steps.round()).abs() <= NEAR * cells[axis])
        if not bool(lies.all()):
            return False
    return True


def mean_around(sides: Sides, coefficient: Coefficient, name: str) -> Coefficient:
    """A coefficient that jumps on grid lines: the mean of the quarters (halves, eighths) around each point."""
    if not callable(coefficient):
        return coefficient
    ways = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * len(sides.domain.axes))

    def mean(p: Points) -> Tensor:
        around = [p.replace(p.coordinates + STEP * sides.scale * way) for way in ways.reshape(-1, len(p.axes))]
        inner = [sides.domain.contains(q.coordinates) for q in around]
        known = [torch.where(m, values(coefficient, q, name), 0.0) for q, m in zip(around, inner, strict=True)]
        return torch.stack(known).sum(0) / torch.stack(inner).sum(0)

    return mean


@dataclass
class _System:
    """The nodes of all sides, one side after the other, and a row of the equations for each."""

    sides: Sides
    parts: list[Cut]
    rows: list[sparse.coo_matrix] = field(default_factory=list)
    stated: list[Index] = field(default_factory=list)
    load: list[Real] = field(default_factory=list)

    @property
    def first(self) -> Index:
        """The number of each side's first node, and of all nodes."""
        return np.cumsum([0, *(len(part.coordinates) for part in self.parts)])

    def points(self, k: int, nodes: Index, outward: Real | None = None) -> Points:
        """Nodes of a side as points."""
        normal = None if outward is None else torch.from_numpy(outward)
        return Points(self.sides.domain.axes, torch.from_numpy(self.parts[k].coordinates[nodes]), normal)

    def derivative(self, k: int, key: str, nodes: Index, factor: Real) -> sparse.csr_matrix:
        """``(n, all nodes)``: a factor times a derivative at nodes of a side."""
        own = sparse.diags_array(factor) @ self.parts[k].derivative(key)[nodes]
        widths = np.diff(self.first)
        blocks = [own if j == k else sparse.csr_matrix((len(nodes), w)) for j, w in enumerate(widths)]
        return sparse.csr_matrix(sparse.hstack(blocks))

    def slope(self, k: int, nodes: Index, directions: Real) -> sparse.csr_matrix:
        """``(n, all nodes)``: derivatives along ``(n, d)`` directions at nodes of a side."""
        axes = self.sides.domain.axes
        return sum(self.derivative(k, a, nodes, directions[:, i]) for i, a in enumerate(axes))

    def state(self, k: int, nodes: Index, rows: sparse.csr_matrix, load: Real) -> None:
        """The equations of some nodes of a side."""
        self.rows.append(rows)
        self.stated.append(self.first[k] + nodes)
        self.load.append(load)

    def solve(self, free_constant: bool) -> Real:
        """The values at all nodes."""
        stated, size = np.concatenate(self.stated), int(self.first[-1])
        if len(stated) != size or len(np.unique(stated)) != size:
            raise NoReferenceError("The grid does not tell the sides of the interfaces apart: refine it.")
        matrix = sparse.csr_matrix(sparse.vstack(self.rows))[np.argsort(stated)]
        load = np.concatenate(self.load)[np.argsort(stated)]
        scale = 1 / np.asarray(abs(matrix).sum(axis=1)).ravel()
        matrix, load = sparse.csr_matrix(sparse.diags_array(scale) @ matrix), scale * load
        if free_constant:
            inside = np.concatenate([f + part.inside for f, part in zip(self.first, self.parts, strict=False)])
            ones = sparse.csr_matrix((np.ones(len(inside)), (inside, np.zeros(len(inside), dtype=int))), (size, 1))
            matrix = sparse.csr_matrix(sparse.block_array([[matrix, ones], [ones.T / len(inside), None]]))
            load = np.append(load, 0.0)
        return np.asarray(lu(sparse.csc_matrix(matrix))(load))[:size]

    def on_grid(self, found: Real) -> Real:
        """The values on the grid's nodes, NaN outside the domain; on a curve those of the side it belongs to."""
        parts = [part.on_grid(found[f:g]) for part, f, g in zip(self.parts, self.first, self.first[1:], strict=False)]
        mesh = np.stack([m.ravel() for m in np.meshgrid(*self.parts[0].grid.values(), indexing="ij")], axis=1)
        side = self.sides.of(torch.from_numpy(mesh)).numpy().reshape(parts[0].shape)
        values = np.full(parts[0].shape, np.nan)
        for k, part in enumerate(parts):
            values = np.where(~np.isnan(part) & (np.isnan(values) | (side == k)), part, values)
        return values


def _inside(system: _System, k: int, diffusion: Coefficient, reaction: Coefficient, source: Coefficient) -> None:
    """The equation at the nodes inside a side."""
    nodes = system.parts[k].inside
    p = system.points(k, nodes)
    rows = system.derivative(k, "", nodes, -real(reaction, p, "reaction"))
    for axis in p.axes:
        rows = rows + system.derivative(k, 2 * axis, nodes, positive(diffusion, p, "diffusion"))
    if callable(diffusion):
        rows = rows + system.slope(k, nodes, lift(diffusion, p, make_plan(p.axes, frozenset(p.axes))).grad.numpy())
    system.state(k, nodes, rows, real(source, p, "source"))


def _boundary(system: _System, k: int, nodes: Index, conditions: Sequence[Boundary]) -> None:
    """The conditions at the nodes of a side on the domain's boundary, one each."""
    domain = system.sides.domain
    index, normals = domain.normals_at(system.points(k, nodes).coordinates)
    faces = system.points(k, nodes[index.numpy()], normals.numpy())
    left = np.ones(len(nodes), dtype=bool)
    for holds_value in (True, False):
        for c in conditions:
            mask = domain.lies_on(faces, c.on).numpy() & left[index.numpy()]
            _, once = np.unique(index.numpy()[mask], return_index=True)
            some = np.flatnonzero(mask)[once]
            p, at = faces[torch.from_numpy(some)], nodes[index.numpy()[some]]
            a, b, value = (evaluate(v, p, type(c).__name__) for v in (c.a, c.b, c.value))
            kept = (b == 0) == holds_value
            left[index.numpy()[some[kept]]] = False
            slopes = system.slope(k, at[kept], (b[:, None] * p.normal.numpy())[kept])
            system.state(k, at[kept], system.derivative(k, "", at[kept], a[kept]) + slopes, value[kept])
    if left.any():
        place = ", ".join(f"{v:.4g}" for v in system.parts[k].coordinates[nodes[left][0]])
        raise NoReferenceError(f"No condition holds on the boundary at ({place}): add Dirichlet, Neumann or Robin.")


def _curve(system: _System, k: int, nodes: Index, number: int, interface: Interface, diffusion: Coefficient) -> None:
    """What holds on one curve: the values at the nodes around its shape, the fluxes at those inside it."""
    sides, shape = system.sides, system.sides.shapes[number]
    found, normals = shape.normals_at(system.points(k, nodes).coordinates)
    # A corner has the mean normal of its faces.
    index, place = np.unique(found.numpy(), return_inverse=True)
    normal = np.zeros((len(index), normals.shape[1]))
    np.add.at(normal, place, normals.numpy())
    nodes, normal = nodes[index], normal / np.linalg.norm(normal, axis=1, keepdims=True)
    done = np.isin(system.first[k] + nodes, np.concatenate([*system.stated, np.zeros(0, dtype=np.intp)]))
    nodes, normal = nodes[~done], normal[~done]
    p = system.points(k, nodes, normal)
    behind, before = (side.numpy() for side in sides.beside(p))
    for other in range(len(sides)):
        for inner in (True, False):
            mine, theirs = (behind, before) if inner else (before, behind)
            some = (mine == k) & (theirs == other)
            if other == k or not some.any():
                continue
            at, n = nodes[some], normal[some]
            beyond, away = _partners(system, k, at, other)
            here = p[torch.from_numpy(some)]
            if inner:
                inflow, outflow = (interface.limit(sides, diffusion, here, way).numpy()[:, None] for way in (-1, 1))
                rows = system.slope(other, beyond, outflow * n) - system.slope(k, at, inflow * n)
                load = real(interface.flux, here, "Interface flux")
            else:
                one = np.ones(len(at))
                rows = system.derivative(k, "", at, one) - system.derivative(other, "", beyond, one)
                rows = rows - system.slope(other, beyond, away)
                load = real(interface.jump, here, "Interface jump")
            system.state(k, at, rows, load)


def _partners(system: _System, k: int, nodes: Index, other: int) -> tuple[Index, Real]:
    """The nodes of another side at places on a curve, and ``(n, d)`` how far the places are from them: a node that all
    but lies on the curve is moved there on one side, and its neighbour cut off by a hair on the other."""
    part, places = system.parts[other], system.parts[k].coordinates[nodes]
    near, which = cKDTree(part.coordinates[part.edge]).query(places)
    if (near > SHARED * part.steps.min()).any():
        raise NoReferenceError("The grid does not resolve the sides of the interfaces: refine it.")
    found = part.edge[which]
    return found, places - part.coordinates[found]


__all__ = ["mean_around", "on_grid_lines", "solve_sides"]
