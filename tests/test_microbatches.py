"""Micro-batches: any number of points in bounded memory, with the same gradient."""

import math

import pytest
import torch

from pinn_siren import (
    LBFGS,
    PML,
    Adam,
    Box,
    Condition,
    Data,
    Dirichlet,
    Helmholtz,
    Initial,
    Integral,
    Periodic,
    Poisson,
    Problem,
    Siren,
    Trainer,
    Unknown,
    UnknownField,
    Wave,
)
from pinn_siren import microbatches as room
from pinn_siren.errors import OutOfMemoryError
from pinn_siren.memory import Chunks
from pinn_siren.microbatches import bytes_a_point, points_within


class Absorbed(Problem):
    """u_xx - q u = -1, with q unknown."""

    q: object

    def residual(self, p, u):
        q = self.q(p) if callable(self.q) else self.q
        return u.xx - q * u.value + 1


def wave():
    moving = lambda p: torch.sin(2 * torch.pi * p.x)  # noqa: E731
    square = Box(x=(0, 1), t=(0, 1))
    return Wave(domain=square, speed=1.0, conditions=[Periodic("x"), Initial(moving, rate=0.0)])


def waves_in_a_layer():
    kinked = Condition(lambda p, u: u.value - p.x, on="interior", norm=1, size=0.5)
    square = Box(x=(-1, 1), y=(-1, 1))
    return Helmholtz(domain=square, wavenumber=6.0, source=1.0, conditions=[PML(thickness=0.5), kinked])


def mass():
    held = [Dirichlet(0.0), Integral(lambda p, u: u.value, 0.4), Integral(lambda p, u: u.x, 0.1, on="left")]
    return Poisson(domain=Box(x=(0, 1), y=(0, 1)), source=1.0, conditions=held)


def measured(q):
    x = torch.linspace(0.05, 0.95, 37, dtype=torch.float64)
    data = Data(x[:, None], torch.sin(math.pi * x), noise=0.1)
    return Absorbed(domain=Box(x=(0, 1)), q=q, conditions=[Dirichlet(0.0), data])


CASES = {
    "matched faces": (wave, {}),
    "weights in time": (wave, {"causal": True}),
    "balanced": (wave, {"balance": "gradients"}),
    "complex, absolute": (waves_in_a_layer, {}),
    "integrals": (mass, {}),
    "unknown number": (lambda: measured(Unknown(1.0, prior=(1.5, 0.5))), {}),
    "unknown field": (lambda: measured(UnknownField(1.0, smoothness=1e-2)), {}),
}


def trainer_of(case, **changed):
    make, options = CASES[case]
    problem = make()
    width = len(problem.domain.axes), 1 + problem.complex_valued
    network = Siren(*width, width=12, depth=2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    given = {"points": 150, "conditions": "soft", "progress": False, "device": "cpu", "seed": 3}
    return Trainer(problem, network, **(given | options | changed))


def gradient(objective):
    objective.model.zero_grad()
    loss = objective.backward()
    return loss, torch.cat([w.grad.reshape(-1) for w in objective.parameters()])


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_that_of_the_whole_loss(case):
    objective = trainer_of(case).objective
    objective.resample()
    objective.reweigh(0, False)
    whole = torch.stack(list(objective.terms().values())).sum()
    wanted = torch.cat([g.reshape(-1) for g in torch.autograd.grad(whole, list(objective.parameters()))])
    for rows in (1 << 20, 32, 7):
        objective._chunks = Chunks("points", rows)
        loss, found = gradient(objective)
        assert float((found - wanted).norm()) < 1e-12 * float(wanted.norm())
        assert float(loss) == pytest.approx(float(whole.detach()), rel=1e-12)
        assert sum(float(t) for t in objective.latest.values()) == pytest.approx(float(loss), rel=1e-12)


def test_weights_from_gradients_are_the_same_in_pieces():
    found = []
    for rows in (1 << 20, 16):
        objective = trainer_of("balanced").objective
        objective.resample()
        objective._chunks = Chunks("points", rows)
        objective.reweigh(0, False)
        found.append(objective.balance.weights)
        losses = objective.means()
    norms = {}
    for name, loss in losses.items():
        slopes = torch.autograd.grad(loss, list(objective.parameters()), retain_graph=True, allow_unused=True)
        norms[name] = math.sqrt(sum(float(g.square().sum()) for g in slopes if g is not None))
    mean = sum(norms.values()) / len(norms)
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[0] == pytest.approx({name: mean / norm for name, norm in norms.items()}, rel=1e-12)


@pytest.mark.parametrize("stage", [Adam(steps=20, lr=1e-3), LBFGS(steps=8)])
def test_training_and_its_estimate_are_the_same_in_pieces(stage):
    runs = []
    for rows in (1 << 20, 50):
        trainer = trainer_of("complex, absolute")
        trainer.objective._chunks = Chunks("points", rows)
        outcome = trainer.run(stage)
        runs.append((outcome.estimate, trainer.history["loss"][-1]))
    assert runs[0] == pytest.approx(runs[1], rel=1e-6)


def test_memory_that_runs_out_halves_the_points_and_training_goes_on(capsys, monkeypatch):
    calm, pressed = trainer_of("weights in time"), trainer_of("weights in time")
    failures, parts = 3, pressed.objective.system.share_of_parts

    def scarce(*given):
        nonlocal failures
        if torch.is_grad_enabled() and failures:
            failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory (an artificial cap)")
        return parts(*given)

    pressed.objective._chunks = Chunks("collocation points", 120)
    monkeypatch.setattr(pressed.objective.system, "share_of_parts", scarce)
    for trainer in (calm, pressed):
        trainer.run(Adam(steps=20, lr=1e-3))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("going on with ")[1] for line in lines] == ["60.", "30.", "15."]
    assert pressed.objective.chunks.rows == 15
    assert pressed.history["loss"] == pytest.approx(calm.history["loss"], rel=1e-9)


def test_a_failure_leaves_the_gradient_as_it_was(monkeypatch):
    objective = trainer_of("matched faces").objective
    objective.resample()
    _, before = gradient(objective)
    parts, calls = objective.system.share_of_parts, 0

    def fails(constraint, points, model):
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls > 2:
            raise MemoryError
        return parts(constraint, points, model)

    objective._chunks = Chunks("points", 64)
    monkeypatch.setattr(objective.system, "share_of_parts", fails)
    with pytest.raises(OutOfMemoryError, match="one of the points"):
        objective.backward()
    assert torch.equal(before, torch.cat([w.grad.reshape(-1) for w in objective.parameters()]))


def test_a_point_costs_what_is_kept_for_its_gradient():
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    # sin keeps its argument, exp its result, the product both factors: four tables of 3 doubles.
    table = torch.rand(100, 3, dtype=torch.float64)

    def evaluate(n):
        z = table[:n].clone() * weight
        return torch.sin(z) * torch.exp(z)

    assert bytes_a_point(evaluate) == 4 * 3 * 8


def test_the_points_at_once_are_a_power_of_two_within_the_share(monkeypatch):
    monkeypatch.setattr(room, "rows_within", lambda device, bytes_a_point: max(1, int(10_000 // bytes_a_point)))
    assert points_within(torch.device("cpu"), 5.0) == 512  # 10,000 bytes, twice 5 a point: 1,000 points.
    assert 1 <= trainer_of("integrals").objective.chunks.rows <= 8
    monkeypatch.setattr(room, "rows_within", lambda device, bytes_a_point: 1)
    assert trainer_of("integrals").objective.chunks.rows == 1


def test_a_checkpoint_keeps_how_many_points_are_evaluated_at_once():
    objective, other = trainer_of("integrals").objective, trainer_of("integrals").objective
    objective._chunks = Chunks("points", 32)
    objective.resample()
    other.load(objective.state())
    assert other.chunks.rows == 32


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_many_points_fit_on_a_device():
    trainer = trainer_of("complex, absolute", device="cuda", dtype=torch.float32, points=3_000_000)
    trainer.objective._chunks = Chunks("points", 2**17)
    torch.cuda.reset_peak_memory_stats()
    trainer.run(Adam(steps=2))
    assert torch.cuda.max_memory_allocated() < 2 * 2**30
