"""Frozen features by least squares: the linear system, the stage, the search for bandwidths, and solve()."""

import math
import sys
import time

import numpy as np
import pytest
import torch

from pinn_siren import (
    MLP,
    Box,
    Condition,
    Data,
    Dirichlet,
    Disk,
    Helmholtz,
    Initial,
    Integral,
    LeastSquares,
    Neumann,
    Periodic,
    Poisson,
    Problem,
    Sampler,
    Siren,
    Trainer,
    Wave,
    solve,
)  # fmt: skip
from pinn_siren.ansatz.derive import BuiltIn
from pinn_siren.bandwidth import Attempt, Search
from pinn_siren.build import build_model
from pinn_siren.errors import ResidualError, UsageError
from pinn_siren.optimizers.design import assemble, put
from pinn_siren.optimizers.features import sine_features
from pinn_siren.optimizers.least_squares import collocation
from pinn_siren.optimizers.least_squares import solve as least_squares
from pinn_siren.scales import measure_scales
from pinn_siren.system import System
from pinn_siren.threads import at_most

SQUARE, STRIP = Box(x=(-1, 1), y=(0, 1)), Box(x=(0, 1), t=(0, 1))


def bump(p):
    return torch.exp(-((p.x - 0.2) ** 2) - 2 * (p.y - 0.4) ** 2)


def bump_source(p):
    a, b = p.x - 0.2, p.y - 0.4
    return (4 * a**2 - 2 + 16 * b**2 - 4) * bump(p)


class Kerr(Problem):
    """A complex field whose equation is not complex-differentiable."""

    complex_valued = True

    def residual(self, p, u):
        return u.laplacian + (3 + u.value.abs() ** 2) * u.value - 1


class Pair(Problem):
    outputs = ("u", "v")

    def residual(self, p, u, v):
        return u.laplacian - v.value, v.laplacian + u.x - 1


class Bratu(Problem):
    """laplacian u + exp(u) = source, of the exact solution ``bump``."""

    def residual(self, p, u):
        return u.laplacian + torch.exp(u.value) - bump_source(p) - torch.exp(bump(p))


POISSON = Poisson(domain=SQUARE, source=bump_source, conditions=[Dirichlet(bump)], exact=bump)
STATED = {
    "poisson": POISSON,
    "wave": Wave(domain=STRIP, speed=2.0, conditions=[Dirichlet(0), Initial(lambda p: p.x * (1 - p.x), rate=1.0)]),
    "helmholtz": Helmholtz(
        domain=SQUARE, wavenumber=4.0, source=lambda p: 1j * p.x, conditions=[Dirichlet(lambda p: torch.exp(1j * p.x))]
    ),
    "kerr": Kerr(domain=SQUARE, conditions=[Dirichlet(0)]),
    "pair": Pair(
        domain=SQUARE,
        conditions=[
            Dirichlet(1, output="u"),
            Condition(lambda p, u, v: v.normal_derivative + v.value - u.value, on=None),
        ],
    ),
    "mean": Poisson(domain=SQUARE, source=0, conditions=[Neumann(0), Integral(lambda p, u: u.value, 2.0)]),
    "periodic": Poisson(domain=SQUARE, source=lambda p: torch.sin(torch.pi * p.x), reaction=1.0,
                        conditions=[Periodic("x"), Neumann(0, on="bottom"), Neumann(0, on="top")]),
    "bratu": Bratu(domain=SQUARE, conditions=[Dirichlet(bump)], exact=bump),
}  # fmt: skip


def system_of(problem, width=40):
    scales = measure_scales(problem)
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    generator = torch.Generator().manual_seed(1)
    network = sine_features(width, dict.fromkeys(problem.domain.axes, 3.0), outputs, generator)
    model = build_model(problem, scales, network, torch.float64, 0, BuiltIn(problem.ansatz))
    system = System(problem)
    points = system.sample({c.name: 30 for c in system.constraints}, collocation_sampler())
    return system, points, model


def collocation_sampler():
    from pinn_siren import Sampler

    return Sampler(torch.Generator().manual_seed(3))


def residuals(system, points, model, whole):
    rows = []
    for c in system.constraints:
        for part in system.parts(c, points[c.name], model):
            part = part.detach().mean(0, keepdim=True) if c.reduce == "mean" else part.detach()
            rows += [part] if whole or not part.is_complex() else [part.real, part.imag]
    return torch.cat(rows)


@pytest.mark.parametrize("name", [n for n in STATED if n not in ("kerr", "bratu")])
def test_the_matrix_gives_the_residual_of_any_weights_of_a_linear_problem(name):
    system, points, model = system_of(STATED[name])
    blocks, whole = assemble(system, points, model)
    assert whole == STATED[name].complex_valued
    matrix, right = torch.cat([b.matrix for b in blocks]), torch.cat([b.right for b in blocks])
    drawn = torch.randn(matrix.shape[1], 2, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    weights = torch.complex(*drawn.T) if whole else drawn[:, 0]
    put(model, weights, whole)
    found = residuals(system, points, model, whole)
    torch.testing.assert_close(
        matrix.to(weights.dtype) @ weights - right, found, rtol=1e-10, atol=1e-10 * float(found.abs().max())
    )


@pytest.mark.parametrize("name", ["kerr", "bratu"])
def test_the_matrix_of_a_nonlinear_problem_is_its_derivative(name):
    """Central differences of the residual in a random direction of the weights."""
    system, points, model = system_of(STATED[name])
    draw = torch.Generator().manual_seed(9)
    # At the zero field even Kerr's residual is complex-differentiable, so the size is taken from the layer.
    size = sum(w.numel() for w in list(model.network.parameters())[-2:])
    here, step = (0.1 * torch.randn(size, generator=draw, dtype=torch.float64) for _ in range(2))
    put(model, here, False)
    blocks, whole = assemble(system, points, model)
    assert not whole
    matrix, right = torch.cat([b.matrix for b in blocks]), torch.cat([b.right for b in blocks])
    torch.testing.assert_close(matrix @ here - right, residuals(system, points, model, False), rtol=1e-9, atol=1e-9)
    h, ends = 1e-5, []
    for sign in (1, -1):
        put(model, here + sign * h * step, False)
        ends.append(residuals(system, points, model, False))
    torch.testing.assert_close(matrix @ step, (ends[0] - ends[1]) / (2 * h), rtol=1e-6, atol=1e-6)


def test_dependent_columns_leave_the_weights_small():
    draw = torch.Generator().manual_seed(1)
    a = torch.randn(30, 4, generator=draw, dtype=torch.float64)
    twice = torch.cat([a, a], dim=1)
    expected = torch.tensor([1.0, 2.0, -1.0, 0.5], dtype=torch.float64)
    found = least_squares(twice, a @ expected)
    torch.testing.assert_close(found[:4] + found[4:], expected, rtol=1e-13, atol=1e-13)
    assert float(found.norm()) < 3 * float(expected.norm())
    # What no weights fit is left over to a hundredth: rounding times it moves weights along the dependent columns.
    b = torch.randn(30, generator=draw, dtype=torch.float64)
    least = float((a @ torch.linalg.lstsq(a, b[:, None]).solution[:, 0] - b).norm())
    assert float((twice @ least_squares(twice, b) - b).norm()) < 1.01 * least
    assert bool((least_squares(torch.zeros(5, 3, dtype=torch.float64), torch.ones(5, dtype=torch.float64)) == 0).all())


def test_a_real_matrix_takes_a_complex_right_side():
    draw = torch.Generator().manual_seed(1)
    a = torch.randn(30, 4, generator=draw, dtype=torch.float64)
    b = torch.complex(*torch.randn(2, 30, generator=draw, dtype=torch.float64))
    expected = torch.linalg.lstsq(a.to(b.dtype), b[:, None]).solution[:, 0]
    torch.testing.assert_close(least_squares(a, b), expected)


def test_collocation_points_grow_with_the_features():
    system = System(POISSON)
    few, many = (collocation(system, n, torch.Generator().manual_seed(1)) for n in (50, 200))
    assert len(many["equation"][0]) >= 2 * 200 and len(few["equation"][0]) < len(many["equation"][0])


@pytest.mark.parametrize(
    "network",
    [
        Siren(2, 1, width=220, depth=1, omega=6.0, dtype=torch.float64, generator=torch.Generator().manual_seed(2)),
        Siren(2, 1, width=160, depth=2, omega=3.0, dtype=torch.float64, generator=torch.Generator().manual_seed(2)),
        MLP(2, 1, width=200, depth=1, dtype=torch.float64, generator=torch.Generator().manual_seed(2)),
    ],
    ids=["siren", "two layers", "tanh"],
)
@pytest.mark.parametrize("conditions", ["soft", "auto"])
def test_the_stage_solves_for_the_last_layer_of_any_network(network, conditions):
    trainer = Trainer(POISSON, network, conditions=conditions, progress=False)
    frozen = [w.detach().clone() for w in list(network.parameters())[:-2]]
    outcome = trainer.run(LeastSquares(), tolerance=1e-12)
    assert outcome.end in ("converged", "tolerance") and outcome.steps <= 2
    assert all(torch.equal(a, b) for a, b in zip(frozen, list(network.parameters())[:-2], strict=True))
    assert trainer.solution().report.relative_l2 < 3e-4


def test_gauss_newton_on_the_same_columns():
    network = Siren(
        2, 1, width=220, depth=1, omega=6.0, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    trainer = Trainer(STATED["bratu"], network, progress=False)
    outcome = trainer.run(LeastSquares())
    assert outcome.end == "converged" and 3 <= outcome.steps < 12
    assert trainer.solution().report.relative_l2 < 1e-5


def test_what_the_stage_cannot_take():
    with pytest.raises(UsageError, match="float64"):
        Trainer(POISSON, points=400, dtype=torch.float32, progress=False).run(LeastSquares())
    with pytest.raises(UsageError, match=r"leave out network="):
        solve(POISSON, method="least-squares", points=400, progress=False)


SOLVED = {
    "poisson": (POISSON, 1e-9),
    "bratu": (STATED["bratu"], 1e-9),
    "disk": (Poisson(domain=Disk(), source=bump_source, conditions=[Dirichlet(bump)], exact=bump), 1e-9),
    "wave": (
        Wave(
            domain=STRIP, speed=2.0, exact=lambda p: torch.sin(torch.pi * p.x) * torch.cos(2 * torch.pi * p.t),
            conditions=[Dirichlet(0), Initial(lambda p: torch.sin(torch.pi * p.x), rate=0)],
        ),
        1e-8,
    ),
    "a free constant": (
        Poisson(
            domain=SQUARE, source=lambda p: -(torch.pi**2) * torch.cos(torch.pi * p.y), conditions=[Neumann(0)],
            exact=lambda p: torch.cos(torch.pi * p.y) + 0 * p.x,
        ),
        1e-8,
    ),
    "three axes": (
        Poisson(
            domain=Box(x=(0, 1), y=(0, 1), z=(0, 1)), source=lambda p: 3 * torch.exp(p.x + p.y - p.z),
            conditions=[Dirichlet(lambda p: torch.exp(p.x + p.y - p.z))], exact=lambda p: torch.exp(p.x + p.y - p.z),
        ),
        1e-5,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:The conditions leave a constant free")
@pytest.mark.parametrize("name", SOLVED)
def test_the_search_meets_its_tolerance_and_knows_its_error(name):
    problem, tolerance = SOLVED[name]
    solution = solve(problem, tolerance=tolerance, progress=False)
    report = solution.report
    assert report.method.startswith("LeastSquares") and report.relative_l2 <= tolerance
    # At rounding the estimate has nothing to compare with.
    assert report.estimate >= 0.3 * report.relative_l2 or report.relative_l2 < 1e-13
    assert report.estimate <= 100 * report.relative_l2 + 1e-13


def test_a_statement_that_contradicts_itself_is_said_to():
    inside = SQUARE.interior(40, Sampler(torch.Generator().manual_seed(1)))
    wrong = Data(inside, torch.where(torch.arange(40) % 2 == 0, 1.0, -1.0).double())
    problem = Poisson(domain=SQUARE, source=0, conditions=[Dirichlet(0), wrong])
    found = Search(problem, measure_scales(problem), 1e-6, 0, 1e9).run()
    assert found.end in ("stalled", "size") and "contradict" in found.reason and found.estimate > 0.1


def test_the_exact_solution_never_steers_the_search():
    import dataclasses

    blind = dataclasses.replace(POISSON, exact=None)
    one, other = (solve(p, tolerance=1e-6, seed=3, progress=False).model.state_dict() for p in (POISSON, blind))
    assert all(torch.equal(one[name], other[name]) for name in one)


def search(problem, tolerance=1e-8, seconds=math.inf, **changes):
    import time

    return Search(problem, measure_scales(problem), tolerance, 0, time.perf_counter() + seconds, **changes)


def test_a_kink_is_never_called_smooth():
    """u = |x|^2.5 on a line, from its second derivative: the features converge slowly, and say so."""

    def kink(p):
        return (p.x - 0.1).abs() ** 2.5

    problem = Poisson(
        domain=Box(x=(-1, 1)),
        source=lambda p: 3.75 * (p.x - 0.1).abs() ** 0.5,
        conditions=[Dirichlet(kink)],
        exact=kink,
    )
    found = Search(problem, measure_scales(problem), 1e-8, 0, time.perf_counter() + 3.0).run()
    assert found.end in ("stalled", "size", "budget") and found.estimate > 1e-8


def test_a_fit_of_data_and_a_system():
    at = np.random.default_rng(1).random((200, 2)) * [2, 1] - [1, 0]
    values = np.sin(3 * at[:, 0]) * np.exp(at[:, 1])
    fit = solve(Problem(domain=SQUARE, conditions=[Data(at, values)]), tolerance=1e-6, progress=False)
    assert np.abs(fit(at) - values).max() < 1e-5
    pair = solve(STATED["pair"], tolerance=1e-6, progress=False)
    p = torch.tensor([[0.3, 0.4]], dtype=torch.float64)
    u, v = pair.jet(p)
    assert float((u.laplacian - v.value).abs()) < 1e-2 and float((v.laplacian + u.x - 1).abs()) < 1e-2


def test_interrupted_the_best_attempt_is_kept(monkeypatch):
    made = search(POISSON, 1e-30)
    attempt, calls = Search.attempt, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return attempt(self, *arguments)

    monkeypatch.setattr(Search, "attempt", interrupted)
    found = made.run()
    assert found.end == "interrupted" and found.attempts == 1 and "best features kept" in found.reason


def test_out_of_time_it_says_so():
    found = search(POISSON, 1e-30, seconds=0.0).run()
    assert found.end == "budget" and "time is spent" in found.reason


def test_auto_trains_what_features_do_not_reach(monkeypatch):
    monkeypatch.setattr(sys.modules["pinn_siren.solve"], "TRAINED", 0.0)
    solution = solve(POISSON, tolerance=1e-300, budget=4.0, progress=False)
    # Both were run, and the better one is kept.
    assert "GaussNewton" in solution.provenance.method
    assert solution.provenance.method.endswith(f"LeastSquares {len(solution.history['step'])}")
    assert solution.report.relative_l2 < 1e-8


def test_a_field_of_zero_is_found():
    solution = solve(Poisson(domain=SQUARE, source=0, conditions=[Dirichlet(0)]), tolerance=1e-6, progress=False)
    assert solution.provenance.method.startswith("LeastSquares") and solution([[0.3, 0.4]])[0] == 0


def test_a_residual_without_a_linearization_at_zero_is_left_to_training():
    class Logarithm(Problem):
        def residual(self, p, u):
            return torch.log(u.value.abs()) + p.x

    problem = Logarithm(domain=Box(x=(0, 1)))
    with pytest.raises(ResidualError, match="finite"):
        search(problem).run()
    assert "GaussNewton" in solve(problem, budget=1.0, progress=False).provenance.method


def test_a_saved_search_loads_bit_for_bit(tmp_path):
    from pinn_siren import Solution

    solution = solve(POISSON, tolerance=1e-6, progress=False)
    solution.save(tmp_path / "kept")
    at = np.array([[0.1, 0.2], [-0.7, 0.9]])
    np.testing.assert_array_equal(Solution.load(tmp_path / "kept")(at), solution(at))


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="inside"), at_most(1):
        assert torch.get_num_threads() == 1
        raise ValueError("inside")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "misfits", [(1e-3, 9e-4), (1e-3, 2e-3), (math.inf, 1e-3), (1e-3, math.inf), (math.inf, math.inf)]
)
def test_growth_needs_no_particular_misfits(monkeypatch, misfits):
    """Of attempts that are alike no error can be estimated; one may have failed."""
    made, seen = search(POISSON, 1e-9), []

    def attempt(self, width, bandwidth):
        misfit = misfits[min(len(seen), 1)] if len(seen) < 12 else math.inf
        seen.append(width)
        network = sine_features(width, bandwidth, 1, torch.Generator().manual_seed(1))
        self.attempts.append(Attempt(width, bandwidth, self._model(network), misfit, torch.ones(5, 1), 0.1, 0.1))
        return self.attempts[-1]

    monkeypatch.setattr(Search, "attempt", attempt)
    if min(misfits) == math.inf:
        with pytest.raises(ResidualError):
            made.run()
    else:
        assert made.run().end in ("stalled", "size")


def test_no_constant_stands_beside_waves_that_it_is_none_of():
    k = 5.0
    exact = lambda p: torch.special.bessel_y0(k * torch.sqrt((p.x - 2) ** 2 + (p.y - 0.3) ** 2))  # noqa: E731
    box = Box(x=(-1.5, 1.5), y=(-1.5, 1.5))
    helmholtz = Helmholtz(domain=box, wavenumber=k, source=0.0, conditions=[Dirichlet(exact)])
    made = search(helmholtz, 1e-9)
    made.run()
    p = box.interior(2000, Sampler(torch.Generator().manual_seed(2)))
    with torch.no_grad():
        u = made.best.model(p)[:, 0].real
    assert not bool(made.best.model.network.layers[-1].bias.any())
    assert float((u - exact(p)).norm() / exact(p).norm()) < 2e-3
