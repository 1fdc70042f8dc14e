"""The picture of what goes on inside a network, at the start and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .inspection import LayerView, Numbers
from .storage import replacing

BINS = 120
COLOURS = ("tab:blue", "tab:orange")
WIDTH, HEIGHT = 3.2, 1.9
SPREAD = 4.0
"""Histograms reach so many root mean squares of the widest distribution."""


def draw_layers(path: Path, stages: Mapping[str, Sequence[LayerView]], title: str) -> None:
    """Writes a PNG with a row a layer: what comes in, what goes out, the loss's gradient with respect to that, and the
    power spectra along a line; a colour for each stage of training."""
    first = next(iter(stages.values()))
    figure = Figure(figsize=(5 * WIDTH, HEIGHT * len(first) + 0.8), layout="constrained")
    figure.suptitle(title, fontsize=12)
    axes = figure.subplots(len(first), 5, squeeze=False)
    for row, line in enumerate(axes):
        views = {name: layers[row] for name, layers in stages.items()}
        _distribution(line[0], {name: v.activation for name, v in views.items()})
        _distribution(line[1], {name: v.preactivation for name, v in views.items()})
        _distribution(line[2], {name: v.gradient for name, v in views.items()})
        line[2].set_yscale("log")
        _spectra(line[3], {name: (v.wavenumbers, v.activation_spectrum) for name, v in views.items()})
        _spectra(line[4], {name: (v.wavenumbers, v.preactivation_spectrum) for name, v in views.items()})
        line[0].set_ylabel(first[row].name)
    heads = ("activation coming in", "pre-activation", "gradient of the loss", "spectrum coming in", "its spectrum")
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head, fontsize=10)
    for axis in axes[-1][3:]:
        axis.set_xlabel("wavenumber", fontsize=8)
    axes[0][0].legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _distribution(axes: Axes, samples: Mapping[str, Numbers]) -> None:
    widest = max(float(np.sqrt(np.mean(values**2))) for values in samples.values()) or 1.0
    reach = min(SPREAD * widest, max(float(np.abs(values).max()) for values in samples.values()) or 1.0)
    edges = np.linspace(-reach, reach, BINS)
    for (name, values), colour in zip(samples.items(), COLOURS, strict=False):
        axes.hist(values, bins=list(edges), density=True, histtype="step", color=colour, label=name)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)


def _spectra(axes: Axes, spectra: Mapping[str, tuple[Numbers, Numbers]]) -> None:
    top = max(float(power.max()) for _, power in spectra.values()) or 1.0
    for (wavenumbers, power), colour in zip(spectra.values(), COLOURS, strict=False):
        axes.loglog(wavenumbers, np.maximum(power, 1e-12 * top), color=colour, linewidth=0.9)
    axes.tick_params(labelsize=7)
