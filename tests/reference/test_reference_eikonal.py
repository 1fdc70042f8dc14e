"""The eikonal solver against closed-form travel times, from points on and off nodes and from surfaces."""

import numpy as np
import pytest
import torch
from measured import assert_order, relative_l2
from scipy.spatial import KDTree
from torch import Tensor

from pinn_siren import Ball, Box, Disk, Polygon
from pinn_siren.errors import ProblemError
from pinn_siren.points import Points
from pinn_siren.reference import GridSolution, converge, solve_eikonal

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


def test_points_in_a_constant_velocity_give_their_distance() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    surface = 0.4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for cells in (24, 61):
        solution = solve(SQUARE, {"x": cells, "y": cells}, velocity=2.0, surface=surface)
        distance = KDTree(surface).query(solution.nodes())[0]
        np.testing.assert_allclose(solution.values["u"].ravel(), distance / 2, atol=1e-12)


SURFACES = {
    "disk": (Disk(center=(0.1, -0.1), radius=0.4), 1e-5),
    "box": (Box(x=(-0.413, 0.5), y=(-0.3, 0.31)), 1e-12),
    "triangle": (Polygon([(-0.5, -0.4), (0.6, -0.3), (0.1, 0.55)]), 1e-12),
}


@pytest.mark.parametrize("name", SURFACES)
def test_the_boundary_of_a_shape_gives_its_distance_on_both_sides(name: str) -> None:
    surface, cap = SURFACES[name]
    solution = solve(SQUARE, {"x": 40, "y": 40}, velocity=2.0, surface=surface)
    assert relative_l2(solution, lambda p: surface.level(p.coordinates).abs() / 2) < cap


def test_the_boundary_of_a_set_operation_gives_its_distance_at_crossings_too() -> None:
    """Two boxes that overlap: the outline is a cross-like polygon, whose distance the polygon knows."""
    surface = Box(x=(-0.6, 0.2), y=(-0.5, 0.1)) + Box(x=(-0.1, 0.7), y=(-0.2, 0.6))
    outline = Polygon(
        [(-0.6, -0.5), (0.2, -0.5), (0.2, -0.2), (0.7, -0.2), (0.7, 0.6), (-0.1, 0.6), (-0.1, 0.1), (-0.6, 0.1)]
    )
    solution = solve(SQUARE, {"x": 36, "y": 36}, velocity=1.0, surface=surface)
    assert relative_l2(solution, lambda p: outline.level(p.coordinates).abs()) < 1e-9


def test_a_front_of_a_point_source_taken_as_a_surface() -> None:
    """In a velocity of constant gradient fronts are circles: the time from one of them, outside it."""
    g, time, source = 0.6, 0.3, torch.tensor([0.1, -0.1], dtype=torch.float64)
    at = float(1 + g * source[1])
    front = Disk(
        center=(float(source[0]), float(source[1]) + at / g * (np.cosh(g * time) - 1)),
        radius=at / g * np.sinh(g * time),
    )

    def exact(p: Points) -> Tensor:
        squares = ((p.coordinates - source) ** 2).sum(dim=1)
        return torch.acosh(1 + g**2 * squares / (2 * at * (1 + g * p.y))) / g - time

    domain = SQUARE - front  # outside only: inside, the fronts meet in the source and leave a kink
    for cells, cap in ((24, 1.5e-3), (48, 6e-4)):
        solution = solve(domain, {"x": cells, "y": cells}, velocity=lambda p: 1 + g * p.y, surface=front)
        known = np.isfinite(solution.values["u"].ravel())
        truth = exact(Points(("x", "y"), torch.from_numpy(solution.nodes()))).numpy()[known]
        error = solution.values["u"].ravel()[known] - truth
        assert np.sqrt((error**2).mean() / (truth**2).mean()) < cap


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
    ({"surface": Disk(center=(5, 5))}, "surface .* lies outside"),
    ({"surface": Disk(axes=("x", "z"))}, "axes"),
    ({}, "source= or surface="),
    ({"source": (0, 0), "surface": [(0, 0)]}, "source= or surface="),
]


@pytest.mark.parametrize(("fields", "message"), MESSAGES)
def test_messages(fields: dict, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        solve(SQUARE, {"x": 10, "y": 10}, **fields)


# --- obstacles: paths run around them ---


def away(a: np.ndarray, b: np.ndarray, block: Polygon) -> np.ndarray:
    """(n,) distances from a to b, infinite where the segment runs through a convex polygon (Cyrus and Beck 1978)."""
    first, last = np.zeros(len(b)), np.ones(len(b))
    for corner, (ex, ey) in zip(block.vertices, np.roll(block.vertices, -1, axis=0) - block.vertices, strict=True):
        inward = np.array([-ey, ex]) / np.hypot(ex, ey)
        start, slope = inward @ (a - corner) - 1e-9, (b - a) @ inward
        with np.errstate(divide="ignore", invalid="ignore"):
            at = -start / slope
        first = np.where(slope > 0, np.maximum(first, at), np.where((slope == 0) & (start <= 0), 2.0, first))
        last = np.where(slope < 0, np.minimum(last, at), last)
    return np.where(first < last, np.inf, np.linalg.norm(b - a, axis=1))


def geodesic(source: tuple[float, float], x: np.ndarray, block: Polygon) -> np.ndarray:
    """(n,) shortest paths around a convex polygon: straight segments over its corners (visibility graph)."""
    hops = np.vstack([source, block.vertices])
    table = np.stack([away(hop, hops, block) for hop in hops])
    reach = table[0]
    for _ in hops:
        reach = (reach[:, None] + table).min(axis=0)
    return np.min([reach[i] + away(hop, x, block) for i, hop in enumerate(hops)], axis=0)


def around_a_disk(source: tuple[float, float], radius: float, x: np.ndarray) -> np.ndarray:
    """(n,) shortest paths around a disk at the origin: straight, or two tangents and an arc."""
    s = np.array(source)
    ray = x - s
    along = np.clip(-(ray @ s) / np.maximum((ray**2).sum(axis=1), 1e-300), 0, 1)[:, None]
    free = np.linalg.norm(s + along * ray, axis=1) >= radius
    r, r0 = np.maximum(np.linalg.norm(x, axis=1), radius), np.linalg.norm(s)
    turn = np.arccos(np.clip(x @ s / (np.linalg.norm(x, axis=1) * r0 + 1e-300), -1, 1))
    arc = np.maximum(turn - np.arccos(radius / r0) - np.arccos(radius / r), 0)
    return np.where(
        free, np.linalg.norm(ray, axis=1), np.sqrt(r0**2 - radius**2) + np.sqrt(r**2 - radius**2) + radius * arc
    )


def error(solution: GridSolution, truth: np.ndarray) -> float:
    u = solution.values["u"].ravel()
    known = np.isfinite(u)
    return float(np.sqrt(((u - truth)[known] ** 2).sum() / (truth[known] ** 2).sum()))


def test_around_a_disk_the_order_is_above_one() -> None:
    domain, source = SQUARE - Disk(radius=0.4), (-0.713, 0.1321)
    solutions = [solve(domain, {"x": n, "y": n}, velocity=2.0, source=source) for n in (32, 64, 128)]
    errors = [error(u, around_a_disk(source, 0.4, u.nodes()) / 2) for u in solutions]
    assert 1.2 <= np.log2(errors[1] / errors[2]) <= 1.6 and errors[2] < 1.5e-3
    outside = np.linalg.norm(solutions[0].nodes(), axis=1) >= 0.4
    assert (np.isfinite(solutions[0].values["u"].ravel()) == outside).all()
    # The straight distance, through the disk, is far from it.
    straight = np.linalg.norm(solutions[2].nodes() - np.array(source), axis=1) / 2
    assert error(solutions[2], straight) > 0.05


def turned(corners: list[tuple[float, float]], angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array(corners) @ np.array([[c, s], [-s, c]])


BLOCK = [(-0.31, -0.27), (0.33, -0.27), (0.33, 0.29), (-0.31, 0.29)]
WALL = [(-0.002, -0.71), (0.003, -0.71), (0.003, 0.63), (-0.002, 0.63)]


@pytest.mark.parametrize(
    ("corners", "cap"),
    [(turned(BLOCK, 0.0), 2e-3), (turned(BLOCK, 0.4), 3e-3), (turned(WALL, 0.4), 1e-2)],
    ids=["block", "turned block", "wall thinner than a cell"],
)
def test_around_polygons(corners: np.ndarray, cap: float) -> None:
    block, source = Polygon(corners.tolist()), (-0.51, 0.132)
    solution = solve(SQUARE - block, {"x": 64, "y": 64}, velocity=1.0, source=source)
    assert error(solution, geodesic(source, solution.nodes(), block)) < cap


@pytest.mark.parametrize("name", ["disk", "turned block"])
def test_the_bar_around_obstacles_covers_the_error(name: str) -> None:
    source, block = (-0.51, 0.132), Polygon(turned(BLOCK, 0.4).tolist())
    obstacle = Disk(radius=0.4) if name == "disk" else block
    reference = converge(
        lambda cells: solve(SQUARE - obstacle, cells, velocity=1.0, source=source), {"x": 40, "y": 40}, method="march"
    )
    x = reference.finest.nodes()
    truth = around_a_disk(source, 0.4, x) if name == "disk" else geodesic(source, x, block)
    assert reference.error is not None and error(reference.finest, truth) < reference.error < 2e-3


def test_a_domain_that_is_not_convex_and_a_box_that_is_not_aligned_with_the_grid() -> None:
    """An L: the path around its inner corner."""
    domain = Polygon([(-1, -1), (1, -1), (1, 0.07), (0.07, 0.07), (0.07, 1), (-1, 1)])
    hole = Polygon([(0.07, 0.07), (2, 0.07), (2, 2), (0.07, 2)])
    solution = solve(domain, {"x": 50, "y": 50}, velocity=1.0, source=(0.7, -0.413))
    assert error(solution, geodesic((0.7, -0.413), solution.nodes(), hole)) < 3e-3
    assert 0.2 < np.isnan(solution.values["u"]).mean() < 0.3


def test_an_obstacle_needs_no_velocity_and_what_cannot_be_reached_is_not_known() -> None:
    shell = Disk(radius=0.6) - Disk(radius=0.3)
    velocity = lambda p: torch.where(p.space.norm(dim=1) < 0.59, p.x * torch.nan, 1.0)  # noqa: E731
    closed = SQUARE - Disk(radius=0.6)
    assert np.isfinite(solve(closed, {"x": 20, "y": 20}, velocity=velocity, source=(-0.8, 0)).values["u"]).any()
    u = solve(SQUARE - shell, {"x": 40, "y": 40}, velocity=1.0, source=(-0.8, 0)).values["u"]
    assert np.isnan(u[20, 20]) and np.isfinite(u[0, 0]) and np.isfinite(u[-1, 20])


def test_obstacles_in_one_and_three_dimensions() -> None:
    split = LINE - Box(x=(0.8, 1.03))
    u = solve(split, {"x": 20}, velocity=2.0, source=[0.3]).values["u"]
    np.testing.assert_allclose(u[:9], np.abs(np.arange(9) / 10 - 0.3) / 2, atol=1e-14)
    assert np.isnan(u[9:]).all()
    domain, source = CUBE - Ball(center=(0.5, 0.5, 0.5), radius=0.3), (0.5, 0.5, 0.05)
    solution = solve(domain, {"x": 16, "y": 16, "z": 16}, velocity=1.0, source=source)
    x = solution.nodes() - 0.5
    plane = np.stack([np.hypot(x[:, 0], x[:, 1]), x[:, 2]], axis=1)  # the paths lie in planes through the axis
    assert error(solution, around_a_disk((0.0, -0.45), 0.3, plane)) < 2e-2


def test_a_source_in_an_obstacle() -> None:
    with pytest.raises(ProblemError, match=r"source .* lies outside"):
        solve(SQUARE - Disk(radius=0.4), {"x": 10, "y": 10}, source=(0.1, 0.0))
