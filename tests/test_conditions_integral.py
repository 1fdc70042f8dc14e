"""Integral: rules against integrals done by hand, and solutions that an integral fixes."""

import math

import numpy as np
import pytest
import torch
from torch import cos, exp, pi, sin

from pinn_siren import (
    LBFGS,
    Box,
    Dirichlet,
    Disk,
    Initial,
    Integral,
    Neumann,
    Poisson,
    Polygon,
    Problem,
    Sampler,
    Siren,
    Trainer,
)
from pinn_siren.check import StatementWarning
from pinn_siren.errors import ProblemError, ResidualError
from pinn_siren.jet import lift, linearize, make_plan
from pinn_siren.problem import record
from pinn_siren.scales import measure_scales
from pinn_siren.system import checked

SQUARE = Box(x=(0, 2), y=(-1, 1))
LINE = Box(x=(0, 1))
STRIP = Box(x=(0, 1), y=(0, 2), t=(1, 3))
PLATE = SQUARE - Disk(center=(1, 0), radius=0.5)


class Any(Problem):
    """It only carries conditions."""

    def residual(self, p, u):
        return u.value * 0


class Pair(Problem):
    outputs = ("u", "v")

    def residual(self, p, u, v):
        return u.value * 0, v.value * 0


def mean_residual(problem, *fields, n=100, dtype=torch.float64):
    """What the loss squares: the mean of the residual over its nodes."""
    constraint = problem.constraints()[1]
    points = constraint.sample(n, Sampler(torch.Generator().manual_seed(5), dtype))
    found = record(
        lambda plan: checked(constraint, points, [tuple(lift(f, p, plan) for f in fields) for p in points]), problem
    )[0][0]
    assert float(constraint.square(found)) == pytest.approx(abs(complex(found.mean())) ** 2)
    return complex(found.mean())


def value(p, u):
    return u.value


def flux(p, u):
    return u.normal_derivative


def bump(p):
    return exp(p.x) * cos(p.y)


E2 = math.exp(2)
# domain, condition, field, the integral by hand, how near the rule comes
BY_HAND = {
    "mass": (SQUARE, Integral(value, 0), bump, (E2 - 1) * 2 * math.sin(1), 1e-12),
    "weighted": (SQUARE, Integral(lambda p, u: p.x * u.value, 0), bump, (E2 + 1) * 2 * math.sin(1), 1e-12),
    "of the square": (LINE, Integral(lambda p, u: u.value**2, 0), lambda p: p.x**3, 1 / 7, 1e-14),
    "of a slope": (LINE, Integral(lambda p, u: u.x, 0), lambda p: sin(9 * p.x), math.sin(9), 1e-12),
    "said as interior": (LINE, Integral(value, 0, on="interior"), lambda p: p.x**3, 1 / 4, 1e-14),
    "flux on a side": (SQUARE, Integral(flux, 0, on="right"), bump, E2 * 2 * math.sin(1), 1e-12),
    "flux at a minimum": (SQUARE, Integral(flux, 0, on="bottom"), bump, -(E2 - 1) * math.sin(1), 1e-12),
    "flux of a harmonic field": (SQUARE, Integral(flux, 0, on="boundary"), bump, 0.0, 1e-12),
    "flux on a line": (LINE, Integral(flux, 0, on="boundary"), lambda p: p.x**2 + p.x, 3 - 1, 1e-14),
    "on a mask of whole sides": (
        SQUARE, Integral(value, 0, on=lambda p: p.normal[:, 0].abs() > 0.5), bump, (E2 + 1) * 2 * math.sin(1), 1e-12,
    ),
    "on a mask": (
        SQUARE, Integral(value, 0, on=lambda p: (p.x > 2 - 1e-9) & (p.y > 0.25)), lambda p: p.x * p.y, 1 - 1 / 16, 2e-3,
    ),
    "over space and time": (STRIP, Integral(value, 0), lambda p: p.x * p.y**2 * p.t**3, 8 / 6 * 20, 1e-11),
    "at a time": (STRIP, Integral(value, 0, at=2.0), lambda p: p.x * p.y**2 * p.t**3, 8 / 6 * 8, 1e-12),
    "at the last time on a side": (
        STRIP, Integral(flux, 0, on="right", at=3), lambda p: p.x * p.y**2 * p.t**3, 8 / 3 * 27, 1e-12
    ),
    "on a mask at a time": (
        STRIP, Integral(value, 0, on=lambda p: (p.x < 1e-9) & (p.t == 2), at=2), lambda p: p.t * p.y, 4.0, 1e-12,
    ),
    "on a side in time": (STRIP, Integral(value, 0, on="left"), lambda p: p.t * p.y, 8.0, 1e-12),
    "over a disk": (Disk((1, 2), 0.5), Integral(value, 0), lambda p: p.x**2 + 0 * p.y, pi * 0.25 * (1 + 1 / 16), 1e-12),
    "round a disk": (Disk((1, 2), 0.5), Integral(flux, 0, on="boundary"), lambda p: p.x**2 * p.y, 4 * pi * 0.25, 1e-12),
    "a disk at a time": (
        Disk(radius=2.0) * Box(t=(0, 1)), Integral(value, 0, at=0.5), lambda p: p.t * (p.x**2 + p.y**2), 4 * pi, 1e-12,
    ),
    "over a polygon": (Polygon([(0, 0), (2, 0), (0, 1)]), Integral(value, 0), lambda p: p.x * p.y, 1 / 6, 1e-3),
    "over a plate with a hole": (PLATE, Integral(value, 0), lambda p: 1 + p.x, 8 - 2 * pi * 0.25, 2e-2),
    "round the hole": (
        PLATE, Integral(flux, 0, on=Disk(center=(1, 0), radius=0.5)), lambda p: (p.x - 1) ** 2 + p.y**2, -pi, 1e-9,
    ),
    "on a side of the plate": (PLATE, Integral(value, 0, on="top"), lambda p: p.x**2 * p.y, 8 / 3, 1e-12),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_the_mean_of_the_residual_is_the_integral_less_its_value(name):
    domain, stated, field, by_hand, near = BY_HAND[name]
    for target in (0.0, 2.5):
        condition = Integral(stated.quantity, target, on=stated.on, at=stated.at)
        found = mean_residual(Any(domain=domain, conditions=[condition]), field)
        assert found == pytest.approx(by_hand - target, abs=near)


def test_float32_complex_values_outputs_and_weights():
    problem = Any(domain=SQUARE, conditions=[Integral(value, 0, weight=2.5)])
    assert mean_residual(problem, bump, dtype=torch.float32) == pytest.approx((E2 - 1) * 2 * math.sin(1), rel=1e-5)
    (_, constraint) = problem.constraints()
    assert constraint.weight == 2.5 and constraint.name == "integral" and not constraint.on_interior

    class Wavy(Any):
        complex_valued = True

    whole = Wavy(domain=LINE, conditions=[Integral(value, 1j)])
    assert mean_residual(whole, lambda p: exp(2j * pi * p.x) + 1 + 0 * p.x) == pytest.approx(1 - 1j)
    pair = Pair(domain=LINE, conditions=[Integral(value, 0.5, output="v")])
    assert mean_residual(pair, lambda p: p.x * 7, lambda p: p.x * 1) == pytest.approx(0, abs=1e-14)
    both = Pair(domain=LINE, conditions=[Integral(lambda p, u, v: u.value * v.value, 1 / 3)])
    assert mean_residual(both, lambda p: p.x * 1, lambda p: p.x * 1) == pytest.approx(0, abs=1e-14)


def test_the_linearization_holds_the_functional_as_the_mean_of_its_rows():
    problem = Any(domain=SQUARE, conditions=[Integral(lambda p, u: p.x * u.x + u.value**2, 1.0)])
    constraint = problem.constraints()[1]
    points = constraint.sample(60, Sampler(torch.Generator().manual_seed(5)))
    plan = make_plan(("x", "y"), frozenset({"x"}))
    here = lift(bump, points[0], plan)
    block = linearize(lambda at, u: checked(constraint, at, u), points, [(here,)])
    change = lift(lambda p: p.x * 1, points[0], plan).channels
    found = (block.coefficients[:, 0] * torch.stack([change[plan.index[c.key]] for c in block.columns], 1)).sum(1)
    # The derivative along v = x: the integral of x v_x + 2 u v.
    assert float(found.mean()) == pytest.approx(4 + 2 * (E2 + 1) * 2 * math.sin(1), abs=1e-12)


def test_its_size_and_its_share_of_the_amplitude():
    scales = measure_scales(Poisson(domain=SQUARE, source=0.0, conditions=[Neumann(0), Integral(value, 12.0)]))
    # A mean of 3 over an area of 4; the rule's weights vary by 1.11 an axis.
    (size,) = scales.residual["integral"]
    assert 4 <= size <= 4 * 1.12**2
    assert scales.response["integral"] == (1 / size,)
    assert 3 / 1.3 <= scales.amplitude <= 3 * 1.1


def test_more_points_are_more_nodes_and_all_draws_are_the_same():
    constraint = Any(domain=SQUARE, conditions=[Integral(value, 0)]).constraints()[1]
    one, other = (constraint.sample(100, Sampler(torch.Generator().manual_seed(s)))[0] for s in (3, 4))
    assert torch.equal(one.coordinates, other.coordinates)
    assert len(one) >= 100 and len(constraint.sample(1000, Sampler(torch.Generator()))[0]) > 5 * len(one)
    assert float(one.attached.mean()) == pytest.approx(4.0)


MESSAGES = {
    "no function": (lambda: Integral(3.0, 1.0), ProblemError, "must be a function"),
    "no number": (lambda: Integral(value, bump), ProblemError, "must be a finite number"),
    "NaN": (lambda: Integral(value, math.nan), ProblemError, "must be a finite number"),
    "no such side": (
        lambda: mean_residual(Any(domain=SQUARE, conditions=[Integral(flux, 0, on="rigth")]), bump), ProblemError,
        "on='rigth' names no side",
    ),
    "a mask that matches nothing": (
        lambda: mean_residual(Any(domain=SQUARE, conditions=[Integral(flux, 0, on=lambda p: p.x > 5)]), bump),
        ProblemError, "matches none",
    ),
    "a mean already": (
        lambda: mean_residual(Any(domain=SQUARE, conditions=[Integral(lambda p, u: u.value.mean(), 0)]), bump),
        ResidualError, r"a tensor of shape \(\d+,\).*the integrand at each",
    ),
    "a jet": (
        lambda: mean_residual(Any(domain=SQUARE, conditions=[Integral(lambda p, u: u, 0)]), bump),
        ResidualError, "got Jet",
    ),
    "no time": (
        lambda: mean_residual(Any(domain=SQUARE, conditions=[Integral(value, 0, at=1)]), bump), ProblemError,
        "needs space and time",
    ),
    "another time": (
        lambda: mean_residual(Any(domain=STRIP, conditions=[Integral(value, 0, at=7)]), bump), ProblemError,
        r"at=7\) lies outside t=\(1, 3\)",
    ),
    "no normal inside": (
        lambda: mean_residual(Any(domain=SQUARE, conditions=[Integral(flux, 0)]), bump), ProblemError, "on a boundary",
    ),
    "complex in a real problem": (
        lambda: mean_residual(Any(domain=SQUARE, conditions=[Integral(value, 1j)]), bump), ResidualError,
        "complex_valued = True",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    make, kind, says = MESSAGES[name]
    with pytest.raises(kind, match=says):
        make()


def trained(problem, steps=150, inputs=1):
    generator = torch.Generator().manual_seed(5)
    network = Siren(inputs, 1, width=20, depth=2, omega=3.0, generator=generator)
    trainer = Trainer(problem, network, points=200, seed=3, progress=False, device="cpu")
    trainer.run(LBFGS(steps=steps, resample=50))
    return trainer.solution(tolerance=1e-3)


def test_the_mean_fixes_the_constant_of_a_neumann_problem():
    def field(p):
        return cos(pi * p.x) + 2.5

    stated = {"domain": LINE, "source": lambda p: -(pi**2) * cos(pi * p.x)}
    assert Poisson(**stated, conditions=[Neumann(0)]).free_constant
    problem = Poisson(**stated, conditions=[Neumann(0), Integral(value, 2.5)], exact=field)
    assert not problem.free_constant
    solution = trained(problem)
    assert solution.report.verdict == "certified"
    x, w = np.polynomial.legendre.leggauss(40)
    assert float(w @ solution(x[:, None] / 2 + 0.5)) / 2 == pytest.approx(2.5, abs=2e-3)
    assert "does not cover Integral" in solution.report.no_reference


def test_a_flux_through_a_side_fixes_the_slope():
    problem = Poisson(domain=LINE, source=0.0, conditions=[Dirichlet(1, on="left"), Integral(flux, 3, on="right")])
    x = np.linspace(0, 1, 11)[:, None]
    assert np.abs(trained(problem)(x) - (1 + 3 * x[:, 0])).max() < 5e-3


def test_a_wrong_integral_of_the_exact_solution_is_said():
    class Steady(Problem):
        def residual(self, p, u):
            return u.t

    exact = lambda p: 1 + p.x * (1 - p.x) + 0 * p.t  # noqa: E731
    stated = {"domain": Box(x=(0, 1), t=(0, 1)), "exact": exact}
    start = Initial(lambda p: 1 + p.x * (1 - p.x))
    network = Siren(2, 1, width=8, depth=1)
    with pytest.warns(StatementWarning, match="exact does not satisfy the integral"):
        Trainer(Steady(**stated, conditions=[start, Integral(value, 1.2, at=0.5)]), network, points=400, progress=False)
    Trainer(Steady(**stated, conditions=[start, Integral(value, 7 / 6, at=0.5)]), network, points=400, progress=False)
