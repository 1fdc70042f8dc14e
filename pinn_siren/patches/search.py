"""Patches for a problem, refined until the estimated error meets the tolerance: least squares with local features."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..ansatz.derive import BuiltIn
from ..build import build_model
from ..domains import Sampler
from ..errors import PinnSirenError
from ..jet import Jet, make_plan
from ..loop import End
from ..model import Model
from ..patchwork import Patchwork
from ..points import Points
from ..problem import Problem
from ..scales import Scales
from ..system import System
from .choose import choose
from .decomposition import Decomposition
from .linearized import NotCoveredError, expect_covered
from .solver import as_network, solve_patches
from .square import SIZES

FRESH = 8
"""Points in each patch at which the residual is looked at, and on each of its sides for the jumps."""
SEEN = 2000
CAUTION, WORSE, LEAST_RATIO = 2.0, 3.0, 0.3
"""The error estimate: twice the misfit times the largest ratio of error to misfit of attempts this much worse, which is
not taken below the least: residuals of the same size, but of longer waves, make larger errors."""
HALVED = 0.1
"""Intervals with at least this part of the largest residual are halved."""
MOST = 10_000
"""Patches at most."""
LARGEST, GAIN = "L", 1.5
"""Sizes grow up to the largest; an attempt that does not lower the misfit by this much has gained nothing."""
COARSER = 30.0
"""The patches that tell how errors follow from residuals are chosen for a tolerance this much larger."""
PER_AREA, LARGE = 1.7, 1200
"""Features of one layer for every squared radian of bandwidth, and how many of them patches are faster than."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """One solve: ``misfit``: residual and jumps at fresh points, in units of the field; ``values``: the field at points
    inside; ``by_interval``: the largest misfit of the patches of each interval, an axis each."""

    decomposition: Decomposition
    size: str
    network: Patchwork
    misfit: float
    values: Tensor
    by_interval: dict[str, Tensor]
    at: float


@dataclass(frozen=True, eq=False)
class Found:
    """The best attempt, an estimate of its relative L2 error, and why the search ended.

    ``points``: the number of nodes of every constraint; ``history``: a row an attempt, its loss the squared misfit.
    """

    network: Patchwork
    decomposition: Decomposition
    estimate: float
    end: End
    reason: str
    attempts: int
    seconds: float
    points: dict[str, int]
    history: dict[str, list[float]]


def search(problem: Problem, scales: Scales, tolerance: float, seed: int, deadline: float) -> Found | None:
    """Patches for a problem, or None where they do not cover it.

    They are chosen before anything is solved (``choose.choose``). A second solve with another size, or with halved
    intervals where the residual is largest, tells how errors follow from residuals; then the intervals are halved until
    the estimate is at most ``tolerance``, the ``deadline`` (of ``time.perf_counter``) has passed, or nothing is gained.
    ``exact`` is never looked at.
    """
    try:
        expect_covered(problem)
    except NotCoveredError:
        return None
    return Search(problem, scales, tolerance, seed, deadline).run()


def needs_patches(problem: Problem, scales: Scales) -> bool:
    """Whether one layer over the domain would be large, or has an absorbing layer to represent, where it stalls."""
    turns = math.prod(scales.wavenumber[a] * scales.half_width[a] for a in scales.wavenumber)
    return problem.layer is not None or (len(scales.wavenumber) == 2 and PER_AREA * turns > LARGE)


@dataclass
class Search:
    """Attempts with growing decompositions."""

    problem: Problem
    scales: Scales
    tolerance: float
    seed: int
    deadline: float
    attempts: list[Attempt] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        sampler = Sampler(torch.Generator().manual_seed(4711))
        self._started = time.perf_counter()
        self._system = System(self.problem)
        self._inside = self.problem.physical_domain.interior(SEEN, sampler)
        self._beside = {c.name: c.sample(SEEN, sampler) for c in self._system.constraints if not c.on_interior}

    def run(self) -> Found:
        """The best patches that were tried. Ctrl-C takes the best so far."""
        try:
            end = self._refine()
        except KeyboardInterrupt:
            if not self.attempts:
                raise
            end = "interrupted"
        return self._found(end)

    def _refine(self) -> End:
        first = choose(self.problem, self.tolerance)
        decomposition, size = first.decomposition, first.size
        self.attempt(decomposition, size)
        sizes = list(SIZES)
        coarser = choose(self.problem, COARSER * self.tolerance)
        if coarser.size == size and coarser.decomposition.shape == decomposition.shape:
            coarser = replace(first, size=sizes[max(1, sizes.index(size)) - (size != sizes[0])])
        self.attempt(coarser.decomposition, coarser.size)
        failures = 0
        while True:
            best = self.best
            if self.estimate(best) <= self.tolerance:
                return "tolerance"
            if time.perf_counter() > self.deadline:
                return "budget"
            if failures == 2:
                return "stalled"
            # Richer patches first; where these gain nothing, the field is not smooth, and smaller ones are needed.
            if best.size != LARGEST and not failures:
                size, decomposition = sizes[sizes.index(best.size) + 1], best.decomposition
            else:
                size, decomposition = best.size, self._halved(best)
                if math.prod(decomposition.shape) > MOST:
                    return "size"
            made = self.attempt(decomposition, size)
            failures = 0 if made.misfit < best.misfit / GAIN else failures + 1

    def _halved(self, best: Attempt) -> Decomposition:
        top = max(float(m.max()) for m in best.by_interval.values())
        cut = {a: torch.nonzero(m >= HALVED * top)[:, 0].tolist() for a, m in best.by_interval.items()}
        return best.decomposition.halved(cut)

    def attempt(self, decomposition: Decomposition, size: str) -> Attempt:
        """Solve on one decomposition."""
        solved = solve_patches(self.problem, decomposition, size, self.seed)
        network = as_network(solved, self.problem, self.scales.amplitude)
        model = build_model(self.problem, self.scales, network, torch.float64, self.seed, BuiltIn(None))
        with torch.no_grad():
            values = model(self._inside)
            misfit, by_interval = self._judge(model, network, decomposition, values)
        made = Attempt(decomposition, size, network, misfit, values, by_interval, time.perf_counter() - self._started)
        self.attempts.append(made)
        return made

    def _judge(
        self, model: Model, network: Patchwork, decomposition: Decomposition, values: Tensor
    ) -> tuple[float, dict[str, Tensor]]:
        """Residual and jumps at fresh points, whole and by intervals.

        The equation counts as the field that answers it within a patch: its residual times the squared half-width over
        the second coefficients' size; jumps and values at the sides count as they are.
        """
        generator = torch.Generator().manual_seed(4712)
        center, half = decomposition.centers(), decomposition.half_widths()
        draw = 2 * torch.rand(len(center), FRESH, 2, generator=generator, dtype=torch.float64) - 1
        axes = self.problem.domain.axes
        p = Points(axes, (center[:, None] + half[:, None] * draw).reshape(-1, 2))
        equation = self._system.constraints[0]
        (part,) = self._system.parts(equation, [p], model)
        unit = self.scales.residual[equation.name][0] / max(self.scales.wavenumber.values()) ** 2
        inside = (part.abs().square().reshape(-1, FRESH).mean(1)).sqrt() * half.amin(1) ** 2 / unit
        jumps = self._jumps(network, decomposition, generator)
        local = (inside**2 + jumps**2) * half.prod(1) / half.prod(1).sum()
        beside = sum(
            float(c.square(r)) / self.scales.residual[c.name][0] ** 2
            for c in self._system.constraints[1:]
            for r in self._system.parts(c, self._beside[c.name], model)
        )
        size = float(values.abs().square().mean().sqrt())
        total = math.sqrt(float(local.sum()) + beside)
        misfit = total / size if size else math.inf if total else 0.0
        grid = local.sqrt().reshape(decomposition.shape)
        by_interval = dict(zip(axes, (grid.amax(1), grid.amax(0)), strict=True))
        return (misfit if math.isfinite(misfit) else math.inf), by_interval

    def _jumps(self, network: Patchwork, decomposition: Decomposition, generator: torch.Generator) -> Tensor:
        """``(patches,)``: the root mean square jump of the field, and of its slope times the half-width, over the sides
        that a patch shares with the next."""
        count = decomposition.shape
        number = torch.arange(math.prod(count)).reshape(count)
        square = torch.zeros(math.prod(count), dtype=torch.float64)
        lines = network.lines
        for axis in (0, 1):
            if count[axis] == 1:
                continue
            first = (number[:-1] if axis == 0 else number[:, :-1]).flatten()
            second = (number[1:] if axis == 0 else number[:, 1:]).flatten()
            share = torch.rand(len(first), FRESH, generator=generator, dtype=torch.float64)
            along = first % count[1] if axis == 0 else first // count[1]
            across = first // count[1] if axis == 0 else first % count[1]
            other = lines[1 - axis]
            free = torch.lerp(other[along, None], other[along + 1, None], share).flatten()
            fixed = lines[axis][across + 1].repeat_interleave(FRESH)
            x = torch.stack([fixed, free] if axis == 0 else [free, fixed], dim=1)
            u = _with_slopes(x, self.problem.domain.axes)
            jump = (
                network.at(u, first.repeat_interleave(FRESH)).channels
                - network.at(u, second.repeat_interleave(FRESH)).channels
            )
            across = (lines[axis][across + 1] - lines[axis][across]).repeat_interleave(FRESH)[:, None]
            parts = jump[0].square() + (across / 2 * jump[1 + axis]).square()
            square[first] += parts.sum(1).reshape(-1, FRESH).mean(1)
        return square.sqrt() * self.scales.amplitude

    @property
    def best(self) -> Attempt:
        """The attempt of the smallest misfit."""
        return min(self.attempts, key=lambda a: a.misfit)

    def estimate(self, best: Attempt) -> float:
        """An estimate of the relative L2 error: the misfit times how much larger errors were on the way.

        Of the worse attempts the distance to the best one is known. Where none is clearly worse, as beside a corner of
        the medium, it is six times their largest distance; infinite with one attempt.
        """
        size = float(best.values.norm())
        others = [a for a in self.attempts if a is not best and a.misfit < math.inf]
        worse = [a for a in others if WORSE * best.misfit <= a.misfit]
        if not others or not math.isfinite(best.misfit) or not size:
            return 0.0 if best.misfit == 0 else math.inf
        apart = {id(a): float((a.values - best.values).norm()) / size for a in others}
        if not worse:
            return CAUTION * WORSE * max(apart.values())
        ratio = max(apart[id(a)] / a.misfit for a in worse)
        return CAUTION * max(ratio, LEAST_RATIO) * best.misfit

    def _found(self, end: End) -> Found:
        best = self.best
        if not math.isfinite(best.misfit):
            raise PinnSirenError("No solution on patches had a finite residual.")
        error = self.estimate(best)
        said = {
            "tolerance": "the tolerance is met",
            "size": f"more than {MOST} patches would be needed",
            "budget": "the time is spent",
            "stalled": "smaller patches gain little",
            "interrupted": "interrupted, the best patches kept",
        }[end]
        size = SIZES[best.size]
        count = math.prod(best.decomposition.shape)
        history = {
            "step": [float(i + 1) for i in range(len(self.attempts))],
            "seconds": [a.at for a in self.attempts],
            "loss": [a.misfit**2 for a in self.attempts],
        }
        points = {self._system.constraints[0].name: count * size.nodes**2}
        around = 2 * sum(best.decomposition.shape) * size.edge
        points |= {c.name: around // max(1, len(self._beside)) for c in self._system.constraints[1:]}
        return Found(
            best.network, best.decomposition, error, end,
            f"{best.decomposition} of {size.width} sine features, {said}, estimated error {error:.1e}",
            len(self.attempts), time.perf_counter() - self._started, points, history,
        )  # fmt: skip


def _with_slopes(x: Tensor, axes: tuple[str, ...]) -> Jet:
    """Coordinates of a network with their first derivatives."""
    plan = make_plan(axes, frozenset(axes))
    channels = torch.cat([x[None], torch.eye(2, dtype=x.dtype)[:, None].expand(-1, len(x), -1)])
    return Jet(channels, plan, Points(axes, x))


__all__ = ["Found", "Search", "needs_patches", "search"]
