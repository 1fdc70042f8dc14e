"""Travel times on a box: factored fast marching from points, fast marching from a surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import eikonalfm
import numpy as np
import torch

from ..coefficients import Coefficient
from ..domains import Box
from ..errors import ProblemError
from ..points import Points
from .grid import GridSolution
from .lines import Grid, Real, space_dimensions, uniform
from .marching import march
from .stencil import positive


def solve_eikonal(
    domain: Box,
    *,
    velocity: Coefficient,
    source: Sequence[float] | Sequence[Sequence[float]] | None = None,
    surface: Any = None,
    cells: Mapping[str, int],
    output: str = "u",
) -> GridSolution:
    """Solve ``velocity |grad u| = 1`` on a box of 1 to 3 space axes: the first-arrival time from where u = 0.

    ``source``: one point (d floats) or a list of points, each solved in the factored form ``u = |x - s| tau(x)``, whose
    factor is smooth at the source, by second-order fast marching (Treister and Haber 2016,
    doi 10.1016/j.jcp.2016.08.012; package eikonalfm), then the earliest arrival. A source between nodes takes the
    multilinear interpolation of the factors from the 2^d nodes around it, which is second order too.

    ``surface``: (m, d) points where u = 0. Second-order fast marching without a factor, started from the straight-ray
    times of all nodes within three cells of a point. It is second order where the points are much denser than the
    grid; a lone point is a singular source, first order: give it as ``source``.

    Paths stay in the box: where the fastest one would leave it, the time is that of the fastest path inside.
    First arrivals have kinks where fronts meet; there, and where the velocity jumps, the order is one locally. In 1D
    the slowness is integrated (midpoint rule, second order).

    ``velocity`` > 0: a number or ``callable(Points) -> (n,)``. ``cells``: equal cells an axis.
    Returns ``values[output]`` of shape (cells + 1, ...). Raises ``ProblemError`` where the velocity is not positive and
    finite, points lie outside the box or have another shape, or not exactly one of source and surface is given.
    """
    space_dimensions(domain, "eikonal", time=False)
    if (source is None) == (surface is None):
        raise ProblemError("The eikonal equation needs source= or surface=, one of them.")
    places = _places(domain, source if surface is None else surface, "source" if surface is None else "surface")
    grid = uniform(domain, cells)
    if len(grid.lines) == 1:
        times = _integrate(grid, velocity, places)
    elif surface is not None:
        times = march(grid, positive(velocity, grid.points(), "velocity"), velocity, places)
    else:
        field = positive(velocity, grid.points(), "velocity").reshape(grid.shape)
        times = np.min([_from_point(grid, field, place) for place in places], axis=0)
    return GridSolution({line.name: line.nodes for line in grid.lines}, {output: times.reshape(grid.shape)})


def _places(domain: Box, given: Any, name: str) -> Real:
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
