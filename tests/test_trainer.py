import itertools
import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import pinn_siren.trainer as trainer_module
from pinn_siren import (
    LBFGS,
    Adam,
    Box,
    Condition,
    Dirichlet,
    Initial,
    Neumann,
    Poisson,
    Problem,
    Siren,
    Trainer,
    Wave,
    loop,
)
from pinn_siren.errors import ProblemError, ResidualError, UsageError
from pinn_siren.loss import Objective
from pinn_siren.optimizers import Stage, Update


def small(problem, **arguments):
    network = Siren(2, 1, width=16, depth=2, omega=4.0, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return Trainer(problem, network, points=200, progress=False, device="cpu", **arguments)


def error(problem, model, n=31):
    from pinn_siren import Points

    axis = torch.linspace(0, 1, n, dtype=torch.float64)
    grid = torch.stack([g.reshape(-1) for g in torch.meshgrid(axis, axis, indexing="ij")], dim=1)
    p = Points(problem.domain.axes, grid)
    with torch.no_grad():
        u = model(p)[:, 0]
    truth = problem.exact(p)
    return float((u - truth).norm() / truth.norm())


def total(trainer):
    with torch.no_grad():
        return float(sum(trainer.objective.terms().values()))


@pytest.mark.parametrize("stages", [[Adam(steps=600, lr=5e-3)], [Adam(steps=50), LBFGS(steps=150)]])
def test_stages_solve_poisson(poisson, stages):
    trainer = small(poisson, seed=3)
    for stage in stages:
        trainer.run(stage)
    assert error(poisson, trainer.model) < 2e-2
    assert trainer.outcomes[-1][1].end == "steps"


def test_the_same_seed_gives_the_same_bits(poisson):
    runs = []
    for seed in (3, 3, 4):
        trainer = Trainer(poisson, points=100, seed=seed, progress=False, device="cpu")
        trainer.run(Adam(steps=20))
        trainer.run(LBFGS(steps=10))
        runs.append(torch.nn.utils.parameters_to_vector(trainer.model.parameters()))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_exact_solution_is_never_looked_at(poisson):
    import dataclasses

    blind = dataclasses.replace(poisson, exact=None)
    weights = []
    for problem in (poisson, blind):
        trainer = Trainer(problem, points=100, seed=3, progress=False, device="cpu")
        trainer.run(Adam(steps=20), tolerance=1e-2)
        weights.append(torch.nn.utils.parameters_to_vector(trainer.model.parameters()))
    assert torch.equal(*weights)


def test_history_has_equal_columns_with_named_terms(poisson):
    trainer = small(poisson, conditions="soft")
    trainer.run(Adam(steps=35))
    assert set(trainer.history) == {"step", "seconds", "loss", "equation", "dirichlet"}
    assert trainer.history["step"] == [10.0, 20.0, 30.0, 35.0]
    sums = [a + b for a, b in zip(trainer.history["equation"], trainer.history["dirichlet"], strict=True)]
    assert sums == pytest.approx(trainer.history["loss"])


def test_points_are_fresh_every_resample_steps(poisson):
    trainer = small(poisson)
    seen = []
    real = Objective.resample

    def counted(self):
        real(self)
        seen.append(self.points["equation"][0].coordinates.clone())

    Objective.resample = counted
    try:
        trainer.run(Adam(steps=12, resample=4))
    finally:
        Objective.resample = real
    assert len(seen) == 3
    assert not torch.equal(seen[0], seen[1])


def test_the_loss_does_not_depend_on_the_number_of_points(poisson):
    losses = []
    for points in (500, 4000):
        trainer = Trainer(poisson, small(poisson).model.network, points=points, progress=False, device="cpu")
        trainer.objective.resample()
        losses.append(total(trainer))
    assert losses[0] == pytest.approx(losses[1], rel=0.15)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_units_do_not_matter(factor):
    """The same problem in other units of length and of the field trains alike: scales are divided out."""

    def u(p):
        return factor**2 * torch.sin(torch.pi * p.x / factor) * torch.sin(torch.pi * p.y / factor)

    problem = Poisson(
        domain=Box(x=(0, factor), y=(0, factor)),
        source=lambda p: -2 * (torch.pi / factor) ** 2 * u(p),
        conditions=[Dirichlet(0)],
        exact=u,
    )
    trainer = small(problem, seed=3)
    trainer.objective.resample()
    first = total(trainer)
    unit = small(Poisson(domain=Box(x=(0, 1), y=(0, 1)), source=lambda p: -2 * torch.pi**2 * torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y), conditions=[Dirichlet(0)]), seed=3)  # fmt: skip  # noqa: E501
    unit.objective.resample()
    assert first == pytest.approx(total(unit), rel=1e-6)


class Poisoned(Stage):
    """Plain gradient steps that make the weights NaN at a given step."""

    def begin(self, objective):
        optimizer = torch.optim.SGD(objective.parameters(), lr=1e-6)

        def step(number, end):
            if number == 24:
                with torch.no_grad():
                    next(objective.parameters()).fill_(torch.nan)
            optimizer.zero_grad()
            loss = objective.backward()
            optimizer.step()
            return loss

        return Update(step, optimizer)


def test_a_loss_that_becomes_nan_names_term_and_step_and_keeps_good_weights(poisson, capsys):
    trainer = small(poisson)
    outcome = trainer.run(Poisoned(steps=100, resample=0))
    assert outcome.end == "diverged" and outcome.steps == 20
    assert "'equation'" in outcome.message and "step 30" in outcome.message and "step 20" in outcome.message
    assert "'equation'" in capsys.readouterr().err
    assert all(torch.isfinite(w).all() for w in trainer.model.parameters())
    assert trainer.solution().report.stages


def test_ctrl_c_keeps_what_was_reached(poisson):
    class Interrupted(Poisoned):
        def begin(self, objective):
            update = Adam(steps=100).begin(objective)

            def interrupted(number, end):
                if number == 17:
                    raise KeyboardInterrupt
                return update.advance(number, end)

            return Update(interrupted, update.optimizer)

    trainer = small(poisson)
    outcome = trainer.run(Interrupted(steps=100, resample=0))
    assert outcome.end == "interrupted" and outcome.steps == 10
    assert trainer.solution().provenance.interrupted


@dataclass(frozen=True)
class Noted(Adam):
    """Adam that keeps its learning rates."""

    noted: list = field(default_factory=list)

    def rate(self, step, end):
        self.noted.append(super().rate(step, end))
        return self.noted[-1]


def test_a_budget_that_comes_first_lowers_the_learning_rate_to_its_end(poisson, monkeypatch):
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: 0.01 * next(ticks))  # Every look at it takes a hundredth of a second.
    for module in (loop, trainer_module):
        monkeypatch.setattr(module, "time", clock)
    cut, whole, ample = (Noted(steps=n, lr=1e-3, warmup=5) for n in (10_000, 200, 200))
    outcome = small(poisson).run(cut, budget=2.0)
    assert outcome.end == "budget" and 100 < outcome.steps < 200
    assert cut.noted[-1] < 0.02 * cut.lr and max(cut.noted) > 0.99 * cut.lr
    assert all(later <= earlier for earlier, later in itertools.pairwise(cut.noted[len(cut.noted) // 4 :]))
    small(poisson).run(whole)
    small(poisson).run(ample, budget=60.0)
    assert ample.noted == whole.noted and whole.noted[-1] < 0.011 * whole.lr


def test_a_budget_and_a_tolerance_end_a_stage(poisson):
    trainer = small(poisson)
    assert trainer.run(Adam(steps=10_000), budget=0.3).end == "budget"
    outcome = trainer.run(Adam(steps=10_000), tolerance=10.0)
    assert outcome.end == "tolerance" and outcome.estimate <= 10.0 and outcome.steps == 100


def test_a_branch_that_later_asks_for_another_derivative_goes_on():
    asked = {"more": False}

    class Branching(Problem):
        def residual(self, p, u):
            return u.xx + u.yy + 1 if asked["more"] else u.value - 1

    trainer = small(Branching(domain=Box(x=(0, 1), y=(0, 1)), conditions=[Dirichlet(0)]))
    trainer.run(Adam(steps=10))
    asked["more"] = True
    assert trainer.run(Adam(steps=10)).end == "steps"


def test_float32_stays_float32(poisson):
    trainer = Trainer(poisson, points=100, dtype=torch.float32, progress=False, device="cpu")
    trainer.run(Adam(steps=10))
    assert {w.dtype for w in trainer.model.parameters()} == {torch.float32}
    assert trainer.objective.points["equation"][0].coordinates.dtype == torch.float32


def test_the_error_estimate_follows_the_error(poisson):
    trainer = small(poisson, seed=3)
    ratios = []
    for stage in (Adam(steps=100), LBFGS(steps=100), LBFGS(steps=200)):
        outcome = trainer.run(stage)
        ratios.append(outcome.estimate / error(poisson, trainer.model))
    assert all(0.3 < ratio < 100 for ratio in ratios), ratios


class Cubic(nn.Module):
    """A network that jets cannot pass."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return torch.erfinv(self.layer(x))


WRONG = {
    "wrong dtype": (lambda p: Trainer(p, dtype=torch.float16), UsageError, "float64"),
    "few points": (lambda p: Trainer(p, points=3), UsageError, "16"),
    "no such device": (lambda p: Trainer(p, device="nonsense"), UsageError, "cpu"),
    "unknown function": (lambda p: Trainer(p, Cubic()), ProblemError, "erfinv"),
    "wrong inputs": (lambda p: Trainer(p, Siren(3, 1)), UsageError, "2 inputs, one for each of x, y"),
    "wrong outputs": (lambda p: Trainer(p, Siren(2, 3)), UsageError, "1 outputs"),
    "schedule": (lambda p: Adam(schedule="linear"), UsageError, "cosine"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(poisson, name):
    call, kind, says = WRONG[name]
    with pytest.raises(kind, match=says):
        call(poisson)


def test_a_residual_that_is_nan_from_the_start_is_an_error():
    problem = Wave(
        domain=Box(x=(0, 1), t=(0, 1)),
        speed=1.0,
        conditions=[Dirichlet(0), Initial(lambda p: torch.sqrt(p.x - 2), rate=0)],
    )
    with pytest.raises(ProblemError, match=r"Initial value\(p\) is NaN or infinite.*'x'"):
        Trainer(problem)

    class Divided(Problem):
        def residual(self, p, u):
            return u.laplacian / (u.value * 0)

    with pytest.raises(ResidualError, match="NaN or infinite"):
        Trainer(Divided(domain=Box(x=(0, 1)), conditions=[Dirichlet(0)]))


def test_a_condition_residual_counts(poisson):
    import dataclasses

    pinned = dataclasses.replace(poisson, conditions=[*poisson.conditions, Condition(lambda p, u: u.xx, on="left")])
    trainer = small(pinned, conditions="soft")
    assert trainer.objective.names == ["equation", "dirichlet", "condition left"]
    assert math.isfinite(trainer.run(Adam(steps=10)).estimate)


def test_a_free_constant_is_fixed_to_zero_mean():
    """Neumann sides only: the solution of zero mean, whatever constant the exact one carries."""

    def u(p):
        return torch.cos(torch.pi * p.x) * torch.cos(torch.pi * p.y) + p.x**2

    problem = Poisson(
        domain=Box(x=(0, 1), y=(0, 1)),
        source=lambda p: -2 * torch.pi**2 * (u(p) - p.x**2) + 2,
        conditions=[Neumann(lambda p: 2 * p.x * p.normal[:, 0])],
        exact=u,
    )
    with pytest.warns(UserWarning, match="zero mean"):
        trainer = small(problem, seed=3)
    trainer.run(Adam(steps=50))
    trainer.run(LBFGS(steps=150))
    report = trainer.solution(tolerance=2e-2).report
    assert report.verdict == "certified", report
    assert report.reference_to_exact < 1e-3
