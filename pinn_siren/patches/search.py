"""Patches for a problem, refined until the estimated error meets the tolerance: least squares with local features."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..errors import PinnSirenError
from ..loop import End
from ..patchwork import Patchwork
from ..problem import Problem
from ..scales import Scales
from .attempts import Attempt, best_of, estimated
from .choose import LADDER, Choice, Profile, choose
from .decomposition import Decomposition, Patches
from .judge import Judge
from .linearized import NotCoveredError, expect_covered, expect_same_operator
from .solver import as_network, solve_covered
from .square import size_of

HALVED = 0.1
"""Intervals with at least this part of the largest residual are halved."""
MOST = 10_000
"""Patches at most."""
GAIN = 1.5
"""An attempt that does not lower the misfit by this much has gained nothing."""
LARGEST_STEP, SMALLEST_STEP = 1e-3, 0.3
"""The least and the largest factor to the next error that patches are chosen for."""
FINER = 3
"""Errors, ever smaller, that patches are chosen for until they are others than those tried."""
PER_AREA, LARGE = 1.7, 1200
"""Features of one layer for every squared radian of bandwidth, and how many of them patches are faster than."""


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

    They are chosen before anything is solved (``choose.choose``), or start as stated. Where residuals do not show that
    ``tolerance`` is met, they are chosen for smaller errors; then sizes grow, or the intervals with the largest
    residuals are halved, until the estimate is at most ``tolerance``, the ``deadline`` (of ``time.perf_counter``) has
    passed, or nothing is gained. ``exact`` is never looked at.
    """
    try:
        expect_covered(problem)
    except NotCoveredError:
        return None
    return Search([problem], [scales], tolerance, seed, deadline, patches or Patches()).run()[0]


def search_many(
    problems: Sequence[Problem], scales: Sequence[Scales], tolerance: float, seed: int, deadline: float,
    patches: Patches | None = None, together: bool = False,
) -> list[Found]:  # fmt: skip
    """One search for problems that differ in sources and boundary data alone, factored together.

    The patches resolve every source. Each problem has its own estimate, and the best attempt of its own: what meets the
    tolerance is left out of what is tried further; with ``together`` all have the same attempt. Raises
    ``NotCoveredError`` where patches do not cover them, or their operators differ.
    """
    expect_same_operator(problems)
    return Search(problems, scales, tolerance, seed, deadline, patches or Patches(), together).run()


def needs_patches(problem: Problem, scales: Scales) -> bool:
    """Whether one layer over the domain would be large, or has an absorbing layer to represent, where it stalls."""
    turns = math.prod(scales.wavenumber[a] * scales.half_width[a] for a in scales.wavenumber)
    return problem.layer is not None or (len(scales.wavenumber) == 2 and PER_AREA * turns > LARGE)


@dataclass
class Search:
    """Attempts with growing decompositions; ``together``: one of them is all problems'; ``open``: the problems that do
    not meet the tolerance yet."""

    problems: Sequence[Problem]
    scales: Sequence[Scales]
    tolerance: float
    seed: int
    deadline: float
    patches: Patches = field(default_factory=Patches)
    together: bool = False
    attempts: list[Attempt] = field(default_factory=list, init=False)
    open: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._started, self._rough = time.perf_counter(), True
        self._profile: Profile | None = None
        self.open = list(range(len(self.problems)))
        self._judge = Judge(self.problems, self.scales[0])

    def run(self) -> list[Found]:
        """The best patches that were tried, a network for every problem. Ctrl-C takes the best so far."""
        try:
            end = self._refine()
        except KeyboardInterrupt:
            if not self.attempts:
                raise
            end = "interrupted"
        return [
            self._found(source, end if source in self.open else "tolerance") for source in range(len(self.problems))
        ]

    def _refine(self) -> End:
        aim, failures = self.tolerance, 0
        first = self._choice(aim)
        self._rough = first.rough
        self.attempt(first.decomposition, first.size)
        while self.open:
            if time.perf_counter() > self.deadline:
                return "budget"
            if failures == 2:
                return "stalled"
            worst = max(self.open, key=self.estimate)
            best = best_of(self.attempts, worst)
            aim *= min(max(self.tolerance / self.estimate(worst), LARGEST_STEP), SMALLEST_STEP)
            decomposition, size = self._next(best, aim, failures)
            if math.prod(decomposition.shape) > MOST:
                return "size"
            made = self.attempt(decomposition, size)
            failures = 0 if made.misfit(worst) < best.misfit(worst) / GAIN else failures + 1
        return "tolerance"

    def _next(self, best: Attempt, aim: float, failures: int) -> tuple[Decomposition, str]:
        """What to try after attempts that do not do: patches for a smaller error, else richer or smaller ones.

        Where richer ones gain nothing, the field is not smooth, and smaller ones are needed.
        """
        sizes = LADDER[self.patches.basis]
        if self.patches.decomposition is None and not failures:
            tried = [(a.decomposition.shape, a.size) for a in self.attempts]
            for step in range(FINER):
                finer = self._choice(aim * SMALLEST_STEP**step)
                if (finer.decomposition.shape, finer.size) not in tried:
                    return finer.decomposition, finer.size
        if best.size != sizes[-1] and not failures:
            return best.decomposition, sizes[sizes.index(best.size) + 1]
        return _halved(best), best.size

    def _choice(self, aim: float) -> Choice:
        """The patches as stated, or chosen for an error."""
        stated = self.patches
        if stated.decomposition is not None:
            return Choice(stated.decomposition, LADDER[stated.basis][1])
        if self._profile is None or len(self._profile.problems) > len(self.open):
            self._profile = Profile([self.problems[i] for i in self.open])
        return choose(self.problems[0], aim, self._profile, stated.basis)

    def attempt(self, decomposition: Decomposition, size: str) -> Attempt:
        """Solve all open problems on one decomposition; those that meet the tolerance then are open no more."""
        problems = [self.problems[i] for i in self.open]
        if len(problems) < len(self._judge.problems):
            self._judge = Judge(problems, self.scales[0])
        solved = solve_covered(problems, decomposition, size, self.seed)
        network = as_network(solved, problems[0], source=None)
        values = self._judge.values(network)
        misfits, by_interval = self._judge(network, decomposition, values)
        made = Attempt(
            tuple(self.open), decomposition, size, solved, misfits, values, by_interval,
            time.perf_counter() - self._started,
        )  # fmt: skip
        self.attempts.append(made)
        left = [source for source in self.open if self.estimate(source) > self.tolerance]
        self.open = self.open if left and self.together else left
        return made

    def estimate(self, source: int) -> float:
        """An estimate of a problem's relative L2 error."""
        error, best, taken = estimated(self.attempts, source, self._rough), self._own(source), self._taken(source)
        if taken is best:
            return error
        size = float(best.field(source).norm()) or 1.0
        return error + float((taken.field(source) - best.field(source)).norm()) / size

    def _own(self, source: int) -> Attempt:
        return best_of(self.attempts, source)

    def _taken(self, source: int) -> Attempt:
        """The attempt that a problem's network is made of."""
        if not self.together:
            return self._own(source)
        return min(self.attempts, key=lambda a: float(a.misfits.max()))

    def _found(self, source: int, end: End) -> Found:
        best, error = self._taken(source), self.estimate(source)
        if not math.isfinite(best.misfit(source)):
            raise PinnSirenError("No solution on patches had a finite residual.")
        said = {
            "tolerance": "the tolerance is met",
            "size": f"more than {MOST} patches would be needed",
            "budget": "the time is spent",
            "stalled": "smaller patches gain little",
            "interrupted": "interrupted, the best patches kept",
        }[end]
        size, mine = size_of(best.size), [a for a in self.attempts if source in a.sources]
        count = math.prod(best.decomposition.shape)
        history = {
            "step": [float(i + 1) for i in range(len(mine))],
            "seconds": [a.at for a in mine],
            "loss": [a.misfit(source) ** 2 for a in mine],
        }
        points = {self._judge.equations[0].name: count * size.nodes**2}
        beside = self._judge.beside[0]
        points |= {c.name: 2 * sum(best.decomposition.shape) * size.edge // max(1, len(beside)) for c in beside}
        kind = "sine features" if size.basis == "sine" else "Chebyshev polynomials"
        reason = f"{best.decomposition} of {size.width} {kind}, {said}, estimated error {error:.1e}"
        amplitude, column = self.scales[source].amplitude, best.sources.index(source)
        network = as_network(best.solved, self.problems[source], amplitude, column)
        return Found(network, best.decomposition, error, end, reason, len(mine), mine[-1].at, points, history)


def _halved(best: Attempt) -> Decomposition:
    """The intervals of the largest misfits cut in the middle."""
    top = max(float(m.max()) for m in best.by_interval.values())
    cut = {a: torch.nonzero(m >= HALVED * top)[:, 0].tolist() for a, m in best.by_interval.items()}
    return best.decomposition.halved(cut)


__all__ = ["Found", "Search", "needs_patches", "search", "search_many"]
