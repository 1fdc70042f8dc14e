"""Frozen features for a problem: one layer over the domain, or patches of them."""

from __future__ import annotations

import math
import time

from .bandwidth import Found, Search
from .patches import FoundPatches, Patches, needs_patches, search_patches, search_patches_many
from .trainer import Trainer, Watch


def find_frozen(
    trainer: Trainer, tolerance: float, deadline: float, watch: Watch | None, wanted: Patches | None = None
) -> Found | FoundPatches:
    """One layer, and patches where that would be too large or did not do; the better by its own estimate.

    The trainer's seconds grow by what all of it took. ``wanted``: patches alone, as stated. Raises ``ResidualError``
    where no residual is finite, and ``NotCoveredError`` where patches are wanted that do not cover the problem.
    """
    started, before = time.perf_counter(), trainer.seconds
    problem, scales, seed = trainer.problem, trainer.scales, trainer.seed

    def one_layer() -> Found:
        search = Search(problem, scales, tolerance, seed, deadline)
        layer = search.run()
        if watch is not None:
            _show(search, before, watch)
        return layer

    if wanted is not None:
        (stated,) = search_patches_many([problem], [scales], tolerance, seed, deadline, wanted)
        trainer.seconds = before + time.perf_counter() - started
        return stated
    found: list[Found | FoundPatches] = [] if needs_patches(problem, scales) else [one_layer()]
    if not found or found[0].end not in ("tolerance", "rounding", "interrupted"):
        patches = search_patches(problem, scales, tolerance, seed, deadline)
        found += [patches] if patches is not None else []
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
