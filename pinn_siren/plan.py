"""From a method's name to the stages that are run, and the reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from .errors import UsageError, expect_whole, suggest
from .optimizers import LBFGS, Adam, GaussNewton, LongWaves, Stage
from .problem import Problem
from .unknowns import stated

METHODS = ("auto", "least-squares", "gauss-newton", "lbfgs", "adam", "patches", "chebyshev", "adjoint")
PATCHED = ("patches", "chebyshev")
"""Methods that take patches alone."""
INVERSE = ("adjoint",)
"""Methods that find unknown fields alone."""
WARM_UP = 200
ADAM_STEPS, LBFGS_STEPS, GAUSS_NEWTON_STEPS = 5_000, 6_000, 300
GROWTH, GROWTHS = 4, 4
"""Neurons a layer that Gauss-Newton adds where it stalls, and how often."""
PATIENCE = 8
DENSER = 5.0
"""Rows a parameter where sources are narrow: fewer are learned by heart."""
TRAINED = 3e-3
"""What training of this size reaches at once: least squares that estimates less is not trained further."""
DERIVATIVES_RATE = 3e-4
"""Adam's learning rate for a signal known by its derivatives, whose gradients spread wider over the weights."""
TRAINING = 0.75
"""The part of a budget after which a last solve follows."""
SEARCH_SECONDS = 10.0
"""How long ``"auto"`` searches for features, or a sixth of the budget, before it trains."""


@dataclass(frozen=True)
class StagePlan:
    """Whether sine features are searched for first, the stages that train otherwise, in order, and why these."""

    frozen: bool
    stages: tuple[Stage, ...]
    reason: str


def precision(signal: bool) -> torch.dtype:
    """The numbers that training computes with: float32 for a signal, which is itself known to a few digits."""
    return torch.float32 if signal else torch.float64


def squares_alone(problem: Problem) -> bool:
    """Whether Gauss-Newton covers a problem: mean squares of residuals, and nothing trained but the network."""
    weights = problem.ansatz.parameters() if isinstance(problem.ansatz, nn.Module) else ()
    return not stated(problem) and all(getattr(c, "norm", 2) == 2 for c in problem.conditions) and not list(weights)


def make_stages(
    method: str = "auto",
    steps: int | None = None,
    training: bool = False,
    *,
    own: bool = False,
    placed: bool = False,
    signal: bool = False,
    derivatives: bool = False,
    rate: float | None = None,
    squares: bool = True,
) -> StagePlan:
    """The stages for a method; ``steps`` limits the last one that takes many.

    Raises ``UsageError`` for another method or no steps.

    ``"least-squares"``: random sine features, frozen, their sum solved for (``bandwidth.Search``). ``"adam"``: Adam
    alone, on fresh points every step. ``"lbfgs"``: L-BFGS after a short run of Adam, which takes the network out of
    the start, where second-order information is of no use. ``"auto"``: least squares, and ``"gauss-newton"`` where that
    stays above ``TRAINED``, or ``"lbfgs"`` where not all is ``squares``; ``"lbfgs"`` alone where ``training`` is asked
    for by an argument that has no meaning otherwise; ``"adam"`` where the problem is a ``signal``, at a lower rate
    where that is known by ``derivatives``, whose longest waves are solved for in the end (``LongWaves``); ``rate``: the
    signal's own.
    ``"patches"``: sine features on patches of a box (``patches.search``), where ``"least-squares"`` takes what is
    better; ``"chebyshev"``: polynomials in the same solver, a classical spectral element to compare with.
    ``"adjoint"``: unknown fields of linear equations, whose own fields are eliminated on a grid (``adjoint.Adjoint``)
    and then solved for by least squares; ``"auto"`` takes it where it covers the problem.
    ``"gauss-newton"``: Gauss-Newton on a small network, widened where it stalls; on an ``own`` network as it is, and on
    the user's number of points where they are ``placed``.
    """
    if steps is not None:
        expect_whole("steps", steps, 1)
    if method not in METHODS:
        raise UsageError(f"method must be one of {', '.join(METHODS)}; got {method!r}.{suggest(method, METHODS)}")
    if method == "adam" or (method == "auto" and signal):
        why = ", as asked" if method == "adam" else ": a signal of very many values, of which each step takes others"
        usual = DERIVATIVES_RATE if signal and derivatives else Adam.lr
        first = Adam(steps=steps or ADAM_STEPS, lr=rate or usual)
        if method == "auto" and derivatives and not own:
            after = "; then the longest waves, which slopes hardly show, by least squares"
            return StagePlan(False, (first, LongWaves()), f"Adam on fresh points every step{why}{after}")
        return StagePlan(False, (first,), f"Adam on fresh points every step{why}")
    if method == "gauss-newton":
        return StagePlan(False, _second_order(steps, own, placed), "Gauss-Newton on all layers, as asked")
    if method == "least-squares":
        return StagePlan(True, (), "frozen sine features by least squares, as asked")
    if method in INVERSE:
        return StagePlan(True, (), "unknown fields by adjoint states, as asked")
    if method in PATCHED:
        kind = "polynomials" if method == "chebyshev" else "frozen sine features"
        return StagePlan(True, (), f"{kind} on patches by least squares, as asked")
    warm = Adam(steps=min(WARM_UP, steps or WARM_UP), schedule="constant")
    stages: tuple[Stage, ...] = (warm, LBFGS(steps=steps or LBFGS_STEPS))
    if method == "auto" and not training and steps is None:
        last = "Gauss-Newton trains" if squares else "Adam and L-BFGS train"
        why = f"least squares finds smooth fields to many digits; what it does not, {last}"
        return StagePlan(True, _second_order(None, False, False) if squares else stages, why)
    why = "as asked" if method == "lbfgs" else "an argument was given that only training has"
    return StagePlan(False, stages, f"Adam to leave the start, then L-BFGS: {why}")


def sharpened(plan: StagePlan, blurs: list[float]) -> StagePlan:
    """Gauss-Newton's stages where sources are narrow: smoothed sources first, then their residual by what it does far
    away; with more rows a parameter."""
    stages = [stage for stage in plan.stages if isinstance(stage, GaussNewton)]
    if not stages:
        return plan
    # A density of 0 means the points that were asked for.
    dense = [replace(stage, density=DENSER if stage.density else 0.0) for stage in stages]
    before = tuple(replace(dense[0], blur=blur, patience=GaussNewton.patience) for blur in blurs)
    # Nearly there a wider network only slows the steps down.
    after = [replace(stage, far=True) for stage in dense]
    after[2:] = [replace(stage, patience=GaussNewton.patience) for stage in after[2:]]
    return replace(plan, stages=(*before, *after), reason=f"{plan.reason}, narrow sources smoothed first")


def _second_order(steps: int | None, own: bool, placed: bool) -> tuple[Stage, ...]:
    """Small first, wider where it stalls. ``steps`` are those of one size."""
    last = GaussNewton(steps=steps or GAUSS_NEWTON_STEPS, density=0.0 if placed else GaussNewton.density)
    if own:
        return (last,)
    first = replace(last, patience=PATIENCE)
    between = replace(last, wider=GROWTH, patience=PATIENCE)
    return (first, *[between] * (GROWTHS - 1), replace(last, wider=GROWTH))
