"""References in files: the extrapolated solution is kept, verified, and what the verdict stands on."""

import h5py
import numpy as np
import pytest
import torch

from pinn_siren import Box, Dirichlet, Poisson, solve
from pinn_siren.storage import read_reference
from pinn_siren.verify import verify


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    problem = Poisson(domain=Box(x=(0, 1)), source=lambda p: torch.exp(p.x), conditions=[Dirichlet(0)])
    solution = solve(problem, method="least-squares", tolerance=1e-7)
    folder = tmp_path_factory.mktemp("kept")
    solution.save(folder)
    return solution.report, folder


def test_the_extrapolated_solution_certifies(kept):
    report, folder = kept
    assert report.verdict == "certified" and report.reference_error < 1e-8
    assert report.reference_method.endswith("finite differences, second order, extrapolated")
    reference, _ = read_reference(folder / "reference.h5")
    assert reference.best is reference.extrapolated and reference.bar == report.reference_error
    x = reference.best.coordinates["x"]
    exact = np.exp(x) - 1 - (np.e - 1) * x
    error = np.linalg.norm(reference.best.values["u"] - exact) / np.linalg.norm(exact)
    assert error <= reference.bar < reference.error / 100


def test_verify_recomputes_it(kept):
    _, folder = kept
    assert verify(folder)[1] == []
    with h5py.File(folder / "reference.h5", "r+") as file:
        file["extrapolated/u"][7] += 1e-3
    assert any("the grids extrapolate to" in line for line in verify(folder)[1])
    with h5py.File(folder / "reference.h5", "r+") as file:
        del file["extrapolated"]
    assert any("extrapolated solution" in line for line in verify(folder)[1])
