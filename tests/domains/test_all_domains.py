"""Every kind of domain keeps what the solver relies on: laws that hold for all, checked on drawn examples."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_csg import combine
from test_shapes import assert_sound, monte_carlo, sampler, star

from pinn_siren import Ball, Box, Disk, Mesh, Polygon, Region
from pinn_siren.domains import Domain, from_configuration
from pinn_siren.errors import ProblemError

few = settings(max_examples=8, deadline=None, derandomize=True, database=None)

near = st.floats(-1, 1)
size = st.floats(0.4, 1)
angle = st.floats(0, 6)


def frame(x, y, outer, inner, turn):
    """A square with a turned square hole, and a triangle apart from it."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    beside = [(x + 2 * outer, y), (x + 3 * outer, y), (x + 2 * outer, y + outer)]
    return Region([corners * outer + (x, y), corners @ rotation * inner * outer / 2 + (x, y), beside])


def octahedron(radii, lift):
    """A closed surface of eight faces about the origin, seldom convex, its faces in mixed directions."""
    directions = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    faces = [(i, j, k) for i, j, k in itertools.product((0, 1), (2, 3), (4, 5))]
    return Mesh((directions * np.array(radii)[:, None] + (0, 0, lift), faces))


disks = st.builds(Disk, st.tuples(near, near), size)
boxes = st.builds(lambda x, y, a, b: Box(x=(x, x + a), y=(y, y + b)), near, near, size, size)
solids = st.builds(lambda x, a, b, c: Box(x=(x, x + a), y=(0, b), z=(-c, c)), near, size, size, size)
polygons = st.builds(star, st.lists(size, min_size=4, max_size=6), angle, st.tuples(near, near), st.booleans())
regions = st.builds(frame, near, near, size, size, angle)
balls = st.builds(Ball, st.tuples(near, near, near), size)
meshes = st.builds(octahedron, st.lists(size, min_size=6, max_size=6), near)
flat = st.one_of(disks, boxes, polygons, regions)
pairs = st.tuples(flat, flat, st.sampled_from("+-&"))
solid = st.one_of(solids, balls, meshes)


def combined(pair) -> Domain:
    try:
        domain = combine(*pair)
    except ProblemError:
        assume(False)
    # Thin slivers are tested on their own.
    assume(domain.measure > 0.05)
    return domain


def strip(domain: Domain, width: float, side: int) -> torch.Tensor:
    """Points of a strip along the boundary, outside it (1) or inside (-1): as many to the unit of area."""
    around = {a: (low - 2 * width, high + 2 * width) for a, (low, high) in domain.bounds.items()}
    box = Box(**around)
    n = 2**15
    x = box.interior(n, sampler(29)).coordinates
    level = side * domain.level(x)
    return x[(level > 0) & (level < width)], n / box.measure * width


def assert_boundary_is_even(domain: Domain, sides: tuple[int, ...], tolerance: float):
    """Its measure, and the share of every half, from thin strips along it, which know nothing of how it is drawn."""
    width = 0.01 if len(domain.axes) == 2 else 0.02
    found = [strip(domain, width, side) for side in sides]
    x, density = torch.cat([points for points, _ in found]), sum(unit for _, unit in found)
    whole = sum(piece.measure for piece in domain.pieces())
    assert len(x) / density == pytest.approx(whole, rel=tolerance)
    edge = domain.boundary(2000, sampler()).coordinates
    for axis, (low, high) in enumerate(domain.bounds.values()):
        middle = low + 0.45 * (high - low)
        assert float((edge[:, axis] < middle).double().mean()) == pytest.approx(
            float((x[:, axis] < middle).double().mean()), abs=tolerance
        )


@few
@given(st.one_of(flat, solid))
def test_single_shapes(domain):
    assert_sound(domain, 200, sampler(), step=1e-7)
    estimate, deviation = monte_carlo(domain)
    assert abs(domain.measure - estimate) < 4 * deviation
    # Inside and outside together: what corners and curvature add on one side they take on the other, nearly.
    assert_boundary_is_even(domain, (1, -1), 0.08)


@few
@given(pairs)
def test_set_operations(pair):
    domain = combined(pair)
    assert_sound(domain, 200, sampler(), step=1e-7)
    estimate, deviation = monte_carlo(domain)
    assert abs(domain.measure - estimate) < 4 * deviation + 1e-3
    # Outside only: inside a union the level is small on the seams too.
    assert_boundary_is_even(domain, (1,), 0.08)


@few
@given(st.one_of(disks, polygons, regions, meshes), st.floats(-2, 2), size)
def test_products_with_time(space, first, length):
    domain = space * Box(t=(first, first + length))
    assert domain.measure == pytest.approx(space.measure * length)
    edge = assert_sound(domain, 100, sampler(), step=1e-7)
    torch.testing.assert_close(space.level(edge.space), torch.zeros(len(edge), dtype=torch.float64), rtol=0, atol=1e-11)
    start = domain.start(50, sampler())
    assert bool((start.t == first).all()) and bool((space.level(start.space) < 0).all())
    early = float((edge.t < first + length / 2).double().mean())
    assert early == pytest.approx(0.5, abs=0.06)


@few
@given(st.one_of(flat, solid), st.sampled_from(["uniform", "sobol", "chebyshev"]))
def test_masks_find_every_part(domain, scheme):
    draw = sampler(scheme=scheme)
    middle = torch.tensor([(low + high) / 2 for low, high in domain.bounds.values()], dtype=torch.float64)
    for axis, sign in itertools.product(range(len(domain.axes)), (-1, 1)):
        part = domain.boundary(40, draw, on=lambda p, i=axis, s=sign: s * (p.space[:, i] - middle[i]) > 0)
        assert len(part) == 40 and bool((sign * (part.space[:, axis] - middle[axis]) > 0).all())
    assert len(domain.boundary(40, draw, on=domain)) == 40
    for name in domain.side_names():
        side = domain.boundary(40, draw, on=name)
        assert len(side) == 40 and len(side.normal.unique(dim=0)) == 1


@few
@given(st.one_of(flat, solid))
def test_the_level_never_exceeds_the_distance_to_the_boundary(domain):
    x = Box(**domain.bounds).interior(100, sampler(31)).coordinates
    edge = domain.boundary(3000, sampler()).coordinates
    distance = torch.cdist(x, edge).amin(dim=1)
    assert bool((domain.level(x).abs() <= distance + 1e-12).all())
    assert float((distance - domain.level(x).abs()).max()) < 0.15
    assert torch.equal(domain.contains(x), domain.level(x) <= 0)


@few
@given(st.one_of(flat, solid))
def test_a_configuration_is_the_domain(domain):
    again = from_configuration(json.loads(json.dumps(domain.configuration())))
    one, two = domain.boundary(50, sampler(3)), again.boundary(50, sampler(3))
    assert torch.equal(one.coordinates, two.coordinates) and torch.equal(one.normal, two.normal)
    assert torch.equal(domain.interior(50, sampler(3)).coordinates, again.interior(50, sampler(3)).coordinates)


def square(x, y, length=1.0):
    return Box(x=(x, x + length), y=(y, y + length))


@pytest.mark.parametrize(
    "domain, area, perimeter",
    [
        (Disk((-1, 0)) + Disk((1, 0)), 2 * math.pi, 4 * math.pi),
        (Disk((-1, 0)) - Disk((1, 0)), math.pi, 2 * math.pi),
        (Disk() - Disk((0.5, 0), 0.5), 0.75 * math.pi, 3 * math.pi),
        (square(0, 0) + Disk((1.5, 0.5), 0.5), 1 + math.pi / 4, 4 + math.pi),
        (square(0, 0) - Disk((0.5, 0.5), 0.5), 1 - math.pi / 4, 4 + math.pi),
        (Disk() - square(-math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2)), math.pi - 2, 2 * math.pi + 4 * math.sqrt(2)),
        (Polygon([(0, 0), (1, 0), (0, 1)]) + Polygon([(1, 0), (2, 0), (2, 1)]), 1, 4 + 2 * math.sqrt(2)),
        (Polygon([(0, 0), (1, 0), (0, 1)]) + Polygon([(1, 0), (1, 1), (0, 1)]), 1, 4),
        (Disk() - Disk(radius=1 - 1e-3), math.pi * (2e-3 - 1e-6), math.pi * (4 - 2e-3)),
        (square(0, 0) + square(1 + 1e-7, 0), 2, 8),
        (square(0, 0) + Region([[(1, 0), (2, 0), (2, 1), (1, 1)]]), 2, 6),
    ],
)
def test_shapes_that_touch_leave_sound_cusps(domain, area, perimeter):
    assert_sound(domain, 300, sampler(), step=1e-9)
    assert domain.measure == pytest.approx(area, rel=1e-3)
    assert sum(piece.measure for piece in domain.pieces()) == pytest.approx(perimeter, rel=2e-3)


def test_thin_slivers_keep_a_positive_measure():
    """The corner of a square beyond a disk: its boundary is a four hundredth of the operands'."""
    corner = square(0, 0) - Disk(radius=1.41)
    reach = math.sqrt(1.41**2 - 1)
    # The square beyond the circle, integrated along x.
    x = np.linspace(reach, 1, 20001)
    wanted = float(np.trapezoid(1 - np.sqrt(1.41**2 - x**2), x))
    assert corner.measure == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Disk((-1, 0)) & Disk((1, 0)), "intersection .* is empty"),
        (lambda: square(0, 0) & Disk((1.5, 0.5), 0.5), "intersection .* is empty"),
        (lambda: square(0, 0) - Disk((0.5, 0.5), 1), "difference .* is empty"),
        (lambda: Disk() - Disk((1e-9, 0)), "too thin to find"),
        (lambda: (Disk((-1, 0)) & Disk((1 - 1e-8, 0))).measure, "thinner than 1e-08"),
        (lambda: (Disk((-1, 0)) & Disk((1 - 1e-8, 0))).boundary(5, sampler()), "thinner than 1e-08"),
    ],
)
def test_nothing_left_is_said(make, words):
    with pytest.raises(ProblemError, match=words):
        make()
