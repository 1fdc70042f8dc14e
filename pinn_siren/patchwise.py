"""Problems of one operator on patches that all of them share: one factorization for each size that is tried."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from .ansatz.derive import BuiltIn
from .build import build_model
from .patches import FoundPatches, by_operator, search_patches_many
from .problem import Problem
from .scales import Scales
from .solution import Provenance, Solution


def solve_on_patches(
    problems: Sequence[Problem], scales: Sequence[Scales], tolerance: float, seed: int, deadline: float, enough: float
) -> dict[int, Solution]:
    """Those that share their operator with another, by their numbers, solved on patches together.

    Sources and boundary data are columns of one right-hand side. Each has an estimate of its own, and is done at the
    size that meets ``tolerance``; those above both that and ``enough`` at the end are left out. Their seconds are an
    equal share. ``deadline``: of ``time.perf_counter``.
    """
    made: dict[int, Solution] = {}
    for group in by_operator(problems):
        if len(group) == 1:
            continue
        started = time.perf_counter()
        own = [scales[i] for i in group]
        found = search_patches_many([problems[i] for i in group], own, tolerance, seed, deadline)
        share = (time.perf_counter() - started) / len(group)
        for i, one in zip(group, found, strict=True):
            if one.estimate <= max(tolerance, enough):
                made[i] = _solution(problems[i], scales[i], one, len(group), tolerance, seed, share)
    return made


def _solution(
    problem: Problem, scales: Scales, found: FoundPatches, count: int, tolerance: float, seed: int, seconds: float
) -> Solution:
    model = build_model(problem, scales, found.network, torch.float64, seed, BuiltIn(problem.ansatz))
    provenance = Provenance(
        "LeastSquares", f"LeastSquares: patches shared by {count} problems, {found.reason}", tolerance, found.estimate,
        seconds, seed, "float64", "cpu", torch.get_num_threads(), sum(found.points.values()),
        interrupted=found.end == "interrupted",
    )  # fmt: skip
    return Solution(problem, model, provenance, {name: list(column) for name, column in found.history.items()})


__all__ = ["solve_on_patches"]
