"""The eikonal solver against closed-form travel times, from points on and off nodes and from surfaces."""

import numpy as np
import pytest
import torch
from measured import assert_order, relative_l2
from torch import Tensor

from pinn_siren import Box
from pinn_siren.errors import ProblemError
from pinn_siren.points import Points
from pinn_siren.reference import GridSolution, solve_eikonal

LINE, SQUARE = Box(x=(0, 2)), Box(x=(-1, 1), y=(-1, 1))
CUBE = Box(x=(0, 1), y=(0, 1), z=(0, 1))
SLOPE = torch.tensor([0.24, 0.32, 0.1], dtype=torch.float64)


def linear(p: Points) -> Tensor:
    return 1 + p.coordinates @ SLOPE[: len(p.axes)]


def arrival(*source: float):
    """Travel time in a velocity of constant gradient g: arccosh(1 + g^2 r^2 / (2 v(s) v(x))) / g (Slotnick 1959)."""
    at = torch.tensor([source], dtype=torch.float64)

    def time(p: Points) -> Tensor:
        g = float(SLOPE[: len(p.axes)].norm())
        squares = ((p.coordinates - at) ** 2).sum(dim=1)
        return torch.acosh(1 + g**2 * squares / (2 * linear(p) * linear(Points(p.axes, at)))) / g

    return time


def solve(domain: Box, cells: dict[str, int], **fields: object) -> GridSolution:
    return solve_eikonal(domain, cells=cells, **({"velocity": linear} | fields))


@pytest.mark.parametrize("source", [(-0.5, 0.0), (-0.513, 0.0231), (-1.0, -1.0)], ids=["node", "off node", "corner"])
def test_factored_marching_in_a_linear_velocity(source: tuple[float, float]) -> None:
    assert_order(
        lambda cells: solve(SQUARE, cells, source=source),
        arrival(*source),
        {"x": 40, "y": 52},
        band=(1.6, 2.2),
        cap=1.5e-5,
    )


def test_factored_marching_in_three_dimensions() -> None:
    source = (0.3, 0.4, 0.51)
    assert_order(
        lambda cells: solve(CUBE, cells, source=source), arrival(*source), {"x": 8, "y": 8, "z": 10},
        band=(1.3, 2.2), cap=1e-4,
    )  # fmt: skip


def test_several_sources_give_the_earliest_arrival() -> None:
    sources = [(-0.5, 0.0), (0.5, 0.5)]

    def first(p: Points) -> Tensor:
        return torch.minimum(*(arrival(*s)(p) for s in sources))

    assert_order(
        lambda cells: solve(SQUARE, cells, source=sources), first, {"x": 40, "y": 40}, band=(1.6, 2.2), cap=1.5e-5
    )


@pytest.mark.parametrize("source", [(0.3, 0.21), (0.0, 0.0)])
def test_a_constant_velocity_is_exact(source: tuple[float, float]) -> None:
    solution = solve(SQUARE, {"x": 30, "y": 22}, velocity=2, source=source)
    at = torch.tensor([source], dtype=torch.float64)
    assert relative_l2(solution, lambda p: (p.coordinates - at).norm(dim=1) / 2) < 1e-12


def test_one_dimension() -> None:
    def exact(p: Points) -> Tensor:
        return torch.log((1 + p.x) / 1.533).abs()

    fields = {"velocity": lambda p: 1 + p.x, "source": [0.533]}
    assert_order(lambda cells: solve(LINE, cells, **fields), exact, {"x": 20}, cap=2e-5)
    jump = solve(LINE, {"x": 10}, velocity=lambda p: torch.where(p.x < 1, 1.0, 4.0), source=[[0.25], [2.0]])
    x = jump.coordinates["x"]
    truth = np.minimum(np.where(x < 1, abs(x - 0.25), 0.75 + (x - 1) / 4), np.where(x < 1, 1.25 - x, (2 - x) / 4))
    np.testing.assert_allclose(jump.values["u"], truth, atol=1e-14)


def test_a_line_in_a_linear_velocity() -> None:
    """Fronts parallel to a line: the integral of the slowness across it."""
    y = torch.linspace(-1, 1, 4001, dtype=torch.float64)
    surface = torch.stack([torch.full_like(y, -0.613), y], dim=1)

    def exact(p: Points) -> Tensor:
        return torch.log((1 + 0.3 * p.x) / (1 - 0.3 * 0.613)).abs() / 0.3

    fields = {"velocity": lambda p: 1 + 0.3 * p.x, "surface": surface}
    assert_order(lambda cells: solve(SQUARE, cells, **fields), exact, {"x": 24, "y": 20}, band=(1.7, 2.2), cap=4e-5)


def test_a_circle_gives_its_distance_on_both_sides() -> None:
    angles = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    surface = 0.4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert_order(
        lambda cells: solve(SQUARE, cells, velocity=2.0, surface=surface),
        lambda p: (p.coordinates.norm(dim=1) - 0.4).abs() / 2,
        {"x": 40, "y": 40}, band=(1.5, 2.1), cap=3e-4,
    )  # fmt: skip


def test_a_plane_in_three_dimensions_and_a_surface_in_one() -> None:
    y, z = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60))
    surface = np.stack([np.full(3600, 0.37), y.ravel(), z.ravel()], axis=1)
    solution = solve(CUBE, {"x": 12, "y": 10, "z": 10}, velocity=2.0, surface=surface)
    assert relative_l2(solution, lambda p: (p.x - 0.37).abs() / 2) < 1e-3
    assert relative_l2(solve(LINE, {"x": 9}, velocity=3.0, surface=[[0.7]]), lambda p: (p.x - 0.7).abs() / 3) < 1e-14


MESSAGES = [
    ({"source": (0, 0), "velocity": lambda p: p.x}, "velocity must be positive"),
    ({"source": (0, 0), "velocity": 0.0}, "velocity must be positive"),
    ({"source": (0, 0), "velocity": lambda p: torch.sqrt(p.x - 0.5)}, "NaN"),
    ({"surface": [(0, 0)], "velocity": -1.0}, "velocity must be positive"),
    ({"source": (0, 1.5)}, "source .* lies outside"),
    ({"surface": [(0, 0), (2, 0)]}, "surface .* lies outside"),
    ({"source": (0, 0, 0)}, "points of 2 numbers"),
    ({"source": []}, "points of 2 numbers"),
    ({"source": "here"}, "points of 2 numbers"),
    ({}, "source= or surface="),
    ({"source": (0, 0), "surface": [(0, 0)]}, "source= or surface="),
]


@pytest.mark.parametrize(("fields", "message"), MESSAGES)
def test_messages(fields: dict, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        solve(SQUARE, {"x": 10, "y": 10}, **fields)
