"""Disk, Ball and Polygon: what they sample lies where it should, evenly, and they say what they cannot mean."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinn_siren import Ball, Box, Disk, Polygon, Sampler
from pinn_siren.domains import Domain, from_configuration
from pinn_siren.domains.triangulation import anticlockwise, cross, triangles
from pinn_siren.errors import ProblemError

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)


def sampler(seed=11, dtype=torch.float64, scheme="sobol"):
    return Sampler(torch.Generator().manual_seed(seed), dtype, scheme)


def star(radii, turn, center, clockwise):
    """A star-shaped outline: always simple, seldom convex."""
    angles = turn + 2 * math.pi * np.arange(len(radii)) / len(radii)
    ring = [(center[0] + r * math.cos(a), center[1] + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]
    return Polygon(ring[::-1] if clockwise else ring)


place = st.floats(-5, 5)
size = st.floats(0.2, 3)
disks = st.builds(Disk, st.tuples(place, place), size)
balls = st.builds(Ball, st.tuples(place, place, place), size)
polygons = st.builds(
    star, st.lists(size, min_size=4, max_size=9), st.floats(0, 6), st.tuples(place, place), st.booleans()
)
shapes = st.one_of(disks, balls, polygons)
schemes = st.sampled_from(["uniform", "sobol", "chebyshev"])


def assert_sound(domain: Domain, n: int, draw: Sampler, step: float):
    """Points inside are distinct and inside; those on the boundary are on it, between inside and outside."""
    inside = domain.interior(n, draw)
    assert inside.coordinates.shape == (n, len(domain.axes)) and inside.coordinates.dtype == draw.dtype
    assert bool((domain.level(inside.coordinates.double()) < 0).all())
    assert len(inside.coordinates.unique(dim=0)) == n
    low, high = torch.tensor(list(domain.bounds.values()), dtype=torch.float64).T
    assert bool(((inside.coordinates >= low) & (inside.coordinates <= high)).all())

    edge = domain.boundary(n, draw)
    rounding = 1e-11 if draw.dtype == torch.float64 else 1e-5
    assert edge.normal.dtype == edge.coordinates.dtype == draw.dtype
    assert bool(domain.contains(edge.coordinates).all())
    torch.testing.assert_close(edge.normal.norm(dim=1), torch.ones(len(edge), dtype=draw.dtype))
    assert float(domain.level(edge.coordinates).abs().max()) < rounding
    assert len(edge.coordinates.unique(dim=0)) == len(edge)
    shift = step * edge.normal.double()
    space = edge.space.double()
    rest = edge.coordinates.double()[:, len(edge.space_axes) :]
    outside = domain.contains(torch.cat([space + shift, rest], dim=1))
    within = domain.contains(torch.cat([space - shift, rest], dim=1))
    assert not bool(outside.any()) and bool(within.all())
    return edge


def monte_carlo(domain: Domain, n: int = 40_000) -> tuple[float, float]:
    """The measure from independent points of the bounding box, and its standard deviation."""
    box = Box(**domain.bounds)
    hit = float(domain.contains(box.interior(n, sampler(23, scheme="uniform")).coordinates).double().mean())
    return box.measure * hit, box.measure * math.sqrt(max(hit * (1 - hit), 1 / n) / n)


def assert_even(counts: torch.Tensor, shares: torch.Tensor, n: int):
    """Low-discrepancy counts stay within a few points of their shares, far less than independent ones."""
    assert float((counts - n * shares).abs().max()) < 4.0 + 0.02 * float(n * shares.max())


@few
@given(shapes, schemes)
def test_shapes_sample_their_inside_and_boundary(shape, scheme):
    assert_sound(shape, 200, sampler(scheme=scheme), step=1e-7)


@few
@given(shapes)
def test_measure_agrees_with_monte_carlo(shape):
    estimate, deviation = monte_carlo(shape)
    assert abs(shape.measure - estimate) < 4 * deviation


@pytest.mark.parametrize("shape", [Disk((3, 1), 0.5), Ball((1, 2, 3), 2), Polygon([(0, 0), (3, 0), (0, 3)])])
def test_single_precision_stays_strictly_inside(shape):
    assert_sound(shape, 5000, sampler(dtype=torch.float32), step=1e-5)


def test_points_inside_a_disk_are_even_in_area():
    x = Disk((1, 0), 2).interior(4096, sampler()).coordinates - torch.tensor([1.0, 0.0])
    rings = torch.histc(x.square().sum(dim=1) / 4, 16, 0, 1)
    sectors = torch.histc(torch.atan2(x[:, 1], x[:, 0]), 16, -math.pi, math.pi)
    assert_even(rings, torch.full((16,), 1 / 16), 4096)
    assert_even(sectors, torch.full((16,), 1 / 16), 4096)


def test_points_inside_a_ball_are_even_in_volume():
    x = Ball(radius=2).interior(4096, sampler()).coordinates
    shells = torch.histc(x.norm(dim=1) ** 3 / 8, 16, 0, 1)
    octants = ((x > 0) * torch.tensor([1, 2, 4])).sum(dim=1).bincount(minlength=8)
    assert_even(shells, torch.full((16,), 1 / 16), 4096)
    assert_even(octants, torch.full((8,), 1 / 8), 4096)


def test_boundaries_are_even_in_arc_length_and_area():
    circle = Disk(radius=3).boundary(1000, sampler()).normal
    assert_even(
        torch.histc(torch.atan2(circle[:, 1], circle[:, 0]), 20, -math.pi, math.pi), torch.full((20,), 0.05), 1000
    )
    # On a sphere every slab of equal height has equal area, along any axis.
    sphere = Ball().boundary(4096, sampler()).normal
    for axis in range(3):
        assert_even(torch.histc(sphere[:, axis], 8, -1, 1), torch.full((8,), 1 / 8), 4096)
    edges = Polygon([(0, 0), (3, 0), (3, 4)]).boundary(1200, sampler())
    normals = torch.tensor([[0.0, -1.0], [1.0, 0.0], [-0.8, 0.6]], dtype=torch.float64)
    counts = torch.stack([((edges.normal - normal).norm(dim=1) < 1e-12).sum() for normal in normals])
    assert_even(counts, torch.tensor([3, 4, 5]) / 12, 1200)


@few
@given(polygons)
def test_triangles_cover_a_polygon_once(polygon):
    parts = triangles(polygon._start, polygon._end)
    areas = cross(parts[:, 1] - parts[:, 0], parts[:, 2] - parts[:, 0]) / 2
    assert (areas > 0).all() and areas.sum() == pytest.approx(polygon.measure, rel=1e-12)
    assert bool(polygon.contains(torch.from_numpy(parts.mean(axis=1))).all())


def test_triangles_of_a_comb_with_vertices_on_straight_lines():
    comb = [(x, 0.0) for x in range(9)] + [(8 - 0.5 * i, 3.0 if i % 2 else 1.0) for i in range(17)]
    polygon = Polygon(comb)
    parts = triangles(polygon._start, polygon._end)
    assert float(cross(parts[:, 1] - parts[:, 0], parts[:, 2] - parts[:, 0]).sum()) / 2 == pytest.approx(
        polygon.measure
    )
    assert bool((polygon.level(polygon.interior(2000, sampler()).coordinates) < 0).all())


def test_polygons_take_either_direction_and_a_closing_vertex():
    square = [(0, 0), (2, 0), (2, 2), (0, 2)]
    assert Polygon(square).measure == Polygon(square[::-1]).measure == Polygon([*square, square[0]]).measure == 4
    np.testing.assert_array_equal(
        anticlockwise("Polygon", np.array(square[::-1], dtype=float)), np.array(square, dtype=float)
    )


def test_the_level_is_the_signed_distance():
    x = torch.tensor([[0.5, 0.5], [3.0, 0.5], [-3.0, -4.0], [1.0, 1.75]], dtype=torch.float64)
    wanted = torch.tensor([-0.5, 1.0, 5.0, -0.25], dtype=torch.float64)
    torch.testing.assert_close(Polygon([(0, 0), (2, 0), (2, 2), (0, 2)]).level(x), wanted)
    torch.testing.assert_close(Box(x=(0, 2), y=(0, 2)).level(x), wanted)


def test_other_axes_name_the_coordinates():
    p = Disk((5, 0), 1, axes=("r", "z")).interior(10, sampler())
    assert bool((p.r > 3.9).all()) and p.z.shape == (10,)


@few
@given(shapes)
def test_a_configuration_survives_json(shape):
    again = from_configuration(json.loads(json.dumps(shape.configuration())))
    assert type(again) is type(shape) and again.bounds == shape.bounds and again.measure == shape.measure


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Disk(radius=0), "positive radius"),
        (lambda: Ball(radius=-1), "positive radius"),
        (lambda: Disk(radius=math.nan), "finite"),
        (lambda: Disk(center=(0, 0, 0)), "2 numbers"),
        (lambda: Disk(center="ab"), "finite numbers"),
        (lambda: Disk(axes=("x", "t")), "other than t"),
        (lambda: Disk(axes=("x", "x")), "different"),
        (lambda: Disk(axes=3), "2 axes"),
        (lambda: Polygon([(0, 0), (1, 0)]), "three or more"),
        (lambda: Polygon([(0, 0), (1, math.inf), (1, 1)]), "finite"),
        (lambda: Polygon("outline"), "three or more"),
        (lambda: Polygon([(0, 0), (1, 0), (2, 0)]), "fold back"),
        (lambda: Polygon([(0, 0), (1, 0), (1, 0), (0, 1)]), "twice"),
        (lambda: Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "simple"),
        (lambda: Polygon([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)]), "simple"),
        (lambda: Disk().start(3, sampler()), "no time axis"),
        (lambda: Disk().boundary(3, sampler(), on="left"), "names no side"),
        (lambda: from_configuration({"shape": "Torus"}), "'Torus'"),
        (lambda: from_configuration({"shape": "Disk", "size": 1}), "no Disk"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, words):
    with pytest.raises(ProblemError, match=words):
        make()
