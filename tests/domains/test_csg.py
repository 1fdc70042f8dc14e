"""Unions, differences, intersections and products with time: true boundaries only, each of them once."""

import json
import math

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from test_shapes import assert_even, assert_sound, few, monte_carlo, sampler, shapes, star

from pinn_siren import Ball, Box, Dirichlet, Disk, Poisson, Polygon
from pinn_siren.domains import from_configuration
from pinn_siren.errors import ProblemError

SQUARE = Box(x=(-1, 1), y=(-1, 1))
HOLE = Disk((0.2, 0.1), 0.3)
PLATE = SQUARE - HOLE
TIME = Box(t=(1, 3))

near = st.floats(-0.8, 0.8)
size = st.floats(0.3, 1)
disks = st.builds(Disk, st.tuples(near, near), size)
boxes = st.builds(lambda x, y, a, b: Box(x=(x, x + a), y=(y, y + b)), near, near, size, size)
polygons = st.builds(
    star, st.lists(size, min_size=4, max_size=6), st.floats(0, 6), st.tuples(near, near), st.booleans()
)
plane = st.one_of(disks, boxes, polygons)
operations = st.sampled_from("+-&")


def combine(first, second, operation):
    return {"+": first.__add__, "-": first.__sub__, "&": first.__and__}[operation](second)


def attempt(first, second, operation):
    try:
        return combine(first, second, operation)
    except ProblemError:
        assume(False)


@settings(few, max_examples=10)
@given(plane, plane, plane, operations, operations)
@example(Disk(radius=0.5), Disk(radius=0.5), Disk((0, 1e-12), 0.5), "+", "+")
@example(Disk(radius=0.5), Disk(radius=0.5), Disk((0, 1e-9), 0.5), "&", "&")
def test_set_operations_sample_their_inside_and_true_boundary(first, second, third, inner, outer):
    domain = attempt(first, attempt(second, third, inner), outer)
    # Slivers thinner than the step of the checks are tested on their own.
    assume(domain.measure > 0.05)
    assert_sound(domain, 200, sampler(), step=1e-7)
    estimate, deviation = monte_carlo(domain)
    assert abs(domain.measure - estimate) < 4 * deviation + 1e-3
    again = from_configuration(json.loads(json.dumps(domain.configuration())))
    x = domain.interior(50, sampler(5)).coordinates
    torch.testing.assert_close(again.level(x), domain.level(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    "domain, area, perimeter",
    [
        (PLATE, 4 - 0.09 * math.pi, 8 + 0.6 * math.pi),
        (Disk() & Disk((1, 0)), 2 * math.pi / 3 - math.sqrt(3) / 2, 4 * math.pi / 3),
        (Box(x=(0, 2), y=(0, 2)) - Box(x=(1, 2), y=(1, 2)), 3, 8),
        (Box(x=(0, 1), y=(0, 1)) + Box(x=(1, 2), y=(0, 1)), 2, 6),
        (Box(x=(0, 1), y=(0, 1)) + Box(x=(0, 1), y=(0, 2)), 2, 6),
        (Disk() - Box(x=(-2, 0), y=(-2, 2)), math.pi / 2, math.pi + 2),
        (Disk() + Disk((5, 0)), 2 * math.pi, 4 * math.pi),
        (PLATE + HOLE, 4, 8),
        (PLATE & PLATE, 4 - 0.09 * math.pi, 8 + 0.6 * math.pi),
        (SQUARE - Polygon([(0, 0), (0.5, 0), (0, 0.5)]), 3.875, 9 + math.sqrt(0.5)),
        (Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)) - Ball(radius=0.5), 8 - math.pi / 6, 24 + math.pi),
        (Ball() - Ball((1, 0, 0)), 4 * math.pi / 3 - 5 * math.pi / 12, 4 * math.pi),
        (Box(x=(0, 1)) + Box(x=(2, 4)), 3, 4),
    ],
)
def test_measures_and_boundaries_have_their_closed_forms(domain, area, perimeter):
    assert domain.measure == pytest.approx(area, rel=1e-3)
    assert sum(piece.measure for piece in domain.pieces()) == pytest.approx(perimeter, rel=1e-3)


def test_measures_are_exact_where_boundaries_do_not_cross():
    assert PLATE.measure == pytest.approx(4 - 0.09 * math.pi, rel=1e-12)
    assert (PLATE - Disk((-0.6, -0.6), 0.1)).measure == pytest.approx(4 - 0.1 * math.pi, rel=1e-12)


def test_boundaries_are_even_in_arc_length():
    # The left edge is shared by both boxes, and counts once.
    domain = Box(x=(0, 1), y=(0, 1)) + Box(x=(0, 1), y=(0, 2))
    left = domain.boundary(1200, sampler())
    left = left[left.x == 0]
    assert_even(torch.histc(left.y, 10, 0, 2), torch.full((10,), 0.1), 400)
    lens = (Disk() & Disk((1, 0))).boundary(1000, sampler())
    assert_even(
        torch.histc(torch.atan2(lens.y, lens.x)[lens.x > 0.5], 10, -math.pi / 3, math.pi / 3),
        torch.full((10,), 0.1),
        500,
    )


def test_the_inside_is_even():
    x = (SQUARE - Disk(radius=0.5)).interior(4096, sampler())
    quadrant = (2 * (x.x > 0) + (x.y > 0)).bincount(minlength=4)
    assert_even(quadrant, torch.full((4,), 0.25), 4096)


def test_the_normal_of_a_hole_points_into_it():
    rim = PLATE.boundary(64, sampler(), on=HOLE)
    assert len(rim) == 64
    torch.testing.assert_close(
        rim.space + 0.3 * rim.normal, torch.tensor([[0.2, 0.1]], dtype=torch.float64).expand(64, 2)
    )


def test_every_side_of_the_box_is_found_and_cut():
    bitten = Disk((1, 0), 0.5)
    domain = SQUARE - bitten
    assert domain.side_names() == ("left", "right", "bottom", "top")
    for name, axis, end in [("left", 0, -1), ("right", 0, 1), ("bottom", 1, -1), ("top", 1, 1)]:
        side = domain.boundary(50, sampler(), on=name)
        assert len(side) == 50 and bool((side.coordinates[:, axis] == end).all())
        assert bool((side.normal[:, axis] == end).all())
    assert bool((domain.boundary(50, sampler(), on="right").y.abs() > 0.5).all())
    assert len(domain.boundary(100, sampler(), on=bitten)) == 100


def test_a_side_of_what_is_taken_away_turns_its_normal():
    half = Disk() - Box(x=(-2, 0), y=(-2, 2))
    assert half.side_names() == ("right",)
    cut = half.boundary(20, sampler(), on="right")
    assert bool((cut.x == 0).all()) and bool((cut.normal[:, 0] == -1).all())


def test_masks_find_small_parts():
    tiny = Disk((0.5, 0.5), 1e-3)
    domain = SQUARE - tiny
    assert len(domain.boundary(40, sampler(), on=tiny)) == 40
    masked = domain.boundary(40, sampler(), on=lambda p: (p.space - 0.5).norm(dim=1) < 0.01)
    assert len(masked) > 0
    assert float((masked.space - 0.5).norm(dim=1).sub(1e-3).abs().max()) < 1e-12


def test_a_box_takes_a_domain_for_a_part_of_its_boundary():
    touching = SQUARE.boundary(30, sampler(), on=Box(x=(1, 2), y=(0, 5)))
    assert len(touching) == 30 and bool(((touching.x == 1) & (touching.y > 0)).all())


def test_corners_and_cusps_are_left_out():
    # A disk that touches the bottom from inside: two cusps without an inside.
    domain = Box(x=(-1, 1), y=(0, 2)) - Disk((0, 0.5), 0.5)
    assert_sound(domain, 3000, sampler(), step=1e-9)
    # Two disks that touch in one point, and two boxes that touch in a corner.
    assert_sound(Disk((-1, 0)) + Disk((1, 0)), 3000, sampler(), step=1e-9)
    assert_sound(Box(x=(0, 1), y=(0, 1)) + Box(x=(1, 2), y=(1, 2)), 3000, sampler(), step=1e-9)


def test_single_precision():
    edge = assert_sound(PLATE, 3000, sampler(dtype=torch.float32), step=1e-5)
    assert edge.coordinates.dtype == torch.float32


def test_products_with_time():
    domain = PLATE * TIME
    assert domain.axes == ("x", "y", "t") and domain.space_axes == ("x", "y") and domain.has_time
    assert domain.bounds["t"] == (1, 3)
    assert domain.measure == pytest.approx(2 * PLATE.measure)
    edge = assert_sound(domain, 500, sampler(), step=1e-7)
    assert edge.normal.shape == (len(edge), 2)
    assert_even(torch.histc(edge.t, 5, 1, 3), torch.full((5,), 0.2), len(edge))
    start = domain.start(100, sampler())
    assert start.coordinates.shape == (100, 3) and bool((start.t == 1).all())
    assert bool((PLATE.level(start.space) < 0).all())
    rim = domain.boundary(100, sampler(), on=HOLE)
    assert float((rim.space - torch.tensor([0.2, 0.1])).norm(dim=1).sub(0.3).abs().max()) < 1e-7
    assert bool((domain.boundary(20, sampler(), on="top").y == 1).all())
    outside = torch.tensor([[0.2, 0.1, 2.0], [0.9, 0.9, 0.5], [0.9, 0.9, 2.0]], dtype=torch.float64)
    assert domain.contains(outside).tolist() == [False, False, True]
    assert from_configuration(json.loads(json.dumps(domain.configuration()))).measure == domain.measure


@few
@given(shapes)
def test_shapes_over_time_keep_space_and_time_independent(shape):
    p = (shape * TIME).interior(512, sampler())
    early = p[p.t < 2]
    assert abs(len(early) - 256) <= 4
    middle = shape.interior(512, sampler(3)).coordinates[:, 0].median()
    assert abs(int((early.x < middle).sum()) - 128) <= 16


def test_a_product_of_boxes_is_a_box():
    assert isinstance(SQUARE * TIME, Box) and (SQUARE * TIME).axes == ("x", "y", "t")


def test_a_box_described_by_its_intervals_alone_is_still_a_box():
    assert from_configuration({"x": [0, 1], "t": [0, 2]}).axes == ("x", "t")


def test_conditions_take_a_hole():
    problem = Poisson(
        domain=PLATE, source=lambda p: 0 * p.x, conditions=[Dirichlet(0, on="left"), Dirichlet(1, on=HOLE)]
    )
    _, wall, hole = (c.sample(32, sampler())[0] for c in problem.constraints())
    assert bool((wall.x == -1).all())
    assert len(hole) == 32 and float(HOLE.level(hole.space).abs().max()) < 1e-12


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Disk() - Disk(radius=2), "difference .* is empty"),
        (lambda: Disk() & Disk((5, 0)), "intersection .* is empty"),
        (lambda: Box(x=(0, 1), y=(0, 1)) & Box(x=(1, 2), y=(0, 1)), "is empty"),
        (lambda: SQUARE - SQUARE, "is empty"),
        (lambda: Disk() + Ball(), "same axes"),
        (lambda: Disk() - Box(y=(0, 1), x=(0, 1)), "same order"),
        (lambda: SQUARE * TIME - Disk(), "has time"),
        (lambda: Disk() - PLATE * TIME, "has time"),
        (lambda: Disk() - 3, "two domains"),
        (lambda: Disk() * Disk(), r"space \* Box"),
        (lambda: TIME * Disk(), r"space \* Box"),
        (lambda: PLATE * TIME * TIME, r"space \* Box"),
        (lambda: Disk() * 3, r"space \* Box"),
        (lambda: PLATE.boundary(9, sampler(), on=Disk((3, 0))), "shares no boundary"),
        (lambda: PLATE.boundary(9, sampler(), on=Ball()), "space axes"),
        (lambda: (SQUARE - Box(x=(0, 2), y=(0, 2))).boundary(9, sampler(), on="left"), "names no side"),
        (lambda: PLATE.boundary(9, sampler(), on=lambda p: p.x > 5), "matches none"),
        (lambda: PLATE.start(9, sampler()), "no time axis"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, words):
    with pytest.raises(ProblemError, match=words):
        make()
