"""Region: plane geometry with holes and several parts, also from shapely, WKT and GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ProblemError
from .extra import extra
from .outline import Outline, edges, signed_distance
from .triangulation import Real, anticlockwise, ring

NEAR = 1e-9
"""How far both sides of an edge are looked at, in units of the largest coordinate."""

ALONG = 0.3819660112501051
"""Where on an edge that is, as a share of its length."""

Geometry = Any
"""A shapely geometry, WKT or GeoJSON (text, or the path of a file), a GeoJSON dict, or rings of vertices."""


class Region(Outline):
    """``Region(geometry)``: plane geometry with holes and several parts.

    ``geometry``: a shapely Polygon, MultiPolygon or closed ring, WKT or GeoJSON as text or as the path of a file, a
    GeoJSON dict (features are united), or a list of rings ``(m, 2)``, of which those inside an odd number of others
    are holes. All but rings need the extra ``shapes``. ``axes`` names the two space axes. Coordinates are lengths in
    the user's units: project longitude and latitude first.

    Raises ``ProblemError`` for geometry without area, invalid geometry, and rings that cross or share an edge.
    """

    def __init__(self, geometry: Geometry, axes: Sequence[str] = ("x", "y")) -> None:
        rings = [anticlockwise("Region ring", ring("A Region ring", given)) for given in _rings(geometry)]
        super().__init__(_turned(rings), axes)

    def __repr__(self) -> str:
        return f"Region({len(self.rings)} rings, {len(self._start)} vertices)"

    def configuration(self) -> dict[str, Any]:
        """Plain values that ``from_configuration`` turns into the same domain, without shapely."""
        return {"shape": "Region", "geometry": [outline.tolist() for outline in self.rings], "axes": list(self.axes)}


def _turned(rings: list[Real]) -> list[Real]:
    """Anticlockwise rings, those of holes turned round. Raises ``ProblemError`` where rings cross or share an edge."""
    start, end = edges(rings)
    along = end - start
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.hypot(*along.T)[:, None]
    # Rings may touch in a point, the middle of an edge as soon as any: a place that is no simple fraction.
    place, step = start + ALONG * along, NEAR * float(np.abs(start).max()) * normal
    left, right = (signed_distance(torch.from_numpy(x), start, end).numpy() < 0 for x in (place - step, place + step))
    turned, first = [], 0
    for number, vertices in enumerate(rings):
        its = slice(first, first + len(vertices))
        first = its.stop
        outer, hole = left[its] & ~right[its], right[its] & ~left[its]
        if not outer.all() and not hole.all():
            raise ProblemError(
                f"The rings of a Region must not cross or share an edge, as ring {number} does with another: put "
                "parts that overlap or adjoin together with shapely.union_all, or with a + b."
            )
        turned.append(vertices if outer.all() else vertices[::-1].copy())
    return turned


def _rings(geometry: Geometry) -> list[Any]:
    if isinstance(geometry, list | tuple):
        if not geometry:
            raise ProblemError("Region needs one ring of vertices or more, as in [[(0, 0), (1, 0), (0, 1)]].")
        return list(geometry)
    shapely = extra("shapely", "A Region of anything but rings")
    shape = _parsed(geometry) if isinstance(geometry, str | Path | dict) else geometry
    if not isinstance(shape, shapely.Geometry):
        raise ProblemError(
            "Region needs a shapely geometry, WKT or GeoJSON (text or a path), or a list of rings, got "
            f"{type(geometry).__name__}."
        )
    if shape.geom_type == "GeometryCollection":
        shape = shapely.union_all(shape.geoms)
    if shape.geom_type in ("LinearRing", "LineString") and shape.is_closed:
        shape = shapely.Polygon(shape)
    if shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise ProblemError(
            f"Region needs a Polygon, a MultiPolygon or a closed ring, got {'an empty' if shape.is_empty else 'a'} "
            f"{shape.geom_type}; geometry.buffer(width) makes an area of lines and points."
        )
    if not shape.is_valid:
        raise ProblemError(
            f"Region needs a valid geometry: {shapely.is_valid_reason(shape)}. shapely.make_valid repairs it."
        )
    plane = shapely.remove_repeated_points(shapely.force_2d(shape))
    parts = shapely.get_parts(plane)
    return [np.asarray(line.coords) for part in parts for line in (part.exterior, *part.interiors)]


def _parsed(geometry: str | Path | dict[str, Any]) -> Any:
    """The shapely geometry of WKT or GeoJSON: text, a path, or a dict."""
    shapely = extra("shapely", "A Region of anything but rings")
    text = json.dumps(geometry) if isinstance(geometry, dict) else str(geometry)
    if isinstance(geometry, Path) or text.lower().endswith((".wkt", ".json", ".geojson")):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProblemError(f"Region cannot read {geometry}: {error}.") from None
    try:
        return shapely.from_geojson(text) if text.lstrip().startswith("{") else shapely.from_wkt(text)
    except shapely.errors.ShapelyError as error:
        raise ProblemError(
            f"Region takes WKT, as in 'POLYGON ((0 0, 1 0, 0 1, 0 0))', GeoJSON, or the path of a .wkt, .json or "
            f".geojson file; {text[:40]!r} is none: {error}."
        ) from None
