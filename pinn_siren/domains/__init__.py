"""Domains: they sample, and know their normals."""

from __future__ import annotations

from typing import Any

from ..errors import ProblemError
from .box import SIDES, Box
from .csg import SetOperation
from .domain import Domain, On
from .mesh import Mesh
from .polygon import Polygon
from .product import Product
from .region import Region
from .sampling import Sampler, Scheme
from .shapes import Ball, Disk
from .sides import Sides, apart
from .wedges import Wedge, wedges

KINDS: dict[str, type[Domain]] = {
    kind.__name__: kind for kind in (Box, Disk, Ball, Polygon, Region, Mesh, SetOperation, Product)
}
"""The domains that ``configuration`` describes, by name."""


def from_configuration(described: dict[str, Any]) -> Domain:
    """The domain whose ``configuration()`` this is; intervals alone are a box.

    Raises ``ProblemError`` for another description.
    """
    name = described.get("shape", "Box")
    if name not in KINDS:
        raise ProblemError(f"A domain is one of {', '.join(KINDS)}; the configuration describes a {name!r}.")
    arguments = {
        key: from_configuration(value) if isinstance(value, dict) else value
        for key, value in described.items()
        if key != "shape"
    }
    try:
        return KINDS[name](**arguments)
    except TypeError as error:
        raise ProblemError(f"This configuration describes no {name}: {error}.") from None


__all__ = [
    "Ball", "Box", "Disk", "Domain", "Mesh", "On", "Polygon", "Product", "Region", "SIDES", "Sampler", "Scheme",
    "SetOperation", "Sides", "Wedge", "apart", "from_configuration", "wedges",
]  # fmt: skip
