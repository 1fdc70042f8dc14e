"""Sine features: derivatives in closed form, frequencies, and waves that satisfy an equation."""

import math

import pytest
import torch

from pinn_siren import Box, Dirichlet, Helmholtz, Initial, Points, Poisson, Problem, Sampler, Wave
from pinn_siren.ansatz.derive import BuiltIn
from pinn_siren.bandwidth import Search
from pinn_siren.build import build_model
from pinn_siren.jet import Jet, make_plan
from pinn_siren.model import Model
from pinn_siren.optimizers.features import ball, sine_features
from pinn_siren.optimizers.symbol import homogeneous_symbol
from pinn_siren.scales import measure_scales
from pinn_siren.system import System

SQUARE, STRIP = Box(x=(-1, 3), y=(0, 1)), Box(x=(0, 1), t=(0, 2))


class Beam(Problem):
    """``u_tt + u_xxxx + 2 u = 0``: two even orders."""

    def residual(self, p, u):
        return u.tt + u.xxxx + 2 * u.value


class Drift(Problem):
    def residual(self, p, u):
        return u.laplacian + 9 * u.value + u.x


def model_of(problem, width=12):
    scales = measure_scales(problem)
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    bandwidth = dict.fromkeys(problem.domain.axes, 4.0)
    network = sine_features(width, bandwidth, outputs, torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.layers[-1].weight.normal_(generator=torch.Generator().manual_seed(2))
        network.layers[-1].bias.fill_(0.3)
    return build_model(problem, scales, network, torch.float64, 0, BuiltIn(None)), scales


def zero(model):
    with torch.no_grad():
        for parameter in model.network.layers[-1].parameters():
            parameter.zero_()
    return model


@pytest.mark.parametrize("asked", [(), ("x", "xy"), ("laplacian", "y"), ("xx", "yyy", "xxyy", "xxxx")])
def test_one_layer_has_the_derivatives_of_the_chain_rule(asked):
    model, _ = model_of(Poisson(domain=SQUARE, source=0, conditions=[Dirichlet(0)]))
    points = SQUARE.interior(20, Sampler(torch.Generator().manual_seed(3)))
    plan = make_plan(("x", "y"), frozenset(asked))
    closed = model.raw_fields(points, plan)[0]
    chained = model.network(Jet(Model._inputs(model, points, plan), plan, points)).channels[..., 0] * model.amplitude
    torch.testing.assert_close(closed.channels, chained, rtol=1e-12, atol=1e-11)


def test_rows_are_sums_of_derivatives():
    model, _ = model_of(Poisson(domain=SQUARE, source=0, conditions=[Dirichlet(0)]))
    points = SQUARE.interior(7, Sampler(torch.Generator().manual_seed(3)))
    plan = make_plan(("x", "y"), frozenset({"laplacian", "xy", "y"}))
    waves, draw = model.waves, torch.Generator().manual_seed(4)
    coefficients = torch.complex(*torch.randn(2, 7, len(plan.keys), generator=draw, dtype=torch.float64))
    every = waves.at(points).channels(plan, torch.eye(12, dtype=torch.float64))
    expected = torch.einsum("nk,knw->nw", coefficients, every.to(coefficients.dtype))
    torch.testing.assert_close(waves.at(points).rows(plan, coefficients), expected)
    assert not bool(waves.at(points).rows(plan, torch.zeros(7, len(plan.keys), dtype=torch.float64)).any())


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_frequencies_fill_half_a_ball(dimensions):
    found = ball(400, dimensions, torch.Generator().manual_seed(1))
    radius = found.norm(dim=1)
    assert found.shape == (400, dimensions) and bool((radius <= 1).all()) and bool((found[:, 0] >= 0).all())
    power = dimensions if dimensions <= 3 else 1
    # The mean radius of a density r^(power - 1).
    assert float(radius.mean()) == pytest.approx(power / (power + 1), abs=0.02)


HOMOGENEOUS = {
    "wave": Wave(domain=STRIP, speed=3.0, conditions=[Dirichlet(0), Initial(lambda p: p.x, rate=0)]),
    "beam": Beam(domain=STRIP, conditions=[Dirichlet(0)]),
    "helmholtz": Helmholtz(domain=SQUARE, wavenumber=5.0, source=0, conditions=[Dirichlet(1)]),
}
OTHER = {
    "laplace has no real waves": Poisson(domain=SQUARE, source=0, conditions=[Dirichlet(1)]),
    "a source": Helmholtz(domain=SQUARE, wavenumber=5.0, source=1, conditions=[Dirichlet(1)]),
    "a medium": Helmholtz(domain=SQUARE, wavenumber=5.0, source=0, speed=lambda p: 2 + p.x, conditions=[Dirichlet(1)]),
    "an odd order": Drift(domain=SQUARE, conditions=[Dirichlet(1)]),
}


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_waves_of_a_homogeneous_equation_leave_no_residual(name):
    problem = HOMOGENEOUS[name]
    plain, scales = model_of(problem)
    symbol = homogeneous_symbol(System(problem), zero(plain), scales.half_width)
    assert symbol is not None
    with torch.no_grad():
        plain.network.layers[-1].weight.normal_(generator=torch.Generator().manual_seed(2))
    width = dict.fromkeys(problem.domain.axes, 4.0)
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    network = sine_features(30, width, outputs, torch.Generator().manual_seed(1), symbol.onto)
    with torch.no_grad():
        network.layers[-1].weight.normal_(generator=torch.Generator().manual_seed(2))
    model = build_model(problem, scales, network, torch.float64, 0, BuiltIn(None))
    system = System(problem)
    points = problem.domain.interior(50, Sampler(torch.Generator().manual_seed(3)))
    parts = (system.parts(system.constraints[0], [points], m)[0] for m in (plain, model))
    here, there = (float(part.detach().abs().max()) for part in parts)
    assert there < 1e-11 * here


@pytest.mark.parametrize("name", OTHER)
def test_other_equations_have_no_such_waves(name):
    problem = OTHER[name]
    model, scales = model_of(problem)
    assert homogeneous_symbol(System(problem), zero(model), scales.half_width) is None


def test_a_plane_wave_between_boundaries_is_found_to_rounding():
    k = 9.0

    def u(p):
        return torch.exp(1j * k * (0.6 * p.x + 0.8 * p.y))

    problem = Helmholtz(domain=SQUARE, wavenumber=k, source=0, conditions=[Dirichlet(u)], exact=u)
    found = Search(problem, measure_scales(problem), 1e-10, 0, math.inf).run()
    assert found.end == "tolerance" and "satisfy" in found.reason
    model = build_model(problem, measure_scales(problem), found.network, torch.float64, 0, BuiltIn(None))
    p = SQUARE.interior(200, Sampler(torch.Generator().manual_seed(8)))
    assert float((model(p)[:, 0] - u(p)).detach().abs().max()) < 1e-10
    assert set(found.points) == {c.name for c in problem.constraints()}


def test_points_need_no_order():
    model, _ = model_of(Poisson(domain=SQUARE, source=0, conditions=[Dirichlet(0)]))
    p = Points(("x", "y"), torch.tensor([[0.0, 0.5], [2.0, 0.1]], dtype=torch.float64))
    torch.testing.assert_close(model(p).flip(0), model(Points(("x", "y"), p.coordinates.flip(0))))
