"""solve(problem): plan the stages, run them, return a Solution."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from .adjoint import Adjoint, NotReducedError
from .ansatz.derive import Choice
from .balance import BalanceName
from .check import StatementWarning
from .concentration import concentrations
from .errors import ResidualError, UsageError, expect_positive
from .frozen import find_frozen
from .inversion import Inversion
from .optimizers import GaussNewton, LongWaves
from .patches import Decomposition, Patches
from .plan import (
    INVERSE,
    PATCHED,
    SEARCH_SECONDS,
    TRAINED,
    TRAINING,
    make_stages,
    precision,
    sharpened,
    squares_alone,
)
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

    ``method``: ``"auto"``, ``"least-squares"``, ``"patches"``, ``"chebyshev"``, ``"gauss-newton"``, ``"lbfgs"``,
    ``"adam"`` or ``"adjoint"`` (``plan.make_stages``); ``patches``: the rectangles that a box is cut into to begin
    with, and their basis, instead of those that are chosen;
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
    make = partial(
        Trainer, problem, network, device=device, dtype=dtype, seed=seed, points=points, conditions=conditions,
        progress=progress, checkpoint=None if checkpoint is None else Path(checkpoint),
        balance=balance, causal=causal, resampling=resampling, folded=second_order, watch=watch,
        compile=compile,
    )  # fmt: skip
    # Frozen features take points of their own.
    trainer = make(narrow=not plan.frozen)
    found: Features | None = None
    fields = [] if trainer.unknowns is None else list(trainer.unknowns.networks)
    if method in INVERSE and not fields:
        raise UsageError("adjoint finds unknown fields, and the problem has none: leave out method=.")
    if fields and not plan.stages and method not in INVERSE:
        raise UsageError(
            f"least-squares finds unknown numbers, and {', '.join(fields)} is an unknown field: use another method."
        )
    if fields and plan.frozen and (solution := _eliminated(trainer, tolerance, budget, started, method in INVERSE)):
        return solution
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
    if plan.frozen and trainer.unknowns is None and concentrations(problem, trainer.scales):
        searched, trainer = trainer.seconds, make()
        trainer.seconds += searched
    narrow = list(trainer.objective.narrow.values())
    if narrow:
        # Of the rest of the problem, the shortest length.
        widest = 1 / max(k * trainer.scales.half_width[a] for a, k in trainer.scales.wavenumber.items())
        plan = sharpened(plan, narrow[0].blurs(widest))
    waves = not narrow and trainer.unknowns is None and not signal and not training
    if waves and method == "gauss-newton" and steps is None:
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


def _eliminated(
    trainer: Trainer, tolerance: float, budget: float | None, started: float, alone: bool
) -> Solution | None:
    """Unknown fields by adjoint states, then the fields of the equation with them; None where that does not cover the
    problem. Raises ``UsageError`` there where no other method is meant."""
    deadline = math.inf if budget is None else started + budget
    try:
        found = trainer.ranks.once(lambda: Adjoint(trainer.problem, trainer.seed, deadline).run())
    except NotReducedError as error:
        if alone:
            raise UsageError(f"adjoint does not cover this problem. {error}") from None
        return None
    trainer.seconds += found.seconds
    trainer.determined(found.state)
    with warnings.catch_warnings():
        # What may be a mistake in the statement was said.
        warnings.simplefilter("ignore", StatementWarning)
        forward = trainer.forward()
    fields = find_frozen(forward, tolerance, deadline, None)
    trainer.seconds += forward.seconds
    trainer.scales = forward.scales
    end = "interrupted" if found.end == "interrupted" else fields.end
    trainer.adopt(replace(fields, end=end, reason=f"{found.reason}; {fields.reason}", history=found.history))
    return trainer.solution(tolerance=tolerance, method=f"Adjoint {found.steps} + LeastSquares {fields.attempts}")


def _wanted(method: str, patches: Patches | Decomposition | None) -> Patches | None:
    """The patches that are asked for, None where they are not. Raises ``UsageError`` beside a method without any."""
    if patches is not None and method not in ("auto", "least-squares", *PATCHED):
        raise UsageError(f"method={method!r} has no patches: leave out patches=, or method=.")
    stated = Patches(patches) if isinstance(patches, Decomposition) else patches
    if method not in PATCHED:
        return stated
    stated = stated or Patches()
    return replace(stated, basis="chebyshev") if method == "chebyshev" else stated
