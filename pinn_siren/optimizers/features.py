"""Frozen sine features: the frequencies of one hidden layer."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..siren import Siren


def sine_features(
    width: int,
    bandwidth: dict[str, float],
    outputs: int,
    generator: torch.Generator,
    onto: Callable[[Tensor], Tensor] | None = None,
) -> Siren:
    """A SIREN of one layer: frequencies even in an ellipsoid, each with a sine and a cosine, the output zero.

    ``onto``: where to move each frequency ``(n, axes)``, such as those of the equation's own waves (``Symbol.onto``).
    """
    network = Siren(len(bandwidth), outputs, width=width, depth=1, omega=1.0, dtype=torch.float64, generator=generator)
    half = width // 2
    waves = ball(half, len(bandwidth), generator) * torch.tensor(list(bandwidth.values()), dtype=torch.float64)
    if onto is not None:
        waves = onto(waves)
    phase = 2 * math.pi * torch.rand(half, generator=generator, dtype=torch.float64)
    return _with(network, waves, phase)


def waves_of(waves: Tensor, outputs: int) -> Siren:
    """A SIREN of one layer: the sines of ``(n, axes)`` frequencies, then their cosines, the output zero."""
    axes = waves.shape[1]
    network = Siren(axes, outputs, 2 * len(waves), 1, 1.0, dtype=torch.float64, generator=torch.Generator())
    return _with(network, waves, torch.zeros(len(waves), dtype=torch.float64))


def _with(network: Siren, waves: Tensor, phase: Tensor) -> Siren:
    first, last = network.layers
    assert isinstance(first, torch.nn.Linear) and isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        first.weight.copy_(torch.cat([waves, waves]))
        first.bias.copy_(torch.cat([phase, phase + math.pi / 2]))
        last.weight.zero_()
        last.bias.zero_()
    return network


def ball(n: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """``(n, dimensions)`` points of low discrepancy in half the unit ball: a wave and its opposite are one.

    Evenly in up to three dimensions. In more nearly all of a ball is at its surface, while smooth fields have little
    there: the radius is even instead.
    """
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed)
    found = torch.zeros(0, dimensions, dtype=torch.float64)
    while len(found) < n:
        cube = 2 * engine.draw(4 * n, dtype=torch.float64) - 1
        found = torch.cat([found, cube[(cube.norm(dim=1) <= 1) & (cube[:, 0] >= 0)]])
    found = found[:n]
    return found if dimensions <= 3 else found * found.norm(dim=1, keepdim=True) ** (dimensions - 1)


__all__ = ["ball", "sine_features", "waves_of"]
