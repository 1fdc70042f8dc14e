"""The shared operators against findiff, and the properties that the solvers rest on."""

import numpy as np
import pytest
import torch
from findiff import FinDiff

from pinn_siren import Box
from pinn_siren.conditions import PML
from pinn_siren.errors import NoReferenceError, UsageError
from pinn_siren.reference import solve_poisson
from pinn_siren.reference.layer import layered, layers
from pinn_siren.reference.lines import uniform
from pinn_siren.reference.stencil import diffusive, laplacian, volume_mean

pytestmark = pytest.mark.filterwarnings("ignore:FinDiff is deprecated")
PERIODIC = frozenset({"x"})


@pytest.mark.parametrize("order", [2, 4])
def test_second_derivative_matches_findiff_inside(order: int) -> None:
    grid = uniform(Box(x=(0, 2)), {"x": 20}, order=order)
    ours = -np.diag(1 / grid.volumes()) @ laplacian(grid).toarray()
    theirs = FinDiff(0, 0.1, 2, acc=order).matrix((21,)).toarray()
    rim = 1 if order == 2 else 4
    np.testing.assert_allclose(ours[rim:-rim], theirs[rim:-rim], atol=1e-9)


@pytest.mark.parametrize("order", [2, 4])
def test_laplacian_in_two_dimensions_matches_findiff_inside(order: int) -> None:
    grid = uniform(Box(x=(0, 2), y=(0, 3)), {"x": 12, "y": 15}, order=order)
    theirs = (FinDiff(0, 2 / 12, 2, acc=order) + FinDiff(1, 0.2, 2, acc=order)).matrix(grid.shape)
    field = np.random.default_rng(3).standard_normal(grid.size)
    ours = (-(laplacian(grid) @ field) / grid.volumes()).reshape(grid.shape)
    rim = (slice(4, -4),) * 2
    np.testing.assert_allclose(ours[rim], (theirs @ field).reshape(grid.shape)[rim], atol=1e-9)


@pytest.mark.parametrize("periodic", [frozenset(), PERIODIC], ids=["sides", "periodic"])
@pytest.mark.parametrize("order", [2, 4])
def test_laplacian_is_symmetric_semidefinite_and_kills_constants(order: int, periodic: frozenset[str]) -> None:
    grid = uniform(Box(x=(0, 1), y=(0, 2)), {"x": 10, "y": 9}, periodic, order)
    matrix = laplacian(grid).toarray()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(matrix @ np.ones(grid.size), 0, atol=1e-11)
    assert np.linalg.eigvalsh(matrix).min() > -1e-11


def test_fourth_order_closure_is_exact_for_cubics_with_their_fluxes() -> None:
    grid = uniform(Box(x=(0, 2)), {"x": 16}, order=4)
    x = grid.lines[0].nodes
    flux = np.zeros(len(x))
    flux[0], flux[-1] = -1.0, 3 * 2.0**2 - 2 * 2.0 + 1  # du/dn of x^3 - x^2 + x
    second = (flux - laplacian(grid) @ (x**3 - x**2 + x)) / grid.volumes()
    np.testing.assert_allclose(second, 6 * x - 2, atol=1e-10)


def test_diffusion_conserves_the_flux() -> None:
    grid = uniform(Box(x=(0, 1), y=(0, 1)), {"x": 8, "y": 8})
    matrix = diffusive(grid, lambda p: 1 + p.x * p.y)
    np.testing.assert_allclose(matrix.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(diffusive(grid, 1.0).toarray(), laplacian(grid).toarray(), atol=1e-12)


@pytest.mark.parametrize("periodic", [frozenset(), PERIODIC], ids=["sides", "periodic"])
def test_volume_mean_integrates_a_jump_on_a_node_exactly(periodic: frozenset[str]) -> None:
    grid = uniform(Box(x=(0, 1), y=(0, 1)), {"x": 8, "y": 5}, periodic)
    mean = volume_mean(grid, lambda p: torch.where(p.x < 0.5, 1.0, 4.0), "jump")
    assert (mean * grid.volumes()).sum() == pytest.approx(2.5, rel=1e-14)
    assert mean.reshape(grid.shape)[4] == pytest.approx(2.5)


@pytest.mark.parametrize("cells", [16, 24, 50, 64, 90])
def test_layered_grids_nest_and_are_no_coarser_than_asked(cells: int) -> None:
    domain = Box(x=(-1, 1))
    found = layers(domain, [PML(0.27)])
    (coarse, inside), (fine, inside_fine) = (layered(domain, {"x": n}, frozenset(), found) for n in (cells, 2 * cells))
    nodes = coarse.lines[0].nodes
    np.testing.assert_allclose(fine.lines[0].nodes[::2], nodes, atol=1e-14)
    assert coarse.lines[0].steps.max() <= 2 / cells * (1 + 1e-9)
    physical = nodes[inside[0]]
    np.testing.assert_allclose(physical, np.linspace(-0.73, 0.73, len(physical)), atol=1e-14)
    assert len(fine.lines[0].nodes[inside_fine[0]]) == 2 * len(physical) - 1


def test_grids_refuse_what_they_cannot_be() -> None:
    with pytest.raises(UsageError, match=r"cells\['y'\]"):
        uniform(Box(x=(0, 1), y=(0, 1)), {"x": 8})
    with pytest.raises(UsageError, match="at least 8"):
        uniform(Box(x=(0, 1)), {"x": 6}, order=4)
    four = Box(x=(0, 1), y=(0, 1), z=(0, 1), w=(0, 1))
    with pytest.raises(NoReferenceError, match="1 to 3"):
        solve_poisson(four, diffusion=1, reaction=0, source=0, conditions=[], cells={})
