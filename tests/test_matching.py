"""Matching pursuit finds the waves of a source and data nearly; trained from there they end at rounding."""

import math

import pytest
import torch

from pinn_siren import Box, Dirichlet, Helmholtz, Initial, Poisson, Problem, Wave, solve
from pinn_siren.ansatz.derive import BuiltIn
from pinn_siren.build import build_model
from pinn_siren.optimizers.features import sine_features, waves_of
from pinn_siren.optimizers.matching import Matching
from pinn_siren.scales import measure_scales
from pinn_siren.shallow import train_shallow
from pinn_siren.system import System

SQUARE = Box(x=(-1, 1), y=(-1, 1))


def mode(p, a=2.3, b=5.1):
    return torch.sin(a * p.x + 0.4) * torch.cos(b * p.y - 1.0)


def modes():
    return Poisson(domain=SQUARE, source=lambda p: -(2.3**2 + 5.1**2) * mode(p), conditions=[Dirichlet(mode)])


def complex_wave():
    def wave_at(p):
        return torch.exp(5.3j * p.x)

    return Helmholtz(domain=Box(x=(0, 1)), wavenumber=8.0, source=lambda p: (5.3**2 - 8.0**2) * wave_at(p),
                     conditions=[Dirichlet(wave_at)], exact=wave_at)  # fmt: skip


def standing():
    def u(p):
        return torch.sin(torch.pi * p.x) * torch.cos(4 * torch.pi * p.t)

    conditions = [Dirichlet(0), Initial(lambda p: torch.sin(torch.pi * p.x), rate=0)]
    return Wave(domain=Box(x=(0, 1), t=(0, 1)), speed=4.0, conditions=conditions, exact=u)


class Pair(Problem):
    outputs = ("u", "v")

    def residual(self, p, u, v):
        return u.x - v.value, v.x + 16 * u.value


def pair():
    conditions = [Dirichlet(0, on="left", output="u"), Dirichlet(4, on="left", output="v")]
    return Pair(domain=Box(x=(0, 2)), conditions=conditions,
                exact=lambda p: (torch.sin(4 * p.x), 4 * torch.cos(4 * p.x)))  # fmt: skip


def matching(problem, bandwidth, linear=True):
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    still = sine_features(2, bandwidth, outputs, torch.Generator().manual_seed(0))
    model = build_model(problem, measure_scales(problem), still, torch.float64, 0, BuiltIn())
    return Matching(System(problem), model, bandwidth, outputs, linear)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_waves_of_a_mode_are_found_at_once(seed):
    first = matching(modes(), {"x": 8.0, "y": 8.0}).find(40, seed)[0]
    torch.testing.assert_close(first, torch.tensor([2.3, 5.1], dtype=torch.float64), rtol=0, atol=0.1)


def test_it_ends_where_a_linear_problem_is_explained_else_at_the_width():
    few = matching(modes(), {"x": 8.0, "y": 8.0}).find(40, 0)
    assert len(few) < 10
    assert len(matching(modes(), {"x": 8.0, "y": 8.0}, linear=False).find(40, 0)) == 10


def test_fields_of_a_system_share_their_waves():
    found = matching(pair(), {"x": 8.0})
    waves = found.find(8, 0)
    assert found.network(waves).outputs == 2
    # sin 4x over a half-width of 1.
    assert float((waves.abs() - 4).abs().min()) < 0.1


def test_every_wave_has_its_mirror_images():
    found = matching(modes(), {"x": 8.0, "y": 8.0})
    network = found.network(found.find(8, 0))
    waves = network.layers[0].weight.detach()[: network.width // 2]
    torch.testing.assert_close(waves[0::2] * torch.tensor([1.0, -1.0]), waves[1::2])


def test_waves_are_sines_then_cosines():
    waves = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    network = waves_of(waves, 1)
    seen = []
    network.layers[-1].register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    x = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    network(x)
    torch.testing.assert_close(seen[0], torch.cat([torch.sin(x @ waves.T), torch.cos(x @ waves.T)], dim=1))


def test_a_complex_wave_is_trained_to_rounding():
    trainer = train_shallow(complex_wave(), 1e-9, None, 0, "cpu", False, None)
    assert trainer.solution().report.relative_l2 < 1e-9
    assert trainer.outcomes[-1][1].steps > 0


def test_four_dimensions_take_waves_alone():
    domain = Box(w=(0, 1), x=(0, 1), y=(0, 1), z=(0, 1))
    problem = Poisson(domain=domain, source=lambda p: torch.sin(3 * p.w), conditions=[Dirichlet(0)])
    found = matching(problem, dict.fromkeys("wxyz", 3.0), linear=False)
    network = found.network(found.find(4, 0))
    assert (network.inputs, network.width) == (4, 4)


def test_the_method_trains_all_layers_from_the_matched_waves():
    solution = solve(standing(), method="gauss-newton", tolerance=1e-8, progress=False)
    assert solution.report.method.startswith("LeastSquares 1 + GaussNewton")
    assert solution.report.relative_l2 < 1e-8
    waves = next(solution.model.network.parameters()).detach()[:, 1].abs() * 2
    # The frequencies have moved onto the mode's own.
    assert float((waves - 4 * math.pi).abs().min()) < 1e-6
