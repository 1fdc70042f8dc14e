"""Frozen features for a problem: one layer over the domain, patches of them, or slabs in time."""

from __future__ import annotations

import math
import time

from .bandwidth import Found, Search
from .patches import FoundPatches, needs_patches, search_patches
from .slabs import FoundSlabs, needs_slabs, search_slabs
from .trainer import Trainer, Watch


def find_frozen(
    trainer: Trainer, tolerance: float, deadline: float, watch: Watch | None
) -> Found | FoundPatches | FoundSlabs:
    """One layer, and patches or slabs where that would be too large or did not do; the better by its own estimate.

    The trainer's seconds grow by what all of it took. Raises ``ResidualError`` where no residual is finite.
    """
    started, before = time.perf_counter(), trainer.seconds
    problem, scales, seed = trainer.problem, trainer.scales, trainer.seed

    def one_layer() -> Found:
        search = Search(problem, scales, tolerance, seed, deadline)
        layer = search.run()
        if watch is not None:
            _show(search, before, watch)
        return layer

    large = needs_patches(problem, scales) or needs_slabs(problem, scales)
    found: list[Found | FoundPatches | FoundSlabs] = [] if large else [one_layer()]
    if not found or found[0].end not in ("tolerance", "rounding", "interrupted"):
        for local in (search_patches, search_slabs):
            cut = local(problem, scales, tolerance, seed, deadline)
            found += [cut] if cut is not None else []
    if not found:
        found.append(one_layer())
    trainer.seconds = before + time.perf_counter() - started
    return min(found, key=lambda f: f.estimate)


def _show(search: Search, before: float, watch: Watch) -> None:
    """The attempts of a search to who watches, each that was the best so far."""
    least = math.inf
    for attempt in search.attempts:
        if attempt.misfit < least:
            least = attempt.misfit
            watch(before + attempt.at, attempt.model)


__all__ = ["find_frozen"]
