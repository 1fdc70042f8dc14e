"""Travel times through a lens: rays that cross, a field for each side, and what is kept of them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator

from pinn_siren import Box, Eikonal, Points, Solution, Trainer, solve_reference
from pinn_siren.bandwidth import Search
from pinn_siren.cli import main
from pinn_siren.equations.rays import crossing
from pinn_siren.files import load_problem
from pinn_siren.scales import measure_scales
from pinn_siren.viscosity import viscosity

FILE = Path(__file__).parent.parent / "problems" / "eikonal_lens.py"
LENS = load_problem(FILE)()


@pytest.fixture(scope="module")
def solution():
    """The fields of one search's attempt, as a solution."""
    search = Search(LENS, measure_scales(LENS), tolerance=1e-3, seed=3, deadline=math.inf)
    trainer = Trainer(LENS, points=400, seed=3, progress=False, device="cpu")
    return Solution(LENS, search.attempt(240, {"x": 10.0, "y": 10.0}).model, trainer.solution().provenance, {})


@pytest.fixture(scope="module")
def reference():
    return solve_reference(LENS, 128)


def test_each_branch_has_the_times_of_its_rays(reference):
    """Where it is first they are those of fast marching, and beyond the kink they are later."""
    branches = crossing(LENS.domain, LENS.velocity, torch.tensor(LENS.source, dtype=torch.float64))
    assert len(branches) == 2
    grid = reference.best
    at = RegularGridInterpolator(tuple(grid.coordinates.values()), grid.values["u"])
    for branch in branches:
        late = branch.times - at(branch.points)
        assert late.min() > -2e-3  # the grid is linear between nodes, and no cone at the source is
        assert np.quantile(late, 0.8) < 5e-4 and late.max() > 0.05
    # Together they cover the square.
    corners = np.array([(x, y) for x in (-0.98, 0.98) for y in (-0.98, 0.98)])
    every = np.concatenate([branch.points for branch in branches])
    assert np.linalg.norm(corners[:, None] - every, axis=2).min(axis=1).max() < 0.1


@pytest.mark.parametrize("velocity", [2.0, lambda p: 1.5 + 0.5 * p.y, lambda p: torch.where(p.x > 0, 2.0, 1.0)])
def test_where_rays_do_not_cross_there_is_one_field(velocity):
    problem = Eikonal(domain=LENS.domain, velocity=velocity, source=(-0.8, 0.0))
    assert problem.fields == ("u",) and [c.name for c in problem.constraints()] == ["equation"]


def test_kinks_begin_at_both_sides_of_a_fast_lens():
    fast = load_problem(FILE)(middle=2.0)
    assert len(fast.fields) == 3
    two = replace(fast, source=[(-0.8, 0.0), (0.8, 0.9)], ansatz=None)
    assert len(two.fields) > 3


def test_times_behind_a_lens_to_a_thousandth(solution, reference):
    grid = reference.best
    found = solution.on_grid(grid.coordinates)["u"]
    known = grid.values["u"]
    assert reference.bar < 1e-4
    assert np.linalg.norm(found - known) / np.linalg.norm(known) < 1e-3


def test_the_latest_arrival_is_no_viscosity_solution(solution):
    """The same fields, the later one shown where two arrive: its kink is a valley's turned over."""

    class Latest(Eikonal):
        def observe(self, values):
            shown = torch.where(values < self.ansatz.late / 1.5, values, -torch.inf).max(dim=1, keepdim=True).values
            return torch.where(shown.isfinite(), shown, super().observe(values))

    wrong = Latest(domain=LENS.domain, velocity=LENS.velocity, source=LENS.source)
    found = viscosity(Solution(wrong, solution.model, solution.provenance, {}), resolution=32)
    assert not found.causality.holds and "no first arrivals" in str(found)
    right = viscosity(solution, resolution=32)
    assert right.holds, right


def test_branches_are_kept(solution, tmp_path, capsys):
    solution.save(tmp_path / "lens")
    loaded = Solution.load(tmp_path / "lens")
    at = np.random.default_rng(5).uniform(-1, 1, (300, 2))
    np.testing.assert_array_equal(loaded(at), solution(at))
    p = Points(("x", "y"), torch.from_numpy(at))
    assert torch.equal(torch.stack([u.grad for u in loaded.jet(p)]), torch.stack([u.grad for u in solution.jet(p)]))
    assert main(["verify", str(tmp_path / "lens")]) == 0
    (tmp_path / "lens" / "figure.png").unlink()
    assert main(["plot", str(tmp_path / "lens")]) == 0
    assert (tmp_path / "lens" / "figure.png").stat().st_size > 10_000
    capsys.readouterr()


def test_rays_need_a_plane_box_alone():
    ball = Eikonal(domain=Box(x=(0, 1), y=(0, 1), z=(0, 1)), velocity=lambda p: 1 + p.z, source=(0.5, 0.5, 0.5))
    assert ball.fields == ("u",)
