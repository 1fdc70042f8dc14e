"""Networks beside the SIREN: initial weights, training, storing, and clear words for what cannot be."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pinn_siren import MLP, Adam, Box, Eikonal, GaussianRBF, PositionalEncoding, Siren, Solution, Trainer
from pinn_siren.check import StatementWarning
from pinn_siren.errors import PinnSirenError, ProblemError, UsageError
from pinn_siren.networks import describe, rebuild
from pinn_siren.siren import count_parameters
from pinn_siren.verify import verify


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- initial weights ---


@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus"])
def test_weights_start_as_the_papers_have_it(activation):
    network = MLP(300, 1, 500, 2, activation, dtype=torch.float64, generator=generator(7))
    for layer in network.layers[:-1]:
        w, fan_in, fan_out = layer.weight.detach(), layer.in_features, layer.out_features
        assert abs(float(w.mean())) <= 0.01 * float(w.std()) * 3
        if activation == "tanh":
            bound = math.sqrt(6 / (fan_in + fan_out))
            assert 0.999 * bound <= float(w.abs().max()) <= bound
            assert float(w.std()) == pytest.approx(bound / math.sqrt(3), rel=0.01)
        else:
            assert float(w.std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.01)
            assert float(((w / w.std()).abs() > 2).double().mean()) == pytest.approx(0.0455, rel=0.1)
        assert 0.95 / math.sqrt(fan_in) <= float(layer.bias.detach().abs().max()) <= 1 / math.sqrt(fan_in)


def test_relu_keeps_the_second_moment_through_the_depth():
    network = MLP(64, 1, 512, 6, "relu", dtype=torch.float64, generator=generator(11))
    h = torch.randn(256, 64, generator=generator(13), dtype=torch.float64)
    with torch.no_grad():
        for layer in network.layers[:-1]:
            z = h @ layer.weight.T
            assert float(z.square().mean()) == pytest.approx(2 * float(h.square().mean()), rel=0.2)
            h = functional.relu(layer(h))


def test_centers_fill_the_square_and_overlap():
    module = GaussianRBF(2, 4000, dtype=torch.float64, generator=generator(17))
    assert float(module.centers.detach().abs().max()) <= 1
    assert torch.histc(module.centers.detach(), 4, -1, 1).min() >= 1800
    assert module.sigma.tolist() == [math.sqrt(4000) / 2] * 4000


def test_a_seed_means_the_same_weights():
    for make in (lambda g: MLP(2, 1, 8, 2, generator=g), lambda g: GaussianRBF(2, 8, generator=g)):
        one, two, other = (list(make(generator(s)).parameters()) for s in (3, 3, 4))
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        assert not torch.equal(one[0], other[0])


def test_forward_is_the_formula():
    network = MLP(2, 3, 5, 2, "softplus", dtype=torch.float64, generator=generator(19))
    x = torch.rand(4, 2, generator=generator(23), dtype=torch.float64)
    (w1, b1), (w2, b2), (w3, b3) = ((layer.weight, layer.bias) for layer in network.layers)
    hidden = torch.log1p(torch.exp(torch.log1p(torch.exp(x @ w1.T + b1)) @ w2.T + b2))
    assert torch.allclose(network(x), hidden @ w3.T + b3, rtol=1e-13)
    assert count_parameters(network) == 3 * 5 + 6 * 5 + 6 * 3


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MLP(0, 1), "inputs=0"), (lambda: MLP(2, 1, depth=0), "depth=0"),
        (lambda: MLP(2, 1, activation="tahn"), "Did you mean 'tanh'"), (lambda: MLP(2, 1, activation="sine"), "Siren"),
        (lambda: MLP(2, 1, encoding=-1), "levels"), (lambda: PositionalEncoding(2, 0), "levels=0"),
        (lambda: GaussianRBF(2, 0), "centers=0"), (lambda: GaussianRBF(2, 4, 0.0), "positive sigma"),
        (lambda: rebuild({"network": "transformer"}, torch.float64), "'transformer'"),
    ],
)  # fmt: skip
def test_bad_arguments(make, says):
    with pytest.raises(UsageError, match=says):
        make()


# --- training and storing ---


def rbf_network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(GaussianRBF(2, 40, generator=generator(5)), nn.Linear(40, 1))


def plain_sequential() -> nn.Module:
    torch.manual_seed(6)
    gate, layers = nn.Tanh(), [nn.Linear(2, 12), nn.Linear(12, 12), nn.Linear(12, 1, bias=False)]
    return nn.Sequential(layers[0], gate, layers[1], gate, nn.Sequential(nn.Softplus(2.0), layers[2]))


SMOOTH = ("tanh", "sigmoid", "softplus", "silu", "gelu")
KINDS = {
    "siren": lambda: Siren(2, 1, 12, 2, 4.0, generator=generator(3)),
    **{
        f: lambda f=f: MLP(2, 1, 12, 2, f, generator=generator(3))
        for f in ("tanh", "sigmoid", "softplus", "silu", "gelu")
    },
    "relu, encoded": lambda: MLP(2, 1, 12, 2, "relu", encoding=2, generator=generator(3)),
    "tanh, encoded": lambda: MLP(2, 1, 12, 2, encoding=2, generator=generator(3)),
    "rbf network": rbf_network,
    "rbf and relu": lambda: nn.Sequential(
        GaussianRBF(2, 30, 4.0, generator=generator(3)), MLP(30, 1, 12, 1, "relu", generator=generator(4))
    ),
    "sequential": plain_sequential,
}


def trained(poisson, network: nn.Module, steps: int = 20) -> Trainer:
    with torch.random.fork_rng(devices=[]):
        trainer = Trainer(poisson, network, points=100, progress=False, device="cpu", seed=3)
    trainer.run(Adam(steps=steps, lr=3e-3, warmup=2, resample=1000))
    return trainer


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_loss_and_a_file_keeps_the_network(poisson, kind, tmp_path):
    with torch.random.fork_rng(devices=[]):
        network = KINDS[kind]()
    trainer = trained(poisson, network)
    assert trainer.history["loss"][-1] < 0.98 * trainer.history["loss"][0]
    solution = trainer.solution()
    state = {name: w.detach().numpy() for name, w in trainer.model.state_dict().items()}
    loaded = Solution.rebuild(solution.configuration(), state, solution.provenance, {})
    points = np.random.default_rng(7).random((20, 2))
    np.testing.assert_allclose(loaded(points), solution(points), rtol=1e-13)
    np.testing.assert_allclose(
        loaded.jet(points, ["xx"]).xx.numpy(), solution.jet(points, ["xx"]).xx.numpy(), rtol=1e-11, atol=1e-12
    )


def test_save_and_load_without_the_problem(poisson, tmp_path):
    network = nn.Sequential(GaussianRBF(2, 20, generator=generator(3)), MLP(20, 1, 8, 1, generator=generator(4)))
    solution = trained(poisson, network, 2).solution()
    solution.save(tmp_path / "kept")
    loaded = Solution.load(tmp_path / "kept")
    np.testing.assert_array_equal(loaded([[0.3, 0.4]]), solution([[0.3, 0.4]]))
    assert verify(tmp_path / "kept")[1] == []
    assert loaded.parameters == solution.parameters and describe(loaded.model.network) == describe(network)


def test_subclasses_and_own_modules_are_not_described():
    class Mine(MLP):
        def forward(self, x):
            return 2 * super().forward(x)

    assert describe(Mine(2, 1)) is None
    assert describe(nn.Sequential(nn.Linear(2, 3), Mine(3, 1))) is None
    assert describe(nn.utils.parametrizations.weight_norm(nn.Linear(2, 1))) is None


# --- second derivatives that vanish ---


FLAT = {
    "relu": lambda: MLP(2, 1, 12, 2, "relu", generator=generator(3)),
    "linear": lambda: nn.Linear(2, 1),
    "sequential": lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)),
}


@pytest.mark.parametrize("kind", FLAT)
def test_a_network_that_the_equation_cannot_see_is_named(poisson, kind):
    with pytest.warns(StatementWarning, match=r"order 2 of the network are zero.*(laplacian|xx).*tanh") as caught:
        Trainer(poisson, FLAT[kind](), points=50, device="cpu", progress=False)
    assert len(caught) == 1


def test_first_order_equations_see_relu():
    problem = Eikonal(domain=Box(x=(0, 1), y=(0, 1)), velocity=1.0, source=(0.5, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Trainer(problem, FLAT["relu"](), points=50, device="cpu", progress=False)


# --- what jets refuse ---


class Applied(nn.Module):
    """A linear layer, then any function."""

    def __init__(self, function):
        super().__init__()
        self.layer, self.function, self.weight = nn.Linear(2, 4), function, nn.Parameter(torch.ones(4, 1))

    def forward(self, x):
        return self.function(self.layer(x))


UNSUPPORTED = {
    "layer norm": (lambda: Applied(nn.LayerNorm(4)), "torch.layer_norm"),
    "dropout": (lambda: Applied(nn.Dropout(0.1)), "torch.dropout"),
    "softmax": (lambda: Applied(nn.Softmax(dim=-1)), "torch.softmax"),
    "batch norm": (lambda: Applied(nn.BatchNorm1d(4)), "u.dim is not known: a jet is no tensor"),
    "conv": (lambda: Applied(nn.Conv1d(4, 1, 1)), "torch.conv1d"),
    "elu": (lambda: Applied(nn.ELU()), "torch.elu"),
    "leaky relu": (lambda: Applied(nn.LeakyReLU()), "torch.leaky_relu"),
    "prelu": (lambda: Applied(nn.PReLU()), "torch.prelu"),
    "flatten": (lambda: Applied(nn.Flatten()), "u.flatten is not known: a jet is no tensor"),
    "reshape": (lambda: Applied(lambda z: z.reshape(-1, 2)), "u.reshape is not known"),
    "max": (lambda: Applied(lambda z: torch.maximum(z, z)), "torch.maximum"),
    "norm": (lambda: Applied(functional.normalize), "u.norm|torch.normalize"),
    "relu in place": (lambda: Applied(nn.ReLU(inplace=True)), "written into.*relu"),
    "silu in place": (lambda: Applied(nn.SiLU(inplace=True)), "written into.*silu"),
    "sin_": (lambda: Applied(torch.sin_), "written into.*sin_"),
    "method in place": (lambda: Applied(lambda z: z.add_(1)), "u.add_ is not known: a jet is no tensor"),
    "tanh form of gelu": (lambda: Applied(nn.GELU("tanh")), "approximate='none'; got 'tanh'"),
    "an argument": (lambda: Applied(lambda z: torch.sin(z, out=z)), "takes nothing beside the jet; got out"),
    "first points": (lambda: Applied(lambda z: z[0:1]), r"x\[:, 0\]"),
    "one point": (lambda: Applied(lambda z: z[3]), r"x\[:, 0\]"),
    "mask of points": (lambda: Applied(lambda z: z[torch.ones(7) > 0]), r"x\[:, 0\]"),
    "column of no columns": (lambda: Applied(lambda z: z[:, 0][..., 0]), r"x\[:, 0\]"),
    "unpacking": (lambda: Applied(lambda z: torch.cat([*z], dim=-1)), r"x\[:, 0\]"),
    "assignment": (lambda: Applied(lambda z: z.__setitem__((slice(None), 0), 0.0)), "written into"),
    "points joined": (lambda: Applied(lambda z: torch.cat([z, z])), "never their points; got dim=0"),
    "points stacked": (lambda: Applied(lambda z: torch.stack([z, z])), "never their points; got dim=0"),
    "joined to a tensor": (lambda: Applied(lambda z: torch.cat([z, torch.ones(7, 1)], -1)), "jets alone.*Jet, Tensor"),
    "ranks": (lambda: Applied(lambda z: z * z[:, 0]), r"shape \(\d+, 4\) meets one of \(\d+,\)"),
    "sizes": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)), "3 inputs is given 2 columns.*2 inputs"),
    "inner sizes": (lambda: nn.Sequential(nn.Linear(2, 4), nn.Linear(5, 1)), "5 inputs is given 4 columns"),
    "weight in front": (lambda: Applied(lambda z: torch.ones(4, 7).double() @ z), "torch.r?matmul"),
    "no column": (lambda: Applied(lambda z: z[:, 0]), r"of shape \(n, 1\); got \(\d+,\)"),
    "a tuple": (lambda: Applied(lambda z: (z, z)), r"of shape \(n, 1\); got tuple"),
    "wrong inputs": (lambda: MLP(3, 1), "2 inputs, one for each of x, y; got 3"),
    "wrong outputs": (lambda: MLP(2, 3), "must have 1 outputs"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_jets_cannot_pass_is_one_clear_error(poisson, name):
    make, says = UNSUPPORTED[name]
    with pytest.raises(PinnSirenError, match=says) as raised:
        Trainer(poisson, make(), points=50, device="cpu", progress=False)
    if says.startswith("torch."):
        assert isinstance(raised.value, ProblemError) and "sigmoid, silu, sin, sinh" in str(raised.value)


@pytest.mark.parametrize("function", [functional.relu, functional.softplus, functional.gelu, torch.erf, torch.abs])
def test_real_functions_refuse_complex_jets(function):
    from pinn_siren.jet import JetPoints, make_plan
    from pinn_siren.points import Points

    p = JetPoints.of(Points(("x",), torch.ones(3, 1)), make_plan(("x",), frozenset({"x"})))
    with pytest.raises(ProblemError, match="of a complex jet has no derivative"):
        function(p.x + 1j)
