"""solve(problem): plan the stages, run them, return a Solution."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from .ansatz.derive import Choice
from .balance import BalanceName
from .errors import ResidualError, UsageError, expect_positive
from .frozen import find_frozen
from .inversion import Inversion
from .optimizers import GaussNewton, LongWaves
from .patches import Decomposition, Patches
from .plan import PATCHED, SEARCH_SECONDS, TRAINED, TRAINING, make_stages, precision, squares_alone
from .precision import ieee
from .problem import Problem
from .resampling import ResamplingName
from .shallow import train_shallow, waves_suffice
from .solution import Solution
from .trainer import Features, Trainer, Watch


@ieee()
def solve(
    problem: Problem,
    *,
    method: str = "auto",
    tolerance: float = 1e-6,
    network: nn.Module | None = None,
    points: int | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    budget: float | None = None,
    steps: int | None = None,
    conditions: Choice = "auto",
    progress: bool = True,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    balance: BalanceName | None = None,
    causal: bool = False,
    resampling: ResamplingName = "uniform",
    compile: bool = False,
    watch: Watch | None = None,
    patches: Patches | Decomposition | None = None,
) -> Solution:
    """Solve a problem with a network, a ``Siren`` unless given.

    ``method``: ``"auto"``, ``"least-squares"``, ``"patches"``, ``"chebyshev"``, ``"gauss-newton"``, ``"lbfgs"`` or
    ``"adam"`` (``plan.make_stages``); ``patches``: the rectangles that a box is cut into to begin with, and their
    basis, instead of those that are chosen;
    ``tolerance``: the relative L2 error to aim at, judged by the residuals at fresh points; ``budget``: seconds, none
    unless given; ``steps``: of the last stage at most; ``dtype``: float64, and float32 for a fit of very many values,
    unless given;
    ``checkpoint``: a file that the run is kept in every 20 seconds; ``resume``: go on from it, bit for bit on the same
    device and thread count; ``watch``: ``(seconds, model)``, called at every record of the training, and for every
    better attempt of the search once that has ended; the others, ``conditions``, ``balance``, ``causal``,
    ``resampling`` and ``compile`` among them, as for ``Trainer``. ``exact`` never steers the solve: removing it leaves
    the weights bit for bit the same.

    Raises ``ProblemError`` for a wrong statement, ``UsageError`` for arguments that cannot be.
    """
    expect_positive("tolerance", tolerance)
    if budget is not None:
        expect_positive("budget, in seconds,", budget)
    started = time.perf_counter()
    plain = (network, points) == (None, None) and dtype in (None, torch.float64) and conditions == "auto"
    training = not plain or bool(balance) or causal or resampling != "uniform"
    wanted = _wanted(method, patches)
    method = "patches" if wanted is not None and method not in PATCHED else method
    if isinstance(problem, Problem) and problem.radiates:
        if method not in ("auto", "least-squares"):
            raise UsageError(f"Radiating() is met by outgoing waves alone, not by {method}: leave out method=.")
        method = "least-squares"
    # What is no problem is refused by the trainer, in its own words.
    signal = isinstance(problem, Problem) and problem.is_signal
    plan = make_stages(
        method, steps, training, own=network is not None, placed=points is not None, signal=signal,
        derivatives=signal and problem.of_derivatives, rate=problem.learning_rate if signal else None,
        squares=isinstance(problem, Problem) and squares_alone(problem),
    )  # fmt: skip
    second_order = any(isinstance(stage, GaussNewton) for stage in plan.stages)
    dtype = dtype or (torch.float64 if plan.frozen else precision(signal))
    if plan.frozen and not plan.stages and (training or steps is not None):
        raise UsageError(
            "least-squares takes its own network, points and form of conditions, in float64: leave out network=, "
            "points=, steps=, dtype=, conditions= and the training options, or use another method."
        )
    trainer = Trainer(
        problem, network, device=device, dtype=dtype, seed=seed, points=points, conditions=conditions,
        progress=progress, checkpoint=None if checkpoint is None else Path(checkpoint),
        balance=balance, causal=causal, resampling=resampling, folded=second_order, watch=watch,
        compile=compile,
    )  # fmt: skip
    found: Features | None = None
    fields = [] if trainer.unknowns is None else list(trainer.unknowns.networks)
    if fields and not plan.stages:
        raise UsageError(
            f"least-squares finds unknown numbers, and {', '.join(fields)} is an unknown field: use another method."
        )
    if plan.frozen and not fields:
        whole = math.inf if budget is None else budget
        limit = min(whole / 6, SEARCH_SECONDS) if plan.stages else whole
        try:
            if trainer.unknowns is None:
                found = find_frozen(trainer, tolerance, started + limit, watch, wanted)
            else:
                found = trainer.ranks.once(Inversion(problem, tolerance, seed, limit, started + whole).run)
                trainer.unknowns.load_state_dict(found.unknowns)
                trainer.seconds += found.seconds
        except ResidualError:
            if not plan.stages:
                raise
            found = None
    enough = found is not None and (found.end in ("tolerance", "interrupted") or found.estimate <= TRAINED)
    if found is not None and (enough or not plan.stages):
        trainer.adopt(found)
        return trainer.solution(tolerance=tolerance)
    shallow: Trainer | None = None
    if method == "gauss-newton" and steps is None and not training and trainer.unknowns is None and not signal:
        shallow = train_shallow(problem, tolerance, budget, seed, device, progress, watch)
        if waves_suffice(shallow, tolerance):
            return shallow.solution(tolerance=tolerance)
    first = trainer.resume(plan.stages) if resume else 0
    trainer.seconds += 0.0 if shallow is None or first else shallow.seconds
    for stage in plan.stages[first:]:
        left = None if budget is None else budget - (time.perf_counter() - started)
        ends = isinstance(plan.stages[-1], LongWaves) and stage is not plan.stages[-1]
        outcome = trainer.run(stage, tolerance=tolerance, budget=left if left is None or not ends else TRAINING * left)
        if outcome.end in ("tolerance", "interrupted") or (outcome.end == "budget" and not ends):
            break
    if shallow is not None and outcome.end != "interrupted" and shallow.outcomes[-1][1].estimate < outcome.estimate:
        return shallow.solution(tolerance=tolerance)
    if found is not None and outcome.end != "interrupted":
        rival = found.estimate if trainer.unknowns is not None else trainer.judge(found)
        if rival < outcome.estimate:
            trainer.adopt(found)
    return trainer.solution(tolerance=tolerance)


def _wanted(method: str, patches: Patches | Decomposition | None) -> Patches | None:
    """The patches that are asked for, None where they are not. Raises ``UsageError`` beside a method without any."""
    if patches is not None and method not in ("auto", "least-squares", *PATCHED):
        raise UsageError(f"method={method!r} has no patches: leave out patches=, or method=.")
    stated = Patches(patches) if isinstance(patches, Decomposition) else patches
    if method not in PATCHED:
        return stated
    stated = stated or Patches()
    return replace(stated, basis="chebyshev") if method == "chebyshev" else stated
