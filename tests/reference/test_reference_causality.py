"""First arrivals against other solutions of the eikonal equation: folded, through a wall, from a place of no source."""

import numpy as np
import pytest
import torch

from pinn_siren import Box, Disk, Eikonal, Points
from pinn_siren.reference import GridSolution, solve_eikonal
from pinn_siren.reference.causality import causality
from pinn_siren.validation import judge, slowness_on
from pinn_siren.viscosity import Viscosity

SQUARE = Box(x=(-1, 1), y=(-1, 1))
AXES = SQUARE.axes


def inside(x, y, size, u, v):
    return torch.where(((x - u).abs() < size) & ((y - v).abs() < size), 4.0, 1.0).double()


TRUE = {
    "linear": (SQUARE, {"velocity": lambda p: 1 + 0.4 * p.x, "source": (-0.5, 0.0)}),
    "two sources": (SQUARE, {"velocity": lambda p: 1 + 0.4 * p.x, "source": [(-0.5, 0.0), (0.5, 0.5)]}),
    "jump": (SQUARE, {"velocity": lambda p: inside(p.x, p.y, 0.3, 0, 0), "source": (-0.7, 0.0)}),
    "caustic": (SQUARE, {"velocity": lambda p: 1 - 0.6 * torch.exp(-8 * (p.x**2 + p.y**2)), "source": (-0.8, 0.0)}),
    "disk": (SQUARE - Disk(radius=0.4), {"velocity": 1.0, "source": (-0.7, 0.1)}),
    "wall": (SQUARE - Box(x=(-0.1, 0.1), y=(-1.0, 0.5)), {"velocity": 1.0, "source": (-0.7, -0.5)}),
    "surface": (SQUARE, {"velocity": 1.0, "surface": Disk(radius=0.5)}),
    "solid": (Box(x=(0, 1), y=(0, 1), z=(0, 1)), {"velocity": 2.0, "source": (0.5, 0.4, 0.5)}),
    "line": (Box(x=(0, 1)), {"velocity": lambda p: 1 + p.x, "source": [(0.2,), (0.9,)]}),
}


@pytest.mark.parametrize("name", TRUE)
def test_first_arrivals_pass(name: str) -> None:
    domain, fields = TRUE[name]
    cells = 24 if len(domain.axes) == 3 else 80
    grid = solve_eikonal(domain, cells=dict.fromkeys(domain.axes, cells), **fields)
    problem = Eikonal(domain=domain, **fields)
    found = causality(grid.values["u"], slowness_on(problem, grid)["slowness"], grid.coordinates)
    assert found.holds, found
    assert "every value comes from a smaller one" in str(found)


def distance(x, y, u=-0.5, v=0.0):
    return np.hypot(x - u, y - v)


def folded(x, y):
    """The distance to the source, folded over the circle where it is 0.8: a valley where no front starts."""
    return np.abs(distance(x, y) - 0.8) + 0.3


def disk(x, y):
    """Straight through an obstacle."""
    return np.where(np.hypot(x, y) < 0.4, np.nan, distance(x, y))


FALSE = {
    "folded": folded,
    "valleys": lambda x, y: np.abs(np.abs(x) - 0.5) + 0.2,
    "last arrivals": lambda x, y: np.maximum(distance(x, y), distance(x, y, 0.5)),
    "a source that is none": lambda x, y: np.minimum(distance(x, y), distance(x, y, 0.5, 0.3) + 0.2),
    "through a wall": disk,
    "from a side": lambda x, y: 2.0 + x,
}


@pytest.mark.parametrize("count", [65, 129])
@pytest.mark.parametrize("name", FALSE)
def test_other_solutions_are_detected(name: str, count: int) -> None:
    """All have a gradient of length one nearly everywhere."""
    nodes = np.linspace(-1, 1, count)
    times = FALSE[name](*np.meshgrid(nodes, nodes, indexing="ij"))
    slope = np.hypot(*np.gradient(times, nodes, nodes))
    assert np.nanmedian(np.abs(slope - 1)) < 0.02
    found = causality(times, np.where(np.isnan(times), np.nan, 1.0), {"x": nodes, "y": nodes})
    assert not found.holds and found.unsupplied > 0, found
    assert "come from no smaller one, as at x=" in str(found)


def test_times_that_are_too_late_are_undercut() -> None:
    nodes = np.linspace(-1, 1, 65)
    times = 2 * distance(*np.meshgrid(nodes, nodes, indexing="ij"))
    found = causality(times, np.ones_like(times), {"x": nodes, "y": nodes})
    assert found.undercut > 0.5 and "reached earlier" in str(found)


def test_the_verdict_names_it() -> None:
    nodes = np.linspace(-1, 1, 65)
    x, y = np.meshgrid(nodes, nodes, indexing="ij")
    grid = GridSolution({"x": nodes, "y": nodes}, {})
    fields = {"u": folded(x, y), "u_reference": folded(x, y), "slowness": np.ones_like(x)}
    figures = judge(grid, fields, ("u",), 2.0, 1e-9, 1e-3)
    assert figures.verdict == "failed" and not figures.passed and "no first arrivals" in figures.objection
    fields |= {"u": distance(x, y), "u_reference": distance(x, y)}
    figures = judge(grid, fields, ("u",), 2.0, 1e-9, 1e-3)
    assert figures.verdict == "certified" and figures.objection is None


def test_slowness_is_known_inside_the_domain_alone() -> None:
    problem = Eikonal(domain=SQUARE - Disk(radius=0.4), velocity=lambda p: 2 + p.x, source=(-0.7, 0.1))
    nodes = np.linspace(-1, 1, 9)
    field = slowness_on(problem, GridSolution({"x": nodes, "y": nodes}, {}))["slowness"]
    assert np.isnan(field[4, 4]) and field[8, 0] == pytest.approx(1 / 3)
    assert problem.slowness(Points(AXES, torch.zeros(1, 2).double())).item() == 0.5


def test_a_trained_solution(tmp_path) -> None:
    from pinn_siren import solve
    from pinn_siren.verify import verify
    from pinn_siren.viscosity import viscosity

    solution = solve(Eikonal(domain=SQUARE, velocity=1.0, source=(-0.5, 0.0)), method="least-squares", tolerance=1e-4)
    found = viscosity(solution, 32)
    assert isinstance(found, Viscosity) and found.holds and found.difference < 1e-4
    assert "fast marching" in str(found)
    assert solution.report.objection is None and solution.report.verdict == "certified"
    solution.save(tmp_path)
    assert verify(tmp_path)[1] == []
