"""The wave solver: modes, data in time, radiation, varying speed, both orders in space, stability, messages."""

import numpy as np
import pytest
import torch
from measured import Exact, assert_order, derivatives, normal_derivative, relative_l2
from torch import Tensor, cos, exp, pi, sin

from pinn_siren import Box
from pinn_siren.conditions import PML, Absorbing, Dirichlet, Initial, Neumann, Periodic, Robin
from pinn_siren.errors import NoReferenceError, ProblemError, UsageError
from pinn_siren.points import Points
from pinn_siren.reference import GridSolution, cfl_limit, check_cfl, solve_wave
from pinn_siren.reference.lines import uniform
from pinn_siren.reference.stencil import laplacian

LINE = Box(x=(0, 1), t=(0, 1))
SQUARE = Box(t=(0, 1), x=(0, 1), y=(0, 1))


def modes(p: Points) -> Tensor:
    return sin(pi * p.x) * cos(2 * pi * p.t) + 0.3 * sin(2 * pi * p.x) * sin(4 * pi * p.t)


def cosine(p: Points) -> Tensor:
    return cos(pi * p.x) * cos(2 * pi * p.t)


def moving(p: Points) -> Tensor:
    return sin(3 * (p.x - 2 * p.t) + 0.2)


def circling(p: Points) -> Tensor:
    return sin(2 * pi * (p.x - 2 * p.t))


def standing(p: Points) -> Tensor:
    return sin(pi * p.x) * cos(2 * pi * p.y) * cos(pi * 5**0.5 * p.t)


def manufactured(p: Points) -> Tensor:
    return sin(2 * p.x + 0.3) * cos(3 * p.t)


def rising(p: Points) -> Tensor:
    return 1 + 0.5 * p.x


def rate(u: Exact) -> Exact:
    def along(p: Points) -> Tensor:
        coordinates = p.coordinates.clone().requires_grad_(True)
        return torch.autograd.grad(u(p.replace(coordinates)).sum(), coordinates)[0][:, p.axes.index("t")]

    return along


def slope(u: Exact) -> Exact:
    def along(p: Points) -> Tensor:
        return normal_derivative(u)(p).detach()

    return along


def solve(
    domain: Box, u: Exact, sides: list, cells: dict[str, int], speed: object = 2.0, source: object = 0, order: int = 2
) -> GridSolution:
    conditions = [*sides, Initial(u, rate(u))]
    return solve_wave(domain, speed=speed, source=source, conditions=conditions, cells=cells, space_order=order)


ROBIN = Robin(1.0, 2.0, lambda p: moving(p) + 2 * slope(moving)(p))
SIDES = {
    "dirichlet": (modes, [Dirichlet(0)], 2e-4),
    "neumann": (cosine, [Neumann(0)], 1e-4),
    "data in time": (moving, [Dirichlet(moving, on="left"), Neumann(slope(moving), on="right")], 1e-4),
    "robin": (moving, [ROBIN], 1e-4),
    "absorbing": (moving, [Dirichlet(moving, on="left"), Absorbing(on="right")], 1e-4),
    "periodic": (circling, [Periodic("x")], 5e-4),
}


@pytest.mark.parametrize("name", SIDES)
def test_second_order_in_space_and_time(name: str) -> None:
    u, sides, cap = SIDES[name]
    assert_order(lambda cells: solve(LINE, u, sides, cells), u, {"x": 40, "t": 80}, cap=cap)


@pytest.mark.parametrize("name", SIDES)
def test_fourth_order_in_space(name: str) -> None:
    u, sides, _ = SIDES[name]
    fine = 2e-5 if name == "periodic" else 2e-6
    assert_order(
        lambda cells: solve(LINE, u, sides, cells, order=4), u, {"x": 16, "t": 200},
        band=(3.6, 4.4), cap=fine, squared="t",
    )  # fmt: skip


def test_mode_in_two_dimensions_with_time_first() -> None:
    sides = [Dirichlet(0, on="left"), Dirichlet(0, on="right"), Neumann(0, on="bottom"), Neumann(0, on="top")]
    assert_order(
        lambda cells: solve(SQUARE, standing, sides, cells, speed=1.0), standing, {"x": 16, "y": 20, "t": 30}, cap=1e-3
    )


def test_mode_in_three_dimensions() -> None:
    def mode(p: Points) -> Tensor:
        return sin(pi * p.x) * cos(pi * p.y) * cos(2 * pi * p.z) * cos(pi * 6**0.5 * p.t)

    sides = [Dirichlet(0, on="left"), Dirichlet(0, on="right"), Neumann(0, on="bottom"), Neumann(0, on="top")]
    box = Box(x=(0, 1), y=(0, 1), z=(0, 1), t=(0, 0.7))
    assert_order(
        lambda cells: solve(box, mode, [*sides, Periodic("z")], cells, speed=1.0), mode,
        {"x": 6, "y": 6, "z": 8, "t": 12}, cap=1e-2,
    )  # fmt: skip


@pytest.mark.parametrize(("order", "cells", "cap"), [(2, {"x": 30, "t": 45}, 2e-5), (4, {"x": 12, "t": 120}, 5e-7)])
def test_varying_speed_multiplies_the_laplacian(order: int, cells: dict[str, int], cap: float) -> None:
    def source(p: Points) -> Tensor:
        second = derivatives(manufactured, p)
        return second[:, 1] - rising(p) ** 2 * second[:, 0]

    sides = [Dirichlet(manufactured, on="left"), Neumann(slope(manufactured), on="right")]
    assert_order(
        lambda c: solve(LINE, manufactured, sides, c, rising, source, order), manufactured, cells,
        band=(1.9, 2.1) if order == 2 else (3.6, 4.4), cap=cap, squared="" if order == 2 else "t",
    )  # fmt: skip


def test_speed_that_jumps_on_a_node_keeps_second_order() -> None:
    """A smooth pulse meets a jump of the speed from 1 to 2: transmitted 4/3, reflected 1/3."""

    def pulse(s: Tensor) -> Tensor:
        return exp(-((s / 0.15) ** 2))

    def exact(p: Points) -> Tensor:
        left = pulse(p.x - p.t + 1) + pulse(-p.x - p.t + 1) / 3
        return torch.where(p.x < 0, left, 4 / 3 * pulse(p.x / 2 - p.t + 1))

    sides = [Absorbing(on="left"), Absorbing(on="right")]
    speed = {"speed": lambda p: torch.where(p.x < 0, 1.0, 2.0)}
    box = Box(x=(-2, 2), t=(0, 1.6))
    assert_order(
        lambda cells: solve(box, exact, sides, cells, **speed), exact, {"x": 160, "t": 130}, band=(1.85, 2.15), cap=5e-3
    )


def pulse(p: Points) -> Tensor:
    """d'Alembert: two halves of a pulse move apart and leave."""
    return 0.5 * sum(exp(-(((p.x + sign * p.t) / 0.12) ** 2)) for sign in (-1, 1))


def test_a_pulse_leaves_through_absorbing_sides() -> None:
    box = Box(x=(-1, 1), t=(0, 1.8))
    assert_order(lambda cells: solve(box, pulse, [Absorbing()], cells, speed=1.0), pulse, {"x": 80, "t": 72}, cap=3e-3)
    late = solve(box, pulse, [Absorbing()], {"x": 320, "t": 288}, speed=1.0).values["u"][:, -1]
    assert np.abs(late).max() < 2e-3


@pytest.mark.parametrize("order", [2, 4])
def test_absorbing_sides_stay_stable_for_long(order: int) -> None:
    box = Box(x=(-1, 1), y=(-1, 1), t=(0, 60))
    solution = solve_wave(
        box, speed=lambda p: 1 + 0.5 * sin(5 * p.x) * cos(4 * p.y), source=0, space_order=order,
        conditions=[Absorbing(), Initial(lambda p: exp(-((p.x**2 + p.y**2) / 0.01)), 0)],
        cells={"x": 24, "y": 24, "t": 30},
    )  # fmt: skip
    heights = np.abs(solution.values["u"]).max(axis=(0, 1))
    assert heights[1:].max() < 0.2
    assert heights[-1] < 0.01


@pytest.mark.parametrize("order", [2, 4])
def test_the_limit_covers_the_spectrum(order: int) -> None:
    """Leapfrog is stable up to 2 / sqrt(largest eigenvalue), closures at the sides included."""
    grid = uniform(Box(x=(0, 1), y=(0, 2)), {"x": 12, "y": 14}, order=order)
    root = np.sqrt(grid.volumes())
    largest = np.linalg.eigvalsh(laplacian(grid).toarray() / np.outer(root, root)).max()
    limit = cfl_limit(1.0, [1 / 12, 2 / 14], order)
    assert 0.8 < limit * np.sqrt(largest) / 2 <= 1


def test_cfl_is_checked() -> None:
    assert check_cfl(0.04, speed=2.0, spacing=[0.1]) == pytest.approx(0.8)
    assert cfl_limit(1.0, [0.1, 0.1]) == pytest.approx(0.1 / 2**0.5)
    with pytest.raises(ProblemError, match=r"stable up to 0\.05.*steps in t"):
        check_cfl(0.06, speed=2.0, spacing=[0.1])


def test_stored_times_are_those_asked_for() -> None:
    solution = solve(LINE, modes, [Dirichlet(0)], {"x": 64, "t": 5})
    assert solution.shape == (65, 6)
    np.testing.assert_allclose(solution.coordinates["t"], np.linspace(0, 1, 6))
    assert relative_l2(solution, modes) < 2e-3


START = Initial(0, 0)
MESSAGES = [
    ([Dirichlet(0)], {}, ProblemError, r"add Initial\(value, rate\)"),
    ([Dirichlet(0), Initial(0)], {}, ProblemError, "has no rate"),
    ([Dirichlet(0), START, START], {}, ProblemError, "2 Initial"),
    ([Dirichlet(0, on="left"), START], {}, ProblemError, "Side right has no condition"),
    ([Dirichlet(0), START], {"speed": 0.0}, ProblemError, "speed must be positive"),
    ([Dirichlet(0), START], {"speed": lambda p: 1 + p.t}, NoReferenceError, "speed that depends on time"),
    ([Robin(lambda p: p.t, 1.0, 0.0), START], {}, NoReferenceError, "Robin a that depends on time"),
    ([Absorbing(wavenumber=2.0), START], {}, ProblemError, "give speed="),
    ([PML(0.1), START], {}, NoReferenceError, "PML"),
    ([Dirichlet(1j), START], {}, ProblemError, "complex"),
    ([Dirichlet(0), START], {"space_order": 3}, UsageError, "2 or 4"),
    ([Dirichlet(0), START], {"cells": {"x": 9}}, UsageError, r"cells\['t'\]"),
    ([Dirichlet(0), START], {"domain": Box(x=(0, 1))}, ProblemError, "with a time axis"),
]


@pytest.mark.parametrize(("conditions", "changes", "kind", "message"), MESSAGES, ids=[m[3] for m in MESSAGES])
def test_messages(conditions: list, changes: dict, kind: type[Exception], message: str) -> None:
    fields = {"domain": LINE, "speed": 1.0, "source": 0, "cells": {"x": 9, "t": 9}} | changes
    with pytest.raises(kind, match=message):
        solve_wave(fields.pop("domain"), conditions=conditions, **fields)
