"""What goes on inside a network: the distributions that theory states, gradients against autograd, and the picture."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pinn_siren import MLP, Box, Data, Dirichlet, Poisson, Problem, Siren, Trainer
from pinn_siren.cli import main
from pinn_siren.errors import UsageError
from pinn_siren.inspection import inspect

FOLDER = Path(__file__).parent.parent / "problems"
LINE = Box(x=(0, 4))


def fit(network, points=256):
    x = np.linspace(0, 4, 300)
    return Trainer(Problem(domain=LINE, conditions=[Data(x, np.sin(x))]), network, points=points, progress=False)


def test_a_siren_starts_with_normal_preactivations_and_arcsine_activations():
    generator = torch.Generator().manual_seed(5)
    trainer = fit(Siren(1, 1, width=256, depth=4, omega=[60.0, 30, 30, 30], generator=generator))
    before = [w.clone() for w in trainer.model.parameters()]
    layers = inspect(trainer.objective)
    assert [v.name for v in layers] == ["layer 1", "layer 2", "layer 3", "layer 4", "output"]
    for view in layers[1:4]:
        # Hidden biases add omega^2 / (3 fan_in) to a variance of 1.
        assert np.mean(view.preactivation**2) == pytest.approx(1 + 900 / (3 * 256), rel=0.25)
    for view in layers[2:]:
        shares = np.histogram(view.activation, [-1.001, -0.9, -0.5, 0.5, 0.9, 1.001])[0] / len(view.activation)
        edges = [math.asin(x) / math.pi for x in (-1, -0.9, -0.5, 0.5, 0.9, 1)]
        assert np.abs(shares - np.diff(edges)).max() < 0.04
    assert all(torch.equal(w, old) for w, old in zip(trainer.model.parameters(), before, strict=True))
    assert all(w.grad is None for w in trainer.model.parameters())


def test_the_gradient_is_that_of_the_loss_with_respect_to_the_preactivation():
    network = Siren(1, 1, width=16, depth=2, omega=[4.0, 7.0]).double()
    trainer = fit(network, points=300)
    view = inspect(trainer.objective)[1]
    (p,) = trainer.objective.points["data"]
    model = trainer.model
    x = (p.coordinates - model.center) / model.scale
    z = (7.0 * network.layers[1](torch.sin(4.0 * network.layers[0](x)))).detach().requires_grad_()
    value = model.amplitude * network.layers[2](torch.sin(z)) + model.offset
    scales = trainer.scales
    loss = ((value - p.attached) / (scales.amplitude * scales.residual["data"][0])).square().mean()
    (expected,) = torch.autograd.grad(loss, z)
    assert np.allclose(view.gradient, expected.numpy().ravel(), rtol=1e-9, atol=1e-15)
    assert np.allclose(view.preactivation, z.detach().numpy().ravel(), rtol=1e-12)


def test_the_spectrum_has_the_line_of_a_wave():
    network = Siren(1, 1, width=1, depth=1, omega=1.0).double()
    trainer = fit(network)
    with torch.no_grad():
        # x runs over 4 units of length, the input over 2: 10 radians of the input are 5 a unit of length.
        network.layers[0].weight.fill_(10 * float(trainer.model.scale) / 2)
        network.layers[0].bias.zero_()
    view = inspect(trainer.objective)[1]
    assert view.wavenumbers[np.argmax(view.activation_spectrum)] == pytest.approx(5, abs=2 * math.pi / 4)


def test_networks_of_torch_and_equations_are_seen_too():
    problem = Poisson(domain=Box(x=(0, 1), y=(0, 1)), source=1.0, conditions=[Dirichlet(0)])
    trainer = Trainer(problem, MLP(2, 1, width=12, depth=2), progress=False, conditions="soft", points=100)
    views = inspect(trainer.objective)
    assert len(views) == 3 and float(np.abs(views[0].gradient).max()) > 0
    assert np.allclose(np.tanh(views[0].preactivation).mean(), views[1].activation.mean())

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 1))

        def forward(self, x):
            return torch.sin(x @ self.weight)

    with pytest.raises(UsageError, match="Own has no linear layers"):
        inspect(Trainer(problem, Own(), progress=False, conditions="soft", points=100).objective)


def test_the_command_draws_both_times(tmp_path, capsys):
    arguments = ["--steps", "20", "--quiet", "--out", str(tmp_path), "--device", "cpu"]
    assert main(["inspect", str(FOLDER / "poisson.py"), *arguments]) == 0
    assert capsys.readouterr().out.strip().endswith("layers.png")
    assert (tmp_path / "layers.png").stat().st_size > 20_000
