"""Refine until rounding, or until the budget would not hold the next solve."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ROUNDING, GROWTH = 1e-13, 1.5


@dataclass(frozen=True)
class Solved:
    """A field to evaluate at ``(n, d)`` points, or the error at the method's own nodes; unknowns; what to say."""

    field: Callable[[Array], Array] | None
    unknowns: int
    note: str
    error: float | None = None


def refine(race: Any, sizes: Iterable[Any], solve: Callable[[Any], Solved], growth: float = GROWTH) -> None:
    """One entry a size: the seconds of *that* solve alone and its error, as if the right size had been known.

    That flatters the classical method: ours counts the whole search for size and bandwidth. ``growth``: how much longer
    the next solve takes at least.
    """
    race.start()
    worse = 0
    for size in sizes:
        began = time.perf_counter()
        solved = solve(size)
        seconds = time.perf_counter() - began
        error = race.error(solved.field(race.points)) if solved.field is not None else solved.error
        best = min((e for _, e in race.run.curve), default=np.inf)
        race.note(seconds, error, solved.unknowns, solved.note)
        worse = worse + 1 if error > best / 2 else 0
        if error < ROUNDING or (worse >= 3 and best < 1e-6) or race.left() < growth * seconds:
            break
