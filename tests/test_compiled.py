"""Compiled pieces of the loss: the same gradient, one graph for each shape, and plain ones where that is impossible."""

import shutil

import pytest
import torch
from test_microbatches import CASES, gradient, trainer_of

from pinn_siren import Adam, Box, Dirichlet, Problem, Trainer
from pinn_siren import compiled as room
from pinn_siren.compiled import Compiled
from pinn_siren.memory import Chunks


@pytest.fixture
def recorded(monkeypatch):
    """What is recorded, run as it is: to make machine code of it takes a minute."""
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_the_plain_one(case, recorded):
    objective = trainer_of(case).objective
    objective._chunks = Chunks("points", 64)
    objective.compiled = Compiled()
    for number in range(3):
        objective.resample()
        objective.reweigh(10 * number, False)
        loss, found = gradient(objective)
        objective.compiled, compiled = None, objective.compiled
        same, wanted = gradient(objective)
        objective.compiled = compiled
        assert float((found - wanted).norm()) <= 1e-12 * float(wanted.norm())
        assert float(loss) == pytest.approx(float(same), rel=1e-12)
        with torch.no_grad():
            for w in objective.parameters():
                w.add_(0.01)
    assert compiled.graphs and not compiled.refused


def test_each_number_of_points_has_one_graph(recorded):
    objective = trainer_of("matched faces").objective
    objective.compiled = Compiled()
    objective._chunks = Chunks("points", 100)
    for _ in range(3):
        objective.resample()
        objective.backward()
    # 150 points inside are 100 and 50; the others, 37 each, are evaluated at once.
    assert len(objective.compiled.graphs) == 2 + len(objective.names) - 1


def test_training_by_graphs_ends_where_plain_training_does(recorded, poisson):
    runs = []
    for compile in (False, True):
        trainer = Trainer(poisson, points=64, progress=False, compile=compile)
        trainer.run(Adam(steps=20))
        runs.append(trainer)
    assert runs[1].history["loss"] == pytest.approx(runs[0].history["loss"], rel=1e-9)
    assert runs[1].solution().provenance.method == "Adam 20, compiled"


class Branching(Problem):
    """A residual that looks at the values: they are known at no time but while it runs."""

    def residual(self, p, u):
        return u.xx if float(u.value.detach().max()) > 1e9 else u.xx + 1


def test_a_residual_that_looks_at_values_is_run_plainly(capsys):
    problem = Branching(domain=Box(x=(0, 1)), conditions=[Dirichlet(0)])
    trainer = Trainer(problem, points=64, progress=False, compile=True)
    trainer.run(Adam(steps=20))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("Not compiled (") and lines[0].endswith("going on without.")
    plain = Trainer(problem, points=64, progress=False)
    plain.run(Adam(steps=20))
    assert trainer.history["loss"] == plain.history["loss"]
    assert trainer.solution().provenance.method == "Adam 20"


def test_without_a_compiler_it_goes_on(capsys, monkeypatch):
    def missing(graph, **_):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", missing)
    objective = trainer_of("integrals").objective
    objective.compiled = Compiled()
    objective.resample()
    gradient(objective)
    gradient(objective)
    assert capsys.readouterr().err.count("No working C++ compiler") == 1


def test_a_graph_that_gives_another_gradient_is_not_used(capsys, monkeypatch):
    monkeypatch.setattr(room, "_compiled", lambda derive, tensors: lambda *given: [1.5 * t for t in derive(*given)])
    objective = trainer_of("integrals").objective
    objective.compiled = Compiled()
    objective.resample()
    gradient(objective)
    assert "away from what it was made of" in capsys.readouterr().err and objective.compiled.refused


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_machine_code_gives_the_same(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))

    def derive(x, w):
        value = (torch.sin(x) * w).square().sum()
        return [value.detach(), None, *torch.autograd.grad(value, [w])]

    compiled = Compiled()
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    for seed in (1, 2):
        x = torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        value, none, slope = compiled("one", derive, [x, w])
        assert none is None and not compiled.refused
        assert torch.allclose(value, torch.sin(x).square().sum())
        assert torch.allclose(slope, 2 * torch.sin(x).square())
    assert len(compiled.graphs) == 1
