"""Frozen features for a problem: one layer over the domain, patches of them, or slabs in time."""

from __future__ import annotations

import math
import time
from functools import partial

import torch

from .ansatz.derive import BuiltIn
from .bandwidth import Found, Search
from .build import build_model
from .exterior import Outgoing
from .optimizers.corners import Corners, find_corners
from .optimizers.features import sine_features
from .patches import Patches, needs_patches, search_patches, search_patches_apart, search_patches_many
from .problem import Problem
from .scales import Scales
from .slabs import needs_slabs, search_slabs
from .system import System
from .trainer import Features, Trainer, Watch


def find_frozen(
    trainer: Trainer, tolerance: float, deadline: float, watch: Watch | None, wanted: Patches | None = None
) -> Features:
    """One layer, and patches or slabs where that would be too large or did not do; the better by its own estimate.

    Outgoing waves alone where a problem radiates into open space. Singular functions of the domain's corners stand
    beside the sines, at once where solutions are rough there for most data, else where one layer did not do without:
    smooth data leave convex corners smooth. The multipoles of round holes do at once. The trainer's seconds grow by
    what all of it took. ``wanted``: patches alone, as stated. Raises ``ResidualError`` where no residual is finite, and
    ``NotCoveredError`` where patches are wanted that do not cover the problem.
    """
    started, before = time.perf_counter(), trainer.seconds
    problem, scales, seed = trainer.problem, trainer.scales, trainer.seed

    def one_layer() -> Found:
        corners = corners_of(problem, scales, seed)
        search = Search(
            problem, scales, tolerance, seed, deadline,
            corners=corners and corners.needed, spare=corners and corners.spare, ranks=trainer.ranks,
        )  # fmt: skip
        layer = search.run()
        if watch is not None and trainer.ranks.first:
            _show(search, before, watch)
        return layer

    if wanted is not None:
        (stated,) = trainer.ranks.once(
            lambda: search_patches_many([problem], [scales], tolerance, seed, deadline, wanted)
        )
        trainer.seconds = before + time.perf_counter() - started
        return stated
    if problem.radiates:
        outgoing = trainer.ranks.once(Outgoing(problem, scales, tolerance, seed, deadline).run)
        trainer.seconds = before + time.perf_counter() - started
        return outgoing
    enough = ("tolerance", "rounding", "interrupted")
    found: list[Features] = []
    if not needs_patches(problem, scales) and not needs_slabs(problem, scales):
        found.append(one_layer())
    if not found or found[0].end not in enough:
        for local in (search_patches, search_patches_apart, search_slabs):
            cut = trainer.ranks.once(partial(local, problem, scales, tolerance, seed, deadline))
            found += [cut] if cut is not None else []
    if not found:
        found.append(one_layer())
    trainer.seconds = before + time.perf_counter() - started
    return min(found, key=lambda f: f.estimate)


def corners_of(problem: Problem, scales: Scales, seed: int = 0) -> Corners | None:
    """The corners and holes of a problem's domain whose singular functions are known; None where there are none."""
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    still = sine_features(2, dict.fromkeys(problem.domain.axes, 1.0), outputs, torch.Generator().manual_seed(0))
    model = build_model(problem, scales, still, torch.float64, seed, BuiltIn(problem.ansatz))
    return find_corners(problem, System(problem), model)


def _show(search: Search, before: float, watch: Watch) -> None:
    """The attempts of a search to who watches, each that was the best so far."""
    least = math.inf
    for attempt in search.attempts:
        if attempt.misfit < least:
            least = attempt.misfit
            watch(before + attempt.at, attempt.model)


__all__ = ["corners_of", "find_frozen"]
