"""Conditions: each residual vanishes on a field that satisfies it, and not on another; names and messages."""

import math

import pytest
import torch
from torch import Tensor, cos, exp, pi, sin

from pinn_siren import (
    PML,
    Absorbing,
    Box,
    Condition,
    Dirichlet,
    Helmholtz,
    Initial,
    Neumann,
    Periodic,
    Poisson,
    Problem,
    Robin,
    Sampler,
    Wave,
)
from pinn_siren.conditions import is_zero, unique_names
from pinn_siren.errors import ProblemError, ResidualError
from pinn_siren.jet import lift
from pinn_siren.problem import record
from pinn_siren.system import checked

SQUARE = Box(x=(0, 2), y=(-1, 1))
STRIP = Box(x=(0, 1), t=(0.5, 2))


class Plain(Problem):
    """Any field of the first order solves it; it only carries conditions."""

    def residual(self, p, u):
        return u.x * 0


class Second(Problem):
    def residual(self, p, u):
        return u.xx * 0


class Fourth(Problem):
    def residual(self, p, u):
        return u.xxxx * 0


class Pair(Problem):
    outputs = ("u", "v")

    def residual(self, p, u, v):
        return u.x + v.value, v.x - u.value


class Complex(Problem):
    complex_valued = True

    def residual(self, p, u):
        return u.laplacian


def parts(problem: Problem, number: int, *fields, n: int = 200) -> tuple[Tensor, ...]:
    """The residual's parts of a condition's constraint on fields given as functions."""
    constraint = problem.constraints()[number]
    points = constraint.sample(n, Sampler(torch.Generator().manual_seed(5)))

    def evaluate(plan):
        return checked(constraint, points, [tuple(lift(f, p, plan) for f in fields) for p in points])

    return record(evaluate, problem)[0]


def size(problem: Problem, number: int, *fields) -> float:
    return max(float(part.abs().max()) for part in parts(problem, number, *fields))


def bump(p):
    return sin(2 * p.x) * exp(p.y) + p.x


def grows(p):
    return p.x**3 * p.y


def standing(p):
    return sin(pi * p.x) * cos(2 * (p.t - 0.5)) + 3 * (p.t - 0.5) * p.x


def wave(k, angle=0.0):
    return lambda p: exp(1j * k * (math.cos(angle) * p.x + math.sin(angle) * p.y))


# problem, fields that satisfy its condition, fields that do not
CASES = {
    "dirichlet": (Plain(domain=SQUARE, conditions=[Dirichlet(bump)]), [bump], [grows]),
    "dirichlet on a side": (
        Plain(domain=SQUARE, conditions=[Dirichlet(0, on="left")]), [lambda p: p.x * exp(p.y)], [lambda p: p.x - 2],
    ),
    "dirichlet on a mask": (
        Plain(domain=SQUARE, conditions=[Dirichlet(1.5, on=lambda p: p.y > 1 - 1e-9)]),
        [lambda p: 0.5 + p.y**3], [lambda p: 0.5 - p.y**3],
    ),
    "dirichlet, complex": (Complex(domain=SQUARE, conditions=[Dirichlet(wave(3))]), [wave(3)], [wave(-3)]),
    "neumann, top": (
        Plain(domain=SQUARE, conditions=[Neumann(lambda p: 2 * p.x, on="top")]),
        [lambda p: p.x * p.y**2], [lambda p: -p.x * p.y**2],
    ),
    "neumann, outward at the minimum": (
        Plain(domain=SQUARE, conditions=[Neumann(-3, on="left")]), [lambda p: 3 * p.x + p.y], [lambda p: -3 * p.x],
    ),
    "neumann, all sides": (
        Plain(domain=SQUARE, conditions=[Neumann(lambda p: p.normal[:, 0] * p.y + p.normal[:, 1] * p.x)]),
        [lambda p: p.x * p.y], [lambda p: p.x],
    ),
    "neumann takes no coefficient": (
        Poisson(domain=SQUARE, source=0, diffusion=lambda p: 5 + p.x, conditions=[Neumann(1, on="right")]),
        [lambda p: p.x], [lambda p: p.x / 7],
    ),
    "neumann with time": (
        Plain(domain=STRIP, conditions=[Neumann(lambda p: p.t, on="right")]),
        [lambda p: p.x * p.t], [lambda p: p.x * p.t + p.x],
    ),
    "robin": (
        Plain(domain=SQUARE, conditions=[Robin(lambda p: 2 + p.y, 3, lambda p: (5 + p.y) * exp(p.x), on="right")]),
        [lambda p: exp(p.x)], [lambda p: exp(-p.x)],
    ),
    "robin at the minimum": (
        Plain(domain=SQUARE, conditions=[Robin(1, 1, 0, on="left")]), [lambda p: exp(p.x)], [lambda p: exp(-p.x)],
    ),
    "initial value": (
        Plain(domain=STRIP, conditions=[Initial(lambda p: sin(pi * p.x))]), [standing], [lambda p: sin(pi * p.x) * p.t],
    ),
    "condition on the boundary": (
        Plain(domain=SQUARE, conditions=[Condition(lambda p, u: u.value * u.normal_derivative - 2, on="right")]),
        [lambda p: p.x], [lambda p: -p.x / 2],
    ),
    "condition inside": (
        Plain(domain=SQUARE, conditions=[Condition(lambda p, u: u.xy - 1, on="interior")]),
        [lambda p: p.x * p.y], [lambda p: p.x],
    ),
    "condition of two parts": (
        Plain(domain=SQUARE, conditions=[Condition(lambda p, u: (u.x - p.y, u.y - p.x))]),
        [lambda p: p.x * p.y], [lambda p: p.y * 1],
    ),
    "output by name": (
        Pair(domain=SQUARE, conditions=[Dirichlet(2, output="v")]),
        [grows, lambda p: 0 * p.x + 2], [lambda p: 0 * p.x + 2, grows],
    ),
    "condition takes all outputs": (
        Pair(domain=SQUARE, conditions=[Condition(lambda p, u, v: u.value - v.x)]),
        [lambda p: 2 * p.x, lambda p: p.x**2], [grows, grows],
    ),
    "periodic, first order": (
        Plain(domain=SQUARE, conditions=[Periodic("x")]),
        [lambda p: p.x * (2 - p.x) * p.y], [lambda p: p.x * p.y],
    ),
    "periodic, second order": (
        Second(domain=SQUARE, conditions=[Periodic("x")]),
        [lambda p: sin(pi * p.x + p.y)], [lambda p: p.x * (2 - p.x) * p.y],
    ),
    "periodic, fourth order": (
        Fourth(domain=SQUARE, conditions=[Periodic("x")]),
        # The last one agrees at both ends up to the second derivative; the third differs in sign.
        [lambda p: (p.x * (2 - p.x)) ** 4], [lambda p: (p.x * (2 - p.x)) ** 3],
    ),
    "periodic along the second axis": (
        Second(domain=SQUARE, conditions=[Periodic("y")]), [lambda p: cos(pi * p.y) + p.x], [bump],
    ),
    "absorbing, helmholtz": (
        Helmholtz(domain=SQUARE, wavenumber=6.0, speed=2.0, source=0, conditions=[Absorbing("right")]),
        [wave(3)], [wave(-3)],
    ),
    "absorbing, helmholtz, the other side": (
        Helmholtz(domain=SQUARE, wavenumber=3.0, source=0, conditions=[Absorbing("bottom")]),
        [wave(3, -pi / 2)], [wave(3, pi / 2)],
    ),
    "absorbing, helmholtz, oblique": (
        Helmholtz(domain=SQUARE, wavenumber=3.0, source=0, conditions=[Absorbing("right")]),
        [wave(3)], [wave(3, 0.5)],
    ),
    "absorbing, own wavenumber": (
        Complex(domain=SQUARE, conditions=[Absorbing("right", wavenumber=lambda p: 3 + 0 * p.x)]), [wave(3)], [wave(2)],
    ),
    "absorbing, wave to the right": (
        Wave(domain=STRIP, speed=2.0, conditions=[Absorbing("right")]),
        [lambda p: exp(-((p.x - 2 * p.t) ** 2))], [lambda p: exp(-((p.x + 2 * p.t) ** 2))],
    ),
    "absorbing, wave to the left": (
        Wave(domain=STRIP, speed=lambda p: 1 + p.x, conditions=[Absorbing("left")]),
        [lambda p: sin(p.x + p.t)], [lambda p: sin(p.x - p.t)],
    ),
    "absorbing, own speed": (
        Plain(domain=STRIP, conditions=[Absorbing("right", speed=0.5)]),
        [lambda p: sin(p.x - p.t / 2)], [lambda p: sin(p.x - p.t)],
    ),
    "pml": (
        Helmholtz(domain=SQUARE, wavenumber=3.0, source=0, conditions=[PML(0.2)]),
        [lambda p: 1j * p.x * (2 - p.x) * (1 - p.y**2)], [wave(3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_residual_vanishes_where_the_condition_holds_and_only_there(name):
    problem, good, bad = CASES[name]
    assert len(problem.constraints()) == 2
    assert size(problem, 1, *good) <= 1e-12
    assert size(problem, 1, *bad) >= 0.05


def test_initial_value_and_rate():
    value, rate = (lambda p: sin(pi * p.x)), (lambda p: 3 * p.x)
    problem = Plain(domain=STRIP, conditions=[Initial(value, rate=rate)])
    names = [c.name for c in problem.constraints()]
    assert names == ["equation", "initial", "initial rate"]
    for number in (1, 2):
        assert size(problem, number, standing) <= 1e-13
    steady = lambda p: sin(pi * p.x) + 0 * p.t  # noqa: E731
    assert size(problem, 1, steady) <= 1e-13 and size(problem, 2, steady) > 1
    at_rest = Plain(domain=STRIP, conditions=[Initial(value, rate=0)])
    assert size(at_rest, 2, steady) <= 1e-13 and size(at_rest, 2, standing) > 1
    assert bool((at_rest.constraints()[2].sample(9, Sampler(torch.Generator().manual_seed(3)))[0].t == 0.5).all())


def test_initial_in_time_alone():
    class Decay(Problem):
        def residual(self, p, u):
            return u.t + u.value

    problem = Decay(domain=Box(t=(1, 3)), conditions=[Initial(2.0, rate=-2.0)])
    decays = lambda p: 2 * exp(1 - p.t)  # noqa: E731
    assert [size(problem, i, decays) for i in range(3)] == pytest.approx([0, 0, 0], abs=1e-12)
    assert len(parts(problem, 1, decays)[0]) == 1


@pytest.mark.parametrize(("problem", "count"), [(Plain, 1), (Second, 2), (Fourth, 4)])
def test_periodic_has_a_part_a_derivative(problem, count):
    stated = problem(domain=SQUARE, conditions=[Periodic("x")])
    assert len(parts(stated, 1, bump)) == count
    along_y = problem(domain=SQUARE, conditions=[Periodic("y")])
    assert len(parts(along_y, 1, bump)) == 1  # the equation has no derivative along y


@pytest.mark.parametrize("on", ["left", ("left", "top"), ["bottom"]])
def test_pml_holds_the_field_behind_its_sides_only(on):
    problem = Helmholtz(domain=SQUARE, wavenumber=3.0, source=0, conditions=[PML(0.2, on=on)])
    sides = [on] if isinstance(on, str) else list(on)
    walls = problem.constraints()[1:]
    assert [c.name for c in walls] == [f"dirichlet {side}" for side in problem.domain.side_names() if side in sides]
    for c in walls:
        (p,) = c.sample(20, Sampler(torch.Generator().manual_seed(3)))
        axis, end = problem.domain.side(c.name.split()[1])
        assert bool((getattr(p, axis) == problem.domain.bounds[axis][end]).all())


def test_pml_depths_and_the_physical_region():
    layer = PML(0.25, on=["left", "top"])
    assert layer.depths(SQUARE) == {"x": (0.25, 0.0), "y": (0.0, 0.25)}
    assert layer.physical(SQUARE).bounds == {"x": (0.25, 2), "y": (-1, 0.75)}
    problem = Helmholtz(domain=SQUARE, wavenumber=3.0, source=0, conditions=[PML(0.25)])
    assert problem.physical_domain.bounds == {"x": (0.25, 1.75), "y": (-0.75, 0.75)}
    assert Plain(domain=SQUARE).physical_domain is SQUARE


@pytest.mark.parametrize(("weight", "on"), [(2.5, "left"), (1.0, None)])
@pytest.mark.parametrize(
    "make",
    [
        lambda **k: Dirichlet(0, **k), lambda **k: Neumann(0, **k), lambda **k: Robin(1, 1, 0, **k),
        lambda **k: Condition(lambda p, u: u.value, **k), lambda **k: Absorbing(speed=1.0, **k),
    ],
)  # fmt: skip
def test_weight_and_place_are_passed_on(make, weight, on):
    (_, constraint) = Plain(domain=STRIP, conditions=[make(weight=weight, on=on)]).constraints()
    assert constraint.weight == weight and not constraint.on_interior
    (p,) = constraint.sample(40, Sampler(torch.Generator().manual_seed(3)))
    assert set(p.x.tolist()) == ({0.0} if on else {0.0, 1.0})


def test_names_tell_constraints_apart():
    def inflow(p):
        return p.x < 0.1

    conditions = [
        Dirichlet(0), Dirichlet(1), Dirichlet(0, on="left"), Dirichlet(0, on=inflow), Neumann(0, on=lambda p: p.x > 0),
        Periodic("x"), Condition(lambda p, u: u.value, on="interior"),
    ]  # fmt: skip
    found = Plain(domain=SQUARE, conditions=conditions).constraints()
    assert [c.name for c in found] == [
        "equation", "dirichlet", "dirichlet 2", "dirichlet left", "dirichlet inflow", "neumann part", "periodic x",
        "condition interior",
    ]  # fmt: skip
    assert [c.on_interior for c in found] == [True, *[False] * 6, True]
    assert [c.name for c in unique_names([*found[:2], *found[:2]])][2:] == ["equation 2", "dirichlet 2"]


@pytest.mark.parametrize(
    "condition",
    [Dirichlet(0), Neumann(0), Robin(1, 1, 0), Initial(0), Periodic("x"), Absorbing(speed=1.0)],
    ids=lambda c: type(c).__name__,
)
def test_output_is_required_with_several(condition):
    problem = Pair(domain=STRIP, conditions=[condition])
    with pytest.raises(ProblemError, match=f"{type(condition).__name__} needs output=, one of u, v"):
        parts(problem, 1, standing, standing)


def test_an_unknown_output_is_named():
    problem = Pair(domain=SQUARE, conditions=[Dirichlet(0, output="uu")])
    with pytest.raises(ProblemError, match=r"the outputs are u, v\. Did you mean 'u'"):
        parts(problem, 1, bump, bump)


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (Plain(domain=SQUARE, conditions=[Dirichlet(0, on="lft")]), "names no side"),
        (Plain(domain=SQUARE, conditions=[Dirichlet("1")]), "Dirichlet value must be a number or a function"),
        (Plain(domain=SQUARE, conditions=[Dirichlet(lambda p: p.x[:, None])]), "Dirichlet value.*trailing axis"),
        (Plain(domain=SQUARE, conditions=[Neumann(lambda p: 1 / p.x)]), "Neumann value.*NaN or infinite"),
        (Plain(domain=SQUARE, conditions=[Robin(lambda p: p.z, 1, 0)]), "no p.z"),
        (Plain(domain=SQUARE, conditions=[Initial(0)]), "no time axis t"),
        (Plain(domain=STRIP, conditions=[Periodic("t")]), "names no space axis of .*: use x"),
        (Plain(domain=STRIP, conditions=[Periodic("q")]), "names no space axis"),
        (Plain(domain=SQUARE, conditions=[Absorbing()]), "does not know the waves of Plain: give speed="),
        (Plain(domain=SQUARE, conditions=[PML(0.1)]), "PML works with Helmholtz only, not with Plain"),
        (Helmholtz(domain=SQUARE, wavenumber=1.0, source=0, conditions=[PML(1.0)]), "leave a physical region"),
        (Helmholtz(domain=SQUARE, wavenumber=1.0, source=0, conditions=[PML(-0.1)]), "must be positive"),
        (Helmholtz(domain=SQUARE, wavenumber=1.0, source=0, conditions=[PML(0.1, on="front")]), "no side of"),
        (Plain(domain=STRIP, conditions=[Condition(lambda p, u: u.y)]), "u.y is not known"),
        (Plain(domain=STRIP, conditions=[Condition(lambda p, u: u.value * p.normal)]), "shape|size"),
    ],
)
def test_messages(problem, says):
    with pytest.raises((ProblemError, RuntimeError), match=says):
        field = wave(3) if problem.complex_valued else (standing if problem.domain.has_time else bump)
        size(problem, 1, field)


def test_one_layer_only():
    problem = Helmholtz(domain=SQUARE, wavenumber=1.0, source=0, conditions=[PML(0.1, on="left"), PML(0.2, on="right")])
    with pytest.raises(ProblemError, match="Give one PML: on= takes a list of sides"):
        size(problem, 0, wave(1))


def test_a_real_field_takes_no_wavenumber():
    problem = Plain(domain=SQUARE, conditions=[Absorbing(wavenumber=3.0)])
    with pytest.raises(ResidualError, match="complex_valued = True"):
        size(problem, 1, bump)


@pytest.mark.parametrize(
    ("coefficient", "zero"), [(0, True), (0.0, True), (0j, True), (1e-300, False), (1j, False), (lambda p: 0, False)]
)
def test_is_zero(coefficient, zero):
    assert is_zero(coefficient) == zero


def test_robin_is_what_dirichlet_and_neumann_are():
    """As data the three are one: (a, b, value)."""
    kinds = [Dirichlet(bump), Neumann(bump), Robin(1, 0, bump), Robin(0, 1, bump)]
    assert [(c.a, c.b) for c in kinds] == [(1, 0), (0, 1), (1, 0), (0, 1)]
    found = [parts(Plain(domain=SQUARE, conditions=[c]), 1, grows)[0] for c in kinds]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])
