"""A small network of one sine layer, all of it trained, before a deep one: what is a few waves it finds exactly."""

from __future__ import annotations

import torch

from .bandwidth import LEAST
from .build import folded_width
from .optimizers import GaussNewton
from .optimizers.features import sine_features
from .problem import Problem
from .scales import measure_scales
from .trainer import Trainer, Watch

WIDER = 3
"""Features of the one layer, for every neuron of a layer of the deep network."""
STARTS, STEPS, PATIENCE = 3, 60, 10
SMALL = 1e-3
"""Output weights of the start."""
SHARE = 4
"""At most this part of a budget is spent here."""


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
    one, the steps end at rounding within a second or two, from most starts. Conditions that are built in would divide
    it by their factor.
    """
    scales = measure_scales(problem)
    across = {a: scales.wavenumber[a] * scales.half_width[a] for a in problem.domain.axes}
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    generator = torch.Generator().manual_seed(seed)
    width = WIDER * folded_width(across)
    network = sine_features(width, {a: max(LEAST, k) for a, k in across.items()}, outputs, generator)
    with torch.no_grad():
        # Nearly zero, since the first step finds these: at zero, derivatives by the frequencies vanish.
        output = torch.randn(outputs, width, generator=generator, dtype=torch.float64)
        list(network.parameters())[-2].copy_(SMALL * output)
    trainer = Trainer(problem, network, device=device, seed=seed, conditions="soft", progress=progress, watch=watch)
    stage = GaussNewton(steps=STEPS, patience=PATIENCE, starts=STARTS)
    trainer.run(stage, tolerance=tolerance, budget=None if budget is None else budget / SHARE)
    return trainer


__all__ = ["train_shallow"]
