"""Patches for a problem, refined until the estimated error meets the tolerance: least squares with local features."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import PinnSirenError
from ..loop import End
from ..patchwork import Patchwork
from ..problem import Problem
from ..scales import Scales
from .choose import LADDER, Choice, Profile, choose
from .decomposition import Decomposition, Patches
from .judge import Judge
from .linearized import NotCoveredError, expect_covered, expect_same_operator
from .solver import Solved, as_network, solve_patches
from .square import size_of

CAUTION, WORSE = 2.0, 3.0
LEAST_RATIO, ROUGH_RATIO, ALONE = 0.03, 1.5, 3.0
"""The error estimate: twice the misfit times the largest ratio of error to misfit of attempts that are three times
worse, which is not taken below the least (measured: 0.003 to 0.03, and 1 to 3 where no patch resolves a kink of the
medium); of one attempt alone, this many times its misfit."""
HALVED = 0.1
"""Intervals with at least this part of the largest residual are halved."""
MOST = 10_000
"""Patches at most."""
GAIN = 1.5
"""An attempt that does not lower the misfit by this much has gained nothing."""
COARSER = 30.0
"""The patches that tell how errors follow from residuals are chosen for a tolerance this much larger."""
PER_AREA, LARGE = 1.7, 1200
"""Features of one layer for every squared radian of bandwidth, and how many of them patches are faster than."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """One solve: ``misfit``: residual and jumps at fresh points, in units of the field, the largest of all sources;
    ``values``: the fields at points inside, ``(n, k)``; ``by_interval``: the largest misfit of the patches of each
    interval, an axis each."""

    decomposition: Decomposition
    size: str
    solved: Solved
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


def search(
    problem: Problem, scales: Scales, tolerance: float, seed: int, deadline: float, patches: Patches | None = None
) -> Found | None:
    """Patches for a problem, or None where they do not cover it.

    They are chosen before anything is solved (``choose.choose``), or start as stated. A second solve with other
    patches tells how errors follow from residuals, unless these are far below ``tolerance``. Sizes grow, then the
    intervals with the largest residuals are halved, until the estimate is at most ``tolerance``, the ``deadline`` (of
    ``time.perf_counter``) has passed, or nothing is gained. ``exact`` is never looked at.
    """
    try:
        expect_covered(problem)
    except NotCoveredError:
        return None
    return Search([problem], [scales], tolerance, seed, deadline, patches or Patches()).run()[0]


def search_many(
    problems: Sequence[Problem], scales: Sequence[Scales], tolerance: float, seed: int, deadline: float,
    patches: Patches | None = None,
) -> list[Found]:  # fmt: skip
    """One search for problems that differ in sources and boundary data alone, factored together.

    The patches resolve every source, and the estimate is that of the worst. Raises ``NotCoveredError`` where patches do
    not cover them, or their operators differ.
    """
    expect_same_operator(problems)
    return Search(problems, scales, tolerance, seed, deadline, patches or Patches()).run()


def needs_patches(problem: Problem, scales: Scales) -> bool:
    """Whether one layer over the domain would be large, or has an absorbing layer to represent, where it stalls."""
    turns = math.prod(scales.wavenumber[a] * scales.half_width[a] for a in scales.wavenumber)
    return problem.layer is not None or (len(scales.wavenumber) == 2 and PER_AREA * turns > LARGE)


@dataclass
class Search:
    """Attempts with growing decompositions."""

    problems: Sequence[Problem]
    scales: Sequence[Scales]
    tolerance: float
    seed: int
    deadline: float
    patches: Patches = field(default_factory=Patches)
    attempts: list[Attempt] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._started, self._rough = time.perf_counter(), True
        self._judge = Judge(self.problems, self.scales[0])

    def run(self) -> list[Found]:
        """The best patches that were tried, a network for every problem. Ctrl-C takes the best so far."""
        try:
            end = self._refine()
        except KeyboardInterrupt:
            if not self.attempts:
                raise
            end = "interrupted"
        return self._found(end)

    def _refine(self) -> End:
        first, coarser = self._first()
        self._rough = first.rough
        sizes = LADDER[self.patches.basis]
        decomposition, size = first.decomposition, first.size
        if self.estimate(self.attempt(decomposition, size)) <= self.tolerance:
            return "tolerance"
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
            if best.size != sizes[-1] and not failures:
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

    def _first(self) -> tuple[Choice, Choice]:
        """The patches to begin with, and others that tell how errors follow from residuals."""
        stated, sizes = self.patches, LADDER[self.patches.basis]
        if stated.decomposition is not None:
            return Choice(stated.decomposition, sizes[1]), Choice(stated.decomposition, sizes[0])
        profile = Profile(self.problems)
        aims = (self.tolerance, COARSER * self.tolerance)
        first, coarser = (choose(self.problems[0], aim, profile, stated.basis) for aim in aims)
        return first, coarser

    def attempt(self, decomposition: Decomposition, size: str) -> Attempt:
        """Solve on one decomposition."""
        solved = solve_patches(self.problems, decomposition, size, self.seed)
        network = as_network(solved, self.problems[0], source=None)
        values = self._judge.values(network)
        misfit, by_interval = self._judge(network, decomposition, values)
        made = Attempt(
            decomposition, size, solved, float(misfit.max()), values, by_interval, time.perf_counter() - self._started
        )
        self.attempts.append(made)
        return made

    @property
    def best(self) -> Attempt:
        """The attempt of the smallest misfit."""
        return min(self.attempts, key=lambda a: a.misfit)

    def estimate(self, best: Attempt) -> float:
        """An estimate of the largest relative L2 error: the misfit times how much larger errors were on the way.

        Of the worse attempts the distance to the best one is known. Where others are about as good, the error is not
        below their distance; where none is clearly worse, as beside a corner of the medium, it is six times that.
        """
        others = [a for a in self.attempts if a is not best and a.misfit < math.inf]
        if not math.isfinite(best.misfit):
            return math.inf
        least = ROUGH_RATIO if self._rough else LEAST_RATIO
        if not others:
            return max(ALONE, CAUTION * least) * best.misfit
        size = best.values.norm(dim=0)
        size = torch.where(size > 0, size, 1.0)
        apart = {id(a): float(((a.values - best.values).norm(dim=0) / size).max()) for a in others}
        worse = [a for a in others if WORSE * best.misfit <= a.misfit]
        alike = max((apart[id(a)] for a in others if a not in worse), default=0.0)
        if not worse:
            return CAUTION * WORSE * alike
        ratio = max(apart[id(a)] / a.misfit for a in worse)
        return max(CAUTION * max(ratio, least) * best.misfit, alike)

    def _found(self, end: End) -> list[Found]:
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
        size = size_of(best.size)
        count = math.prod(best.decomposition.shape)
        history = {
            "step": [float(i + 1) for i in range(len(self.attempts))],
            "seconds": [a.at for a in self.attempts],
            "loss": [a.misfit**2 for a in self.attempts],
        }
        points = {self._judge.equations[0].name: count * size.nodes**2}
        beside = self._judge.beside[0]
        points |= {c.name: 2 * sum(best.decomposition.shape) * size.edge // max(1, len(beside)) for c in beside}
        kind = "sine features" if size.basis == "sine" else "Chebyshev polynomials"
        reason = f"{best.decomposition} of {size.width} {kind}, {said}, estimated error {error:.1e}"
        seconds = time.perf_counter() - self._started
        return [
            Found(
                as_network(best.solved, problem, scales.amplitude, source), best.decomposition, error, end, reason,
                len(self.attempts), seconds, points, history,
            )
            for source, (problem, scales) in enumerate(zip(self.problems, self.scales, strict=True))
        ]  # fmt: skip


__all__ = ["Found", "Search", "needs_patches", "search", "search_many"]
