"""Several parts of one residual, each of its own size; several conditions on one side."""

import math
import warnings

import numpy as np
import pytest
import torch

from pinn_siren import (
    LBFGS,
    PML,
    Absorbing,
    Box,
    Condition,
    Dirichlet,
    Helmholtz,
    Initial,
    Integral,
    Neumann,
    Periodic,
    Problem,
    Robin,
    Sampler,
    Siren,
    Trainer,
)
from pinn_siren.check import StatementWarning
from pinn_siren.errors import ProblemError
from pinn_siren.jet import lift, linearize, make_plan
from pinn_siren.problem import record
from pinn_siren.scales import measure_scales

LINE = Box(x=(0, 1))
SQUARE = Box(x=(0, 1), y=(0, 1))


class Beam(Problem):
    """u_xxxx = load."""

    load: float = 24.0

    def residual(self, p, u):
        return u.xxxx - self.load


class Plate(Problem):
    """laplacian laplacian u = 1."""

    def residual(self, p, u):
        return u.xxxx + 2 * u.xxyy + u.yyyy - 1


class Second(Problem):
    def residual(self, p, u):
        return u.laplacian - 1


class Mixed(Problem):
    """Two equations of very different size: 1000 u_xx = 5 sin(9 x), v_x = 2."""

    outputs = ("u", "v")

    def residual(self, p, u, v):
        return 1000 * u.xx - 5 * torch.sin(9 * p.x), v.x - 2


def trained(problem, steps=0, outputs=1):
    generator = torch.Generator().manual_seed(5)
    network = Siren(len(problem.domain.axes), outputs, width=16, depth=2, omega=3.0, generator=generator)
    trainer = Trainer(problem, network, points=300, seed=3, progress=False, device="cpu")
    if steps:
        trainer.run(LBFGS(steps=steps, resample=100))
    return trainer


def test_the_value_of_a_periodic_field_of_fourth_order_counts_as_much_as_its_third_derivative():
    scales = measure_scales(Beam(domain=LINE, load=0.0, conditions=[Periodic("x")]))
    k = scales.wavenumber["x"]
    # Both ends are independent: a difference of two has the root of 2.
    by_hand = [math.sqrt(2) * k**m for m in range(4)]
    assert scales.residual["periodic x"] == pytest.approx(by_hand)
    assert scales.residual["equation"] == pytest.approx((k**4,))
    # A difference of values is one of the field's own size; the length is 1, so slopes weigh as much.
    assert scales.response["periodic x"] == pytest.approx([1 / math.sqrt(2)] * 4)


def test_the_equations_of_a_system_have_their_own_sizes():
    scales = measure_scales(Mixed(domain=LINE, conditions=[Dirichlet(0, output="u"), Dirichlet(0, output="v")]))
    k = scales.wavenumber["x"]
    assert 6 <= k <= 15
    assert scales.residual["equation"] == pytest.approx((1000 * k**2, k))
    assert scales.residual["dirichlet u"] == scales.response["dirichlet v"] == pytest.approx((1.0,))
    first, second = scales.response["equation"]
    assert first * scales.residual["equation"][0] == pytest.approx(second * scales.residual["equation"][1])
    # Where u alone is driven, 1000 u_xx = 5 sin(9 x), it is small; v is about 2 x.
    assert 0.5 <= scales.amplitude <= 20


def test_the_wavenumber_of_a_small_equation_is_not_drowned_by_a_large_one():
    class Drowned(Mixed):
        def residual(self, p, u, v):
            return 1e6 * (u.xx - torch.sin(4 * p.x)), v.x - torch.sin(60 * p.x)

    assert 45 <= measure_scales(Drowned(domain=LINE)).wavenumber["x"] <= 90


def test_the_loss_divides_every_part_by_its_size():
    trainer = trained(Beam(domain=LINE, load=0.0, conditions=[Periodic("x", weight=3.0), Dirichlet(2.0, on="left")]))
    objective = trainer.objective
    objective.resample()
    u = trainer.solution().jet(np.array([[0.0], [1.0]]), ["x", "xx", "xxx"])
    gaps = [float(d[1] - d[0]) for d in (u.value, u.x, u.xx, u.xxx)]
    k, amplitude = trainer.scales.wavenumber["x"], trainer.scales.amplitude
    by_hand = 3 * sum((gap / (math.sqrt(2) * k**m * amplitude)) ** 2 for m, gap in enumerate(gaps))
    assert float(objective.terms()["periodic x"].detach()) == pytest.approx(by_hand, rel=1e-9)


def test_rows_of_a_linearization_say_their_part():
    class Waves(Problem):
        complex_valued = True

        def residual(self, p, u):
            return u.laplacian, u.value.abs() - 1, u.x

    problem = Waves(domain=SQUARE)
    p = SQUARE.interior(5, Sampler(torch.Generator().manual_seed(3)))
    field = lambda q: torch.exp(1j * q.x) + 0 * q.y  # noqa: E731
    block = record(
        lambda plan: linearize(lambda at, u: problem.residual(at[0], *u[0]), [p], [(lift(field, p, plan),)]), problem
    )[0]
    assert block.parts == (0, 0, 1, 2, 2) and not block.complex_parts
    assert block.values.shape[1] == 5
    assert make_plan(("x", "y"), frozenset()).order == 0


def test_a_clamped_beam_takes_value_and_slope():
    exact = lambda p: p.x**2 * (1 - p.x) ** 2  # noqa: E731
    problem = Beam(domain=LINE, conditions=[Dirichlet(0), Neumann(0)], exact=exact)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer = trained(problem, steps=120)
    assert trainer.solution(tolerance=1e-2).report.verdict == "certified"


FINE = {
    "clamped plate": lambda: Plate(domain=SQUARE, conditions=[Dirichlet(0), Neumann(0)]),
    "clamped on three sides": lambda: Plate(
        domain=SQUARE,
        conditions=[
            *(kind(0, on=s) for s in ("left", "right", "bottom") for kind in (Dirichlet, Neumann)),
            Condition(lambda p, u: (u.yy, u.yyy), on="top"),
        ],
    ),
    "periodic one way": lambda: Plate(
        domain=SQUARE,
        conditions=[
            Periodic("x"), *(kind(0, on=s) for s in ("bottom", "top") for kind in (Dirichlet, Neumann)),
        ],
    ),
    "from one end": lambda: Second(domain=LINE, conditions=[Dirichlet(0, on="left"), Neumann(1, on="left")]),
    "shared by masks": lambda: Second(
        domain=LINE,
        conditions=[Dirichlet(0, on=lambda p: p.x < 0.5), Neumann(0, on=lambda p: p.x < 0.5), Dirichlet(1, on="right")],
    ),
    "an integral beside": lambda: Second(domain=LINE, conditions=[Neumann(0.5), Integral(lambda p, u: u.value, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
def test_as_many_conditions_as_the_order_are_fine(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(FINE[name]())


TOO_MANY = {
    "plate, a third": (
        lambda: Plate(domain=SQUARE, conditions=[Dirichlet(0), Neumann(0), Robin(1, 1, 0, on="top")]),
        "order 4 along y .* here are 5, on 'top' Dirichlet, Neumann, Robin",
    ),
    "second order": (
        lambda: Second(domain=LINE, conditions=[Dirichlet(0), Neumann(0, on="right")]),
        "order 2 along x .* here are 3, on 'right' Dirichlet, Neumann: take away",
    ),
    "absorbing too": (
        lambda: Helmholtz(domain=LINE, wavenumber=3.0, source=0, conditions=[Dirichlet(0), Absorbing(on="left")]),
        "here are 3, on 'left' Dirichlet, Absorbing",
    ),
    "two of one kind": (
        lambda: Beam(domain=LINE, conditions=[Dirichlet(0), Dirichlet(1, on="left")]), "Two Dirichlet.*'left'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_MANY)
def test_more_conditions_than_the_order_are_refused(name):
    make, says = TOO_MANY[name]
    with pytest.raises(ProblemError, match=says):
        trained(make())


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ([Dirichlet(0)], "order 4 along x and needs 2 conditions on each side; 'left' has Dirichlet"),
        ([Dirichlet(0), Neumann(0, on="left")], "'right' has Dirichlet"),
        ([Dirichlet(0, on="left"), Neumann(0, on="left")], "'right' has none"),
    ],
)
def test_a_missing_second_condition_is_told(conditions, says):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained(Beam(domain=LINE, conditions=conditions))
    said = [str(w.message) for w in told if w.category is StatementWarning]
    assert any(says in message and "clamped" in message for message in said), said


def test_every_condition_passes_on_its_weight_and_output():
    class Pair(Problem):
        outputs = ("u", "v")

        def residual(self, p, u, v):
            return u.xx, v.xx

    strip = Box(x=(0, 1), t=(0, 1))
    conditions = [
        Initial(0, rate=0, output="v", weight=2.0), Periodic("x", output="u", weight=2.0),
        Absorbing(on="left", speed=1.0, output="v", weight=2.0),
        Condition(lambda p, v: v.value, on="right", output="v", weight=2.0),
        Integral(lambda p, u: u.value, 0, on="boundary", output="u", weight=2.0),
    ]  # fmt: skip
    found = Pair(domain=strip, conditions=conditions).constraints()[1:]
    assert [c.name for c in found] == [
        "initial v", "initial rate v", "periodic x u", "absorbing left v", "condition right v", "integral boundary u",
    ]  # fmt: skip
    assert {c.weight for c in found} == {2.0}
    walls = Helmholtz(domain=SQUARE, wavenumber=3.0, source=0, conditions=[PML(0.2, weight=2.0)]).constraints()[1:]
    assert [c.weight for c in walls] == [2.0]
