"""Nodes on grids that a boundary cuts: what they are, exact derivatives of quadratics, and second order with them."""

from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from measured import Exact, derivatives, gradient
from scipy.special import hankel1
from torch import Tensor

from pinn_siren import Ball, Box, Disk, Polygon
from pinn_siren.errors import NoReferenceError, ProblemError
from pinn_siren.points import Points
from pinn_siren.reference.cut import cut_nodes
from pinn_siren.reference.linear import direct
from pinn_siren.reference.nodes import Nodes
from pinn_siren.reference.scattered import fit

SQUARE = Box(x=(-1, 1), y=(-1, 1))
HOLE = Disk((0.55, 0.3), 0.25)
HOLES = SQUARE - Disk((-0.4, 0), 0.3) - HOLE
RING = Disk() - Disk(radius=0.4)
CORNERED = Polygon([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)])
SLANTED = Polygon([(0, 0), (1.1, 0.1), (0.7, 0.5), (1, 1.2), (0.4, 0.8), (-0.3, 0.9)])
JOINED = Box(x=(0, 2), y=(0, 1)) + Box(x=(0, 1), y=(0, 2))
BITTEN = Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)) - Ball((0, 0, 1), 0.5)
SHAPES = [Disk((0.1, 0.2)), RING, HOLES, CORNERED, SLANTED, JOINED, SQUARE, Ball(), BITTEN]


@pytest.mark.parametrize("domain", SHAPES, ids=str)
def test_nodes_are_the_grid_inside_and_points_on_the_boundary(domain):
    nodes = cut_nodes(domain, dict.fromkeys(domain.axes, 14))
    count = len(nodes.coordinates)
    both = np.sort(np.concatenate([nodes.inside, np.unique(nodes.boundary)]))
    assert np.array_equal(both, np.arange(count))
    level = domain.level(torch.from_numpy(nodes.coordinates)).numpy()
    assert np.abs(level[nodes.boundary]).max() < 1e-12 and level[nodes.inside].max() < 0
    behind = domain.level(torch.from_numpy(nodes.coordinates[nodes.boundary] + 1e-6 * nodes.outward))
    assert float(behind.min()) > -1e-12
    np.testing.assert_allclose(np.linalg.norm(nodes.outward, axis=1), 1)
    mesh = np.stack(np.meshgrid(*nodes.grid.values(), indexing="ij"), axis=-1)
    held = domain.contains(torch.from_numpy(mesh.reshape(-1, mesh.shape[-1]))).numpy().reshape(mesh.shape[:-1])
    for axis in range(len(domain.axes)):
        shown = nodes.on_grid(nodes.coordinates[:, axis])
        assert np.array_equal(np.isnan(shown), ~held)
        np.testing.assert_allclose(shown[held], mesh[held][:, axis], atol=1e-5)
    both = nodes.on_grid(nodes.coordinates[:, 0] * (1 + 1j))
    assert np.array_equal(np.isnan(both.imag), ~held) and np.array_equal(np.isnan(both.real), ~held)


@pytest.mark.parametrize("domain", SHAPES, ids=str)
def test_every_derivative_of_a_quadratic_is_exact(domain):
    nodes = cut_nodes(domain, {a: 12 + k for k, a in enumerate(domain.axes)})
    x, d = nodes.coordinates, len(domain.axes)
    slope, curvature = np.arange(1, d + 1), np.arange(d * d).reshape(d, d) + 1.0
    curvature = curvature + curvature.T
    u = 0.7 + x @ slope + ((x @ curvature) * x).sum(axis=1) / 2
    np.testing.assert_array_equal(nodes.derivative("") @ u, u)
    for i, a in enumerate(domain.axes):
        np.testing.assert_allclose(nodes.derivative(a) @ u, slope[i] + x @ curvature[i], atol=1e-8)
    for i, j in combinations_with_replacement(range(d), 2):
        for key in (domain.axes[i] + domain.axes[j], domain.axes[j] + domain.axes[i]):
            np.testing.assert_allclose(nodes.derivative(key) @ u, curvature[i, j], atol=2e-6)


def wavy(p: Points) -> Tensor:
    return torch.sin(2 * p.x + 0.3) * torch.cos(1.5 * p.y) + p.x * p.y


def wavy3(p: Points) -> Tensor:
    return wavy(p) * torch.exp(0.5 * p.z)


def solve(nodes: Nodes, u: Exact, kind: Callable, reaction: float = 0.0) -> np.ndarray:
    """(N,): ``laplacian u + reaction u = f`` inside and ``a u + b du/dn = g`` on the boundary, data from the exact u.

    ``kind``: (B, d) boundary points to a and b; of a corner's normals, one is taken.
    """
    size, p = len(nodes.coordinates), Points(nodes.space_axes, torch.from_numpy(nodes.coordinates))
    edge, first = np.unique(nodes.boundary, return_index=True)
    normal = np.zeros_like(nodes.coordinates)
    normal[edge] = nodes.outward[first]
    a, b, inner = np.zeros(size), np.zeros(size), np.zeros(size)
    a[edge], b[edge] = kind(nodes.coordinates[edge])
    inner[nodes.inside] = 1
    truth, slope = u(p).numpy(), gradient(u, p).numpy()
    load = inner * (derivatives(u, p).sum(dim=1).numpy() + reaction * truth)
    load = load + a * truth + b * (normal * slope).sum(axis=1)
    second = sum(nodes.derivative(2 * axis) for axis in nodes.space_axes)
    matrix = sparse.diags_array(inner) @ second + sparse.diags_array(inner * reaction + a)
    for i, axis in enumerate(nodes.space_axes):
        matrix = matrix + sparse.diags_array(b * normal[:, i]) @ nodes.derivative(axis)
    return np.abs(direct(sparse.csr_array(matrix), load, np.arange(size)) - truth)


def dirichlet(x: np.ndarray) -> tuple:
    return 1.0, 0.0


def robin(x: np.ndarray) -> tuple:
    return 1.0 + x[:, 0] ** 2, 1.0


def neumann_but_on_the_left(x: np.ndarray) -> tuple:
    left = x[:, 0] < np.median(x[:, 0])
    return 1.0 * left, 1.0 * ~left


def neumann_on_a_hole(x: np.ndarray) -> tuple:
    hole = np.abs(HOLE.level(torch.from_numpy(x)).numpy()) < 1e-12
    return 1.0 * ~hole, 1.0 * hole


@pytest.mark.parametrize(
    "domain, kind, band, cap",
    [
        (Disk((0.1, 0.2)), dirichlet, (1.9, 2.1), 3e-5),
        (Disk((0.1, 0.2)), robin, (1.9, 2.1), 4e-5),
        (Disk((0.1, 0.2)), neumann_but_on_the_left, (1.9, 2.2), 4e-5),
        (RING, dirichlet, (1.8, 2.1), 1e-5),
        (RING, robin, (1.8, 2.2), 2e-5),
        (HOLES, dirichlet, (1.85, 2.1), 1e-5),
        (HOLES, robin, (1.7, 2.1), 5e-5),
        (HOLES, neumann_on_a_hole, (1.7, 2.1), 4e-5),
        (CORNERED, dirichlet, (1.9, 2.1), 2e-5),
        (SLANTED, dirichlet, (1.8, 2.1), 5e-6),
        (SLANTED, robin, (1.8, 2.2), 2e-5),
    ],
)
def test_solutions_are_second_order(domain, kind, band, cap):
    errors = [np.sqrt((solve(cut_nodes(domain, {"x": n, "y": n}), wavy, kind) ** 2).mean()) for n in (64, 128)]
    assert band[0] <= np.log2(errors[0] / errors[1]) <= band[1], errors
    assert errors[1] <= cap, errors


@pytest.mark.parametrize("kind, band, cap", [(dirichlet, (1.7, 2.1), 8e-4), (robin, (1.8, 3.4), 4e-3)])
def test_solutions_in_a_ball_are_second_order(kind, band, cap):
    grids = [dict.fromkeys("xyz", n) for n in (8, 16)]
    errors = [np.sqrt((solve(cut_nodes(Ball(), cells), wavy3, kind) ** 2).mean()) for cells in grids]
    assert band[0] <= np.log2(errors[0] / errors[1]) <= band[1], errors
    assert errors[1] <= cap, errors


@pytest.mark.parametrize("domain", [Disk((0.1, 0.2)), HOLES, SLANTED], ids=str)
def test_normal_derivatives_are_second_order_at_least(domain):
    def worst(n: int) -> float:
        nodes = cut_nodes(domain, {"x": n, "y": n})
        p = Points(nodes.space_axes, torch.from_numpy(nodes.coordinates))
        found = np.stack([nodes.derivative(a) @ wavy(p).numpy() for a in nodes.space_axes], axis=1)
        return float(np.abs(((found - gradient(wavy, p).numpy())[nodes.boundary] * nodes.outward).sum(axis=1)).max())

    assert np.log2(worst(32) / worst(64)) >= 2
    assert worst(64) < 1e-3


def test_a_wave_around_a_hard_disk():
    """H0(k r) solves the Helmholtz equation outside a disk: its slope is given there, its values on the square."""
    k, radius = 4.0, 0.4

    def error(n: int) -> float:
        nodes = cut_nodes(SQUARE - Disk(radius=radius), {"x": n, "y": n})
        x, size = nodes.coordinates, len(nodes.coordinates)
        truth = hankel1(0, k * np.hypot(*x.T))
        edge, first = np.unique(nodes.boundary, return_index=True)
        hard = np.hypot(*x[edge].T) < radius + 1e-9
        hole, wall, normal = edge[hard], edge[~hard], nodes.outward[first][hard]
        inner, held, slope = np.zeros(size), np.zeros(size), np.zeros((2, size))
        inner[nodes.inside], held[wall], slope[:, hole] = 1, 1, normal.T
        matrix = sparse.diags_array(inner) @ (nodes.derivative("xx") + nodes.derivative("yy"))
        matrix = matrix + sparse.diags_array(inner * k**2 + held)
        for i, axis in enumerate("xy"):
            matrix = matrix + sparse.diags_array(slope[i]) @ nodes.derivative(axis)
        load = held * truth
        load[hole] = k * hankel1(1, k * radius)
        return float(np.abs(direct(sparse.csr_array(matrix), load, np.arange(size)) - truth).max())

    errors = [error(n) for n in (48, 96)]
    assert 1.6 <= np.log2(errors[0] / errors[1]) <= 2.4, errors
    assert errors[1] < 6e-4, errors


def test_a_wall_thinner_than_a_cell_separates():
    """Values of both sides meet nowhere, so a field that jumps across the wall is found exactly."""
    split = SQUARE - Box(x=(-2, 2), y=(0.11, 0.13))
    nodes = cut_nodes(split, {"x": 16, "y": 16})
    above = (nodes.coordinates[:, 1] > 0.12).astype(float)
    for axis in ("x", "y"):
        for key in (axis, 2 * axis):
            assert np.abs(nodes.derivative(key) @ above).max() < 1e-9
    assert np.abs(nodes.derivative("xy") @ above).max() < 1e-9


def test_short_legs_do_not_cost_digits():
    for shift in (1e-3, 1e-5, 1e-8, 1e-11, 1e-15):
        nodes = cut_nodes(SQUARE - Disk((0.0, 0.0), 0.5 + shift), {"x": 16, "y": 16})
        assert np.abs(nodes.derivative("xx").data).max() < 1e8
        assert solve(nodes, wavy, dirichlet).max() < 3e-3


def test_what_the_grid_cannot_hold_is_refused():
    with pytest.raises(NoReferenceError, match="refine"):
        cut_nodes(Disk() - Disk(radius=0.98), {"x": 2, "y": 2})
    lone = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(NoReferenceError, match="too few nodes"):
        fit(lone, np.array([0]), np.ones(2), sparse.csr_array((3, 3)))
    with pytest.raises(NoReferenceError, match="'xxx'"):
        cut_nodes(Disk(), {"x": 8, "y": 8}).derivative("xxx")
    with pytest.raises(ProblemError, match="without time"):
        cut_nodes(Disk() * Box(t=(0, 1)), {"x": 8, "y": 8, "t": 8})
