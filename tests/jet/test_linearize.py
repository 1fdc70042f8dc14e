"""The linearization in the jet: against the full Jacobian, its complex form, and whether a problem is linear."""

import pytest
import torch
from torch import Tensor

from pinn_siren import Box, Condition, Dirichlet, Eikonal, Helmholtz, Periodic, Poisson, Problem, Sampler, Wave
from pinn_siren.jet import LAPLACIAN, Jet, is_linear, linearize, make_plan
from pinn_siren.points import Points
from pinn_siren.problem import record
from pinn_siren.system import checked

N = 4
AXES = ("x", "y")
PLAN = make_plan(AXES, frozenset({LAPLACIAN}))


def where(seed=71) -> Points:
    return Points(AXES, torch.rand(N, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def field(seed: int, complex_valued: bool, plan=PLAN) -> Jet:
    dtype = torch.complex128 if complex_valued else torch.float64
    draw = torch.randn(len(plan.keys), N, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return Jet(draw, plan, where())


def parts_of(u: Jet) -> list[Tensor]:
    return [u.channels.real, u.channels.imag] if u.channels.is_complex() else [u.channels]


def dense(residual, points, fields) -> tuple[Tensor, Tensor]:
    """Values ``(n, R)`` and the full Jacobian ``(n, R, n, U)``, with no use of the residual being pointwise."""
    shapes = [[u.channels.is_complex() for u in jets] for jets in fields]
    start = torch.cat([part for jets in fields for u in jets for part in parts_of(u)])

    def rebuilt(flat: Tensor) -> Tensor:
        rows = iter(flat.split(1))
        sets = []
        for jets, kinds in zip(fields, shapes, strict=True):
            row = []
            for u, is_complex in zip(jets, kinds, strict=True):
                count = len(u.plan.keys)
                real = torch.cat([next(rows) for _ in range(count)])
                channels = torch.complex(real, torch.cat([next(rows) for _ in range(count)])) if is_complex else real
                row.append(Jet(channels, u.plan, u.points))
            sets.append(tuple(row))
        out = []
        for part in residual(points, sets):
            out += [part.real, part.imag] if part.is_complex() else [part]
        return torch.stack(out, 1)

    jacobian = torch.autograd.functional.jacobian(rebuilt, start)
    return rebuilt(start), jacobian.permute(0, 1, 3, 2)


def single(function):
    return lambda points, fields: (function(points[0], fields[0][0]),)


REAL = {
    "laplacian": single(lambda p, u: u.laplacian + 3 * u.value),
    "cubic": single(lambda p, u: p.x * u.laplacian + u.value - u.value**3),
    "eikonal": single(lambda p, u: (1 + p.y) * torch.linalg.vector_norm(u.grad, dim=-1) - 1),
    "transport": single(lambda p, u: u.value * u.x + torch.sin(u.value) * u.y),
    "no unknown": single(lambda p, u: p.x),
    "one channel": single(lambda p, u: u.y),
    "two parts": lambda points, fields: (fields[0][0].x * fields[0][0].y, points[0].x * fields[0][0].value),
}
COMPLEX = {
    "helmholtz": single(lambda p, u: u.laplacian + (1 + p.x) ** 2 * u.value),
    "stretched": single(lambda p, u: u.laplacian / (1 + 1j * p.x) - 2j * u.x),
    "square times conjugate": single(lambda p, u: u.laplacian + u.value**2 * u.value.conj()),
    "modulus squared": single(lambda p, u: u.x + u.value.abs().square() * u.value),
    "real part alone": single(lambda p, u: u.value.real * u.y.imag),
    "holomorphic": single(lambda p, u: u.laplacian + torch.exp(u.value) * u.x),
}
CASES = {name: (r, False) for name, r in REAL.items()} | {name: (r, True) for name, r in COMPLEX.items()}


def assert_is_jacobian(residual, points, fields) -> None:
    came = linearize(residual, points, fields)
    values, jacobian = dense(residual, points, fields)
    assert came.coefficients.shape == (N, values.shape[1], len(came.columns))
    assert torch.allclose(came.values, values, rtol=1e-13)
    for i in range(N):
        for j in range(N):
            block = came.coefficients[i] if i == j else torch.zeros_like(came.coefficients[i])
            assert torch.allclose(jacobian[i, :, j], block, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_one_field(name):
    residual, complex_valued = CASES[name]
    assert_is_jacobian(residual, [where()], [(field(73, complex_valued),)])


@pytest.mark.parametrize("complex_valued", [False, True])
def test_several_fields(complex_valued):
    def residual(points, fields):
        u, v = fields[0]
        return u.laplacian + v.value * u.x, v.laplacian - points[0].y * u.value**2, u.y * v.y

    fields = [(field(79, complex_valued), field(83, complex_valued))]
    assert_is_jacobian(residual, [where()], fields)
    columns = linearize(residual, [where()], fields).columns
    assert [c.field for c in columns[:: len(PLAN.keys)]] == ([0, 0, 1, 1] if complex_valued else [0, 1])


@pytest.mark.parametrize("complex_valued", [False, True])
def test_two_matched_sets(complex_valued):
    def residual(points, fields):
        (low,), (high,) = fields
        return high.value - low.value, high.x * low.value - low.x

    fields = [(field(89, complex_valued),), (field(97, complex_valued),)]
    assert_is_jacobian(residual, [where(1), where(2)], fields)
    assert {c.points for c in linearize(residual, [where(1), where(2)], fields).columns} == {0, 1}


def test_finite_differences_along_each_column():
    residual, u = COMPLEX["square times conjugate"], field(101, True)
    came = linearize(residual, [where()], [(u,)])
    h = 1e-6
    for number, column in enumerate(came.columns):
        step = torch.zeros_like(u.channels)
        step[PLAN.index[column.key]] = h * (1j if column.imaginary else 1)
        ahead, behind = (residual([where()], [(Jet(u.channels + s, PLAN, u.points),)])[0] for s in (step, -step))
        slope = torch.view_as_real((ahead - behind) / (2 * h))
        assert torch.allclose(came.coefficients[:, :, number], slope, atol=1e-8)


def test_works_where_gradients_are_off():
    residual, jets = REAL["cubic"], [(field(103, False),)]
    with torch.no_grad():
        came = linearize(residual, [where()], jets)
    assert torch.equal(came.coefficients, linearize(residual, [where()], jets).coefficients)
    assert not came.coefficients.requires_grad


# --- complex blocks ---


@pytest.mark.parametrize(
    ("name", "present"),
    [
        ("helmholtz", True), ("stretched", True), ("holomorphic", True), ("square times conjugate", False),
        ("modulus squared", False), ("real part alone", False),
    ],
)  # fmt: skip
def test_complex_blocks_exist_where_the_residual_is_holomorphic(name, present):
    came = linearize(COMPLEX[name], [where()], [(field(107, True),)])
    blocks = came.complex_blocks()
    assert (blocks is not None) == present
    if blocks is None:
        return
    step = field(109, True).channels
    real = torch.cat([step.real, step.imag])
    expected = torch.einsum("nru,un->nr", came.coefficients, real)
    product = torch.einsum("nru,un->nr", blocks, step)
    assert torch.allclose(torch.view_as_real(product).flatten(1), expected, rtol=1e-11)


def test_complex_blocks_of_two_fields_and_two_sets():
    def residual(points, fields):
        (u, v), (w, _) = fields
        return u.laplacian + 2j * v.x - w.value, v.value * points[0].x + w.y

    fields = [(field(113, True), field(127, True)), (field(131, True), field(137, True))]
    blocks = linearize(residual, [where(), where()], fields).complex_blocks()
    size = len(PLAN.keys)
    assert blocks is not None and blocks.shape == (N, 2, 4 * size)
    assert torch.equal(blocks[:, 0, PLAN.index[LAPLACIAN]], torch.ones(N, dtype=torch.complex128))
    assert torch.equal(blocks[:, 0, size + PLAN.index["x"]], torch.full((N,), 2j, dtype=torch.complex128))
    assert torch.equal(blocks[:, 0, 2 * size], -torch.ones(N, dtype=torch.complex128))


def test_real_residuals_have_no_complex_blocks():
    assert linearize(REAL["laplacian"], [where()], [(field(139, False),)]).complex_blocks() is None
    modulus = single(lambda p, u: u.value.abs().square())
    assert linearize(modulus, [where()], [(field(139, True),)]).complex_blocks() is None


# --- linear or not ---


class AllenCahn(Problem):
    def residual(self, p, u):
        return 0.01 * u.laplacian + u.value - u.value**3


class Nonlinear(Problem):
    complex_valued = True

    def residual(self, p, u):
        return u.laplacian + u.value.abs().square() * u.value


class ImaginaryPartSquared(Problem):
    complex_valued = True

    def residual(self, p, u):
        return u.laplacian + u.value.imag**2


SQUARE, STRIP = Box(x=(0, 1), y=(0, 1)), Box(x=(0, 1), t=(0, 1))
LINEAR = {
    "poisson": (Poisson(domain=SQUARE, source=lambda p: p.x**2, conditions=[Dirichlet(1)]), True),
    "poisson, variable": (Poisson(domain=SQUARE, source=1, diffusion=lambda p: 1 + p.x, reaction=lambda p: p.y), True),
    "helmholtz": (Helmholtz(domain=SQUARE, wavenumber=5.0, source=lambda p: p.x, speed=lambda p: 1 + p.y), True),
    "wave": (Wave(domain=STRIP, speed=lambda p: 1 + p.x, source=lambda p: p.t), True),
    "allen-cahn": (AllenCahn(domain=SQUARE), False),
    "eikonal": (Eikonal(domain=SQUARE, velocity=2.0, surface=[[0.0, 0.0]]), False),
    "modulus": (Nonlinear(domain=SQUARE), False),
    "imaginary part": (ImaginaryPartSquared(domain=SQUARE), False),
    "nonlinear condition": (
        Poisson(domain=SQUARE, source=1, conditions=[Condition(lambda p, u: u.normal_derivative + u.value**4)]),
        False,
    ),
    "periodic": (Poisson(domain=SQUARE, source=1, conditions=[Periodic("x")]), True),
}


@pytest.mark.parametrize("name", LINEAR)
def test_is_linear(name):
    problem, linear = LINEAR[name]
    sampler = Sampler(torch.Generator().manual_seed(149))
    found = []
    for c in problem.constraints():
        points = c.sample(6, sampler)

        def evaluate(plan, c=c, points=points):
            fields = [problem.random_fields(p, plan, sampler) for p in points]
            return is_linear(lambda at, jets: checked(c, at, jets), points, fields)

        found.append(record(evaluate, problem)[0])
    assert all(found) == linear
