"""Siren: the paper's statement on its initial weights, sizes, seeds, types and messages."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from pinn_siren import Points, Siren
from pinn_siren.errors import UsageError
from pinn_siren.jet import Jet, coordinate, make_plan
from pinn_siren.siren import count_parameters

DEPTH, WIDTH, POINTS = 5, 512, 4096


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distance(sample: Tensor, cumulative) -> float:
    """Kolmogorov-Smirnov distance of a sample from a distribution."""
    ordered, _ = sample.reshape(-1)[::13].double().sort()
    n = len(ordered)
    expected = cumulative(ordered)
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    return max(float((expected - steps[:-1]).max()), float((steps[1:] - expected).max()))


def normal(z: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(z / math.sqrt(2)))


def arcsine(h: Tensor) -> Tensor:
    return 0.5 + torch.asin(h.clamp(-1, 1)) / torch.pi


@cache
def layers(omega, seed: int, factor: float = 1.0) -> list[tuple[Tensor, Tensor, Tensor, float]]:
    """Per layer: ``omega W h``, the pre-activation with its bias, the activation, and omega, at uniform inputs."""
    network = Siren(2, 1, width=WIDTH, depth=DEPTH, omega=omega, dtype=torch.float32, generator=generator(seed))
    h = 2 * torch.rand(POINTS, 2, generator=generator(seed + 1), dtype=torch.float32) - 1
    found = []
    with torch.no_grad():
        for i, (layer, om) in enumerate(zip(network.layers[:-1], network.omegas, strict=True)):
            weighted = om * (h @ layer.weight.T) * (factor if i else 1.0)
            z = weighted + om * layer.bias
            h = torch.sin(z)
            found.append((weighted, z, h, om))
    return found


def satisfies(omega, seed: int, factor: float = 1.0) -> dict[str, bool]:
    """The statement for every layer: ``omega W h`` about standard normal from the second on, activations arcsine.

    The normal keeps sin's variance a little below 1/2, so the standard deviation falls towards the root of
    v = 1 - exp(-2 v), 0.893, with the depth: the bands are as wide as that makes them, with 1.0 at the upper end.
    """
    found = layers(omega, seed, factor)
    return {
        "deviation": all(0.86 <= float(w.std()) <= 1.04 for w, _, _, _ in found[1:]),
        "mean": all(abs(float(w.mean())) <= 0.05 for w, _, _, _ in found[1:]),
        "normal": all(distance(w, normal) <= 0.05 for w, _, _, _ in found[1:]),
        "arcsine": all(distance(h, arcsine) <= 0.08 for _, _, h, _ in found),
        "activation": all(0.62 <= float(h.std()) <= 0.75 for _, _, h, _ in found),
    }


OMEGAS = [30.0, (30.0, 1.0, 1.0, 1.0, 1.0), (8.0, 30.0, 3.0, 10.0, 1.0)]


@pytest.mark.parametrize("seed", [3, 19])
@pytest.mark.parametrize("omega", OMEGAS, ids=str)
def test_distributions_stay_through_the_depth(omega, seed):
    assert satisfies(omega, seed) == dict.fromkeys(("deviation", "mean", "normal", "arcsine", "activation"), True)


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("omega", OMEGAS, ids=str)
def test_the_statement_fails_for_a_bound_twice_off(omega, factor):
    found = satisfies(omega, 3, factor)
    assert not found["deviation"] and not found["normal"]
    if factor == 0.5 and omega == OMEGAS[1]:  # A large bias alone spreads the phases of the others.
        assert not found["arcsine"] and not found["activation"]


@pytest.mark.parametrize("omega", OMEGAS, ids=str)
def test_biases_add_their_own_variance(omega):
    """Hidden pre-activations have the variance of ``omega W h`` and omega^2 / (3 width) of the biases."""
    for weighted, z, _, om in layers(omega, 23)[1:]:
        assert float(z.var()) == pytest.approx(float(weighted.var()) + om**2 / (3 * WIDTH), rel=0.08)


def test_the_first_layer_spans_the_frequencies_and_all_phases():
    network = Siren(3, 1, width=50_000, depth=1, omega=20.0, dtype=torch.float64, generator=generator(5))
    first = network.layers[0]
    uniform = lambda bound: lambda w: (w / bound + 1) / 2  # noqa: E731
    assert float(first.weight.detach().abs().max()) <= 1 / 3
    assert distance(first.weight.detach(), uniform(1 / 3)) <= 0.03
    assert float((20.0 * first.bias.detach()).abs().max()) <= math.pi
    assert distance(20.0 * first.bias.detach(), uniform(math.pi)) <= 0.03


@pytest.mark.parametrize("omega", [1.0, 30.0, (5.0, 30.0, 2.0)])
def test_hidden_bounds(omega):
    network = Siren(2, 1, width=600, depth=3, omega=omega, dtype=torch.float64, generator=generator(7))
    for i, layer in enumerate(network.layers[1:], start=1):
        om = network.omegas[min(i, 2)]
        bound = math.sqrt(6 / 600) / om
        top = float(layer.weight.detach().abs().max())
        assert top <= bound and (i == 3 or top >= 0.999 * bound)
        assert float(layer.bias.detach().abs().max()) <= 1 / math.sqrt(600)


def test_forward_is_the_formula_with_an_omega_a_layer():
    network = Siren(2, 3, width=7, depth=2, omega=(4.0, 9.0), dtype=torch.float64, generator=generator(9))
    x = torch.rand(5, 2, generator=generator(10), dtype=torch.float64)
    (w1, b1), (w2, b2), (w3, b3) = ((layer.weight, layer.bias) for layer in network.layers)
    expected = torch.sin(9.0 * (torch.sin(4.0 * (x @ w1.T + b1)) @ w2.T + b2)) @ w3.T + b3
    assert torch.allclose(network(x), expected, rtol=1e-14)
    assert network(x).shape == (5, 3)


@pytest.mark.parametrize(
    ("inputs", "outputs", "width", "depth"), [(1, 1, 1, 1), (2, 1, 128, 3), (3, 4, 16, 1), (1, 2, 32, 5)]
)
def test_parameter_count(inputs, outputs, width, depth):
    network = Siren(inputs, outputs, width, depth)
    expected = (inputs + 1) * width + (depth - 1) * (width + 1) * width + (width + 1) * outputs
    assert count_parameters(network) == expected
    network.layers[0].weight.requires_grad_(False)
    assert count_parameters(network) == expected - inputs * width


def state(network: Siren) -> Tensor:
    return torch.cat([p.detach().reshape(-1).double() for p in network.parameters()])


def test_a_seed_means_the_same_weights():
    same = [state(Siren(2, 1, 16, 2, generator=generator(11))) for _ in range(2)]
    other = state(Siren(2, 1, 16, 2, generator=generator(12)))
    assert torch.equal(*same) and not torch.equal(same[0], other)
    network = Siren(2, 1, 16, 2, generator=generator(12))
    network.reset(generator(11))
    assert torch.equal(state(network), same[0])


def test_without_a_generator_the_global_seed_counts():
    with torch.random.fork_rng(devices=[]):
        drawn = []
        for _ in range(2):
            torch.manual_seed(13)
            drawn.append(state(Siren(2, 1, 16, 2)))
    assert torch.equal(*drawn)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype(dtype):
    network = Siren(2, 1, 16, 2, dtype=dtype, generator=generator(11))
    assert all(p.dtype == dtype for p in network.parameters())
    assert network(torch.zeros(3, 2, dtype=dtype)).dtype == dtype
    wide = Siren(2, 1, 16, 2, dtype=torch.float64, generator=generator(11))
    assert torch.allclose(state(network), state(wide), rtol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"inputs": 0}, {"outputs": 0}, {"width": 0}, {"depth": 0}, {"depth": -1}, {"omega": 0.0}, {"omega": -30.0},
        {"omega": float("nan")}, {"omega": (30.0, 30.0)}, {"omega": (30.0, 30.0, 30.0, 30.0)}, {"omega": ()},
        {"omega": (30.0, 0.0, 1.0)},
    ],
    ids=str,
)  # fmt: skip
def test_bad_arguments(arguments):
    with pytest.raises(UsageError, match="Siren needs"):
        Siren(**({"inputs": 2, "outputs": 1} | arguments))


@pytest.mark.parametrize("omega", [30.0, 7, (2.0, 30.0, 5.0)])
def test_configuration_rebuilds_the_network(omega):
    network = Siren(2, 3, width=9, depth=3, omega=omega, dtype=torch.float64, generator=generator(17))
    described = network.configuration()
    assert described.pop("network") == "siren"
    twin = Siren(**described, dtype=torch.float64)
    twin.load_state_dict(network.state_dict())
    x = torch.rand(4, 2, generator=generator(18), dtype=torch.float64)
    assert torch.equal(network(x), twin(x))
    assert twin.configuration() == network.configuration()


def test_jets_go_in_and_come_out():
    network = Siren(1, 2, width=6, depth=2, omega=3.0, dtype=torch.float64, generator=generator(21))
    x = torch.rand(4, 1, generator=generator(22), dtype=torch.float64)
    plan = make_plan(("x",), frozenset({"x"}))
    out = network(Jet(torch.stack([x, torch.ones_like(x)]), plan, Points(("x",), x)))
    jacobian = torch.autograd.functional.jacobian(network, x)[:, :, :, 0]
    slope = torch.stack([jacobian[i, :, i] for i in range(4)])
    assert torch.allclose(out.channels, torch.stack([network(x), slope]), rtol=1e-13)


def test_a_jet_passes_the_sines_as_its_value_and_autograd_do():
    network = Siren(2, 1, width=9, depth=3, omega=[4.0, 2.0, 3.0], dtype=torch.float64, generator=generator(7))
    x = torch.rand(5, 2, generator=generator(8), dtype=torch.float64).requires_grad_()
    points = Points(("x", "y"), x.detach())
    plan = make_plan(("x", "y"), frozenset({"xxy", "xyy"}))
    columns = [coordinate(points, plan, axis) for axis in "xy"]
    came = network(torch.stack(columns, dim=-1))[:, 0]

    def along(values, axis):
        return torch.autograd.grad(values.sum(), x, create_graph=True)[0][:, "xy".index(axis)]

    for key in plan.keys:
        expected = network(x)[:, 0]
        for axis in key:
            expected = along(expected, axis)
        assert torch.allclose(came.channel(key), expected, rtol=1e-11), key
