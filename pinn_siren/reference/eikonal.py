"""Travel times: factored fast marching from points and surfaces, around obstacles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import eikonalfm
import numpy as np
import torch
from scipy.spatial import KDTree

from ..coefficients import Coefficient
from ..domains import Box, Domain
from ..errors import ProblemError
from ..points import Points
from .grid import GridSolution
from .lines import Grid, Real, space_dimensions, uniform
from .marching import march
from .nearest import Boundary
from .stencil import positive


def solve_eikonal(
    domain: Domain,
    *,
    velocity: Coefficient,
    source: Sequence[float] | Sequence[Sequence[float]] | None = None,
    surface: Any = None,
    cells: Mapping[str, int],
    output: str = "u",
) -> GridSolution:
    """Solve ``velocity |grad u| = 1`` over 1 to 3 space axes: the first-arrival time from where u = 0.

    ``source``: one point (d floats) or a list of points, the earliest arrival over all. ``surface``: (m, d) points
    where u = 0, or a domain: its boundary, as far as it lies in ``domain``.

    All are solved in the factored form ``u = D tau``, D the distance to the source or surface, by fast marching of
    second order. On a box with point sources tau is smooth there (Treister and Haber 2016,
    doi 10.1016/j.jcp.2016.08.012; package eikonalfm); a source between nodes takes the multilinear interpolation of
    the factors from the 2^d nodes around it, which is second order too. For a surface see ``march``; where the velocity
    is constant, its times are as exact as D.

    On another domain than a box, paths stay inside: obstacles constrain the state (Soner 1986, doi 10.1137/0324032;
    Capuzzo-Dolcetta and Lions 1990, doi 10.1090/S0002-9947-1990-0951880-0), see ``medium``. The order is then about
    1.3 behind curved obstacles, which tangents leave with an unbounded curvature of the field, and 1 behind corners.

    First arrivals have kinks where fronts meet; there, and where the velocity jumps, the order is one locally. On a box
    in 1D the slowness is integrated (midpoint rule, second order).

    ``velocity`` > 0: a number or ``callable(Points) -> (n,)``. ``cells``: equal cells an axis of the box around the
    domain. Returns ``values[output]`` of shape (cells + 1, ...), NaN outside the domain and where no path on the grid
    leads. Raises ``ProblemError`` where the velocity is not positive and finite, points lie outside the domain or have
    another shape, or not exactly one of source and surface is given.
    """
    box = Box(**domain.bounds)
    space_dimensions(box, "eikonal", time=False)
    if (source is None) == (surface is None):
        raise ProblemError("The eikonal equation needs source= or surface=, one of them.")
    grid = uniform(box, cells)
    if isinstance(surface, Domain):
        times = march(grid, domain, velocity, _feet(grid, domain, surface))
    else:
        places = _places(domain, source if surface is None else surface, "source" if surface is None else "surface")
        times = _from_points(grid, domain, velocity, places, apart=surface is None)
    times = np.where(np.isfinite(times), times, np.nan)
    return GridSolution({line.name: line.nodes for line in grid.lines}, {output: times.reshape(grid.shape)})


def _feet(grid: Grid, domain: Domain, surface: Domain) -> Real:
    """(size, d): the nearest points of a domain's boundary."""
    if surface.axes != domain.axes:
        raise ProblemError(f"surface {surface} must have the axes {', '.join(domain.axes)} of {domain}.")
    boundary = Boundary(surface, min(float(line.steps[0]) for line in grid.lines), within=domain)
    if not len(boundary.samples):
        raise ProblemError(f"The boundary of the surface {surface} lies outside {domain}.")
    return boundary.feet(grid.points().coordinates.numpy())[0]


def _from_points(grid: Grid, domain: Domain, velocity: Coefficient, places: Real, apart: bool) -> Real:
    """(size,): the earliest arrival; from sources that lie ``apart``, each solved alone."""
    nodes = grid.points().coordinates
    if isinstance(domain, Box) and len(grid.lines) == 1:
        return _integrate(grid, velocity, places)
    if not apart:
        return march(grid, domain, velocity, places[KDTree(places).query(nodes.numpy())[1]])
    if isinstance(domain, Box):
        field = positive(velocity, grid.points(), "velocity").reshape(grid.shape)
        return np.asarray(np.min([_from_point(grid, field, place) for place in places], axis=0)).ravel()
    found = [march(grid, domain, velocity, np.broadcast_to(place, nodes.shape)) for place in places]
    return np.asarray(np.min(found, axis=0))


def _places(domain: Domain, given: Any, name: str) -> Real:
    """(m, d): the given points. Raises ``ProblemError`` for another shape, or points outside."""
    dimensions = len(domain.axes)
    tensor = given.detach().cpu() if isinstance(given, torch.Tensor) else given
    try:
        places = np.asarray(tensor, dtype=np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"{name} must be points of {dimensions} numbers, got {given!r}.") from None
    if places.ndim < 2:
        places = places.reshape(1, -1)
    if places.ndim != 2 or places.shape[1] != dimensions or not len(places):
        raise ProblemError(f"{name} must be points of {dimensions} numbers in {domain}, got shape {places.shape}.")
    inside = domain.contains(torch.from_numpy(places)).numpy()
    if not inside.all():
        raise ProblemError(f"{name} {tuple(places[~inside][0].tolist())} lies outside {domain}.")
    return places


def _from_point(grid: Grid, velocity: Real, place: Real) -> Real:
    """Travel times from one point: its distance times the factor, interpolated over the nodes around it."""
    steps = [float(line.steps[0]) for line in grid.lines]
    shifts = [(p - line.nodes[0]) / h for p, line, h in zip(place, grid.lines, steps, strict=True)]
    # A source within rounding of a node is that node.
    shifts = [float(np.rint(s)) if abs(s - np.rint(s)) < 1e-9 else float(s) for s in shifts]
    lows = [min(int(s), size - 2) for s, size in zip(shifts, grid.shape, strict=True)]
    factor = np.zeros(grid.shape)
    for corner in product((0, 1), repeat=len(lows)):
        share = np.prod([s - low if up else 1 - (s - low) for s, low, up in zip(shifts, lows, corner, strict=True)])
        if share:
            node = [low + up for low, up in zip(lows, corner, strict=True)]
            factor += share * eikonalfm.factored_fast_marching(velocity, node, steps, 2)
    offsets = np.meshgrid(*(w.nodes - p for w, p in zip(grid.lines, place, strict=True)), indexing="ij")
    return np.sqrt(sum(o**2 for o in offsets)) * factor


def _integrate(grid: Grid, velocity: Coefficient, places: Real) -> Real:
    """1D: the absolute integral of the slowness from the nearest point in time, by the midpoint rule."""
    line = grid.lines[0]

    def slowness(at: Real) -> Real:
        return 1 / positive(velocity, Points(grid.axes, torch.from_numpy(at.reshape(-1, 1))), "velocity")

    sums = np.concatenate([[0.0], np.cumsum(line.steps * slowness(line.middles))])
    sites = np.clip(places[:, 0], line.nodes[0], line.nodes[-1])
    left = np.clip(np.searchsorted(line.nodes, sites, side="right") - 1, 0, len(line.steps) - 1)
    starts = sums[left] + (sites - line.nodes[left]) * slowness((sites + line.nodes[left]) / 2)
    right = line.nodes[left + 1] - sites
    ends = sums[left + 1] - right * slowness((sites + line.nodes[left + 1]) / 2)
    towards_right = np.abs(sums[None, :] - ends[:, None])
    towards_left = np.abs(sums[None, :] - starts[:, None])
    times: Real = np.where(np.arange(len(sums)) > left[:, None], towards_right, towards_left).min(axis=0)
    return times
