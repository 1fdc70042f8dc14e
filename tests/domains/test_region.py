"""Region: holes, several parts, and what it reads, against shapely."""

import json
import math
import sys

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_shapes import assert_even, assert_sound, sampler

from pinn_siren import Box, Region
from pinn_siren.domains import from_configuration
from pinn_siren.domains.triangulation import cross
from pinn_siren.errors import ProblemError

few = settings(max_examples=10, deadline=None, derandomize=True, database=None)

PLATE = shapely.Point(0, 0).buffer(1, quad_segs=8) - shapely.Point(0.2, 0.1).buffer(0.4, quad_segs=5)
PARTS = shapely.MultiPolygon([PLATE, shapely.box(2, -1, 3, 0.5)])
SQUARE = [(0, 0), (4, 0), (4, 4), (0, 4)]

point = st.builds(shapely.Point, st.floats(-2, 2), st.floats(-2, 2))
blobs = st.builds(lambda p, r, k: p.buffer(r, quad_segs=k), point, st.floats(0.3, 1.5), st.integers(1, 6))


@few
@given(st.lists(blobs, min_size=1, max_size=4), blobs)
def test_it_is_what_shapely_says(added, taken):
    geometry = shapely.union_all(added) - taken
    if geometry.is_empty:
        return
    region = Region(geometry)
    assert region.measure == pytest.approx(geometry.area, rel=1e-12)
    assert sum(piece.measure for piece in region.pieces()) == pytest.approx(geometry.length, rel=1e-12)
    x = Box(x=(-4, 4), y=(-4, 4)).interior(500, sampler()).coordinates
    distance = shapely.distance(geometry.boundary, shapely.points(x.numpy()))
    signed = np.where(shapely.contains_xy(geometry, x.numpy()), -distance, distance)
    np.testing.assert_allclose(region.level(x).numpy(), signed, rtol=0, atol=1e-12)
    cut = region._triangles
    assert cross(cut[:, 1] - cut[:, 0], cut[:, 2] - cut[:, 0]).sum() / 2 == pytest.approx(geometry.area, rel=1e-12)
    assert shapely.contains_xy(geometry.buffer(1e-12), region.interior(300, sampler()).coordinates.numpy()).all()


def test_points_inside_are_even():
    x = Region(PARTS).interior(4096, sampler()).coordinates.numpy()
    tiles = [shapely.box(i, j, i + 0.5, j + 0.5) for i in np.arange(-1, 3, 0.5) for j in np.arange(-1, 1, 0.5)]
    counts = np.array([shapely.contains_xy(tile, x).sum() for tile in tiles])
    shares = np.array([tile.intersection(PARTS).area for tile in tiles]) / PARTS.area
    assert abs(counts - 4096 * shares).max() < 20


def test_points_on_the_boundary_are_even_in_arc_length():
    edge = assert_sound(Region(PARTS), 2000, sampler(), step=1e-7)
    hole = (edge.space - torch.tensor([0.2, 0.1])).norm(dim=1) < 0.41
    box = edge.x >= 2
    lengths = torch.tensor([PLATE.exterior.length, PLATE.interiors[0].length, 5.0])
    counts = torch.stack([(~hole & ~box).sum(), hole.sum(), box.sum()])
    assert_even(counts, lengths / lengths.sum(), len(edge))
    inward = edge.space[hole] - torch.tensor([0.2, 0.1])
    assert bool(((inward * edge.normal[hole]).sum(dim=1) < 0).all())


def test_every_way_of_saying_it(tmp_path):
    geojson = shapely.to_geojson(PARTS)
    feature = {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(PLATE))}
    beside = {**feature, "geometry": json.loads(shapely.to_geojson(PARTS.geoms[1]))}
    (tmp_path / "plate.wkt").write_text(PARTS.wkt)
    (tmp_path / "plate.geojson").write_text(geojson)
    rings = [ring for part in PARTS.geoms for ring in (part.exterior, *part.interiors)]
    for given_as in (
        PARTS.wkt, geojson, json.loads(geojson), tmp_path / "plate.wkt", str(tmp_path / "plate.geojson"),
        {"type": "FeatureCollection", "features": [feature, beside]}, [list(ring.coords)[::-1] for ring in rings],
        shapely.force_3d(PARTS, 7.0), shapely.GeometryCollection([PLATE, PARTS.geoms[1]]),
    ):  # fmt: skip
        assert Region(given_as).measure == pytest.approx(PARTS.area, rel=1e-9)
    assert Region(shapely.LinearRing(SQUARE)).measure == 16
    assert Region(PLATE, axes=("r", "z")).axes == ("r", "z")


def test_rings_inside_rings_alternate():
    def ring(a):
        return [(a, a), (8 - a, a), (8 - a, 8 - a), (a, 8 - a)]

    island = Region([ring(0), ring(1)[::-1], ring(2), ring(3)])
    assert island.measure == 64 - 36 + 16 - 4
    assert_sound(island, 400, sampler(), step=1e-7)


def test_parts_may_touch_in_a_point():
    touching = Region(shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2)]))
    assert touching.measure == 2
    assert_sound(touching, 400, sampler(), step=1e-9)
    notched = Region(shapely.Polygon(SQUARE, [[(0, 2), (1, 1), (1, 3)]]))
    assert notched.measure == 15
    assert_sound(notched, 400, sampler(), step=1e-9)


def test_holes_of_set_operations_and_time():
    left = Region(PLATE) & Box(x=(-2, 0), y=(-2, 2))
    assert left.measure == pytest.approx(PLATE.intersection(shapely.box(-2, -2, 0, 2)).area, rel=1e-3)
    cut = left.boundary(40, sampler(), on="right")
    assert bool((cut.x == 0).all()) and bool((cut.y.abs() > 0.4).any())
    assert_sound(left * Box(t=(0, 1)), 200, sampler(), step=1e-7)


def test_results_are_read_without_shapely(monkeypatch):
    described = json.dumps(Region(PARTS).configuration())
    monkeypatch.setitem(sys.modules, "shapely", None)
    again = from_configuration(json.loads(described))
    assert again.measure == pytest.approx(PARTS.area) and again.bounds["x"] == (-1, 3)
    with pytest.raises(ProblemError, match=r"needs shapely: pip install 'pinn-siren\[shapes\]'"):
        Region(PARTS.wkt)


@pytest.mark.parametrize(
    "geometry, words",
    [
        ("POLYG ((0 0))", "takes WKT.*'POLYG"),
        ('{"type": "Plate"}', "takes WKT.*GeoJSON"),
        ("nowhere.wkt", "cannot read nowhere.wkt"),
        ("POINT (0 0)", r"got a Point; geometry.buffer"),
        (shapely.LineString([(0, 0), (1, 1)]), "got a LineString"),
        (shapely.Polygon(), "an empty Polygon"),
        (shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "Self-intersection.*make_valid"),
        (3, "a list of rings, got int"),
        ([], "one ring of vertices"),
        ([(0, 0), (1, 0), (0, 1)], "ring needs three or more vertices"),
        ([SQUARE, [(2, 2), (6, 2), (6, 6)]], "must not cross or share an edge"),
        ([SQUARE, [(4, 0), (8, 0), (8, 4), (4, 4)]], "must not cross or share an edge"),
        ([SQUARE, SQUARE], "must not cross or share an edge"),
        ([[(0, 0), (1, 1), (1, 0), (0, 1)]], "must be simple"),
        ([[(0, 0), (1, 0), (math.nan, 1)]], "finite"),
    ],
)
def test_what_cannot_be_meant_is_refused(geometry, words):
    with pytest.raises(ProblemError, match=words):
        Region(geometry)
