"""Gauss-Newton on all layers: error bands on small problems, its linear algebra, and how it ends and goes on."""

import pytest
import torch

from pinn_siren import (
    Adam,
    Box,
    Condition,
    Data,
    Dirichlet,
    GaussNewton,
    Helmholtz,
    Initial,
    Problem,
    Siren,
    Trainer,
    Wave,
    solve,
)
from pinn_siren.errors import ResidualError, UsageError
from pinn_siren.optimizers import ways
from pinn_siren.optimizers.damped import Dual, Primal
from pinn_siren.optimizers.jacobian import Rows
from pinn_siren.optimizers.products import Products
from pinn_siren.plan import make_stages
from pinn_siren.siren import widened

LINE = Box(x=(0, 1))
SQUARE = Box(x=(0, 1), y=(0, 1))


class Cubic(Problem):
    def residual(self, p, u):
        s = torch.sin(torch.pi * p.x)
        return u.xx - u.value**3 + torch.pi**2 * s + s**3


class Pair(Problem):
    outputs = ("u", "v")

    def residual(self, p, u, v):
        return u.x - v.value, v.x + 4 * u.value


def complex_line():
    return Helmholtz(domain=LINE, wavenumber=3.0, source=lambda p: 0j * p.x, conditions=[Dirichlet(wave_at)],
                     exact=wave_at)  # fmt: skip


def wave_at(p):
    return torch.exp(3j * p.x)


def standing(p):
    return torch.sin(torch.pi * p.x) * torch.cos(torch.pi * p.t)


def bent_line():
    return Cubic(domain=LINE, conditions=[Dirichlet(0)], exact=lambda p: torch.sin(torch.pi * p.x))


def pair():
    conditions = [Dirichlet(0, on="left", output="u"), Dirichlet(2, on="left", output="v")]
    return Pair(domain=LINE, conditions=conditions, exact=lambda p: (torch.sin(2 * p.x), 2 * torch.cos(2 * p.x)))


def wave():
    conditions = [Dirichlet(0), Initial(lambda p: torch.sin(torch.pi * p.x), rate=0)]
    return Wave(domain=Box(x=(0, 1), t=(0, 1)), speed=1.0, conditions=conditions, exact=standing)


def trained(problem, steps, width=8, depth=2, **arguments):
    network = Siren(len(problem.domain.axes), len(problem.fields) * (1 + problem.complex_valued), width=width,
                    depth=depth, omega=2.0, generator=torch.Generator().manual_seed(1))  # fmt: skip
    trainer = Trainer(problem, network, progress=False, **arguments)
    return trainer, trainer.run(GaussNewton(steps=steps))


BANDS = [(bent_line, 25, 1e-6), (pair, 25, 1e-6), (complex_line, 30, 1e-6), (wave, 25, 3e-2)]


@pytest.mark.parametrize("make, steps, band", BANDS)
def test_small_problems_are_solved_to_many_digits(make, steps, band):
    trainer, _ = trained(make(), steps)
    assert trainer.solution().report.relative_l2 < band


def test_the_method_meets_its_tolerance(poisson):
    solution = solve(poisson, method="gauss-newton", tolerance=1e-5, progress=False)
    assert solution.report.relative_l2 < 1e-5
    assert "GaussNewton" in solution.report.method


def test_soft_conditions_are_trained_too(poisson):
    trainer, _ = trained(poisson, 20, conditions="soft")
    assert trainer.solution().report.relative_l2 < 3e-2


def test_exact_never_steers(poisson):
    import dataclasses

    blind = dataclasses.replace(poisson, exact=None)
    one, two = (solve(p, method="gauss-newton", steps=12, tolerance=1e-3, progress=False) for p in (poisson, blind))
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(a, b)


def matrix(rows, columns):
    generator = torch.Generator().manual_seed(rows)
    decay = torch.logspace(0, -6, columns, dtype=torch.float64)
    j = torch.randn(rows, columns, generator=generator, dtype=torch.float64) * decay
    return j, torch.randn(rows, generator=generator, dtype=torch.float64)


def chunked(j, r, step=7):
    return lambda: iter([(r[i : i + step], j[i : i + step]) for i in range(0, len(r), step)])


@pytest.mark.parametrize("mu", [1.0, 1e-4, 1e-8, 1e-12])
@pytest.mark.parametrize("rows, columns", [(40, 15), (15, 40)])
def test_every_way_gives_the_damped_step(rows, columns, mu, monkeypatch):
    j, r = matrix(rows, columns)
    whole = torch.cat([j, mu**0.5 * torch.eye(columns, dtype=torch.float64)])
    expected = torch.linalg.lstsq(whole, -torch.cat([r, torch.zeros(columns, dtype=torch.float64)])).solution
    ways_found = []
    # Room for all, for a triangle of 15 columns, and for none.
    for numbers in (1e6, 2000, 1000):
        monkeypatch.setattr(ways.memory, "allowed_bytes", lambda device, numbers=numbers: int(8 * numbers))
        ways_found.append(ways.Ways().damped(chunked(j, r), rows, columns))
    direct, streamed, products = ways_found
    assert isinstance(direct, Dual if rows < columns else Primal)
    assert isinstance(streamed, Products if rows < columns else Primal)
    assert isinstance(products, Products)
    for way in ways_found:
        assert (way.solve(mu) - expected).norm() <= 1e-9 * expected.norm()
        assert (way.again(r) - expected).norm() <= 1e-6 * expected.norm()
        torch.testing.assert_close(way.along(expected), j @ expected)
        assert way.top == pytest.approx(float(torch.linalg.matrix_norm(j, 2)) ** 2, rel=0.2)


def test_fewer_points_than_parameters(poisson):
    network = Siren(2, 1, width=16, depth=2, omega=2.0, generator=torch.Generator().manual_seed(1))
    trainer = Trainer(poisson, network, points=60, progress=False)
    trainer.run(GaussNewton(steps=10, density=0))
    assert len(trainer.objective.points["equation"][0]) == 60
    assert trainer.solution().report.relative_l2 < 0.1


def test_the_loss_falls_at_every_step(poisson):
    trainer, _ = trained(poisson, 12)
    losses = trainer.history["loss"]
    assert losses[-1] < 1e-4 * losses[0]


def test_it_says_why_it_ends():
    _, stalled = trained(bent_line(), 200)
    assert stalled.end == "converged"
    assert "stalled" in stalled.message or "no step lowers" in stalled.message
    assert stalled.steps < 200


def test_widening_keeps_the_function(poisson):
    trainer, _ = trained(poisson, 5)
    points = poisson.domain.interior(50, trainer.objective.sampler)
    before = trainer.model(points).detach()
    trainer.model.network = widened(trainer.model.network, 13)
    torch.testing.assert_close(trainer.model(points).detach(), before, rtol=1e-12, atol=1e-13)
    outcome = trainer.run(GaussNewton(steps=5, wider=2))
    assert trainer.model.network.width == 15
    assert outcome.steps == 5


def test_the_best_of_several_starts_goes_on(poisson):
    network = Siren(2, 1, width=6, depth=2, omega=2.0, generator=torch.Generator().manual_seed(2))
    trainer = Trainer(poisson, network, progress=False)
    trainer.run(GaussNewton(steps=20, starts=2))
    assert trainer.solution().report.relative_l2 < 0.1


@pytest.mark.parametrize("stop", [3, 11, 18])
def test_a_run_goes_on_bit_for_bit(poisson, tmp_path, stop, monkeypatch):
    def fresh():
        network = Siren(2, 1, width=6, depth=2, omega=2.0, generator=torch.Generator().manual_seed(2))
        return Trainer(poisson, network, progress=False, checkpoint=tmp_path / "run.pt")

    stages = [GaussNewton(steps=20, starts=2, wider=1)]
    monkeypatch.setattr("pinn_siren.loop.SAVE_SECONDS", 0.0)
    whole = fresh()
    whole.run(stages[0])
    (tmp_path / "run.pt").unlink()
    broken = fresh()
    record, seen = broken._record, []

    def stopping(elapsed):
        record(elapsed)
        seen.append(1)
        if len(seen) > stop:
            raise RuntimeError("killed")

    broken._record = stopping
    with pytest.raises(RuntimeError, match="killed"):
        broken.run(stages[0])
    resumed = fresh()
    assert resumed.resume(stages) == 0
    resumed.run(stages[0])
    assert resumed.steps == whole.steps
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_single_precision_is_taken(poisson):
    trainer, _ = trained(poisson, 12, dtype=torch.float32)
    assert trainer.solution().report.relative_l2 < 1e-2


def test_after_adam(poisson):
    network = Siren(2, 1, width=8, depth=2, omega=2.0, generator=torch.Generator().manual_seed(1))
    trainer = Trainer(poisson, network, progress=False)
    trainer.run(Adam(steps=20))
    before = trainer.history["loss"][-1]
    trainer.run(GaussNewton(steps=8))
    assert trainer.history["loss"][-1] < 1e-2 * before


def sized(norm=2):
    conditions = [Dirichlet(0), Condition(lambda p, u: u.x - 1, on="interior", weight=3.0, norm=norm, size=0.2)]
    return Problem(domain=LINE, conditions=[Data([0.2, 0.7], [1.0, 2.0], size=5.0), *conditions])


def test_its_rows_are_the_loss_where_conditions_bring_a_size():
    trainer = Trainer(sized(), progress=False, points=50)
    trainer.objective.resample()
    loss = sum(float(term.detach()) for term in trainer.objective.terms().values())
    rows = Rows(trainer.objective, trainer.objective.points)
    assert float(rows.values().square().sum()) == pytest.approx(loss, rel=1e-12)


class Root(Problem):
    def residual(self, p, u):
        return u.xx - torch.sqrt(u.value.abs() * 0)


WRONG = {
    "starts": (lambda: GaussNewton(starts=0), UsageError, "starts"),
    "density": (lambda: GaussNewton(density=-1.0), UsageError, "density"),
    "patience": (lambda: GaussNewton(patience=0), UsageError, "patience"),
    "causal": (lambda: trained(wave(), 2, causal=True), UsageError, "causal"),
    "norm": (lambda: trained(sized(norm=1), 2), UsageError, "norm=2"),
    "wider": (
        lambda: Trainer(bent_line(), torch.nn.Sequential(torch.nn.Linear(1, 1)), progress=False).run(
            GaussNewton(wider=2)
        ),
        UsageError,
        "Siren",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore::pinn_siren.check.StatementWarning")
def test_what_cannot_be(name):
    call, error, word = WRONG[name]
    with pytest.raises(error, match=word):
        call()


@pytest.mark.filterwarnings("ignore::pinn_siren.check.StatementWarning")
def test_a_residual_without_a_slope_is_said():
    with pytest.raises(ResidualError, match="NaN"):
        trained(Root(domain=LINE, conditions=[Dirichlet(0)]), 2)


def test_an_own_network_is_neither_widened_nor_restarted():
    (stage,) = make_stages("gauss-newton", own=True).stages
    assert isinstance(stage, GaussNewton)
    assert (stage.wider, stage.starts) == (0, 1)
