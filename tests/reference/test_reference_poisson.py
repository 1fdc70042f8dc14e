"""The Poisson solver: order and error against manufactured solutions, solvability, and messages."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from measured import Exact, assert_order, divergence, gradient, normal_derivative, relative_l2
from torch import Tensor

from pinn_siren import Box
from pinn_siren.conditions import Absorbing, Dirichlet, Initial, Neumann, Periodic, Robin
from pinn_siren.errors import NoReferenceError, ProblemError
from pinn_siren.points import Points
from pinn_siren.reference import GridSolution, poisson, solve_poisson
from pinn_siren.reference.linear import direct

PI = torch.pi
LINE, SQUARE = Box(x=(-0.5, 1)), Box(x=(0, 1), y=(-0.5, 1))
CUBE = Box(x=(0, 1), y=(0, 1), z=(0, 1))


def wavy(p: Points) -> Tensor:
    return torch.sin(2 * p.x + 0.3) + p.x**2


def wavy2(p: Points) -> Tensor:
    return torch.sin(2 * p.x + 0.3) * torch.cos(1.5 * p.y) + p.x * p.y


def modes(p: Points) -> Tensor:
    return torch.sin(PI * p.x) * torch.cos(PI * p.z) * torch.sin(2 * PI * p.y)


@dataclass(frozen=True)
class Case:
    domain: Box
    u: Exact
    conditions: list
    cells: dict
    cap: float
    diffusion: object = 1.0
    reaction: object = 0.0

    def solve(self, cells: dict[str, int]) -> GridSolution:
        diffusion = self.diffusion if callable(self.diffusion) else lambda p: torch.full_like(p.x, self.diffusion)
        reaction = self.reaction if callable(self.reaction) else lambda p: torch.full_like(p.x, self.reaction)

        def flux(p: Points) -> Tensor:
            coordinates = p.coordinates
            value = torch.autograd.grad(self.u(p).sum(), coordinates, create_graph=True)[0]
            return diffusion(p)[:, None] * value

        def source(p: Points) -> Tensor:
            return divergence(flux, p).detach() - reaction(p) * self.u(p)

        return solve_poisson(
            self.domain,
            diffusion=self.diffusion,
            reaction=self.reaction,
            source=source,
            conditions=self.conditions,
            cells=cells,
        )


def data(u: Exact) -> Exact:
    def along(p: Points) -> Tensor:
        return normal_derivative(u)(p).detach()

    return along


def mixed(u: Exact) -> list:
    return [
        Dirichlet(u, on="bottom"),
        Neumann(data(u), on="right"),
        Neumann(data(u), on="top"),
        Robin(2.0, lambda p: 1 + p.y**2, lambda p: 2 * u(p) + (1 + p.y**2) * data(u)(p), on="left"),
    ]


def zero_mean(p: Points) -> Tensor:
    return torch.cos(PI * p.x) * torch.cos(2 * PI * (p.y + 0.5) / 1.5)


def round_trip(p: Points) -> Tensor:
    return torch.exp(torch.sin(2 * PI * p.x)) * torch.cos(p.y)


CASES = {
    "1d dirichlet neumann": Case(
        LINE, wavy, [Dirichlet(wavy, on="left"), Neumann(data(wavy), on="right")], {"x": 20}, 1e-4, lambda p: 1 + p.x**2
    ),
    "1d robin robin": Case(
        LINE, wavy, [Robin(1.0, 0.5, lambda p: wavy(p) + 0.5 * data(wavy)(p))], {"x": 20}, 3e-4, lambda p: 2 + p.x, 1.5
    ),
    "2d dirichlet": Case(SQUARE, wavy2, [Dirichlet(wavy2)], {"x": 12, "y": 18}, 1e-4, lambda p: 1 + p.y**2 + 0 * p.x),
    "2d mixed": Case(
        SQUARE, wavy2, mixed(wavy2), {"x": 12, "y": 18}, 2e-4, lambda p: 1 + 0.5 * p.x * p.y + p.y**2, lambda p: 1 + p.x
    ),
    "2d by masks": Case(
        SQUARE,
        wavy2,
        [Dirichlet(wavy2, on=lambda p: p.y < 0.25), Neumann(data(wavy2), on=lambda p: p.y >= 0.25)],
        {"x": 12, "y": 18},
        3e-4,
    ),
    "2d periodic": Case(
        SQUARE,
        round_trip,
        [Periodic("x"), Dirichlet(round_trip, on="bottom"), Neumann(data(round_trip), on="top")],
        {"x": 16, "y": 12},
        1e-3,
        lambda p: 2 + torch.cos(2 * PI * p.x),
        1.0,
    ),
    "2d pure neumann": Case(
        SQUARE, zero_mean, [Neumann(data(zero_mean))], {"x": 12, "y": 18}, 2e-3, lambda p: 1 + 0.3 * p.x * p.y
    ),
    "3d mixed": Case(
        CUBE,
        modes,
        [
            Dirichlet(0, on="left"), Dirichlet(0, on="right"), Periodic("y"),
            Neumann(0, on="front"), Robin(1.0, 2.0, modes, on="back"),
        ],
        {"x": 8, "y": 8, "z": 8},
        3e-3,
        lambda p: 1 + p.x * p.z + 0 * p.y,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_second_order_and_small_error(name: str) -> None:
    case = CASES[name]
    assert_order(case.solve, case.u, case.cells, cap=case.cap)


def test_pure_neumann_solutions_have_zero_mean() -> None:
    solution = CASES["2d pure neumann"].solve({"x": 9, "y": 7})
    assert abs((solution.quadrature() * solution.values["u"]).sum()) < 1e-13


def test_all_periodic_gives_the_zero_mean_solution() -> None:
    def u(p: Points) -> Tensor:
        return torch.sin(2 * PI * p.x) * torch.cos(2 * PI * p.y)

    def solve_on(cells: dict[str, int]) -> GridSolution:
        return solve_poisson(
            Box(x=(0, 1), y=(0, 1)), diffusion=1, reaction=0, source=lambda p: -8 * PI**2 * u(p),
            conditions=[Periodic("x"), Periodic("y")], cells=cells,
        )  # fmt: skip

    assert_order(solve_on, u, {"x": 8, "y": 8}, cap=4e-3)


def test_multigrid_and_sparse_lu_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    def solve() -> np.ndarray:
        return solve_poisson(
            CUBE, diffusion=lambda p: torch.exp(3 * torch.sin(5 * p.x) * p.y), reaction=0.5, source=lambda p: p.z,
            conditions=[Dirichlet(lambda p: p.y, on=lambda p: p.x < 0.4), Neumann(0, on=lambda p: p.x >= 0.4)],
            cells={"x": 15, "y": 16, "z": 13},
        ).values["u"]  # fmt: skip

    by_multigrid = solve()
    monkeypatch.setattr(poisson, "conjugate_gradients", lambda grid: direct)
    np.testing.assert_allclose(by_multigrid, solve(), rtol=0, atol=1e-9)


def test_a_diffusion_that_jumps_on_a_node_is_exact_for_broken_lines() -> None:
    solution = solve_poisson(
        Box(x=(0, 1)), diffusion=lambda p: torch.where(p.x < 0.5, 1.0, 4.0), reaction=0, source=0,
        conditions=[Dirichlet(0, on="left"), Dirichlet(1, on="right")], cells={"x": 10},
    )  # fmt: skip
    x = solution.coordinates["x"]
    np.testing.assert_allclose(solution.values["u"], np.where(x < 0.5, 1.6 * x, 0.8 + 0.4 * (x - 0.5)), atol=1e-13)


def test_corners_are_dirichlet_where_one_side_is() -> None:
    solution = solve_poisson(
        Box(x=(0, 1), y=(0, 1)), diffusion=1, reaction=0, source=0,
        conditions=[Dirichlet(2, on="left"), Neumann(5, on="right"), Neumann(0, on="top"), Neumann(0, on="bottom")],
        cells={"x": 6, "y": 6},
    )  # fmt: skip
    np.testing.assert_allclose(
        solution.values["u"], 2 + 5 * solution.coordinates["x"][:, None] * np.ones(7), atol=1e-12
    )


def test_output_and_axes_keep_their_names() -> None:
    box = Box(y=(0, 1), x=(0, 2))
    solution = solve_poisson(
        box,
        diffusion=1,
        reaction=0,
        source=0,
        conditions=[Dirichlet(lambda p: p.x)],
        cells={"x": 4, "y": 3},
        output="w",
    )
    assert list(solution.coordinates) == ["y", "x"]
    np.testing.assert_allclose(solution.values["w"], np.linspace(0, 2, 5) * np.ones((4, 1)), atol=1e-13)
    assert relative_l2(GridSolution(solution.coordinates, {"u": solution.values["w"]}), lambda p: p.x) < 1e-13


MESSAGES = [
    ([Dirichlet(0, on="left")], {}, ProblemError, "Side right has no condition"),
    ([], {}, ProblemError, "Side left has no condition"),
    ([Dirichlet(0), Neumann(1, on="top")], {}, ProblemError, "Side top has both Dirichlet"),
    ([Dirichlet(0), Dirichlet(1, on="top")], {}, ProblemError, "Side top has both"),
    ([Dirichlet(0, on="front")], {}, ProblemError, "no side"),
    ([Dirichlet(0), Dirichlet(0, on="left"), Periodic("x")], {}, ProblemError, "the same side"),
    ([Dirichlet(0), Periodic("q")], {}, ProblemError, "space axes"),
    ([Robin(0.0, lambda p: 0 * p.x, 1.0)], {}, ProblemError, "says nothing"),
    ([Dirichlet(0, output="w")], {}, ProblemError, "output"),
    ([Dirichlet(1j)], {}, ProblemError, "complex"),
    ([Neumann(1j)], {}, ProblemError, "complex"),
    ([Dirichlet(0, on=lambda p: p.x)], {}, ProblemError, "bool tensor"),
    ([Absorbing()], {}, NoReferenceError, "Absorbing"),
    ([Initial(0), Dirichlet(0)], {}, NoReferenceError, "Initial"),
    ([Neumann(0)], {"source": 1.0}, ProblemError, "integral is 1.5, .* is 0"),
    ([Dirichlet(0)], {"diffusion": lambda p: p.x - 0.2}, ProblemError, "diffusion must be positive"),
    ([Dirichlet(0)], {"source": 1j}, ProblemError, "source is complex"),
    ([Dirichlet(0)], {"domain": Box(x=(0, 1), t=(0, 1))}, ProblemError, "without a time axis"),
]


@pytest.mark.parametrize(("conditions", "changes", "kind", "message"), MESSAGES, ids=[m[3] for m in MESSAGES])
def test_messages(conditions: list, changes: dict, kind: type[Exception], message: str) -> None:
    fields = {"diffusion": 1, "reaction": 0, "source": 0, "cells": {"x": 8, "y": 8}, "domain": SQUARE} | changes
    with pytest.raises(kind, match=message):
        solve_poisson(fields.pop("domain"), conditions=conditions, **fields)


def test_the_helper_differentiates() -> None:
    p = Points(("x", "y"), torch.tensor([[0.3, 0.2]], dtype=torch.float64), torch.tensor([[1.0, 0.0]]).double())
    assert gradient(lambda q: q.x**2 * q.y, p)[0].tolist() == pytest.approx([0.12, 0.09])
