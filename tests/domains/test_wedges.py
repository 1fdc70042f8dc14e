"""Corners of plane regions, however the region is put together."""

import math

import numpy as np
import pytest

from pinn_siren import Box, Disk, Polygon
from pinn_siren.domains.wedges import edges_of, wedges

CORNERS = [(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]
L_SHAPES = {
    "outline": Polygon(CORNERS),
    "difference": Box(x=(-1, 1), y=(-1, 1)) - Box(x=(0, 1), y=(0, 1)),
    "union": Box(x=(-1, 1), y=(-1, 0)) + Box(x=(-1, 0), y=(-1, 1)),
    "overlapping union": Box(x=(-1, 1), y=(-1, 0)) + Box(x=(-1, 0), y=(-1, 1)),
    "intersection": Box(x=(-1, 1), y=(-1, 1)) & Polygon([(-2, -2), (3, -2), (3, 0), (0, 0), (0, 3), (-2, 3)]),
}


@pytest.mark.parametrize("name", L_SHAPES)
def test_the_corners_of_an_l_are_the_same_however_it_is_made(name):
    found = {tuple(np.round(w.place, 9) + 0.0): w for w in wedges(L_SHAPES[name])}
    assert set(found) == set(CORNERS)
    for place, wedge in found.items():
        assert math.degrees(wedge.angle) == pytest.approx(270 if place == (0, 0) else 90)
    inner = found[0, 0]
    assert math.degrees(inner.start) == pytest.approx(90) and inner.room == pytest.approx(1)
    assert inner.first.normal == pytest.approx([1, 0]) and inner.last.normal == pytest.approx([0, 1])


def test_the_corners_of_a_hole_are_seen_from_outside_it():
    found = wedges(Box(x=(0, 3), y=(0, 3)) - Box(x=(1, 2), y=(1, 2)))
    inner = [w for w in found if 0.5 < w.place[0] < 2.5]
    assert len(found) == 8 and len(inner) == 4
    assert all(math.degrees(w.angle) == pytest.approx(270) for w in inner)


def test_an_angle_of_a_polygon_is_the_one_between_its_edges():
    found = wedges(Polygon([(0, 0), (2, 0), (2 + 3 * math.cos(2.2), 3 * math.sin(2.2))]))
    at = next(w for w in found if w.place == pytest.approx([2, 0]))
    assert at.angle == pytest.approx(math.pi - 2.2)


def test_curved_sides_have_no_edges_and_cut_those_of_others():
    assert wedges(Disk((0, 0), 1)) == [] == edges_of(Disk((0, 0), 1))
    found = wedges(Box(x=(0, 2), y=(0, 1)) - Disk((0, 0), 0.3))
    assert {tuple(w.place) for w in found} == {(2, 0), (2, 1), (0, 1)}


def test_a_straight_side_has_a_corner_only_where_it_is_broken():
    box = Box(x=(-1, 1), y=(0, 1))
    assert len(wedges(box)) == 4
    (broken,) = [w for w in wedges(box, [np.array([0.25, 0.0])]) if w.place[0] == 0.25]
    assert broken.angle == pytest.approx(math.pi) and broken.room == pytest.approx(0.75)


def test_regions_that_touch_in_a_point_have_a_wedge_each():
    found = wedges(Box(x=(0, 1), y=(0, 1)) + Box(x=(1, 2), y=(1, 2)))
    both = [w for w in found if w.place == pytest.approx([1, 1])]
    assert sorted(round(math.degrees(w.start)) % 360 for w in both) == [0, 180]
