"""Unknown values and fields: found from data, with intervals that hold, kept in files, and refused where misused."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

import pinn_siren.loop as loop_module
from pinn_siren import (
    LBFGS,
    Adam,
    Box,
    Data,
    Dirichlet,
    Helmholtz,
    Neumann,
    Poisson,
    Problem,
    Siren,
    Solution,
    Trainer,
    Unknown,
    UnknownField,
    solve,
    solve_reference,
)
from pinn_siren.bandwidth import sine_features
from pinn_siren.cli import main
from pinn_siren.domains import Sampler
from pinn_siren.errors import ProblemError, UsageError
from pinn_siren.files import load_problem
from pinn_siren.inversion import Inversion
from pinn_siren.jet import lift, make_plan
from pinn_siren.parameters import FieldNetwork, bounded
from pinn_siren.points import Points
from pinn_siren.unknowns import at, stated

LINE = Box(x=(0, 1))
GALLERY = Path(__file__).parent.parent / "problems"
QUIET = {"progress": False, "device": "cpu"}


class Oscillator(Problem):
    k: float

    def residual(self, p, u):
        return u.xx + self.k**2 * u.value


class Logistic(Problem):
    """u' = rate u (1 - u): nonlinear in the field, and in the rate."""

    rate: float

    def residual(self, p, u):
        return u.x - self.rate * u.value * (1 - u.value)


def string(x, k):
    return np.sin(k * x) / np.sin(k)


def oscillator(noise=0.02, seed=8, k=5.0, stated_noise=None, start=4.5, bounds=(3.5, 6.0), count=19, **options):
    x = np.linspace(0.05, 0.95, count)
    values = string(x, k) + noise * np.random.default_rng(seed).standard_normal(count)
    return Oscillator(
        domain=LINE,
        k=Unknown(start, bounds=bounds, **options),
        conditions=[Dirichlet(0, on="left"), Dirichlet(1, on="right"), Data(x, values, noise=stated_noise)],
    ), (x, values)


def fit(problem, width=50, bandwidth=6.0):
    """The unknown numbers with the field in a few sine features, as the last round of an inversion has it."""
    inversion = Inversion(problem, 1e-3, 7, 60.0, float("inf"))
    waves = dict.fromkeys(problem.domain.axes, bandwidth)
    generator = torch.Generator().manual_seed(5)
    projection = inversion.project(sine_features(width, waves, 1 + problem.complex_valued, generator))
    return inversion.numbers(projection)


# --- what is found ---


def test_exact_data_give_the_number_to_many_digits():
    solution = solve(oscillator(noise=0.0)[0], tolerance=1e-8, **QUIET)
    assert float(solution.unknowns["k"]) == pytest.approx(5, abs=1e-10)
    x = np.linspace(0, 1, 7)
    assert solution(x[:, None]) == pytest.approx(string(x, 5), abs=1e-9)
    assert solution.report.verdict in ("certified", "consistent")
    assert "unknown k" in str(solution.report)


def test_noisy_data_give_the_estimate_and_deviation_of_classical_least_squares():
    problem, (x, values) = oscillator()
    found = solve(problem, tolerance=1e-6, **QUIET).unknowns["k"]
    classical = least_squares(lambda k: string(x, k[0]) - values, [4.5], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    sigma = np.sqrt(2 * classical.cost / (len(x) - 1))
    assert found.value == pytest.approx(classical.x[0], abs=1e-6)
    assert found.noise == pytest.approx(sigma, rel=1e-5)
    assert found.deviation == pytest.approx(sigma / np.linalg.norm(classical.jac), rel=1e-3)
    assert found.low < found.value < found.high


def test_the_field_is_that_of_the_numbers_found_however_far_they_were():
    # u'' = 1 from a start at 500: the size of the field, which models are made for, falls too.
    x = np.linspace(0.1, 0.9, 9)
    data = Data(x, x * (x - 1) / 2)
    problem = Poisson(domain=LINE, source=Unknown(500.0, bounds=(0.1, None)), conditions=[Dirichlet(0), data])
    solution = solve(problem, tolerance=1e-3, **QUIET)
    assert float(solution.unknowns["source"]) == pytest.approx(1, rel=1e-6)
    assert solution(x[:, None]) == pytest.approx(x * (x - 1) / 2, rel=1e-5)
    assert solution.report.passed


def test_stated_noise_and_a_prior_weigh_as_bayes_has_it():
    noise, mean, width = 0.02, 4.9, 0.004
    problem, (x, values) = oscillator(stated_noise=noise, prior=(mean, width))
    found = fit(problem)["k"]

    def rows(k):
        return np.append((string(x, k[0]) - values) / noise, (k[0] - mean) / width)

    classical = least_squares(rows, [4.5], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert found.value == pytest.approx(classical.x[0], abs=1e-5)
    assert found.deviation == pytest.approx(1 / np.linalg.norm(classical.jac), rel=1e-3)


def test_intervals_cover_the_truth_at_the_stated_rate():
    inside = 0
    for seed in range(30):
        found = fit(oscillator(seed=100 + seed, count=8, start=5.1)[0])["k"]
        inside += found.low <= 5 <= found.high
    # Binomial(30, 0.95): fewer than 25 has a probability of 0.3%.
    assert inside >= 25


def test_a_nonlinear_problem_is_found_by_least_squares():
    x = np.linspace(0.1, 2, 12)
    values = 1 / (1 + 4 * np.exp(-3 * x))
    problem = Logistic(domain=Box(x=(0, 2)), rate=Unknown(2.0), conditions=[Dirichlet(0.2, on="left"), Data(x, values)])
    found = solve(problem, method="least-squares", tolerance=1e-5, **QUIET)
    assert float(found.unknowns["rate"]) == pytest.approx(3, abs=1e-6)


def test_training_finds_it_too_with_the_same_interval():
    problem = oscillator()[0]
    frozen = solve(problem, tolerance=1e-5, **QUIET).unknowns["k"]
    network = Siren(1, 1, width=20, depth=2, omega=[5.0, 30.0], generator=torch.Generator().manual_seed(5))
    trained = solve(problem, method="lbfgs", steps=250, points=50, network=network, **QUIET).unknowns["k"]
    # In a loss, data and equation give way to each other; least squares holds the equation.
    assert trained.value == pytest.approx(frozen.value, abs=1.5 * frozen.deviation)
    assert trained.deviation == pytest.approx(frozen.deviation, rel=0.3)


def test_unknowns_in_conditions_and_shared_ones():
    rate = Unknown(1.0)
    x = np.linspace(0.1, 0.9, 5)
    # u'' = 0, u(0) = 0.3, u'(1) = 2: the two of one unknown value.
    problem = Poisson(
        domain=LINE,
        source=0.0,
        conditions=[Dirichlet(Unknown(0.0), on="left"), Neumann(rate, on="right"), Data(x, 0.3 + 2 * x)],
    )
    assert list(stated(problem)) == ["dirichlet value", "neumann value"]
    found = fit(problem)
    assert float(found["dirichlet value"]) == pytest.approx(0.3, abs=1e-8)
    assert float(found["neumann value"]) == pytest.approx(2, abs=1e-8)
    shared = Poisson(
        domain=LINE,
        source=rate,
        conditions=[Dirichlet(0, on="left"), Neumann(rate, on="right"), Data(x, 1.5 * (x**2 / 2))],
    )
    assert list(stated(shared)) == ["source"]
    # u'' = r, u(0) = 0, u'(1) = r: u = r x^2 / 2.
    assert float(fit(shared)["source"]) == pytest.approx(1.5, abs=1e-8)


def test_what_no_data_determine_has_no_interval():
    class Twice(Problem):
        a: float
        b: float

        def residual(self, p, u):
            return u.xx - self.a - self.b

    x = np.linspace(0.1, 0.9, 6)
    problem = Twice(domain=LINE, a=Unknown(0.0), b=Unknown(1.0), conditions=[Dirichlet(0), Data(x, x * (x - 1))])
    numbers = fit(problem)
    assert float(numbers["a"]) + float(numbers["b"]) == pytest.approx(2, abs=1e-6)
    assert numbers["a"].deviation is None and numbers["b"].low is None


# --- bounds ---


@pytest.mark.parametrize("bounds", [None, (1.0, None), (None, 4.0), (1.0, 4.0)])
def test_the_map_into_bounds(bounds):
    raw = torch.linspace(-8, 8, 41, dtype=torch.float64, requires_grad=True)
    value = bounded(raw, torch.tensor(2.0, dtype=torch.float64), 2.0, bounds)
    (slope,) = torch.autograd.grad(value.sum(), raw)
    low, high = bounds or (None, None)
    assert bounded(torch.zeros(()), 2.0, 2.0, bounds) == pytest.approx(2)
    assert (slope > 0).all()
    assert low is None or (value > low).all()
    assert high is None or (value < high).all()


def test_a_number_beyond_its_bounds_stays_within():
    found = fit(oscillator(noise=0.0, bounds=(4.0, 4.8))[0])["k"]
    assert 4.79 < float(found) <= 4.8 and (found.high is None or found.high <= 4.8)


# --- fields ---


def test_an_unknown_field_is_found_and_evaluated():
    def medium(p):
        return 1 + 0.5 * torch.sin(3 * p.x)

    x = np.linspace(0.02, 0.98, 40)
    exact = np.cos(2 * x)
    network = Siren(1, 1, width=20, depth=2, omega=[4.0, 30.0], generator=torch.Generator().manual_seed(5))
    problem = Poisson(
        domain=LINE,
        diffusion=UnknownField(1.0, bounds=(0.2, 3.0), width=12),
        source=lambda p: -4 * torch.cos(2 * p.x) * medium(p) - 3 * torch.cos(3 * p.x) * torch.sin(2 * p.x),
        conditions=[Dirichlet(lambda p: torch.cos(2 * p.x)), Data(x, exact)],
    )
    solution = solve(problem, method="lbfgs", steps=200, points=60, network=network, **QUIET)
    there = Points(("x",), torch.linspace(0.1, 0.9, 30, dtype=torch.float64)[:, None])
    gap = solution.unknowns["diffusion"](there) - medium(there)
    assert float(gap.square().mean().sqrt()) < 0.05
    assert solution.unknowns["diffusion"]([[0.5]]).shape == (1,)


def test_a_field_starts_as_stated_and_its_derivatives_are_those_of_autograd():
    stated_field = UnknownField(lambda p: 1 + p.x**2, bounds=(0.5, 4.0), axes="x", width=8)
    network = FieldNetwork(stated_field, Box(x=(0, 1), t=(0, 2)), torch.float64, torch.Generator().manual_seed(5))
    p = Box(x=(0, 1), t=(0, 2)).interior(6, Sampler(torch.Generator().manual_seed(3)))
    assert network(p).detach().numpy() == pytest.approx((1 + p.x**2).numpy())
    torch.nn.init.normal_(network.network.layers[-1].weight, generator=torch.Generator().manual_seed(4))
    plan = make_plan(p.axes, frozenset({"x", "xx", "t"}))
    forward, nested = lift(network, p, plan), lift(lambda q: network(q), p, plan)
    assert forward.channels.detach().numpy() == pytest.approx(nested.channels.numpy(), abs=1e-10)
    assert forward.channels.requires_grad and (forward.t == 0).all()


def test_roughness_is_the_mean_square_gradient():
    network = FieldNetwork(UnknownField(lambda p: 3 * p.x), LINE, torch.float64, torch.Generator().manual_seed(5))
    p = LINE.interior(5, Sampler(torch.Generator().manual_seed(3)))
    assert float(network.roughness(p).detach()) == pytest.approx((3 * 0.5) ** 2)


# --- files, and runs that go on ---


def test_a_file_keeps_numbers_and_fields(tmp_path):
    solution = solve(oscillator()[0], tolerance=1e-4, **QUIET)
    solution.save(tmp_path)
    again = Solution.load(tmp_path)
    assert again.unknowns["k"] == solution.unknowns["k"]
    kept = json.loads((tmp_path / "report.json").read_text())["unknowns"]["k"]
    assert kept["value"] == solution.unknowns["k"].value
    with h5py.File(tmp_path / "solution.h5") as file:
        assert json.loads(file.attrs["unknowns"])["k"] == kept
    assert main(["verify", str(tmp_path)]) == 0


def test_a_file_keeps_a_field(tmp_path):
    problem = Poisson(
        domain=LINE,
        diffusion=UnknownField(1.0, bounds=(0.2, 3.0), width=8),
        source=1.0,
        conditions=[Dirichlet(0), Data([0.5], [0.1])],
    )
    solution = solve(problem, method="adam", steps=20, points=40, **QUIET)
    solution.save(tmp_path)
    points = np.linspace(0.1, 0.9, 5)[:, None]
    again = Solution.load(tmp_path).unknowns["diffusion"](points)
    assert (again == solution.unknowns["diffusion"](points)).all() and np.ptp(again) > 0


def test_a_run_with_unknowns_goes_on_bit_for_bit(tmp_path, monkeypatch):
    stages = (Adam(steps=20, resample=7), LBFGS(steps=30, resample=15))

    def trainer(path=None):
        return Trainer(oscillator()[0], points=60, seed=9, checkpoint=path, **QUIET)

    whole = trainer()
    for stage in stages:
        whole.run(stage)
    saves, real = [], Trainer._state

    class KilledError(Exception):
        pass

    def save_and_die(self, loop, elapsed):
        if len(saves) == 3:
            raise KilledError
        saves.append(1)
        return real(self, loop, elapsed)

    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "SAVE_SECONDS", 0.0)
        patch.setattr(Trainer, "_state", save_and_die)
        killed = trainer(tmp_path / "checkpoint.pt")
        with pytest.raises(KilledError):
            for stage in stages:
                killed.run(stage)
    resumed = trainer(tmp_path / "checkpoint.pt")
    for stage in stages[resumed.resume(stages) :]:
        resumed.run(stage)
    for (name, one), other in zip(whole.model.state_dict().items(), resumed.model.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert float(whole.unknowns.raw["k"].detach()) != 0


def test_two_solves_of_one_problem_share_nothing():
    problem = oscillator()[0]
    first, second = (solve(problem, method="adam", steps=30, points=40, **QUIET).unknowns["k"].value for _ in range(2))
    assert first == second and problem.k.plain == 4.5


# --- wrong use ---

DATA = Data([0.5], [0.2])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Unknown("five"), "finite number"),
        (lambda: Unknown(float("nan")), "finite number"),
        (lambda: Unknown(5, bounds=(5, 6)), "between its bounds"),
        (lambda: Unknown(5, bounds=(6, 4)), "in order"),
        (lambda: Unknown(5, bounds=4), r"\(low, high\)"),
        (lambda: Unknown(5, prior=(1, 0)), "positive deviation"),
        (lambda: Unknown(5) * 2, "Make it a field"),
        (lambda: 2 - Unknown(5), "Make it a field"),
        (lambda: float(Unknown(5)), "Make it a field"),
        (lambda: torch.ones(3) * Unknown(5), "Make it a field"),
        (lambda: UnknownField(0.1, bounds=(1, 2)), "between its bounds"),
        (lambda: UnknownField("sine"), "number or a function"),
        (lambda: UnknownField(1.0, smoothness=-1), "smoothness"),
        (lambda: Data([0.5], [0.2], noise=0), "noise"),
        (lambda: stated(Oscillator(domain=LINE, k=(Unknown(1.0), 2))), "inside a tuple"),
        (lambda: stated(Oscillator(domain=LINE, k=Unknown(1.0, name="a.b"))), "no dot"),
        (lambda: solve(Oscillator(domain=LINE, k=Unknown(1.0), conditions=[Dirichlet(0)])), "Nothing is measured"),
    ],
)
def test_wrong_use_is_said(make, says):
    with pytest.raises(ProblemError, match=says):
        make()


def test_an_unknown_that_no_residual_sees_is_said():
    class Lost(Problem):
        k: float

        def residual(self, p, u):
            return u.xx + 0 * u.value

    with pytest.raises(ProblemError, match="No residual depends on the unknown 'k'"):
        Trainer(Lost(domain=LINE, k=Unknown(1.0), conditions=[Dirichlet(0), DATA]), **QUIET)


def test_least_squares_refuses_an_unknown_field():
    problem = Poisson(domain=LINE, source=1.0, diffusion=UnknownField(1.0), conditions=[Dirichlet(0), DATA])
    with pytest.raises(UsageError, match="diffusion is an unknown field"):
        solve(problem, method="least-squares", **QUIET)


def test_a_first_value_that_cannot_be_is_refused_as_a_number_is():
    with pytest.raises(ProblemError, match="wavenumber must be positive"):
        Trainer(Helmholtz(domain=LINE, wavenumber=Unknown(-1.0), source=1, conditions=[Dirichlet(0), DATA]), **QUIET)


def test_the_command_line_exits_with_2(tmp_path, capsys):
    file = tmp_path / "wrong.py"
    file.write_text(
        "from pinn_siren import *\n"
        "problem = Poisson(domain=Box(x=(0, 1)), source=Unknown(3.0) * 2, conditions=[Dirichlet(0)])\n"
    )
    assert main(["solve", str(file)]) == 2
    assert "Make it a field of a Problem's class" in capsys.readouterr().err


# --- the gallery ---


@pytest.mark.parametrize(
    ("name", "truth"),
    [("wavenumber", {"wavenumber": 8.0}), ("source_location", {"place": (0.35, -0.2), "strength": 8.0})],
)
def test_the_gallery_finds_what_it_hides(name, truth):
    numbers = fit(load_problem(GALLERY / f"{name}.py"), 260, {"wavenumber": 6.0, "source_location": 14.0}[name])
    for which, value in truth.items():
        found = numbers[which]
        assert np.abs(np.asarray(found) - value).max() < 4 * np.max(found.deviation) < 0.4
        assert found.noise == pytest.approx({"wavenumber": 0.05, "source_location": 2e-3}[name], rel=0.4)


def test_the_command_line_says_what_is_found_and_solves_a_reference_at_the_start(capsys):
    assert main(["check", str(GALLERY / "wavenumber.py")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^found from data +wavenumber$", said, re.MULTILINE) and "second order, sparse LU" in said
    assert solve_reference(oscillator()[0], 40).observed_order == pytest.approx(2, abs=0.1)


def test_a_problem_at_values_is_a_problem_of_numbers():
    problem, _ = oscillator()
    here = at(problem, {"k": 5.0})
    assert here.k == 5.0 and problem.k is stated(problem)["k"] and at(here, {}) is here
