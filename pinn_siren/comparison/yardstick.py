"""What errors are measured against: the exact solution, the best reference with its bar, or the data of a fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..conditions import Data, Raster
from ..domains import Sampler
from ..problem import Problem
from ..reference import GridSolution
from ..solution import CHUNK, Solution
from ..system import System
from ..validation import exact_inside, own_grid, relative_l2, verdict
from .grids import Level, bar_of, extrapolations, picked

HIGHEST_ORDER = 4.0
"""The order that an extrapolation of second-order grids has at most."""
UNKNOWN = math.nan
MOST = 2**20
"""Values of one condition that a misfit is taken over at most."""


class Yardstick(Protocol):
    """``error_of`` is the relative L2 error of a solution, NaN where it cannot be known; ``bar``: the truth's own."""

    @property
    def against(self) -> str:
        """``"exact"``, ``"reference"``, ``"data"`` or ``"none"``."""

    @property
    def bar(self) -> float:
        """The relative L2 error that the truth may have itself."""

    @property
    def described(self) -> str:
        """In words, as in "errors against ..."."""

    def error_of(self, solution: Solution) -> float:
        """The relative error of a network."""

    def grid_error(self, level: GridSolution) -> float:
        """The relative error of a solution on a grid."""


@dataclass(frozen=True, eq=False)
class Exact:
    """The exact solution: networks on a grid of ``own_grid``'s, grids on their own nodes."""

    problem: Problem
    against: str = "exact"
    bar: float = 0.0
    described: str = "the exact solution"

    @cached_property
    def truth(self) -> GridSolution:
        """The exact solution on the grid that networks are compared on."""
        grid = own_grid(self.problem.physical_domain)
        return replace(grid, values=_bare(exact_inside(self.problem, grid)))

    def error_of(self, solution: Solution) -> float:
        """On the grid of ``truth``."""
        return worst(solution.on_grid(self.truth.coordinates), self.truth.values, self.truth.quadrature())

    def grid_error(self, level: GridSolution) -> float:
        """On the grid's own nodes."""
        return worst(level.values, _bare(exact_inside(self.problem, level)), level.quadrature())


@dataclass(frozen=True, eq=False)
class Best:
    """A reference of the smallest bar: the finest grid, or the finest extrapolation, which has a bar of its own."""

    truth: GridSolution
    bar: float
    described: str
    against: str = "reference"

    def error_of(self, solution: Solution) -> float:
        """On the reference's nodes."""
        return worst(solution.on_grid(self.truth.coordinates), self.truth.values, self.truth.quadrature())

    def grid_error(self, level: GridSolution) -> float:
        """On the nodes that both grids have, those of the coarser one."""
        coarse = min(level, self.truth, key=lambda grid: math.prod(grid.shape))
        mine, theirs = picked(level, coarse), picked(self.truth, coarse)
        return worst(mine, theirs, coarse.quadrature())


@dataclass(frozen=True, eq=False)
class Misfit:
    """The data of a fit: ``|u - measured| / |measured|`` over all of them."""

    problem: Problem
    against: str = "data"
    bar: float = 0.0
    described: str = "the data that are fitted"

    @torch.no_grad()
    def error_of(self, solution: Solution) -> float:
        """Over all data, those of gradients and Laplacians too; of very many, over as many as ``MOST`` at random."""
        model, system = solution.model, System(self.problem)
        like, missed, size = model.center, 0.0, 0.0
        for condition in self.problem.conditions:
            if not isinstance(condition, Data | Raster):
                continue
            sampler = Sampler(torch.Generator(like.device).manual_seed(0), like.dtype)
            for c in condition.constraints(self.problem):
                system.asked.setdefault(c.name, frozenset())
                (points,) = c.sample(min(MOST, condition.count), sampler)
                for start in range(0, len(points), CHUNK):
                    part = points[slice(start, start + CHUNK)]
                    missed += sum(float(r.abs().square().sum()) for r in system.parts(c, [part], model))
                    size += 0.0 if part.attached is None else float(part.attached.abs().square().sum())
        return math.sqrt(missed / size) if size else UNKNOWN

    def grid_error(self, level: GridSolution) -> float:
        """Data need not lie on nodes."""
        return UNKNOWN


@dataclass(frozen=True)
class Unknown:
    """Neither exact solution nor reference: no error can be known."""

    against: str = "none"
    bar: float = 0.0
    described: str = "nothing: there is neither an exact solution nor a reference, and no error is known"

    def error_of(self, solution: Solution) -> float:
        """Not known."""
        return UNKNOWN

    def grid_error(self, level: GridSolution) -> float:
        """Not known."""
        return UNKNOWN


def choose_yardstick(problem: Problem, levels: Sequence[Level]) -> Yardstick:
    """What to measure against: the exact solution where there is one, else the best of the grids, else data."""
    if problem.exact is not None:
        return Exact(problem)
    best = best_reference(levels)
    if best is not None:
        return best
    return Misfit(problem) if problem.is_fit else Unknown()


def best_reference(levels: Sequence[Level]) -> Best | None:
    """The finest grid, or the finest extrapolation where its own bar is smaller; None where neither has a bar."""
    found = []
    if len(levels) > 2:
        found.append((bar_of(levels)[1], levels[-1].solution, "the finest grid"))
    further = extrapolations(levels)
    if len(further) > 2:
        bar = bar_of(further, HIGHEST_ORDER)[1]
        found.append((bar, further[-1].solution, "Richardson's extrapolation of the finest grids"))
    known = [(error, grid, name) for error, grid, name in found if error is not None]
    if not known:
        return None
    least, grid, name = min(known, key=lambda one: one[0])
    return Best(grid, least, f"{name} of finite differences, whose own error is about {least:.1e}")


def judgement(stick: Yardstick, error: float, tolerance: float) -> str:
    """The verdict on one error."""
    if stick.against == "reference":
        return verdict(None, error, stick.bar, tolerance)
    return verdict(None if math.isnan(error) else error, None, None, tolerance)


def worst(fields: Mapping[str, Any], truth: Mapping[str, Any], weights: NDArray[np.float64]) -> float:
    """The largest relative L2 error of all outputs."""
    errors = [relative_l2(fields[name], truth[name], weights) for name in truth]
    return max((e for e in errors if e is not None), default=UNKNOWN)


def _bare(exact: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removesuffix("_exact"): values for name, values in exact.items()}
