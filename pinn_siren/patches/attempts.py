"""Solves on patches, and what they tell together of each problem's error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .decomposition import Decomposition
from .solver import Solved

CAUTION, WORSE = 2.0, 3.0
LEAST_RATIO, ROUGH_RATIO = 0.03, 1.5
ALONE, UNSURE, COARSE = 0.3, 3.0, 1e-3
"""The error estimate: twice the misfit times the largest ratio of error to misfit of attempts that are three times
worse, which is not taken below the least, times the amplification (measured: 0.002 to 0.03 of it, and 1 to 3 where no
patch resolves a kink of the medium); of one attempt alone, ``ALONE`` times misfit and amplification, and at least
``UNSURE`` misfits where it is coarse or a kink is not resolved (measured: to 0.2, and to 0.4 of coarse ones)."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """One solve of the problems of the numbers ``sources``, a column each.

    ``misfits`` ``(k,)``: residual and jumps at fresh points, in units of the field; ``values`` ``(n, k)``: the fields
    at points inside; ``by_interval``: the largest misfit of the patches of each interval, an axis each; ``at``: when.
    """

    sources: tuple[int, ...]
    decomposition: Decomposition
    size: str
    solved: Solved
    misfits: Tensor
    values: Tensor
    by_interval: dict[str, Tensor]
    at: float

    def misfit(self, source: int) -> float:
        """That of one problem."""
        return float(self.misfits[self.sources.index(source)])

    def field(self, source: int) -> Tensor:
        """``(n,)``: the values of one problem."""
        return self.values[:, self.sources.index(source)]


def best_of(attempts: Sequence[Attempt], source: int) -> Attempt:
    """The attempt of the smallest misfit of a problem."""
    return min((a for a in attempts if source in a.sources), key=lambda a: a.misfit(source))


def estimated(attempts: Sequence[Attempt], source: int, rough: bool) -> float:
    """An estimate of a problem's relative L2 error: the misfit times how much larger errors were on the way.

    Of the worse attempts the distance to the best one is known. Where others are about as good, the error is not
    below their distance; where none is clearly worse, as beside a corner of the medium, it is six times that.
    """
    best = best_of(attempts, source)
    misfit, values = best.misfit(source), best.field(source)
    if not math.isfinite(misfit):
        return math.inf
    amplification = best.solved.amplification
    least = max(ROUGH_RATIO if rough else 0.0, LEAST_RATIO * amplification)
    others = [a for a in attempts if a is not best and source in a.sources and a.misfit(source) < math.inf]
    if not others:
        return max(UNSURE if rough or misfit > COARSE else 0.0, ALONE * amplification) * misfit
    size = float(values.norm()) or 1.0
    apart = [(float((a.field(source) - values).norm()) / size, a.misfit(source)) for a in others]
    alike = max((distance for distance, other in apart if other < WORSE * misfit), default=0.0)
    ratios = [distance / other for distance, other in apart if other >= WORSE * misfit]
    if not ratios:
        return CAUTION * WORSE * alike
    return max(CAUTION * max(*ratios, least) * misfit, alike)


__all__ = ["Attempt", "best_of", "estimated"]
