"""Signed distance functions from point clouds: the statement, its figures, and the distance by nearest points."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ..conditions import Condition, ConditionBase, Data, Norm
from ..domains import Box, Sampler
from ..errors import NoReferenceError, ProblemError
from ..jet import Jet
from ..points import Points
from ..problem import Problem
from ..reference.grid import GridSolution
from .cloud import Cloud, Real, from_surface
from .rays import along_normals
from .surface import Index, as_trimesh, extract, write_mesh

if TYPE_CHECKING:
    from ..solution import Solution

MARGIN = 0.15
"""Room around the cloud, in units of its longest side."""
SHARPNESS = 100.0
"""How fast the penalty of zeros off the surface decays with the distance to it, per half a longest side."""
RICHNESS = 4096
"""Values that a surface is taken to hold, which the default network's width and points a step follow."""
PROBES, DRAWN = 5000, 20_000
"""Points in the box that figures are taken at, and points drawn on the extracted mesh at least."""
NEAR = 0.05
"""The band around the surface, in units of half the longest side."""


class SignedDistance(Problem):
    """``|grad u| = 1`` in a box around a closed surface, u = 0 and ``grad u = n`` on it: u is the distance to it,
    negative inside, in the cloud's own unit of length.

    The conditions are those of ``distance_conditions``. ``distance``: the true one, ``(n, 3)`` array -> ``(n,)``, where
    it is known; ``resolution``: cells along the longest side of the mesh that is extracted.
    """

    cloud: Cloud
    resolution: int = 128
    distance: Callable[[Real], Real] | None = None
    reference_method: ClassVar[str] = "the nearest point of the cloud (KD-tree), signed by its normal"

    @cached_property
    def samples(self) -> int:
        """As many values as a surface is taken to hold, at most: it is no richer for being sampled more densely."""
        return min(RICHNESS, len(self.cloud.points))

    @cached_property
    def half(self) -> float:
        """Half the box's longest side."""
        return max(high - low for low, high in self.domain.bounds.values()) / 2

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """The distance to the nearest point, signed by its normal, on a grid.

        A grid twice as fine takes four times as many points, all of them on the finest one: three grids then show how
        the distance to a sampled surface converges to that to the surface. Raises ``NoReferenceError`` without normals.
        """
        if self.cloud.normals is None:
            raise NoReferenceError("A cloud without normals does not say which side is inside.")
        finest = 4 * max(Problem.cells(self).values())
        share = min(1.0, (max(cells.values()) / finest) ** 2)
        part = self.cloud.part(round(share * len(self.cloud.points)))
        grid = GridSolution({a: np.linspace(*self.domain.bounds[a], n + 1) for a, n in cells.items()}, {})
        return GridSolution(grid.coordinates, {"u": nearest(part, grid.nodes()).reshape(grid.shape)})

    def surface(self, solution: Solution, resolution: int | None = None) -> tuple[Real, Index]:
        """Vertices and faces of the solution's zero level, in the cloud's unit of length."""
        bounds = self.domain.bounds
        return extract(lambda grid: solution.on_grid(grid)["u"], bounds, resolution or self.resolution)

    def metrics(self, solution: Solution) -> dict[str, float]:
        """Chamfer and Hausdorff distance of the mesh to the cloud, how far the gradient's length is from 1, and the
        errors against the true distance where it is known; lengths in the cloud's unit."""
        p = self.domain.interior(PROBES, Sampler(torch.Generator().manual_seed(31)))
        u = solution.jet(p, ["x", "y", "z"])
        assert isinstance(u, Jet)
        found = {"mean | |grad u| - 1 |": float((u.grad.norm(dim=1) - 1).abs().mean())}
        value = u.value.double().cpu().numpy()
        if self.distance is not None:
            truth = self.distance(p.coordinates.double().numpy())
            error, close = np.abs(value - truth), np.abs(truth) <= NEAR * self.half
            found |= {
                "mean distance error": float(error.mean()),
                "mean distance error near the surface": float(error[close].mean()),
                "distance, relative L2": float(np.linalg.norm(error) / np.linalg.norm(truth)),
                "sign agreement": float(((value > 0) == (truth > 0)).mean()),
            }
        try:
            vertices, faces = self.surface(solution)
        except ProblemError:
            return found
        found |= compared(vertices, faces, self.cloud)
        return found | {"mesh is watertight": float(as_trimesh(vertices, faces).is_watertight)}

    def draw(self, solution: Solution, folder: Path) -> list[Path]:
        """Write the surface, ``mesh.ply``, and a picture of it beside a slice of the distance, ``shape.png``."""
        from .pictures import draw_shape

        try:
            vertices, faces = self.surface(solution)
        except ProblemError:
            return []
        write_mesh(folder / "mesh.ply", vertices, faces)
        draw_shape(folder / "shape.png", self, solution, vertices, faces)
        return [folder / "mesh.ply", folder / "shape.png"]


def distance_problem(
    cloud: Cloud, distance: Callable[[Real], Real] | None = None, resolution: int = 128, **weights: Any
) -> SignedDistance:
    """The problem of a cloud; the true ``distance`` is taken from its mesh unless given, ``weights`` go to
    ``distance_conditions``."""
    known = distance
    stated: dict[str, Any] = {
        "domain": Box(**cloud.bounds(MARGIN)),
        "conditions": distance_conditions(cloud, **weights),
        # The distance to a mesh takes too long on the grids of the files: the figures have it at fewer points.
        "exact": None if known is None else lambda p: torch.from_numpy(known(p.coordinates.double().cpu().numpy())),
    }
    if distance is None and cloud.mesh is not None:
        mesh = cloud.mesh
        distance = lambda x: mesh.level(torch.from_numpy(x)).numpy()  # noqa: E731
    return SignedDistance(**stated, cloud=cloud, resolution=resolution, distance=distance)


def distance_conditions(
    cloud: Cloud, eikonal: float = 50.0, value: float = 3000.0, normal: float = 100.0, off: float = 100.0,
    walls: float = 50.0, rays: float = 0.0, norm: Norm = 1,
) -> list[ConditionBase]:  # fmt: skip
    """The loss of Sitzmann et al. 2020 (arXiv 2006.09661, section 4.2), with the weights of its authors' code:
    the mean of ``50 | |grad u| - 1 | + 100 exp(-alpha |u|)`` in the box and of ``3000 |u| + 100 (1 - cos(grad u, n))``
    on the cloud, lengths in units of half the box's longest side, ``alpha`` = 100.

    One term is added, ``50 max(-du/dn, 0)`` on the box's sides: the distance to what lies inside grows outwards there,
    while the equation alone is as well satisfied by fields that fold back towards the corners. Without normals the term
    of the normals is left out; either sign of u is a solution then. ``rays`` weighs distances ``along_normals``, which
    tell such fields apart inside the box too. A weight of 0 leaves a term out. ``norm=2`` takes mean squares instead,
    of ``grad u - n`` on the cloud, which L-BFGS and Gauss-Newton minimize better.
    """
    half = max(high - low for low, high in cloud.bounds(MARGIN).values()) / 2

    def unit_slope(p: Points, u: Any) -> Tensor:
        return u.grad.norm(dim=1) - 1

    def nonzero(p: Points, u: Any) -> Tensor:
        return torch.exp(-SHARPNESS / half * u.value.abs())

    def aligned(p: Points, u: Any) -> Tensor:
        return 1 - cosine_similarity(u.grad, p.normal)

    def inwards(p: Points, u: Any) -> Tensor:
        return torch.relu(-u.normal_derivative)

    points = torch.from_numpy(cloud.points)
    stated: list[ConditionBase] = [Data(points, torch.zeros(len(points)), weight=value, norm=norm, size=half)]
    terms: list[tuple[Any, Any, float]] = [
        (unit_slope, "interior", eikonal), (nonzero, "interior", off), (inwards, None, walls)
    ]  # fmt: skip
    if cloud.normals is not None and normal and norm == 2:
        stated.append(Data(points, torch.from_numpy(cloud.normals), of="grad", weight=normal, size=1.0))
    elif cloud.normals is not None:
        terms.append((aligned, Points(("x", "y", "z"), points, torch.from_numpy(cloud.normals)), normal))
    if cloud.normals is not None and rays:
        where, far = map(torch.from_numpy, along_normals(cloud, cloud.bounds(MARGIN)))
        stated.append(Data(where, far, weight=rays, norm=norm, size=half))
    return stated + [Condition(r, on=on, weight=w, norm=norm, size=1.0) for r, on, w in terms if w]


def nearest(cloud: Cloud, x: Real) -> Real:
    """``(n, 3) -> (n,)``: the distance to the nearest point of a cloud, negative behind it."""
    assert cloud.normals is not None
    far, which = cKDTree(cloud.points).query(x)
    side = np.einsum("ij,ij->i", x - cloud.points[which], cloud.normals[which])
    return np.asarray(np.copysign(far, side))


def compared(vertices: Real, faces: Index, cloud: Cloud) -> dict[str, float]:
    """Chamfer and Hausdorff distance of a mesh to a cloud, between points drawn evenly on it and the cloud's.

    The Chamfer distance is the mean of both mean distances to the nearest point. Two samplings of one surface have
    about half their spacing.
    """
    drawn = from_surface(as_trimesh(vertices, faces), max(DRAWN, len(cloud.points))).points
    there, back = cKDTree(drawn).query(cloud.points)[0], cKDTree(cloud.points).query(drawn)[0]
    chamfer = float(there.mean() + back.mean()) / 2
    return {
        "Chamfer distance": chamfer,
        "Chamfer distance, % of the diagonal": 100 * chamfer / cloud.diagonal,
        "Hausdorff distance": float(max(there.max(), back.max())),
    }
