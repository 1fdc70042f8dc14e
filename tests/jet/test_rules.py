"""The hand-written rules: derivatives of the elementary functions, and both passes of compose, linear and multiply."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pinn_siren.jet import LAPLACIAN, make_plan
from pinn_siren.jet.functions import ELEMENTARY, power, softplus
from pinn_siren.jet.rules import compose, linear, multiply

POWERS = {
    "power 0": (0.0, lambda z: z**0.0),
    "power 2": (2.0, lambda z: z**2.0),
    "power 4": (4.0, lambda z: z**4.0),
    "power 2.5": (2.5, lambda z: z**2.5),
    "power -3": (-3.0, lambda z: z**-3.0),
}
OTHERS = {"softplus of beta 3": (lambda z: functional.softplus(z, 3.0, 6.0), softplus(3.0, 6.0))}
FUNCTIONS = {f.__name__: (f, d) for f, d in ELEMENTARY.items()} | {n: (f, power(e)) for n, (e, f) in POWERS.items()}
FUNCTIONS |= OTHERS
HOLOMORPHIC = [name for name in FUNCTIONS if name not in ("abs", "erf", "relu", "softplus", "gelu", *OTHERS)]
WHOLE_LINE = (
    "sin", "cos", "exp", "tanh", "sigmoid", "abs", "square", "sinh", "cosh", "atan", "erf", "relu", "softplus", "silu",
    "gelu", *OTHERS,
)  # fmt: skip

PLANS = {
    "value": make_plan(("x",), frozenset()),
    "gradient": make_plan(("x", "y"), frozenset({"x", "y"})),
    "laplacian": make_plan(("x", "y", "t"), frozenset({LAPLACIAN, "t"})),
    "third": make_plan(("x", "t"), frozenset({"xxt"})),
    "fourth": make_plan(("x", "y"), frozenset({"xxyy"})),
}


def channels(plan, *shape, seed=19, dtype=torch.float64) -> Tensor:
    """Random channels with values in [0.5, 1.5], where every elementary function is smooth."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(len(plan.keys), *shape, generator=generator, dtype=dtype)
    draw = 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)
    z[0] = draw + 0.4j * z[0].imag if dtype.is_complex else draw
    return z.requires_grad_()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_to_order_five(name):
    function, derivatives = FUNCTIONS[name]
    z = torch.linspace(0.2, 2.3, 23, dtype=torch.float64).requires_grad_()
    if name in WHOLE_LINE:
        z = torch.linspace(-2.6, 2.3, 31, dtype=torch.float64).requires_grad_()
    expected = function(z)
    came = derivatives(z.detach(), 5)
    assert len(came) == 6
    for m, mine in enumerate(came):
        size = max(float(expected.detach().abs().max()), 1.0)
        assert float((mine - expected).detach().abs().max()) <= 1e-11 * size, (name, m)
        if expected.requires_grad:
            (expected,) = torch.autograd.grad(expected.sum(), z, create_graph=True, allow_unused=True)
        else:
            expected = torch.zeros_like(z)


@pytest.mark.parametrize("order", range(6))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_many_derivatives_as_asked(name, order):
    z = torch.linspace(0.3, 1.0, 4, dtype=torch.float32)
    came = FUNCTIONS[name][1](z, order)
    assert len(came) == order + 1
    assert all(d.dtype == torch.float32 and d.shape == z.shape for d in came)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck_of_compose(name, plan):
    z = channels(PLANS[plan], 2)
    assert torch.autograd.gradcheck(lambda z: compose(z, PLANS[plan], FUNCTIONS[name][1]), z, rtol=1e-4)


@pytest.mark.parametrize("plan", ["value", "laplacian"])
@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_gradcheck_of_compose_in_complex_numbers(name, plan):
    z = channels(PLANS[plan], 2, dtype=torch.complex128)
    assert torch.autograd.gradcheck(lambda z: compose(z, PLANS[plan], FUNCTIONS[name][1]), z, rtol=1e-4)


@pytest.mark.parametrize("plan", ["laplacian", "fourth"])
def test_compose_broadcasts_over_the_width(plan):
    z = channels(PLANS[plan], 3, 2)
    whole = compose(z, PLANS[plan], FUNCTIONS["sin"][1])
    for j in range(2):
        assert torch.allclose(whole[..., j], compose(z[..., j], PLANS[plan], FUNCTIONS["sin"][1]), rtol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("bias", [True, False])
def test_gradcheck_of_linear(bias, dtype):
    generator = torch.Generator().manual_seed(37)
    z, w, b = (
        torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for shape in [(4, 3, 2), (5, 2), (5,)]
    )
    assert torch.autograd.gradcheck(lambda z, w, b: linear(z, w, b if bias else None), (z, w, b))


@pytest.mark.parametrize("shape", [(5, 2), (2, 5)])
def test_the_gradient_by_a_wide_or_narrow_weight_lies_as_the_weight_does(shape):
    w = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    z = torch.arange(3 * 4 * shape[1], dtype=torch.float64).reshape(3, 4, shape[1])
    linear(z, w, None).square().sum().backward()
    assert w.grad.stride() == w.stride()
    assert torch.allclose(w.grad, 2 * (z @ w.detach().T).flatten(0, 1).T @ z.flatten(0, 1))


def test_the_bias_goes_to_the_value_only():
    generator = torch.Generator().manual_seed(43)
    z, w, b = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in [(3, 4, 2), (5, 2), (5,)])
    came = linear(z, w, b)
    assert torch.allclose(came[0], torch.nn.functional.linear(z[0], w, b), rtol=1e-14)
    for c in (1, 2):
        assert torch.allclose(came[c], torch.nn.functional.linear(z[c], w), rtol=1e-14)


def test_weights_need_no_gradient_of_the_points():
    generator = torch.Generator().manual_seed(47)
    z = torch.randn(3, 4, 2, generator=generator, dtype=torch.float64)
    w = torch.randn(5, 2, generator=generator, dtype=torch.float64).requires_grad_()
    (came,) = torch.autograd.grad(linear(z, w, None).square().sum(), w)
    (expected,) = torch.autograd.grad((z @ w.T).square().sum(), w)
    assert torch.allclose(came, expected, rtol=1e-13)


@pytest.mark.parametrize("plan", PLANS)
def test_gradcheck_of_multiply(plan):
    a, b = channels(PLANS[plan], 2, seed=53), channels(PLANS[plan], 2, seed=59)
    assert torch.autograd.gradcheck(lambda a, b: multiply(a, b, PLANS[plan]), (a, b))


@pytest.mark.parametrize("plan", PLANS)
def test_rules_agree_with_each_other(plan):
    """ab = exp(log a + log b), a product by the chain rule alone; a b = b a; (1/a) a = 1."""
    p = PLANS[plan]
    a, b = channels(p, 3, seed=61).detach(), channels(p, 3, seed=67).detach()
    log, exp, reciprocal = (FUNCTIONS[n][1] for n in ("log", "exp", "reciprocal"))
    product = multiply(a, b, p)
    size = float(product.abs().max())
    chained = compose(compose(a, p, log) + compose(b, p, log), p, exp)
    assert float((chained - product).abs().max()) <= 1e-11 * size
    assert torch.allclose(multiply(b, a, p), product, rtol=1e-13)
    one = multiply(compose(a, p, reciprocal), a, p)
    one[0] -= 1
    assert float(one.abs().max()) <= 1e-10 * float(compose(a, p, reciprocal).abs().max())


@pytest.mark.parametrize("plan", PLANS)
def test_what_needs_no_gradient_has_the_same_value(plan):
    z = channels(PLANS[plan], 3)
    for name, (_, derivatives) in FUNCTIONS.items():
        tracked, free = compose(z, PLANS[plan], derivatives), compose(z.detach(), PLANS[plan], derivatives)
        assert torch.equal(tracked, free), name
        assert tracked.requires_grad and not free.requires_grad
