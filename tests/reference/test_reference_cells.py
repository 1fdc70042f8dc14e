"""Weights on masked grids: they add up to the measure, integrate to second order, and go through the files."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray

from pinn_siren import LBFGS, Ball, Box, Dirichlet, Disk, Poisson, Solution, Trainer
from pinn_siren.reference import GridSolution, cell_weights, weighted
from pinn_siren.verify import verify

JOINED = Box(x=(0, 2), y=(0, 1)) + Box(x=(0, 1), y=(0, 2))
HOLED = Box(x=(-1, 1), y=(-1, 1)) - Disk(radius=0.5)


def grid(domain, n):
    return {a: np.linspace(*bounds, n + 1) for a, bounds in domain.bounds.items()}


@pytest.mark.parametrize(
    "domain, f, integral",
    [
        (Disk((0, 0), 1), lambda x, y: x**2, np.pi / 4),
        (HOLED, lambda x, y: x**2 + y**2, 8 / 3 - np.pi / 32),
        (JOINED, lambda x, y: np.exp(x), np.e**2 + np.e - 2),
    ],
    ids=["disk", "hole", "union"],
)
def test_they_integrate_to_second_order(domain, f, integral):
    def error(n):
        nodes = grid(domain, n)
        weights = cell_weights(domain, nodes)
        x = np.meshgrid(*nodes.values(), indexing="ij")
        held = domain.contains(torch.from_numpy(np.stack([c.ravel() for c in x], axis=1))).numpy()
        assert (weights.ravel()[~held] == 0).all() and (weights.ravel()[held] >= 0).all()
        assert weights.sum() == pytest.approx(domain.measure, rel=2e-4)
        return abs((weights * f(*x)).sum() - integral)

    assert 1.7 <= np.log2(error(32) / error(64)) <= 2.7
    assert error(64) < 2e-3 * integral


def test_space_and_products_with_time():
    ball = Ball((0.1, 0, 0), 0.8)
    assert cell_weights(ball, grid(ball, 12)).sum() == pytest.approx(ball.measure, rel=2e-3)
    moving = Disk() * Box(t=(0, 2))
    weights = cell_weights(moving, grid(moving, 16))
    np.testing.assert_allclose(weights[:, :, 0] * 2, weights[:, :, 3])
    assert weights.sum() == pytest.approx(moving.measure, rel=1e-3)


def test_boxes_keep_the_trapezoidal_rule():
    box = Box(x=(0, 1), y=(0, 2))
    assert weighted(box, GridSolution(grid(box, 4), {})).weights is None
    np.testing.assert_allclose(cell_weights(box, grid(box, 4)), GridSolution(grid(box, 4), {}).quadrature())
    own = GridSolution(grid(HOLED, 4), {}, np.ones((5, 5)))
    assert weighted(HOLED, own) is own


def u(p):
    return torch.sin(p.x) * torch.exp(p.y)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    def reference(cells):
        nodes = grid(HOLED, cells["x"])
        mesh = np.meshgrid(*nodes.values(), indexing="ij")
        held = HOLED.contains(torch.from_numpy(np.stack([m.ravel() for m in mesh], axis=1))).numpy()
        values = (1 + cells["x"] ** -2.0) * np.sin(mesh[0]) * np.exp(mesh[1])
        return GridSolution(nodes, {"u": np.where(held.reshape(values.shape), values, np.nan)})

    problem = Poisson(domain=HOLED, source=0, conditions=[Dirichlet(u)], exact=u, reference=reference)
    trainer = Trainer(problem, points=300, seed=7, progress=False, device="cpu")
    trainer.run(LBFGS(steps=5))
    folder = tmp_path_factory.mktemp("masked") / "saved"
    trainer.solution().save(folder)
    return folder


def test_norms_use_them_and_verify_recomputes_them(saved: Path):
    report, found = verify(saved)
    assert found == []
    assert report.observed_order == pytest.approx(2, abs=1e-6)
    data = xarray.open_dataset(saved / "solution.h5", engine="h5netcdf")
    weights = data["weights"].values
    assert weights.sum() == pytest.approx(HOLED.measure, rel=1e-4)
    assert (weights[data["mask"].values == 1] == 0).all()
    gap = data["u"].values - data["u_exact"].values
    norm = np.sqrt(np.nansum(weights * gap**2) / np.nansum(weights * data["u_exact"].values ** 2))
    assert report.relative_l2 == pytest.approx(norm, rel=1e-9)
    assert json.loads((saved / "report.json").read_text())["checksums"]["weights"]
    data.close()
    assert "weights" not in Solution.load(saved).report.as_dict()


@pytest.mark.parametrize("file, place", [("solution.h5", "weights"), ("reference.h5", "grid_0/weights")])
def test_verify_finds_changed_weights(saved: Path, tmp_path: Path, file: str, place: str):
    import shutil

    folder = Path(shutil.copytree(saved, tmp_path / "copy"))
    with h5py.File(folder / file, "r+") as opened:
        opened[place][3, 3] *= 1.01
    assert any(line.startswith(f"weights in {file}") for line in verify(folder)[1])
