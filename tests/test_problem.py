"""Problem: how it is stated, what its residual may return, and which derivatives are recorded."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from pinn_siren import Box, Condition, Dirichlet, Eikonal, Helmholtz, Initial, Poisson, Problem, Sampler, Trainer, Wave
from pinn_siren.errors import NoReferenceError, ProblemError, ResidualError
from pinn_siren.jet import LAPLACIAN, Jet
from pinn_siren.problem import record, rectangle
from pinn_siren.system import checked

SQUARE, STRIP = Box(x=(0, 1), y=(0, 2)), Box(x=(0, 1), t=(0, 1))


class AllenCahn(Problem):
    """epsilon * laplacian(u) + u - u**3 = source."""

    epsilon: float
    source: Callable = lambda p: p.x * 0

    def residual(self, p, u):
        return self.epsilon * u.laplacian + u.value - u.value**3 - self.source(p)


class Flow(Problem):
    outputs = ("u", "v")

    def residual(self, p, u, v):
        return u.x + v.y, u.y - v.x + p.x


def returns(residual, complex_valued: bool = False, domain=SQUARE, **fields) -> Problem:
    kind = type("Stated", (Problem,), {"residual": residual, "complex_valued": complex_valued})
    return kind(domain=domain, **fields)


def evaluate(problem: Problem, number: int = 0, n: int = 8, dtype=torch.float64):
    """The checked residual of one constraint at random jets."""
    constraint = problem.constraints()[number]
    sampler = Sampler(torch.Generator().manual_seed(3), dtype)
    points = constraint.sample(n, sampler)

    def at(plan):
        return checked(constraint, points, [problem.random_fields(p, plan, sampler) for p in points])

    return record(at, problem)


# --- statement ---


def test_a_subclass_is_a_frozen_keyword_only_dataclass():
    problem = AllenCahn(domain=SQUARE, epsilon=0.1)
    assert dataclasses.is_dataclass(AllenCahn)
    names = [f.name for f in dataclasses.fields(AllenCahn)]
    assert names == ["domain", "conditions", "exact", "ansatz", "reference", "units", "downward", "epsilon", "source"]
    assert all(f.kw_only for f in dataclasses.fields(AllenCahn))
    assert problem.epsilon == 0.1 and tuple(problem.conditions) == () and problem.exact is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.epsilon = 0.2
    with pytest.raises(TypeError):
        AllenCahn(SQUARE, epsilon=0.1)
    with pytest.raises(TypeError, match="epsilon"):
        AllenCahn(domain=SQUARE)
    with pytest.raises(TypeError, match="epsilom"):
        AllenCahn(domain=SQUARE, epsilom=0.1)


def test_problems_are_compared_by_identity():
    first, second = (AllenCahn(domain=SQUARE, epsilon=0.1) for _ in range(2))
    assert first != second and first == first and len({first, second}) == 2
    assert dataclasses.replace(first, epsilon=0.5).epsilon == 0.5


def test_a_subclass_of_a_subclass_adds_its_fields():
    class Forced(AllenCahn):
        force: float = 2.0

        def residual(self, p, u):
            return super().residual(p, u) - self.force

    forced, plain = Forced(domain=SQUARE, epsilon=0.1), AllenCahn(domain=SQUARE, epsilon=0.1)
    (difference,) = (a - b for a, b in zip(evaluate(plain)[0], evaluate(forced)[0], strict=True))
    assert torch.allclose(difference, torch.full((8,), 2.0, dtype=torch.float64))


@pytest.mark.parametrize(
    "decorate", [dataclasses.dataclass, dataclasses.dataclass(frozen=True), dataclasses.dataclass(kw_only=True)]
)
def test_a_second_dataclass_is_a_message(decorate):
    with pytest.raises(ProblemError, match=r"Mine is a frozen, keyword-only dataclass already.*remove the @dataclass"):

        @decorate
        class Mine(Problem):
            force: float = 0.0


@pytest.mark.parametrize("name", ["exact", "conditions", "domain", "ansatz", "reference"])
def test_a_method_named_like_a_field_is_a_message(name):
    with pytest.raises(ProblemError, match=rf"Mine.{name} would hide the field .*Mine\({name}=...\)"):
        type("Mine", (Problem,), {name: lambda self, p: p.x})


def test_a_method_named_like_a_field_of_its_parent_is_a_message():
    with pytest.raises(ProblemError, match="would hide the field 'source'"):

        class Mine(Poisson):
            def source(self, p):
                return p.x


def test_a_field_may_get_a_default_by_annotation():
    class Mine(Poisson):
        source: float = 3.0

    assert Mine(domain=SQUARE).source == 3.0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"domain": (0, 1)}, "domain must be a domain such as Box.*got tuple"),
        ({"conditions": Dirichlet(0)}, r"write conditions=\[...\]"),
        ({"conditions": [Dirichlet]}, "conditions holds a "),
        ({"conditions": [0]}, "conditions holds a int"),
        ({"exact": 1.0}, "exact must be a function, got float"),
        ({"ansatz": "u"}, "ansatz must be a function, got str"),
        ({"reference": 3}, "reference must be a function, got int"),
    ],
)
def test_statements_that_cannot_be_meant(fields, says):
    with pytest.raises(ProblemError, match=says):
        AllenCahn(**({"domain": SQUARE, "epsilon": 0.1} | fields))


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (lambda: Helmholtz(domain=SQUARE, wavenumber=0.0, source=0), "wavenumber must be positive, got 0"),
        (lambda: Helmholtz(domain=SQUARE, wavenumber=float("nan"), source=0), "wavenumber must be positive"),
        (lambda: Wave(domain=SQUARE, speed=1.0), "Wave needs space axes and a time axis"),
        (lambda: Wave(domain=Box(t=(0, 1)), speed=1.0), "Wave needs space axes and a time axis"),
        (lambda: Eikonal(domain=SQUARE, velocity=1.0), "needs source= .* or surface="),
        (lambda: Eikonal(domain=SQUARE, velocity=1.0, source=(0, 0), surface=[(0, 0)]), "one of them"),
        (lambda: Eikonal(domain=STRIP, velocity=1.0, source=(0, 0)), "space axes only"),
        (lambda: Eikonal(domain=SQUARE, velocity=1.0, source=(0, 5)), r"source \(0.0, 5.0\) lies outside"),
        (lambda: Eikonal(domain=SQUARE, velocity=1.0, surface=[(0, 0), (3, 0)]), "surface .* lies outside"),
        (lambda: Eikonal(domain=SQUARE, velocity=1.0, source=(0, 0, 0)), r"coordinates \(x, y\)"),
        (lambda: Eikonal(domain=SQUARE, velocity=-1.0, source=(0, 0)), "velocity must be positive"),
        (lambda: Eikonal(domain=SQUARE, velocity=lambda p: p.x[:, None], source=(0, 0)), "velocity.*trailing axis"),
    ],
)
def test_the_built_in_equations_refuse(state, says):
    with pytest.raises(ProblemError, match=says):
        state()


def test_a_problem_without_a_residual():
    with pytest.raises(ProblemError, match="Problem has no residual: define residual"):
        evaluate(Problem(domain=SQUARE))


# --- what a residual returns ---


@pytest.mark.parametrize(
    ("residual", "says"),
    [
        (lambda self, p, u: u.value + p.x[:, None], r"shape \(8,\) for 8 points, got \(8, 8\).*\(n, 1\).*\(n, n\)"),
        (lambda self, p, u: u.value[:, None], r"got \(8, 1\).*drop the trailing axis"),
        (lambda self, p, u: u.grad, r"got \(8, 2\)"),
        (lambda self, p, u: u.value.sum(), r"got \(\)"),
        (lambda self, p, u: u.value[1:], r"got \(7,\)"),
        (lambda self, p, u: (u.value, u.x[:3]), r"got \(3,\)"),
        (lambda self, p, u: u, "got a Jet: return tensors, as in u.laplacian"),
        (lambda self, p, u: 0.0, "got float"),
        (lambda self, p, u: None, "got NoneType"),
        (lambda self, p, u: u.value.float(), "in torch.float64, got torch.float32.*make constants from p"),
        (lambda self, p, u: u.value > 0, "got torch.bool"),
        (lambda self, p, u: u.value.long(), "got torch.int64"),
        (lambda self, p, u: u.value + 1j, "complex_valued = True"),
        (lambda self, p, u: torch.zeros(len(p), dtype=torch.float64, device="meta"), "on cpu, got meta"),
        (lambda self, p, u: [u.value, u.x * 1j], "complex_valued = True"),
        (lambda self, p, u: torch.ones(8, dtype=torch.float64) @ u, "torch.matmul: the functions with known"),
        (lambda self, p, u: u < 0, "Use u.value|not supported"),
    ],
)
def test_a_residual_that_returns_something_else(residual, says):
    with pytest.raises((ResidualError, ProblemError, TypeError), match=says) as raised:
        evaluate(returns(residual))
    assert "equation" in str(raised.value) or not isinstance(raised.value, ResidualError)


def test_float64_constants_in_float32():
    problem = returns(lambda self, p, u: u.value + torch.ones(len(p), dtype=torch.float64))
    with pytest.raises(ResidualError, match=r"in torch.float32, got torch.float64"):
        evaluate(problem, dtype=torch.float32)
    evaluate(problem)


@pytest.mark.parametrize("real", [True, False])
def test_a_complex_field_may_have_real_and_complex_residuals(real):
    problem = returns(lambda self, p, u: u.value.abs() if real else u.laplacian, complex_valued=True)
    (part,), _ = evaluate(problem)
    assert part.is_complex() != real
    with pytest.raises(ResidualError, match=r"in torch.complex128, got torch.complex64"):
        evaluate(returns(lambda self, p, u: u.value.to(torch.complex64), complex_valued=True))


@pytest.mark.parametrize(
    ("condition", "number", "name"),
    [(Condition(lambda p, u: u.value + p.x[:, None]), 1, "condition"), (Condition(lambda p, u: u), 1, "condition")],
)
def test_a_condition_is_checked_by_its_name(condition, number, name):
    with pytest.raises(ResidualError, match=f"The {name} residual must return"):
        evaluate(returns(lambda self, p, u: u.value, conditions=[condition]), number)


@pytest.mark.parametrize("where", ["equation", "condition"])
def test_a_wrong_shape_is_found_before_it_fills_the_memory(where):
    """With 100,000 points an (n, n) would take 80 GB: it must be found at a few points."""
    seen = []

    def wide(p, u):
        seen.append(len(p))
        return u.value + p.x[:, None] if len(p) <= 3000 else u.value

    if where == "equation":
        problem = returns(lambda self, p, u: wide(p, u))
    else:
        problem = returns(lambda self, p, u: u.laplacian, conditions=[Condition(wide)])
    with pytest.raises(ResidualError, match=r"\(n, 1\) against one of \(n,\) makes \(n, n\)"):
        Trainer(problem, device="cpu", points=100_000, progress=False)
    assert seen and max(seen) <= 3000


# --- derivatives ---


@pytest.mark.parametrize(
    ("problem", "asked", "orders"),
    [
        (AllenCahn(domain=SQUARE, epsilon=0.1), {LAPLACIAN}, {"x": 2, "y": 2}),
        (Flow(domain=SQUARE), {"x", "y"}, {"x": 1, "y": 1}),
        (Wave(domain=STRIP, speed=1.0), {"tt", LAPLACIAN}, {"x": 2, "t": 2}),
        (Poisson(domain=SQUARE, source=0, diffusion=lambda p: 1 + p.x), {LAPLACIAN}, {"x": 2}),
        (Helmholtz(domain=SQUARE, wavenumber=3.0, source=0), {LAPLACIAN}, {"x": 2}),
        (Eikonal(domain=SQUARE, velocity=1.0, source=(0, 0)), {"x", "y"}, {"x": 1}),
        (returns(lambda self, p, u: u.xxtt + u.tx, domain=STRIP), {"xxtt"}, {"x": 2, "t": 2}),
        (returns(lambda self, p, u: u.value), set(), {"x": 0, "y": 0}),
    ],
)  # fmt: skip
def test_recorded_derivatives(problem, asked, orders):
    assert problem.derivatives == asked
    assert {axis: problem.order(axis) for axis in orders} == orders


def test_a_branch_that_asks_for_more_is_recorded_again():
    calls = []

    def residual(self, p, u):
        calls.append(u.plan.keys)
        return u.x + (u.yy if "x" in u.plan.index else u.y)

    (part,), asked = evaluate(returns(residual))
    assert asked == {"x", "yy"} and part.shape == (8,)
    assert len(calls) == 3 and calls[0] == ("",)


def test_random_fields():
    problem = returns(lambda self, p, u: u.value, complex_valued=True)
    sampler = Sampler(torch.Generator().manual_seed(3), torch.float32)
    p = problem.domain.interior(5, sampler)
    found = record(lambda plan: problem.random_fields(p, plan, sampler), problem)[0]
    assert len(found) == 1 and isinstance(found[0], Jet) and found[0].value.dtype == torch.complex64
    assert len(Flow(domain=SQUARE).random_fields(p, found[0].plan, sampler)) == 2


# --- reference grids ---


@pytest.mark.parametrize(
    ("domain", "resolution", "cells"),
    [
        (Box(x=(0, 1)), None, {"x": 100}),
        (Box(x=(0, 1), y=(0, 2)), None, {"x": 32, "y": 64}),
        (Box(x=(0, 1), y=(0, 2), t=(0, 9)), 20, {"x": 10, "y": 20, "t": 20}),
        (Box(x=(0, 1), y=(0, 1), z=(0, 3)), 12, {"x": 4, "y": 4, "z": 12}),
        (Box(t=(0, 1)), None, {"t": 100}),
        (Box(x=(0, 0.001), y=(0, 1)), 40, {"x": 4, "y": 40}),
    ],
)
def test_cells(domain, resolution, cells):
    assert returns(lambda self, p, u: u.value, domain=domain).cells(resolution) == cells


def test_helmholtz_resolves_its_wavelength():
    problem = Helmholtz(domain=SQUARE, wavenumber=8 * torch.pi, speed=lambda p: 1 + p.x, source=0)
    assert problem.cells() == {"x": 80, "y": 160}
    assert problem.cells(8) == {"x": 4, "y": 8}


def test_references():
    with pytest.raises(NoReferenceError, match="equation needs 1: add one there, or give reference="):
        AllenCahn(domain=SQUARE, epsilon=0.1).finite_differences({"x": 4, "y": 4})
    own = AllenCahn(domain=SQUARE, epsilon=0.1, reference=lambda cells: ("mine", cells))
    assert own.finite_differences({"x": 4}) == ("mine", {"x": 4})
    with pytest.raises(ProblemError, match="at least 4 cells"):
        own.cells(3)
    assert rectangle(own) is SQUARE


def test_constraints_follow_the_statement():
    problem = Wave(domain=STRIP, speed=1.0, conditions=[Dirichlet(0), Initial(0, rate=0)])
    assert [c.name for c in problem.constraints()] == ["equation", "dirichlet", "initial", "initial rate"]
