"""Random expressions of coordinates and networks: jets against nested autograd, to the fourth order."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from pinn_siren import MLP, GaussianRBF, PositionalEncoding, Siren
from pinn_siren.jet import LAPLACIAN, Jet, JetPoints, make_plan
from pinn_siren.points import Points

AXES = ("x", "y")
KEYS = ["", "x", "y", "xx", "xy", "yy", LAPLACIAN, "xxy", "xxyy", "xxxx"]
SETTINGS = settings(derandomize=True, database=None, deadline=None, max_examples=40)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slope(value: Tensor, column: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(value)
    (grad,) = torch.autograd.grad(value.sum(), column, create_graph=True, allow_unused=True)
    return torch.zeros_like(value) if grad is None else grad


def autograd(function, coordinates: Tensor) -> dict[str, Tensor]:
    columns = [c.clone().requires_grad_() for c in coordinates.unbind(1)]
    known = {"": function(Points(AXES, torch.stack(columns, 1)))}

    def derivative(key: str) -> Tensor:
        if key not in known:
            known[key] = slope(derivative(key[:-1]), columns[AXES.index(key[-1])])
        return known[key]

    known[LAPLACIAN] = derivative("xx") + derivative("yy")
    return {key: derivative(key).detach() for key in KEYS}


def assert_same(function, coordinates: Tensor) -> None:
    """Each derivative to 1e-10 of the largest of its order or below: sums of large terms may vanish."""
    u = function(JetPoints.of(Points(AXES, coordinates), make_plan(AXES, frozenset(KEYS) - {""})))
    size = 1e-3
    for key, expected in autograd(function, coordinates).items():
        size = max(size, float(expected.abs().max()))
        came = u.value if key == "" else getattr(u, key)
        assert float((came.detach() - expected).abs().max()) <= 1e-10 * size, key


def columns(p: Points):
    """``(n, 2)``: the input of a network, a tensor or a jet."""
    return torch.stack([p.x, p.y], dim=-1)


SMALL = nn.Sequential(
    MLP(2, 4, 5, 1, "tanh", dtype=torch.float64, generator=generator(3)),
    nn.SiLU(),
    GaussianRBF(4, 6, 0.5, dtype=torch.float64, generator=generator(4)),
    MLP(6, 1, 5, 1, "gelu", dtype=torch.float64, generator=generator(5)),
)
LEAVES = {
    "x": lambda p: p.x,
    "y": lambda p: p.y,
    "network": lambda p: SMALL(columns(p))[:, 0],
}
UNARY = {
    "sin": torch.sin, "cos": torch.cos, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "square": torch.square,
    "abs": torch.abs, "atan": torch.atan, "erf": torch.erf, "relu": functional.relu, "softplus": functional.softplus,
    "silu": functional.silu, "gelu": functional.gelu, "softplus of beta 3": lambda a: functional.softplus(a, 3.0, 6.0),
    "exp": lambda a: torch.exp(torch.sin(a)), "sinh": lambda a: torch.sinh(torch.sin(a)),
    "cosh": lambda a: torch.cosh(torch.cos(a)), "log": lambda a: torch.log(2 + torch.cos(a)),
    "sqrt": lambda a: torch.sqrt(2 + torch.sin(a)), "reciprocal": lambda a: torch.reciprocal(2 + torch.sin(a)),
    "negative": lambda a: -a, "2 - a": lambda a: 2 - a, "a / 3": lambda a: a / 3, "a * 1.7": lambda a: a * 1.7,
    "a**2": lambda a: a**2, "a**3": lambda a: a**3, "positive**1.3": lambda a: (2 + torch.sin(a)) ** 1.3,
    "positive**-2": lambda a: (2 + torch.cos(a)) ** -2,
}  # fmt: skip
BINARY = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div by positive": lambda a, b: a / (2 + torch.sin(b)), "1 + 0.5 (a b)": lambda a, b: 1 + 0.5 * torch.mul(a, b),
    "linear": lambda a, b: (torch.stack([a, b], dim=-1) @ torch.tensor([[1.0], [-2.0]], dtype=torch.float64))[:, 0],
    "column": lambda a, b: torch.cat([a[:, None], b[:, None]], dim=1)[..., 1] - a,
}  # fmt: skip

Tree = tuple
trees = st.recursive(
    st.sampled_from(sorted(LEAVES)).map(lambda name: (name,)),
    lambda inner: (
        st.tuples(st.sampled_from(sorted(UNARY)), inner) | st.tuples(st.sampled_from(sorted(BINARY)), inner, inner)
    ),
    max_leaves=6,
)


def evaluate(tree: Tree, p: Points):
    name, *parts = tree
    if not parts:
        return LEAVES[name](p)
    return (UNARY if len(parts) == 1 else BINARY)[name](*(evaluate(part, p) for part in parts))


@SETTINGS
@given(trees, st.integers(0, 2**31))
def test_random_expressions(tree, seed):
    draw = torch.rand(4, 2, generator=generator(seed), dtype=torch.float64)
    assert_same(lambda p: evaluate(tree, p), 2 * draw - 1)


# --- networks ---


@st.composite
def networks(draw) -> nn.Module:
    """Modules from two coordinates to one field, of every kind that this package and ``nn.Sequential`` can make."""
    g = generator(draw(st.integers(0, 2**31)))
    width, depth = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    activation = draw(st.sampled_from(["tanh", "sigmoid", "relu", "softplus", "silu", "gelu"]))
    made = {"dtype": torch.float64, "generator": g}
    kind = draw(st.sampled_from(["siren", "mlp", "encoded", "rbf", "rbf network", "sequential"]))
    if kind == "siren":
        return Siren(2, 1, width, depth, draw(st.floats(0.5, 8.0)), **made)
    if kind == "mlp":
        return MLP(2, 1, width, depth, activation, **made)
    if kind == "encoded":
        return MLP(2, 1, width, depth, activation, encoding=draw(st.integers(1, 3)), **made)
    if kind == "rbf":
        return nn.Sequential(GaussianRBF(2, 5, **made), MLP(5, 1, width, depth, activation, **made))
    torch.manual_seed(g.initial_seed())
    if kind == "rbf network":
        return nn.Sequential(GaussianRBF(2, 9, 2.0, **made), nn.Linear(9, 1, dtype=torch.float64))
    functions = draw(st.lists(st.sampled_from(MODULES), min_size=1, max_size=3))
    sizes = [2, *[width + 1] * len(functions)]
    hidden = [
        layer
        for (a, b), function in zip(itertools.pairwise(sizes), functions, strict=True)
        for layer in (nn.Linear(a, b, bias=draw(st.booleans()), dtype=torch.float64), function)
    ]
    last = nn.Sequential(nn.Identity(), nn.Linear(width + 1, 1, dtype=torch.float64))
    return nn.Sequential(*hidden, last)


MODULES = [nn.Tanh(), nn.Sigmoid(), nn.ReLU(), nn.SiLU(), nn.GELU(), nn.Softplus(), nn.Softplus(2.0, 5.0)]


@SETTINGS
@given(networks(), st.integers(0, 2**31))
def test_random_networks(network, seed):
    draw = torch.rand(4, 2, generator=generator(seed), dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        assert_same(lambda p: network(columns(p))[:, 0], 2 * draw - 1)


@SETTINGS
@given(networks(), st.integers(0, 2**31))
def test_gradients_of_random_networks(network, seed):
    """The gradient of a mean square of derivatives by the parameters, against autograd through autograd."""
    p = Points(AXES, 2 * torch.rand(4, 2, generator=generator(seed), dtype=torch.float64) - 1)
    parameters = list(network.parameters())
    u = network(columns(JetPoints.of(p, make_plan(AXES, frozenset({LAPLACIAN})))))[:, 0]
    assert isinstance(u, Jet)
    came = torch.autograd.grad((u.value + u.x * u.laplacian).square().sum(), parameters, allow_unused=True)
    x, y = (c.clone().requires_grad_() for c in p.coordinates.unbind(1))
    value = network(torch.stack([x, y], 1))[:, 0]
    ux, uy = slope(value, x), slope(value, y)
    loss = (value + ux * (slope(ux, x) + slope(uy, y))).square().sum()
    expected = torch.autograd.grad(loss, parameters, allow_unused=True)
    filled = [torch.zeros_like(p) if g is None else g for g, p in zip(expected, parameters, strict=True)]
    size = max(1e-3, *(float(g.abs().max()) for g in filled))
    for mine, theirs in zip(came, filled, strict=True):
        mine = torch.zeros_like(theirs) if mine is None else mine
        assert float((mine - theirs).abs().max()) <= 1e-9 * size


@SETTINGS
@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**31))
def test_positional_encoding_is_the_formula(inputs, levels, seed):
    x = 2 * torch.rand(3, inputs, generator=generator(seed), dtype=torch.float64) - 1
    module = PositionalEncoding(inputs, levels).double()
    waves = [2**j * torch.pi * x for j in range(levels)]
    expected = torch.cat([x, *map(torch.sin, waves), *map(torch.cos, waves)], dim=1)
    assert torch.allclose(module(x), expected, rtol=1e-13, atol=1e-13)
    assert module(x).shape == (3, module.features)


@SETTINGS
@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**31))
def test_gaussian_basis_is_the_formula(inputs, centers, seed):
    x = 2 * torch.rand(3, inputs, generator=generator(seed), dtype=torch.float64) - 1
    module = GaussianRBF(inputs, centers, dtype=torch.float64, generator=generator(seed))
    with torch.no_grad():
        module.sigma.mul_(1 + torch.arange(centers))
    distance = torch.cdist(x, module.centers, compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.allclose(module(x), torch.exp(-((module.sigma * distance) ** 2)), rtol=1e-11, atol=1e-14)
