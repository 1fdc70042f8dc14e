"""What goes on inside a network: activations, pre-activations and gradients by layer, and their spectra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .errors import UsageError
from .jet import Jet
from .loss import Objective
from .points import Points
from .siren import Siren

LINE = 1024
"""Points of the line, through the middle of the domain, on which spectra are taken."""
KEPT = 200_000
"""Numbers of a distribution that are kept at most."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerView:
    """One linear layer: samples of what comes in (``activation``, of the layer before), what goes out
    (``preactivation``, omega times that in a Siren) and the loss's ``gradient`` with respect to it; the power spectra
    of both along a line, mean over the units, at ``wavenumbers`` in radians per unit of length."""

    name: str
    activation: Numbers
    preactivation: Numbers
    gradient: Numbers
    wavenumbers: Numbers
    activation_spectrum: Numbers
    preactivation_spectrum: Numbers


def inspect(objective: Objective) -> list[LayerView]:
    """Every linear layer of a network at the objective's next points, from the first to the output.

    The weights stay as they are; the points move on as by one step. Raises ``UsageError`` where the network has no
    linear layers.
    """
    network = objective.model.network
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    if not layers:
        raise UsageError(f"{type(network).__name__} has no linear layers (nn.Linear) to look into.")
    objective.resample()
    with _recording(layers) as seen:
        torch.stack(list(objective.terms().values())).sum().backward()
    objective.model.zero_grad(set_to_none=True)
    samples = {name: [(_value(i), _value(o), _slope(o)) for i, o in calls] for name, calls in seen.items()}
    line, length = _line(objective)
    with _recording(layers) as seen, torch.no_grad():
        objective.model(line)
    scale = _scales(network, len(layers))
    wavenumbers = np.arange(1.0, LINE // 2 + 1) * (2 * np.pi / length)
    found = []
    for k, (name, factor) in enumerate(zip(layers, scale, strict=True)):
        came, went, slope = (_kept([part[j] for part in samples[name]]) for j in range(3))
        along, out = (_value(part) for part in seen[name][0])
        title = "output" if k == len(layers) - 1 else f"layer {k + 1}"
        found.append(
            LayerView(
                title, came, factor * went, slope / factor, wavenumbers, _power(along), factor**2 * _power(out)
            )
        )  # fmt: skip
    return found


@contextmanager
def _recording(layers: dict[str, nn.Linear]) -> Iterator[dict[str, list[tuple[Any, Any]]]]:
    """What comes into each layer and goes out, a pair a call; the gradients of what goes out stay."""
    seen: dict[str, list[tuple[Any, Any]]] = {name: [] for name in layers}

    def hook(name: str) -> Any:
        def keep(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            channels = output.channels if isinstance(output, Jet) else output
            if channels.requires_grad:
                channels.retain_grad()
            seen[name].append((inputs[0], output))

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in layers.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _value(came: Any) -> Tensor:
    return (came.value if isinstance(came, Jet) else came).detach()


def _slope(came: Any) -> Tensor:
    """The gradient with respect to the values alone; none where the loss did not see them."""
    gradient = (came.channels if isinstance(came, Jet) else came).grad
    if gradient is None:
        return torch.zeros_like(_value(came))
    return gradient[0] if isinstance(came, Jet) else gradient


def _kept(parts: list[Tensor]) -> Numbers:
    every = torch.cat([part.reshape(-1) for part in parts]).double().cpu().numpy()
    return every[:: max(1, len(every) // KEPT)]


def _line(objective: Objective) -> tuple[Points, float]:
    """Points along the first axis through the middle of the domain, and their extent."""
    model, bounds = objective.model, objective.system.problem.domain.bounds
    axis, (low, high) = next(iter(bounds.items()))
    middle = torch.tensor([(a + b) / 2 for a, b in bounds.values()], dtype=torch.float64).repeat(LINE, 1)
    middle[:, list(bounds).index(axis)] = torch.linspace(low, high, LINE, dtype=torch.float64)
    return Points(tuple(bounds), middle.to(model.center)), high - low


def _power(along: Tensor) -> Numbers:
    """The power spectrum of ``(n, units)`` along a line, mean over the units, without the constant."""
    table = along.double().cpu().numpy()
    window = np.hanning(len(table))[:, None]
    return np.asarray((np.abs(np.fft.rfft((table - table.mean(0)) * window, axis=0)) ** 2).mean(1)[1:] / len(table))


def _scales(network: nn.Module, count: int) -> list[float]:
    """What the activation function multiplies each layer's output by."""
    return [*network.omegas, 1.0] if isinstance(network, Siren) else [1.0] * count
