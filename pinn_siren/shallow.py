"""A small network of one sine layer, all of it trained, before a deep one: what is a few waves it finds exactly."""

from __future__ import annotations

import torch

from .ansatz.derive import BuiltIn
from .bandwidth import LEAST
from .build import build_model
from .domains import Sampler
from .loop import SAFETY
from .optimizers import GaussNewton, LeastSquares
from .optimizers.features import sine_features
from .optimizers.linearized import linear
from .optimizers.matching import Matching
from .optimizers.symbol import homogeneous_symbol
from .problem import Problem
from .scales import Scales, measure_scales
from .system import System
from .trainer import Trainer, Watch

WIDTHS = (16, 48)
"""Features of the one layer: where few waves do, more of them slow the steps down."""
BEYOND = 1.15
"""The highest frequency looked at, of the highest wavenumber."""
STEPS, PATIENCE = 60, 10
FEW = 16
"""Points at which a problem is found linear."""
SMALL = 1e-3
"""Output weights before least squares finds them."""
SHARE = 3
"""A width takes this part of a budget at most."""


def train_shallow(
    problem: Problem,
    tolerance: float,
    budget: float | None,
    seed: int,
    device: str | torch.device | None,
    progress: bool,
    watch: Watch | None,
) -> Trainer:
    """Gauss-Newton from a few sines of frequencies up to the highest wavenumber, all conditions in the loss.

    Products of sines, as of standing waves and modes, are sums of a few sines of other frequencies: where a field is
    one, matching pursuit finds its waves nearly, and the steps end at rounding within a few seconds. Conditions that
    are built in would divide it by their factor.
    """
    scales = measure_scales(problem)
    matching = _matching(problem, scales)
    waves = matching.find(WIDTHS[-1], seed)
    tried: list[Trainer] = []
    for width in WIDTHS:
        some = waves[: max(1, width // matching.features)]
        if tried and matching.features * len(some) == tried[-1].model.network.width:
            break
        network = matching.network(some)
        with torch.no_grad():
            # A network of nothing would look as if it had no derivatives.
            output = list(network.parameters())[-2]
            torch.nn.init.normal_(output, std=SMALL, generator=torch.Generator().manual_seed(seed))
        trainer = Trainer(problem, network, device=device, seed=seed, conditions="soft", progress=progress, watch=watch)
        trainer.seconds += sum(one.seconds for one in tried)
        left = None if budget is None else budget / SHARE
        # The outputs first: at zero, derivatives by the frequencies vanish.
        trainer.run(LeastSquares(), budget=left)
        trainer.run(GaussNewton(steps=STEPS, patience=PATIENCE), tolerance=tolerance, budget=left)
        tried.append(trainer)
        if waves_suffice(trainer, tolerance):
            return trainer
    best = min(tried, key=lambda one: one.outcomes[-1][1].estimate)
    best.seconds = tried[-1].seconds
    return best


def waves_suffice(trainer: Trainer, tolerance: float) -> bool:
    """Whether its last stage met the tolerance, if only as it converged, or was interrupted."""
    outcome = trainer.outcomes[-1][1]
    return outcome.end in ("tolerance", "interrupted") or SAFETY * outcome.estimate <= tolerance


def _matching(problem: Problem, scales: Scales) -> Matching:
    """What finds the waves that training begins with."""
    across = {a: max(LEAST, scales.wavenumber[a] * scales.half_width[a]) for a in problem.domain.axes}
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    still = sine_features(2, across, outputs, torch.Generator().manual_seed(0))
    model = build_model(problem, scales, still, torch.float64, 0, BuiltIn(problem.ansatz))
    system = System(problem)
    few = system.sample({c.name: FEW for c in system.constraints}, Sampler(torch.Generator()))
    straight = linear(system, few, model)
    symbol = homogeneous_symbol(system, model, scales.half_width) if straight else None
    onto = None if symbol is None else symbol.onto
    return Matching(system, model, {a: BEYOND * k for a, k in across.items()}, outputs, straight, onto)


__all__ = ["train_shallow", "waves_suffice"]
