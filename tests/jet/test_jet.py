"""Jets: derivatives of networks, expressions and ansatz against nested autograd, and what a jet refuses."""

import copy
import random

import pytest
import torch
from torch import Tensor, cos, exp, sin, tanh

from pinn_siren import Box, Sampler, Siren
from pinn_siren.errors import ProblemError
from pinn_siren.jet import (
    LAPLACIAN,
    Jet,
    JetPoints,
    MissingDerivativeError,
    coordinate,
    derivatives_of,
    jet,
    lift,
    make_plan,
)
from pinn_siren.model import Model
from pinn_siren.points import Points

TOLERANCE = 1e-9
AXES = [("x",), ("x", "y"), ("x", "t"), ("x", "y", "z"), ("x", "y", "t")]


# --- the oracle: nested autograd, a column an axis ---


def slope(value: Tensor, column: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(value)
    if value.is_complex():
        return torch.complex(slope(value.real, column), slope(value.imag, column))
    (grad,) = torch.autograd.grad(value.sum(), column, create_graph=True, allow_unused=True)
    return torch.zeros_like(value) if grad is None else grad


def nested(function, p: Points, keys) -> dict[str, Tensor]:
    columns = [c.clone().requires_grad_() for c in p.coordinates.unbind(1)]
    value = function(Points(p.axes, torch.stack(columns, 1), p.outward))

    def derivative(key: str) -> Tensor:
        if key == LAPLACIAN:
            return torch.stack([derivative(2 * a) for a in p.axes if a != "t"]).sum(0)
        out = value
        for letter in key:
            out = slope(out, columns[p.axes.index(letter)])
        return out

    return {key: derivative(key) for key in keys}


def assert_close(came: Tensor, expected: Tensor, tolerance: float = TOLERANCE, what: object = "") -> None:
    came, expected = came.detach(), expected.detach()
    assert came.shape == expected.shape, what
    error = float((came - expected).abs().max())
    # Where a derivative vanishes identically there is no size to compare with.
    assert error <= tolerance * max(float(expected.abs().max()), 1e-3), (what, error)


def points(axes, n=9, seed=11, low=0.2, high=1.3) -> Points:
    draw = torch.rand(n, len(axes), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Points(tuple(axes), low + (high - low) * draw)


def all_keys(axes, order: int) -> list[str]:
    keys, last = [""], [""]
    for _ in range(order):
        last = sorted({"".join(sorted(k + a, key=axes.index)) for k in last for a in axes}, key=lambda k: (len(k), k))
        keys += last
    return keys


def random_keys(axes, count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choice(axes) for _ in range(draw.randint(1, 4))) for _ in range(count)]


def model_of(axes, fields=("u",), complex_valued=False, ansatz=None, seed=5, dtype=torch.float64) -> Model:
    generator = torch.Generator().manual_seed(seed)
    d, count = len(axes), len(fields)
    outputs = count * (1 + complex_valued)
    network = Siren(d, outputs, width=10, depth=3, omega=(3.0, 1.5, 2.0), dtype=dtype, generator=generator)
    center = torch.linspace(0.3, 0.7, d, dtype=dtype)
    scale = torch.linspace(0.8, 1.6, d, dtype=dtype)
    amplitude = torch.linspace(2.5, 0.5, count, dtype=dtype)
    return Model(network, tuple(axes), tuple(fields), complex_valued, center, scale, amplitude, ansatz)


def plain(model: Model, p: Points) -> tuple[Tensor, ...]:
    """The raw fields by the module's ordinary forward pass."""
    out = model.network((p.coordinates - model.center) / model.scale)
    count = len(model.fields)
    if model.complex_valued:
        out = torch.complex(out[:, :count], out[:, count:])
    return tuple((out * model.amplitude).unbind(1))


# --- networks ---


@pytest.mark.parametrize("seed", [3, 17])
@pytest.mark.parametrize("axes", AXES, ids="".join)
def test_network_derivatives_match_nested_autograd(axes, seed):
    model, p = model_of(axes, seed=seed), points(axes, seed=seed + 1)
    keys = [*random_keys(axes, 7, seed), "".join(2 * a for a in axes)[:4], LAPLACIAN]
    (u,) = model.fields_at(p, make_plan(axes, frozenset(keys)))
    for key, expected in nested(lambda p: plain(model, p)[0], p, keys).items():
        assert_close(getattr(u, key), expected, what=key)


@pytest.mark.parametrize("axes", AXES, ids="".join)
def test_collapsed_laplacian_is_the_sum_over_space(axes):
    model, p = model_of(axes), points(axes)
    (u,) = model.fields_at(p, make_plan(axes, frozenset({LAPLACIAN})))
    assert_close(u.laplacian, nested(lambda p: plain(model, p)[0], p, [LAPLACIAN])[LAPLACIAN])
    (pure,) = model.fields_at(p, make_plan(axes, frozenset(2 * a for a in axes)))
    assert LAPLACIAN not in pure.plan.index
    assert_close(pure.laplacian, u.laplacian, 1e-12)


@pytest.mark.parametrize("axes", AXES, ids="".join)
def test_gradient_of_a_loss_by_the_parameters(axes):
    model, p = model_of(axes, seed=23), points(axes, seed=29)
    keys = ["", *random_keys(axes, 4, 31), LAPLACIAN]

    def loss(derivatives: dict[str, Tensor]) -> Tensor:
        parts = list(derivatives.values())
        product = parts[0] * parts[-1]
        return sum(((i + 1) * d**2).mean() for i, d in enumerate(parts)) + (product - parts[1]).abs().mean()

    (u,) = model.fields_at(p, make_plan(axes, frozenset(keys)))
    parameters = list(model.parameters())
    came = torch.autograd.grad(loss({k: getattr(u, k or "value") for k in keys}), parameters)
    doubled = torch.autograd.grad(loss(nested(lambda p: plain(model, p)[0], p, keys)), parameters, allow_unused=True)
    size = max(float(g.abs().max()) for g in doubled if g is not None)
    for mine, theirs in zip(came, doubled, strict=True):
        theirs = torch.zeros_like(mine) if theirs is None else theirs
        assert float((mine - theirs).abs().max()) <= TOLERANCE * size


@pytest.mark.parametrize(
    ("dtype", "complex_valued", "expected"),
    [
        (torch.float32, False, torch.float32),
        (torch.float64, False, torch.float64),
        (torch.float32, True, torch.complex64),
        (torch.float64, True, torch.complex128),
    ],
)
def test_dtype_stays(dtype, complex_valued, expected):
    axes = ("x", "t")
    ansatz = lambda p, u: (1 + p.x**2) * u / 3 + torch.tensor(0.5, dtype=torch.float64) + 2.0  # noqa: E731
    model = model_of(axes, complex_valued=complex_valued, ansatz=ansatz, dtype=dtype)
    p = Points(axes, points(axes).coordinates.to(dtype))
    (u,) = model.fields_at(p, make_plan(axes, frozenset({"xxtt", LAPLACIAN})))
    assert u.channels.dtype == expected
    assert u.grad.dtype == u.laplacian.dtype == u.xxt.dtype == expected
    fine = model_of(axes, complex_valued=complex_valued, ansatz=ansatz, dtype=torch.float64)
    fine.load_state_dict(model.state_dict())
    p64 = Points(axes, p.coordinates.double())
    (v,) = fine.fields_at(p64, u.plan)
    wide = u.channels.to(v.channels.dtype)
    for key, came, expected_channel in zip(u.plan.keys, wide, v.channels, strict=True):
        assert_close(came, expected_channel, 1e-4 if dtype == torch.float32 else 1e-12, key)


def test_complex_network():
    axes = ("x", "y")
    model, p = model_of(axes, complex_valued=True), points(axes)
    keys = ["", "x", "xy", "xxyy", LAPLACIAN]
    (u,) = model.fields_at(p, make_plan(axes, frozenset(keys)))
    for key, expected in nested(lambda p: plain(model, p)[0], p, keys).items():
        assert_close(getattr(u, key or "value"), expected, what=key)


# --- arithmetic ---


def random_expression(seed: int, axes):
    """A random tree of what jets allow; it means the same for jets and for tensors."""
    draw = random.Random(seed)
    number = lambda: round(draw.uniform(0.3, 2.0), 3)  # noqa: E731
    unary = [
        sin, cos, tanh, torch.sigmoid, torch.square, abs, lambda a: -a,
        lambda a: exp(a / 4), lambda a: torch.sqrt(2.5 + sin(a)), lambda a: torch.log(3 + cos(a)),
        lambda a: torch.reciprocal(2 + tanh(a)), lambda a: (2 + sin(a)) ** 1.7, lambda a: a**2, lambda a: a**3,
        lambda a: (3 - cos(a)) ** -2, lambda a: a**4,
    ]  # fmt: skip
    binary = [
        lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / (2 + tanh(b)),
        lambda a, b: torch.add(a, b), lambda a, b: torch.sub(a, b), lambda a, b: torch.mul(a, b),
    ]  # fmt: skip
    mixed = [
        lambda a, c: c + a, lambda a, c: a + c, lambda a, c: c - a, lambda a, c: a - c, lambda a, c: c * a,
        lambda a, c: a * c, lambda a, c: a / c, lambda a, c: c / (2 + tanh(a)),
    ]  # fmt: skip

    def grow(depth: int):
        if depth == 0:
            axis = draw.choice(axes)
            return lambda p: getattr(p, axis)
        kind = draw.choice(["unary", "binary", "binary", "mixed"])
        first = grow(depth - 1)
        if kind == "unary":
            f = draw.choice(unary)
            return lambda p: f(first(p))
        if kind == "binary":
            g, second = draw.choice(binary), grow(depth - 1)
            return lambda p: g(first(p), second(p))
        h, c = draw.choice(mixed), number()
        c = torch.tensor(c, dtype=torch.float64) if draw.random() < 0.5 else c
        return lambda p: h(first(p), c)

    return grow(3)


@pytest.mark.parametrize("seed", range(101, 121))
def test_random_expressions_to_order_four(seed):
    axes = AXES[seed % len(AXES)]
    p, expression = points(axes, n=5, seed=seed), random_expression(seed, axes)
    keys = [*random_keys(axes, 6, seed), "".join(axes), LAPLACIAN]
    came = expression(JetPoints.of(p, make_plan(axes, frozenset(keys))))
    for key, expected in nested(expression, p, keys).items():
        assert_close(getattr(came, key), expected, what=(seed, key))


SCALAR = torch.tensor(1.7, dtype=torch.float64)
ARITHMETIC = {
    "number + jet": lambda p: 2 + p.x * p.y,
    "jet - number": lambda p: p.x**3 - 2.5,
    "number - jet": lambda p: 2.5 - p.x**3,
    "number / jet": lambda p: 3 / (p.x + p.y),
    "jet / number": lambda p: p.x * p.y / 4,
    "jet / jet": lambda p: p.x**2 / (1 + p.y),
    "0-d tensor + jet": lambda p: SCALAR + p.x * p.y,
    "0-d tensor - jet": lambda p: SCALAR - p.x * p.y,
    "0-d tensor * jet": lambda p: SCALAR * p.x**2,
    "0-d tensor / jet": lambda p: SCALAR / (p.x * p.y),
    "jet - 0-d tensor": lambda p: p.x * p.y - SCALAR,
    "jet / 0-d tensor": lambda p: p.x**3 / SCALAR,
    "torch.sub(number, jet)": lambda p: torch.sub(2, p.x * p.y) if isinstance(p, JetPoints) else 2 - p.x * p.y,
    "torch.div(number, jet)": lambda p: torch.div(2, p.x * p.y) if isinstance(p, JetPoints) else 2 / (p.x * p.y),
    "torch.pow(jet, number)": lambda p: torch.pow(p.x * p.y, 2.5),
    "power 0": lambda p: (p.x * p.y) ** 0 + p.x,
    "power 1": lambda p: (p.x * p.y) ** 1,
    "power 5": lambda p: (p.x - 0.5 * p.y) ** 5,
    "power -0.5": lambda p: (p.x * p.y) ** -0.5,
    "negative": lambda p: -p.x * p.y**2,
    "absolute value": lambda p: abs(p.x - p.y) ** 3 + torch.abs(p.x - 0.7),
    "complex wave": lambda p: exp(1j * (3 * p.x - 2 * p.y)) * p.y,
    "complex power": lambda p: (p.x + 1j * p.y) ** 3 - (p.x + 2j) ** -1.5,
    "complex quotient": lambda p: (p.x - 1j) / (p.y + 2j),
    "complex functions": lambda p: torch.sqrt(p.x + 2j) * torch.log(p.y + 1j) + sin((1 + 2j) * p.x) * tanh(1j * p.y),
    "real and complex": lambda p: p.x + (2 - 1j) * p.y * p.x,
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_to_order_four(name):
    axes, expression = ("x", "y"), ARITHMETIC[name]
    p, keys = points(axes, seed=41), [*all_keys(("x", "y"), 4), LAPLACIAN]
    came = expression(JetPoints.of(p, make_plan(axes, frozenset(keys))))
    for key, expected in nested(expression, p, keys).items():
        assert_close(getattr(came, key or "value"), expected, what=key)


def test_numpy_numbers_are_numbers():
    numpy = pytest.importorskip("numpy")
    x = JetPoints.of(points("x"), make_plan(("x",), frozenset({"x"}))).x
    assert torch.equal((numpy.float64(2) * x).channels, (x * 2).channels)
    assert torch.equal((numpy.float64(2) - x).channels, (2 - x).channels)


# --- normal derivative, lifted functions, ansatz ---


def test_normal_derivative_is_over_space_only():
    box = Box(x=(0, 1), t=(0, 2), y=(-1, 1))
    p = box.boundary(40, Sampler(torch.Generator().manual_seed(6)))
    model = model_of(box.axes)
    (u,) = model.fields_at(p, make_plan(box.axes, frozenset({"x", "y"})))
    d = nested(lambda p: plain(model, p)[0], p, ["x", "y"])
    assert p.normal.shape == (len(p), 2)
    assert_close(u.grad, torch.stack([d["x"], d["y"]], 1))
    assert_close(u.normal_derivative, d["x"] * p.normal[:, 0] + d["y"] * p.normal[:, 1])
    inside = Jet(u.channels, u.plan, Points(p.axes, p.coordinates))
    with pytest.raises(ProblemError, match="on a boundary only"):
        _ = inside.normal_derivative


LIFTED = {
    "erf": lambda p: torch.erf(p.x * p.y),
    "atan2": lambda p: torch.atan2(p.x, p.y),
    "piecewise": lambda p: torch.where(p.x > 0.7, p.x**3, p.y * p.x),
    "one coordinate": lambda p: torch.special.i0(p.x),
    "complex": lambda p: torch.exp(1j * p.x) / p.y,
    "imaginary part alone varies": lambda p: torch.complex(torch.ones_like(p.x), p.x * p.y),
    "space": lambda p: p.space.square().sum(1).sqrt(),
}


@pytest.mark.parametrize("name", LIFTED)
def test_lift_and_jet_match_nested_autograd(name):
    axes, p = ("x", "y"), points("xy", seed=13)
    keys = ["", "x", "xy", "yy", "xxyy", LAPLACIAN]
    plan = make_plan(axes, frozenset(keys))
    came = lift(LIFTED[name], p, plan)
    assert torch.equal(came.channels, jet(LIFTED[name], JetPoints.of(p, plan)).channels)
    for key, expected in nested(LIFTED[name], p, keys).items():
        assert_close(getattr(came, key or "value"), expected, 1e-12, key)


@pytest.mark.parametrize("constant", [2.5, 3, 1j, lambda p: 2.5, lambda p: torch.tensor(2.5), lambda p: 1 + 2j])
def test_constants_lift_with_zero_derivatives(constant):
    p, plan = points("xy"), make_plan(("x", "y"), frozenset({"xy"}))
    value = complex(constant(p) if callable(constant) else constant)
    came = lift(constant, p, plan)
    assert torch.equal(came.value.to(torch.complex128), torch.full((len(p),), value, dtype=torch.complex128))
    assert not came.channels[1:].any()


def test_jet_needs_the_points_of_an_ansatz():
    with pytest.raises(ProblemError, match="points of an ansatz"):
        jet(lambda p: p.x, points("xy"))


@pytest.mark.parametrize("bad", [lambda p: p.coordinates, lambda p: p.x[:, None], lambda p: "1"])
def test_lift_refuses_another_shape(bad):
    with pytest.raises(ProblemError, match=r"must return"):
        lift(bad, points("xy"), make_plan(("x", "y"), frozenset({"x"})))


def hard(p, u):
    return (1 - p.x**2) * sin(3 * p.y) * u + jet(lambda p: torch.erf(p.x * p.y), p) * 2


def hard_plain(p, u):
    return (1 - p.x**2) * sin(3 * p.y) * u + torch.erf(p.x * p.y) * 2


def test_an_ansatz_differentiates_its_products():
    axes, keys = ("x", "y"), [*all_keys(("x", "y"), 4), LAPLACIAN]
    model, p = model_of(axes, ansatz=hard), points(axes)
    (u,) = model.fields_at(p, make_plan(axes, frozenset(keys)))
    for key, expected in nested(lambda p: hard_plain(p, plain(model, p)[0]), p, keys).items():
        assert_close(getattr(u, key or "value"), expected, what=key)


def test_an_ansatz_of_two_fields():
    axes, keys = ("x", "t"), ["", "x", "t", "xxt", "tt", LAPLACIAN]
    mix = lambda p, u, v: (u * v, p.t * u / (2 + tanh(v)))  # noqa: E731
    model, p = model_of(axes, fields=("u", "v"), ansatz=mix), points(axes)
    jets = model.fields_at(p, make_plan(axes, frozenset(keys)))
    for i, u in enumerate(jets):
        for key, expected in nested(lambda p, i=i: mix(p, *plain(model, p))[i], p, keys).items():
            assert_close(getattr(u, key or "value"), expected, what=(i, key))


@pytest.mark.parametrize("complex_valued", [False, True])
@pytest.mark.parametrize(
    "ansatz",
    [lambda p, u: sin(u) * p.x, lambda p, u: 1 / (3 + u), lambda p, u: exp(u / 5) * u**2, lambda p, u: u**4 - u],
)
def test_gradients_pass_through_an_ansatz(ansatz, complex_valued):
    axes, keys = ("x", "y"), ["", "x", "xy", LAPLACIAN]
    model, p = model_of(axes, complex_valued=complex_valued, ansatz=ansatz, seed=8), points(axes)
    parameters = list(model.parameters())

    def loss(derivatives) -> Tensor:
        return sum((d - 0.3).abs().square().mean() for d in derivatives)

    (u,) = model.fields_at(p, make_plan(axes, frozenset(keys)))
    came = torch.autograd.grad(loss([getattr(u, k or "value") for k in keys]), parameters)
    doubled = torch.autograd.grad(loss(nested(lambda p: ansatz(p, plain(model, p)[0]), p, keys).values()), parameters)
    size = max(float(g.abs().max()) for g in doubled)
    assert max(float((a - b).abs().max()) for a, b in zip(came, doubled, strict=True)) <= TOLERANCE * size


@pytest.mark.parametrize("wrong", [lambda p, u: u.value, lambda p, u: (u, u), lambda p, u: None, lambda p, u: 1.0])
def test_an_ansatz_returns_as_many_jets(wrong):
    with pytest.raises(ProblemError, match="must return 1 jet"):
        model_of(("x",), ansatz=wrong).fields_at(points("x"), make_plan(("x",), frozenset({"x"})))


# --- what a jet refuses ---


@pytest.fixture
def u() -> Jet:
    p = points("xy")
    return coordinate(p, make_plan(("x", "y"), frozenset({"xx", "xy", "yy"})), "x")


@pytest.mark.parametrize(
    "mix",
    [
        lambda u, c: u * c, lambda u, c: c * u, lambda u, c: u + c, lambda u, c: c + u, lambda u, c: u - c,
        lambda u, c: c - u, lambda u, c: u / c, lambda u, c: c / u, torch.mul, torch.add,
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(9,), (1,), (9, 1), (9, 2)])
def test_a_jet_meets_no_plain_tensor(u, mix, shape):
    with pytest.raises(ProblemError, match=r"plain tensor of shape .* derivatives are unknown.*jet\(function, p\)"):
        mix(u, torch.ones(shape, dtype=torch.float64))


@pytest.mark.parametrize(
    ("axes", "name", "says"),
    [
        ("xy", "zx", "Did you mean 'x'"),
        ("xy", "yyz", "Did you mean 'yy'"),
        ("xt", "xy", "Did you mean 'x'"),
        ("xt", "yt", "Did you mean 't'"),
        ("xz", "y", "axes x, z"),
        ("xy", "t", "axes x, y"),
        ("xy", "lapacian", "Did you mean 'laplacian'"),
        ("xy", "gradient", "Did you mean 'grad'"),
        ("xy", "normal", "Did you mean 'normal_derivative'"),
        ("xy", "val", "Did you mean 'value'"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(axes, name, says):
    field = coordinate(points(axes), make_plan(tuple(axes), frozenset()), axes[0])
    with pytest.raises(ProblemError, match=says) as raised:
        getattr(field, name)
    assert f"u.{name}" in str(raised.value)


def test_order_five_is_an_error(u):
    with pytest.raises(ProblemError, match="up to order 4"):
        _ = u.xxyxx
    with pytest.raises(ProblemError, match="up to order 4"):
        make_plan(("x", "y"), frozenset({"xxyxx"}))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (torch.erfinv, "erfinv"), (lambda u: torch.atan2(u, u), "atan2"),
        (lambda u: torch.where(torch.ones(9) > 0, u, u), "where"), (torch.neg, "neg"), (torch.sum, "sum"),
        (lambda u: torch.maximum(u, u), "maximum"), (lambda u: torch.sin(input=u), "sin"),
        (lambda u: torch.add(u, u, alpha=2), "add"),
        (lambda u: torch.pow(2.0, u), "pow"), (lambda u: u ** torch.ones(9), "pow"),
    ],
)  # fmt: skip
def test_an_unsupported_function_is_named_with_the_list(u, call, name):
    with pytest.raises(ProblemError, match=rf"torch\.r?{name}: .* abs, add, .*cos, .*sin, .*sqrt, .*tanh"):
        call(u)


@pytest.mark.parametrize("call", [lambda u: 2.0**u, lambda u: u**u, lambda u: u + None, lambda u: "1" * u])
def test_python_refuses_what_has_no_meaning(u, call):
    with pytest.raises(TypeError):
        call(u)


def test_abs_of_a_complex_jet_has_no_derivative(u):
    with pytest.raises(ProblemError, match="complex"):
        abs(u * 1j)


def test_laplacian_needs_space():
    time = coordinate(points("t"), make_plan(("t",), frozenset({"tt"})), "t")
    with pytest.raises(ProblemError, match="needs a space axis"):
        _ = time.laplacian


def test_a_missing_derivative_names_itself(u):
    bare = coordinate(u.points, make_plan(("x", "y"), frozenset()), "x")
    for ask, keys in [
        ("grad", {"x", "y"}),
        ("laplacian", {LAPLACIAN}),
        ("yx", {"xy"}),
        ("normal_derivative", {"x", "y"}),
    ]:
        with pytest.raises(MissingDerivativeError) as raised:
            getattr(bare, ask)
        assert raised.value.keys == keys


def test_letters_come_in_any_order(u):
    product = u * coordinate(u.points, u.plan, "y")
    assert torch.equal(product.xy, product.yx) and torch.equal(product.xy, torch.ones(9, dtype=torch.float64))


def test_a_jet_copies_and_shows_itself(u):
    assert torch.equal(copy.copy(u).channels, u.channels)
    assert torch.equal(copy.deepcopy(u).channels, u.channels)
    assert len(u) == 9 and "xx" in repr(u)


# --- plans ---


@pytest.mark.parametrize(
    ("axes", "asked", "keys"),
    [
        ("xy", [], ["value"]),
        ("xy", ["laplacian"], ["value", "x", "y", "laplacian"]),
        ("xyz", ["laplacian"], ["value", "x", "y", "z", "laplacian"]),
        ("xyt", ["laplacian", "tt"], ["value", "x", "y", "t", "tt", "laplacian"]),
        ("xt", ["laplacian"], ["value", "x", "xx"]),
        ("x", ["laplacian"], ["value", "x", "xx"]),
        ("xy", ["laplacian", "xx", "yy"], ["value", "x", "y", "xx", "yy"]),
        ("xy", ["laplacian", "xx"], ["value", "x", "y", "xx", "laplacian"]),
        ("xy", ["xx"], ["value", "x", "xx"]),
        ("xy", ["yx"], ["value", "x", "y", "xy"]),
        ("xt", ["t"], ["value", "t"]),
        ("xy", ["yyxx"], ["value", "x", "y", "xx", "xy", "yy", "xxy", "xyy", "xxyy"]),
        ("xy", ["xxxx"], ["value", "x", "xx", "xxx", "xxxx"]),
    ],
)
def test_plans_are_closed_and_no_larger(axes, asked, keys):
    plan = make_plan(tuple(axes), frozenset(asked))
    assert [k or "value" for k in plan.keys] == keys
    assert plan.keys[0] == ""


def test_a_plan_refuses_a_foreign_letter():
    with pytest.raises(ProblemError, match="'q' is no axis; the axes are x, y"):
        make_plan(("x", "y"), frozenset({"xq"}))


@pytest.mark.parametrize(
    ("keys", "axis", "order"),
    [(["laplacian"], "x", 2), (["laplacian"], "t", 0), (["xxt", "tt"], "t", 2), ([], "x", 0), (["xxxx"], "x", 4)],
)
def test_the_order_along_an_axis(keys, axis, order):
    assert derivatives_of(keys, axis, ("x", "y")) == order
