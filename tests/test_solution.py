import json
import math
import re
import warnings

import numpy as np
import pytest
import torch

from pinn_siren import Box, Data, Dirichlet, Eikonal, Points, Poisson, Problem, Siren, Solution, solve
from pinn_siren.errors import PinnSirenError, StorageError, UsageError
from pinn_siren.plots import draw_reference
from pinn_siren.reference import GridSolution
from pinn_siren.storage import read_solution
from pinn_siren.validation import judge, verdict
from pinn_siren.verify import verify


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    def u(p):
        return torch.sin(torch.pi * p.x) * torch.exp(p.y)

    problem = Poisson(
        domain=Box(x=(0, 1), y=(0, 2)), source=lambda p: (1 - torch.pi**2) * u(p), conditions=[Dirichlet(u)], exact=u
    )
    torch.set_num_threads(1)
    solution = solve(problem, tolerance=5e-2, points=400, seed=11, device="cpu", progress=False)
    folder = tmp_path_factory.mktemp("solved") / "deep" / "poisson"
    solution.save(folder)
    return solution, folder


def test_solve_certifies(solved):
    report = solved[0].report
    assert report.verdict == "certified" and report.passed and report.against == "exact"
    assert report.relative_l2 <= 5e-2
    assert 1.9 < report.observed_order < 2.1
    assert report.reference_error < 1e-3
    assert "certified" in str(report)


def test_evaluation_takes_what_a_user_has(solved):
    solution, _ = solved
    points = [[0.5, 0.5], [0.25, 1.0]]
    as_list, as_array = solution(points), solution(np.array(points))
    assert isinstance(as_list, np.ndarray) and as_list.shape == (2,)
    np.testing.assert_array_equal(as_list, as_array)
    as_tensor = solution(torch.tensor(points))
    assert isinstance(as_tensor, torch.Tensor)
    as_points = solution(Points(("x", "y"), torch.tensor(points, dtype=torch.float64)))
    np.testing.assert_allclose(as_points.numpy(), as_list)
    np.testing.assert_allclose(as_list, np.sin(np.pi * np.array([0.5, 0.25])) * np.exp([0.5, 1.0]), rtol=0.1)


def test_outside_is_nan_with_one_warning(solved):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = solved[0]([[0.5, 0.5], [3.0, 0.5], [0.5, -1.0]])
    assert len(caught) == 1 and "2 of 3" in str(caught[0].message)
    np.testing.assert_array_equal(np.isnan(values), [False, True, True])


@pytest.mark.parametrize("wrong", [[0.5, 0.5], [[0.5]], "text", [[[0.1, 0.2]]]])
def test_wrong_points_say_what_was_expected(solved, wrong):
    with pytest.raises(UsageError, match=r"\(n, 2\)"):
        solved[0](wrong)


def test_derivatives_are_those_of_the_field(solved):
    solution, _ = solved
    at = np.array([[0.3, 0.7], [0.6, 1.5]])
    jet = solution.jet(at, ["x", "laplacian"])
    h = 1e-5
    slope = (solution(at + np.array([h, 0])) - solution(at - np.array([h, 0]))) / (2 * h)
    np.testing.assert_allclose(jet.x, slope, rtol=1e-6)
    every = solution.jet(at)
    np.testing.assert_allclose(jet.laplacian, every.xx + every.yy)


def test_a_loaded_solution_evaluates_without_its_problem(solved):
    solution, folder = solved
    loaded = Solution.load(folder)
    at = np.random.default_rng(3).uniform([0, 0], [1, 2], (50, 2))
    np.testing.assert_array_equal(loaded(at), solution(at))
    assert loaded.report == solution.report
    assert loaded.history.keys() == solution.history.keys()


def test_an_eikonal_with_two_sources_is_kept_with_its_ansatz(tmp_path):
    problem = Eikonal(domain=Box(x=(0, 1), y=(0, 1)), velocity=2.0, source=[(0.0, 0.0), (1.0, 1.0)])
    solution = solve(problem, tolerance=1e-2, points=200, seed=1, steps=60, device="cpu", progress=False)
    solution.save(tmp_path / "e")
    loaded = Solution.load(tmp_path / "e")
    at = np.random.default_rng(5).uniform(0, 1, (40, 2))
    np.testing.assert_array_equal(loaded(at), solution(at))
    nearest = np.minimum(np.hypot(*at.T), np.hypot(*(1 - at).T)) / 2
    np.testing.assert_allclose(solution(at), nearest, atol=5e-3)
    assert solution([[0.0, 0.0]]) == 0.0


def test_an_own_ansatz_is_built_in_and_asked_for_on_loading(tmp_path):
    def zero_at_ends(p, u):
        return p.x * (1 - p.x) * u

    problem = Poisson(domain=Box(x=(0, 1)), source=-2.0, conditions=[Dirichlet(0)], ansatz=zero_at_ends)
    solution = solve(problem, tolerance=1e-2, points=64, steps=30, device="cpu", progress=False)
    np.testing.assert_allclose(solution([[0.0], [1.0]]), 0, atol=1e-15)
    solution.save(tmp_path / "own")
    with pytest.raises(StorageError, match="ansatz="):
        Solution.load(tmp_path / "own")
    np.testing.assert_array_equal(Solution.load(tmp_path / "own", ansatz=zero_at_ends)([[0.3]]), solution([[0.3]]))


def test_several_outputs_come_as_columns():
    class Two(Problem):
        outputs = ("u", "v")

        def residual(self, p, u, v):
            return u.x - v.value, v.x + u.value

    problem = Two(
        domain=Box(x=(0, 1)),
        conditions=[Dirichlet(0, on="left", output="u"), Dirichlet(1, on="left", output="v")],
        exact=lambda p: (torch.sin(p.x), torch.cos(p.x)),
    )
    solution = solve(problem, tolerance=1e-2, points=64, seed=2, device="cpu", progress=False)
    assert solution([[0.5], [0.7]]).shape == (2, 2)
    assert solution.report.verdict == "certified", solution.report


# What verify must find: one stored value, changed by a little more than 1e-6 of the field's maximum.
TAMPERED = ["u", "u_reference", "u_exact", "error", "x", "y", "history/loss", "network/scale"]


@pytest.mark.parametrize("name", TAMPERED)
def test_verify_finds_one_changed_value(solved, tmp_path, name):
    import shutil

    import h5py

    folder = tmp_path / "copy"
    shutil.copytree(solved[1], folder)
    assert verify(folder)[1] == []
    with h5py.File(folder / "solution.h5", "r+") as file:
        data = file[name]
        place = tuple(n // 3 for n in data.shape)
        data[place] = data[place] + 1.1e-6 * np.nanmax(np.abs(data[...]))
    found = verify(folder)[1]
    assert found and any(name in line or name == "network/scale" for line in found), found


def test_verify_finds_changed_weights_reports_and_references(solved, tmp_path):
    import shutil

    import h5py

    def copy(name):
        return shutil.copytree(solved[1], tmp_path / name)

    weights = copy("weights")
    with h5py.File(weights / "solution.h5", "r+") as file:
        file["network"]["network.layers.0.weight"][0, 0] += 1e-3
    assert any(line.startswith("u at") for line in verify(weights)[1])

    report = copy("report")
    text = json.loads((report / "report.json").read_text())
    text["relative_l2"] *= 0.9
    (report / "report.json").write_text(json.dumps(text))
    assert any("relative_l2" in line for line in verify(report)[1])

    reference = copy("reference")
    with h5py.File(reference / "reference.h5", "r+") as file:
        file["grid_0"]["u"][...] *= 1.001
    assert any("observed_order" in line or "reference_error" in line for line in verify(reference)[1])


def test_missing_and_foreign_folders(tmp_path):
    with pytest.raises(StorageError, match=r"report\.json"):
        Solution.load(tmp_path)
    (tmp_path / "report.json").write_text("[1, 2]")
    with pytest.raises(PinnSirenError):
        verify(tmp_path)


# to_exact, difference, bar, tolerance -> verdict
VERDICTS = [
    ((1e-4, 2e-4, 1e-5, 1e-3), "certified"),
    ((2e-3, 1e-9, 1e-9, 1e-3), "failed"),
    ((None, 5e-4, 4e-4, 1e-3), "certified"),
    ((None, 9e-4, 4e-4, 1e-3), "failed"),
    ((None, 4e-3, 5e-3, 1e-3), "consistent"),
    ((None, 4e-2, 5e-2, 1e-3), "failed"),
    ((None, 1e-9, None, 1e-3), "failed"),
    ((None, None, None, 1e-3), "unverified"),
]


@pytest.mark.parametrize(("case", "expected"), VERDICTS)
def test_verdicts(case, expected):
    assert verdict(*case) == expected


def test_norms_are_quadrature_weighted_and_leave_masked_nodes_out():
    from pinn_siren.reference import GridSolution

    x = np.array([0.0, 0.1, 1.0])
    grid = GridSolution({"x": x}, {})
    fields = {"u": np.array([1.0, 1.0, 5.0]), "u_exact": np.array([2.0, 1.0, np.nan])}
    figures = judge(grid, fields, ("u",), None, None, 1e-3)
    weights = np.array([0.05, 0.5])
    assert figures.relative_l2 == pytest.approx(np.sqrt(weights[0] * 1 / (weights[0] * 4 + weights[1])))
    assert figures.max_error == 1.0


def test_an_own_network_is_asked_for_on_loading(tmp_path):
    class Wide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Siren(1, 1, 8, 1, 3.0, generator=torch.Generator().manual_seed(3))

        def forward(self, x):
            return self.inner(x)

    problem = Poisson(domain=Box(x=(0, 1)), source=1.0, conditions=[Dirichlet(0)])
    solution = solve(problem, network=Wide(), steps=5, points=32, device="cpu", progress=False)
    with pytest.warns(UserWarning, match=r"Wide is your own network.*network=Wide\(...\).*MLP.*nn.Sequential of them"):
        solution.save(tmp_path / "own")
    with pytest.raises(StorageError, match="network="):
        Solution.load(tmp_path / "own")
    loaded = Solution.load(tmp_path / "own", network=Wide())
    np.testing.assert_array_equal(loaded([[0.4]]), solution([[0.4]]))
    with pytest.raises(StorageError, match="does not fit the stored weights"):
        Solution.load(tmp_path / "own", network=Siren(1, 1))


def test_nan_is_never_certified():
    """Nodes where the network is NaN are errors, not nodes to leave out."""
    from pinn_siren.validation import relative_l2

    weights, truth = np.ones(3), np.array([1.0, 2.0, np.nan])
    assert relative_l2(np.array([1.0, np.nan, 0.0]), truth, weights) == np.inf
    assert relative_l2(np.array([1.0, 2.0, np.nan]), truth, weights) == 0.0
    assert relative_l2(np.ones(3), np.full(3, np.nan), weights) is None


def test_a_zero_solution_is_kept_and_verified(tmp_path):
    problem = Poisson(domain=Box(x=(0, 1)), source=0.0, conditions=[Dirichlet(0)], exact=lambda p: 0.0)
    solution = solve(problem, steps=5, points=32, device="cpu", progress=False)
    solution.save(tmp_path / "zero")
    assert solution.report.relative_l2 == np.inf and solution.report.verdict == "failed"
    assert verify(tmp_path / "zero")[1] == []
    assert "inf" in str(Solution.load(tmp_path / "zero").report)


def test_an_own_reference_that_raises_loses_nothing():
    problem = Poisson(domain=Box(x=(0, 1)), source=1.0, conditions=[Dirichlet(0)], reference=lambda cells: 1 / 0)
    report = solve(problem, steps=5, points=32, device="cpu", progress=False).report
    assert report.verdict == "unverified" and "ZeroDivisionError" in report.no_reference


def test_a_problem_on_a_disk_with_a_hole(tmp_path):
    """Other domains than boxes: conditions on a hole, NaN outside, kept and evaluated again."""
    from pinn_siren import Disk

    hole = Disk(center=(0.0, 0.0), radius=0.5)
    problem = Poisson(
        domain=Disk(radius=1.0) - hole,
        source=4.0,
        conditions=[Dirichlet(lambda p: p.x**2 + p.y**2)],
        exact=lambda p: p.x**2 + p.y**2,
    )
    solution = solve(problem, tolerance=2e-2, points=400, seed=4, steps=150, device="cpu", progress=False)
    assert solution.report.verdict == "certified", solution.report
    solution.save(tmp_path / "ring")
    loaded = Solution.load(tmp_path / "ring")
    with pytest.warns(UserWarning, match="2 of 3"):
        np.testing.assert_array_equal(np.isnan(loaded([[0.0, 0.7], [0.0, 0.2], [0.9, 0.9]])), [False, True, True])
    assert verify(tmp_path / "ring")[1] == []


def test_an_own_observe_is_what_a_user_sees(tmp_path):
    """Outputs made of other fields by the problem's own rule, not by the eikonal equation's."""

    class Split(Poisson):
        @property
        def fields(self):
            return ("a", "b")

        def observe(self, values):
            return values.sum(dim=1, keepdim=True)

        def residual(self, p, a, b):
            return a.laplacian + 1, b.laplacian + 1

    problem = Split(
        domain=Box(x=(0, 1)), source=-2.0, conditions=[Dirichlet(0, output="a"), Dirichlet(0, output="b")],
        reference=lambda cells: 1 / 0, exact=lambda p: p.x * (1 - p.x),
    )  # fmt: skip
    solution = solve(problem, tolerance=1e-2, points=64, seed=3, device="cpu", progress=False)
    np.testing.assert_allclose(solution([[0.5]]), 0.25, rtol=2e-2)
    solution.save(tmp_path / "split")
    with pytest.raises(StorageError, match="observe"):
        Solution.load(tmp_path / "split")


class Measured(Problem):
    def residual(self, p, u):
        return u.value - p.x

    def metrics(self, solution):
        return {"mean": solution([[0.25], [0.75]]).mean(), "perfect": math.inf}

    def draw(self, solution, folder):
        path = folder / "own.txt"
        path.write_text(str(float(solution.jet([[0.5]]).x[0])))
        return [path]


def test_a_problem_adds_its_own_figures_and_files(tmp_path):
    solution = solve(Measured(domain=Box(x=(0, 1))), device="cpu", progress=False)
    assert solution.report.metrics == {"mean": pytest.approx(0.5), "perfect": math.inf}
    assert re.search(r"mean +0\.5\n", str(solution.report))
    solution.save(tmp_path)
    assert float((tmp_path / "own.txt").read_text()) == pytest.approx(1)
    assert Solution.load(tmp_path).report.metrics == solution.report.metrics
    assert verify(tmp_path)[1] == []


class Broken(Measured):
    def metrics(self, solution):
        return {"ratio": 1 / 0}


def test_figures_that_cannot_be_had_do_not_cost_the_solution():
    solution = solve(Broken(domain=Box(x=(0, 1))), device="cpu", progress=False)
    with pytest.warns(UserWarning, match="metrics: ZeroDivisionError"):
        assert solution.report.metrics == {}


class Recorded(Problem):
    one_grid = True
    reference_method = "what was measured"


def test_values_known_on_one_grid_are_shown_and_vouch_for_nothing(tmp_path):
    x = np.linspace(0, 1, 12)
    problem = Recorded(
        domain=Box(x=(0, 1)), conditions=[Data(x, x**2)], reference=lambda cells: GridSolution({"x": x}, {"u": x**2})
    )
    solution = solve(problem, method="lbfgs", steps=20, device="cpu", progress=False)
    report = solution.report
    assert report.verdict == "unverified" and report.against == "reference" and report.relative_l2 < 1e-2
    assert report.reference_method == "what was measured" and report.reference_error is None
    solution.save(tmp_path)
    assert verify(tmp_path)[1] == []
    draw_reference(tmp_path / "reference.png", solution.examination.reference, "measured")
    stored = read_solution(tmp_path / "solution.h5")
    assert np.array_equal(stored.fields["u_reference"], x**2) and np.array_equal(stored.coordinates["x"], x)
