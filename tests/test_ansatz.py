"""Conditions built into the output: what is derived, that it holds exactly, that its derivatives are right."""

import numpy as np
import pytest
import torch

from pinn_siren import (
    LBFGS,
    Adam,
    Ball,
    Box,
    Condition,
    Dirichlet,
    Disk,
    Helmholtz,
    Initial,
    Neumann,
    Periodic,
    Poisson,
    Problem,
    Solution,
    Trainer,
    Wave,
    solve,
)  # fmt: skip
from pinn_siren.ansatz import chebyshev
from pinn_siren.ansatz.derive import BuiltIn, derive, held, needed
from pinn_siren.domains import Sampler
from pinn_siren.errors import UsageError
from pinn_siren.jet import make_plan
from pinn_siren.points import Points

SQUARE = Box(x=(-1, 1), y=(0, 1.5))
LINE = Box(x=(0, 1), t=(0.5, 2))
RISE = 0.3
HOLE, OTHER = Disk((0.3, 0.5), 0.2), Disk((-0.5, 1.0), 0.15)


def smooth(p):
    return torch.sin(3 * p.x + 1) * torch.exp(p.y)


def turning(p):
    return torch.exp(4j * p.x) * (1 + p.y)


def poisson(domain, *conditions, ansatz=None):
    return Poisson(domain=domain, source=0.0, conditions=conditions, ansatz=ansatz)


def wave(*conditions, domain=LINE):
    return Wave(domain=domain, speed=2.0, conditions=conditions)


STARTS = [Initial(lambda p: torch.sin(torch.pi * p.x), rate=lambda p: p.x * (1 - p.x))]

HELD = {
    "zero": (poisson(SQUARE, Dirichlet(0)), {"dirichlet"}),
    "smooth": (poisson(SQUARE, Dirichlet(smooth)), {"dirichlet"}),
    "one side": (poisson(SQUARE, Dirichlet(smooth, on="top"), Neumann(0, on="left")), {"dirichlet top"}),
    "two sides": (
        poisson(SQUARE, Dirichlet(smooth, on="right"), Dirichlet(smooth, on="bottom"), Neumann(0, on="left"),
                Neumann(0, on="top")),
        {"dirichlet right", "dirichlet bottom"},
    ),
    "normals": (poisson(SQUARE, Dirichlet(lambda p: p.normal[:, 0] ** 2 * (1.5 - p.y) * p.y)), {"dirichlet"}),
    "complex": (
        Helmholtz(domain=SQUARE, wavenumber=4.0, source=0.0, conditions=[Dirichlet(turning)]),
        {"dirichlet"},
    ),
    "wave": (wave(Dirichlet(0), *STARTS), {"dirichlet", "initial", "initial rate"}),
    "moving walls": (
        wave(
            Dirichlet(lambda p: torch.sin(3 * p.t) * p.x),
            Initial(lambda p: torch.sin(3 * p.t) * p.x, rate=lambda p: 3 * torch.cos(3 * p.t) * p.x),
        ),
        {"dirichlet", "initial", "initial rate"},
    ),
    "periodic": (
        wave(Periodic("x"), Initial(lambda p: torch.cos(2 * torch.pi * p.x), rate=0)),
        {"periodic x", "initial", "initial rate"},
    ),
    "plane wave field": (
        wave(
            Dirichlet(0),
            Initial(lambda p: torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y), rate=0),
            domain=Box(x=(0, 1), y=(0, 1), t=(0, 1)),
        ),
        {"dirichlet", "initial", "initial rate"},
    ),
    "disk": (poisson(Disk((0.2, 0.1), 1.5), Dirichlet(smooth)), {"dirichlet"}),
    "ring": (
        poisson(Disk(radius=2) - Disk(radius=1), Dirichlet(smooth, on=Disk(radius=1)), Dirichlet(0, on=Disk(radius=2))),
        {"dirichlet disk", "dirichlet disk 2"},
    ),
    "holes": (
        poisson(SQUARE - HOLE - OTHER, Dirichlet(smooth, on=HOLE), Dirichlet(2, on=OTHER), Dirichlet(0, on="left"),
                Neumann(0, on="top")),
        {"dirichlet disk", "dirichlet disk 2", "dirichlet left"},
    ),
    "union of holes": (poisson(SQUARE - (HOLE + OTHER), Dirichlet(smooth)), {"dirichlet"}),
    "shell": (
        poisson(Ball(radius=2) - Ball(radius=1), Dirichlet(1, on=Ball(radius=1)), Dirichlet(2, on=Ball(radius=2))),
        {"dirichlet ball", "dirichlet ball 2"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_what_the_geometry_allows_is_held_whatever_the_network_is(name):
    problem, names = HELD[name]
    built = derive(problem, RISE)
    assert held(problem, built) == names


@pytest.mark.parametrize("name", ["moving walls", "complex", "holes", "ring", "shell", "plane wave field", "periodic"])
def test_the_derivatives_of_what_is_built_in_are_those_of_its_values(name):
    """Central differences of the model's values know nothing of jets."""
    problem, _ = HELD[name]
    model = Trainer(problem, points=400, conditions="hard", progress=False).model
    p = problem.domain.interior(40, Sampler(torch.Generator().manual_seed(2)))
    axes, h = problem.domain.axes, 1e-4
    (jet,) = model.fields_at(p, make_plan(axes, frozenset({*axes, *(2 * a for a in axes), axes[0] + axes[1]})))

    def at(**shift):
        moved = p.coordinates + torch.tensor([shift.get(a, 0.0) for a in axes], dtype=torch.float64)
        return model(Points(axes, moved))[:, 0].detach()

    size = float(at().abs().max()) * 30
    for a in axes:
        first = (at(**{a: h}) - at(**{a: -h})) / (2 * h)
        second = (at(**{a: h}) - 2 * at() + at(**{a: -h})) / h**2
        torch.testing.assert_close(getattr(jet, a).detach(), first, rtol=1e-4, atol=1e-5 * size)
        torch.testing.assert_close(getattr(jet, 2 * a).detach(), second, rtol=1e-3, atol=1e-4 * size)
    x, y = axes[:2]
    mixed = sum(s * r * at(**{x: s * h, y: r * h}) for s in (1, -1) for r in (1, -1)) / (4 * h * h)
    torch.testing.assert_close(getattr(jet, x + y).detach(), mixed, rtol=1e-3, atol=1e-4 * size)


NOT_HELD = {
    "a jump at the corners": (
        poisson(SQUARE, Dirichlet(1, on="top"), *(Dirichlet(0, on=s) for s in ("left", "right", "bottom"))),
        "dirichlet top",
    ),
    "a kink": (poisson(SQUARE, Dirichlet(lambda p: p.x.abs())), "dirichlet"),
    "a start that misses the walls": (wave(Dirichlet(0), Initial(1, rate=0)), "initial"),
    "a mask": (poisson(SQUARE, Dirichlet(0, on=lambda p: p.x < 2)), "dirichlet part"),
    "a hole over the edge": (poisson(SQUARE - Disk((1, 1), 0.3), Dirichlet(0)), "dirichlet"),
    "holes that touch": (poisson(SQUARE - (HOLE + Disk((0.5, 0.5), 0.2)), Dirichlet(0)), "dirichlet"),
    "a sphere with varying data": (poisson(Ball(), Dirichlet(lambda p: p.x)), "dirichlet"),
}


@pytest.mark.filterwarnings("ignore::pinn_siren.check.StatementWarning")
@pytest.mark.parametrize("name", NOT_HELD)
def test_the_rest_is_left_to_the_loss_and_named_where_it_is_insisted_on(name):
    problem, left = NOT_HELD[name]
    names = held(problem, derive(problem, RISE))
    assert left not in names and left in needed(problem)
    with pytest.raises(UsageError, match=rf'conditions="hard" cannot build in .*{left}'):
        Trainer(problem, points=64, conditions="hard", progress=False)


def test_where_walls_and_start_disagree_the_walls_are_held():
    problem, _ = NOT_HELD["a start that misses the walls"]
    assert held(problem, derive(problem, RISE)) == {"dirichlet"}


def test_a_lift_that_blends_is_built_in_only_when_insisted_on():
    problem = poisson(SQUARE - HOLE - OTHER, Dirichlet(0, on=SQUARE), Dirichlet(2, on=HOLE), Dirichlet(1, on=OTHER))
    assert "dirichlet disk" in Trainer(problem, points=64, progress=False).objective.names
    assert Trainer(problem, points=64, conditions="hard", progress=False).objective.names == ["equation"]
    zero = poisson(SQUARE - HOLE - OTHER, Dirichlet(0))
    assert Trainer(zero, points=64, progress=False).objective.names == ["equation"]


def test_an_unknown_choice_names_the_nearest():
    with pytest.raises(UsageError, match=r"conditions must be one of auto, hard, soft; got 'sofd'.*soft"):
        Trainer(HELD["zero"][0], points=64, conditions="sofd", progress=False)


def test_what_holds_leaves_the_loss_and_what_is_forced_soft_stays_in_it():
    problem, _ = HELD["two sides"]
    assert set(Trainer(problem, points=64, progress=False).objective.names) == {
        "equation",
        "neumann left",
        "neumann top",
    }
    soft = Trainer(problem, points=64, conditions="soft", progress=False)
    assert set(soft.objective.names) == {
        "equation",
        "dirichlet right",
        "dirichlet bottom",
        "neumann left",
        "neumann top",
    }


def test_an_own_ansatz_is_kept_and_its_conditions_leave_the_loss():
    def own(p, u):
        return (p.x**2 - 1) * p.y * (1.5 - p.y) * u

    problem = poisson(SQUARE, Dirichlet(0), ansatz=own)
    built = derive(problem, RISE)
    assert built == BuiltIn(own, ()) and held(problem, built) == {"dirichlet"}


@pytest.mark.parametrize("case", ["poisson", "wave"])
def test_soft_and_hard_forms_agree_and_only_the_hard_one_holds_to_rounding(case):
    """Poisson with data of its exact solution, and two modes of a string."""
    if case == "poisson":
        problem = Poisson(
            domain=Box(x=(0, 1), y=(0, 1)),
            source=lambda p: -8 * smooth(p),
            conditions=[Dirichlet(smooth)],
            exact=smooth,
        )
        wall = np.array([[0.0, 0.3], [1.0, 0.7], [0.2, 0.0], [0.6, 1.0]])
        truth = np.sin(3 * wall[:, 0] + 1) * np.exp(wall[:, 1])
    else:
        problem = Wave(
            domain=Box(x=(0, 1), t=(0, 0.6)), speed=1.0,
            conditions=[Dirichlet(0), Initial(lambda p: torch.sin(torch.pi * p.x), rate=0)],
            exact=lambda p: torch.sin(torch.pi * p.x) * torch.cos(torch.pi * p.t),
        )  # fmt: skip
        wall = np.array([[0.0, 0.3], [1.0, 0.5], [0.5, 0.0], [0.25, 0.0]])
        truth = np.array([0, 0, 1, np.sqrt(0.5)])
    gaps, errors = {}, {}
    for kind in ("soft", "hard"):
        solution = solve(problem, tolerance=1e-3, steps=100, conditions=kind, points=300, progress=False)
        gaps[kind] = np.abs(solution(wall) - truth).max()
        errors[kind] = solution.report.relative_l2
    assert max(errors.values()) < 2e-2
    assert gaps["hard"] < 1e-11 < 1e-7 < gaps["soft"]


def test_a_period_is_exact_in_value_and_slope():
    problem, _ = HELD["periodic"]
    trainer = Trainer(problem, points=100, progress=False)
    trainer.run(Adam(steps=5))
    ends = [trainer.solution().jet(np.array([[x, 0.9]]), ["x", "xx"]) for x in (0.0, 1.0)]
    for key in ("value", "x", "xx"):
        one, other = (getattr(u, key).item() for u in ends)
        assert one == pytest.approx(other, rel=1e-9)


def test_a_start_whose_slope_jumps_across_a_period_is_left_to_the_loss():
    # x^2 cos(pi x) has slopes of 2 and -2 at the ends: built in, it would keep that kink for ever.
    kinked, smooth_start = (
        wave(Periodic("x"), Initial(start, rate=0), domain=Box(x=(-1, 1), t=(0, 1)))
        for start in (lambda p: p.x**2 * torch.cos(torch.pi * p.x), lambda p: torch.cos(torch.pi * p.x))
    )
    built = derive(kinked, 1.0)
    assert built.ansatz is None and built.periodic == ("x",)
    assert held(kinked, built) == {"periodic x"}
    assert held(smooth_start, derive(smooth_start, 1.0)) == {"periodic x", "initial", "initial rate"}


@pytest.mark.parametrize("name", ["moving walls", "complex", "holes", "periodic", "shell"])
def test_a_saved_solution_needs_no_function_of_the_statement(name, tmp_path):
    problem, _ = HELD[name]
    trainer = Trainer(problem, points=64, conditions="hard", progress=False)
    trainer.run(LBFGS(steps=2))
    solution = trainer.solution()
    rebuilt = Solution.rebuild(
        solution.configuration(),
        {k: v.numpy() for k, v in solution.model.state_dict().items()},
        solution.provenance,
        {},
    )
    at = problem.domain.interior(50, Sampler(torch.Generator().manual_seed(4))).coordinates.numpy()
    np.testing.assert_array_equal(rebuilt(at), solution(at))


def test_float32_models_stay_in_float32():
    problem, _ = HELD["holes"]
    trainer = Trainer(problem, points=64, conditions="hard", dtype=torch.float32, progress=False)
    p = problem.domain.interior(10, Sampler(torch.Generator().manual_seed(2), torch.float32))
    assert trainer.model(p).dtype == torch.float32


@pytest.mark.parametrize("d", [1, 2])
def test_interpolants_and_their_derivatives(d):
    bounds = {"x": (-1.0, 2.0), "y": (0.5, 1.5)} if d == 2 else {"x": (-1.0, 2.0)}

    def function(at):
        return np.sin(12 * np.pi * at[:, 0]) * (np.exp(at[:, 1]) if d == 2 else 1.0)

    found = chebyshev.fit(function, list(bounds.values()))
    p = Points(("x", "y"), torch.rand(50, 2, dtype=torch.float64) + torch.tensor([0.0, 0.5], dtype=torch.float64))
    u = chebyshev.interpolant_jet(torch.from_numpy(found), bounds, p, make_plan(("x", "y"), frozenset({"xx", "xy"})))
    rise = np.exp(p.y.numpy()) if d == 2 else 1.0
    slope = rise if d == 2 else 0.0
    k, x = 12 * np.pi, p.x.numpy()
    np.testing.assert_allclose(u.value, np.sin(k * x) * rise, atol=1e-10)
    np.testing.assert_allclose(u.x, k * np.cos(k * x) * rise, atol=1e-8)
    np.testing.assert_allclose(u.xx, -k * k * np.sin(k * x) * rise, atol=1e-5)
    np.testing.assert_allclose(u.xy, k * np.cos(k * x) * slope, atol=1e-8)


def test_a_function_that_vanishes_at_the_first_nodes_is_not_taken_for_zero():
    found = chebyshev.fit(lambda at: np.sin(8 * np.arccos(at[:, 0])), [(-1.0, 1.0)])
    assert found is None or np.abs(found).max() > 0.1


def test_a_system_of_two_outputs_holds_each_of_its_own():
    class Pair(Problem):
        outputs = ("u", "v")

        def residual(self, p, u, v):
            return u.laplacian - v.value, v.laplacian

    problem = Pair(
        domain=SQUARE,
        conditions=[Dirichlet(smooth, output="u"), Condition(lambda p, u, v: v.value - u.value, on="left")],
    )
    assert held(problem, derive(problem, RISE)) == {"dirichlet u"}


def test_a_lone_time_axis_holds_its_start():
    class Decay(Problem):
        def residual(self, p, u):
            return u.t + u.value

    problem = Decay(domain=Box(t=(0, 3)), conditions=[Initial(1)])
    assert held(problem, derive(problem, RISE)) == {"initial"}
    solution = solve(problem, tolerance=1e-3, steps=60, points=64, progress=False)
    assert solution([[0.0]])[0] == pytest.approx(1, abs=1e-13)
    assert solution([[1.5]])[0] == pytest.approx(np.exp(-1.5), rel=2e-2)
