"""Singular functions: their derivatives, their networks, their files."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from pinn_siren.errors import UsageError
from pinn_siren.jet import Jet, make_plan
from pinn_siren.model import Model
from pinn_siren.networks import describe, rebuild
from pinn_siren.points import Points
from pinn_siren.singular import CornerSiren, Singular
from pinn_siren.siren import widened

FUNCTIONS = {
    "power": Singular(0.0, 0.0, 0.3, 1.3, 2 / 3, 0, 0, 0.5, -0.8),
    "logarithm": Singular(0.1, -0.2, 2.3, 0.9, 2.0, 0, 1, 0.5, -0.8),
    "not harmonic": Singular(0.1, -0.2, 2.3, 0.9, 5 / 3, 1, 0, 0.5, 0.8),
    "not harmonic, with a logarithm": Singular(0.1, -0.2, 2.3, 0.9, 3.0, 2, 1, 0.5, 0.8),
    "in a hole": Singular(0.1, -0.2, 2.3, 0.9, 2 / 3, 0, 0, 0.5, 0.8, 0.3),
    "in a hole, not harmonic": Singular(0.1, -0.2, 2.3, 0.9, 2 / 3, 2, 1, 0.5, 0.8, 0.3),
    "multipole": Singular(2.5, 1.7, 0.0, 0.9, -3.0, 0, 0, 1.0, 0.0),
}


ALL = tuple(FUNCTIONS.values())


def network(functions=ALL, width=6, depth=1):
    generator = torch.Generator().manual_seed(5)
    made = CornerSiren(2, 1, width, depth, 1.0, corners=functions, stretch=(2.0, 0.5), dtype=torch.float64)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return made


def model_of(made):
    kinds = {"dtype": torch.float64}
    center, scale = torch.tensor([0.1, 0.2], **kinds), torch.tensor([2.0, 0.5], **kinds)
    return Model(made, ("x", "y"), ("u",), False, center, scale, torch.ones(1, **kinds))


def points(n=12):
    unit = torch.rand(n, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return Points(("x", "y"), 2 * unit - 1)


def plainly(f, x, y):
    """A function by numpy's complex numbers."""
    zeta = ((2.0 * (x - 0.1) / 2.0 - f.x) + 1j * (0.5 * (y - 0.2) / 0.5 - f.y)) * np.exp(-1j * f.axis) / f.length
    s = zeta / (1 + f.pole * zeta)
    return ((f.real + 1j * f.imag) * s**f.power * np.conj(s) ** f.conjugate * np.log(s) ** f.log).real


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_the_formula(name):
    f, p = FUNCTIONS[name], points()
    made = network((f,))
    x = (p.coordinates - torch.tensor([0.1, 0.2])) / torch.tensor([2.0, 0.5])
    assert made.singular(x)[:, 0].numpy() == pytest.approx(plainly(f, p.x.numpy(), p.y.numpy()), rel=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_closed_forms_the_rules_of_jets_and_autograd_agree(name):
    model, p = model_of(network((FUNCTIONS[name],))), points()
    plan = make_plan(("x", "y"), frozenset({"xx", "xy", "yy", "xxxx", "xxyy"}))
    with torch.no_grad():
        closed = model.raw_fields(p, plan)[0].channels
        ruled = model.network(Jet(model._inputs(p, plan), plan, p)).channels[..., 0]
    size = closed.abs().amax(1, keepdim=True)
    assert float(((closed - ruled) / size).abs().max()) < 1e-12

    def value(x):
        return model.network((x[None] - model.center) / model.scale)[0, 0]

    curved = torch.stack([torch.autograd.functional.hessian(value, x) for x in p.coordinates]).detach()
    for key, (i, j) in {"xx": (0, 0), "xy": (0, 1), "yy": (1, 1)}.items():
        assert closed[plan.index[key]].numpy() == pytest.approx(curved[:, i, j].numpy(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["power", "logarithm", "in a hole", "multipole"])
def test_harmonic_functions_have_no_laplacian_to_the_last_bit(name):
    made, p = network((FUNCTIONS[name],)), points()
    at = made.singular_at(p.coordinates, torch.ones(2, dtype=torch.float64))
    assert not bool(at.channel("laplacian", ("x", "y")).any())
    assert bool(at.channel("xx", ("x", "y")).all())


def test_at_the_corner_itself_the_value_is_the_limit():
    f = FUNCTIONS["power"]
    corner = torch.zeros(1, 2, dtype=torch.float64)
    assert abs(float(network((f,)).singular(corner))) < 1e-15


def test_a_description_and_the_weights_make_the_same_network():
    made, x = network(depth=2), points().coordinates
    other = rebuild(json.loads(json.dumps(describe(made))), torch.float64)
    other.load_state_dict(made.state_dict())
    assert isinstance(other, CornerSiren) and torch.equal(other(x), made(x))
    assert describe(other) == describe(made)


def test_widening_keeps_the_function_and_the_corners():
    made, x = network(depth=2), points().coordinates
    wide = widened(made, 9, torch.Generator().manual_seed(2))
    assert isinstance(wide, CornerSiren) and wide.width == 9
    assert wide(x).detach().numpy() == pytest.approx(made(x).detach().numpy(), rel=1e-12)


def test_it_is_of_the_plane():
    with pytest.raises(UsageError, match="two inputs"):
        CornerSiren(3, 1, 4, 1, corners=[dataclasses.astuple(FUNCTIONS["power"])])
