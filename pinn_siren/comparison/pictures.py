"""The picture of a comparison: error against seconds, both logarithmic, every curve labelled at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..storage import replacing
from .curves import CLASSICAL, GRIDS, Curve, Run
from .yardstick import Yardstick

# Okabe and Ito 2008: distinct with any kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
GREYS = {GRIDS: ("black", "s"), CLASSICAL[1]: ("0.45", "D")}
_DPI = 150
_LEAST = 1e-16


def draw_curves(path: str | Path, runs: Sequence[Run], stick: Yardstick, title: str) -> None:
    """Writes a PNG: a method's median run thick, its other seeds thin; grids as squares on a line.

    Raises ``StorageError`` where the file cannot be written.
    """
    figure = Figure(figsize=(9.0, 5.2), dpi=_DPI)
    axes = figure.add_axes((0.09, 0.11, 0.66, 0.78))
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends: dict[str, tuple[float, float, str]] = {}
    # Nothing is known below the truth's own error.
    floor = max(stick.bar, _LEAST)
    for name, colour in _colours(runs).items():
        own = [r for r in runs if r.method == name and _shown(r.curve, floor)]
        marker = GREYS[name][1] if name in GREYS else "o"
        for run in own:
            middle = run is sorted(own, key=lambda r: r.error)[(len(own) - 1) // 2]
            seconds, errors = zip(*_shown(run.curve, floor), strict=True)
            axes.plot(
                seconds, errors, color=colour, marker=marker, markersize=5 if name in GREYS else 2.5,
                linewidth=2.0 if middle else 0.8, alpha=1.0 if middle else 0.35, linestyle="-" if middle else ":",
                zorder=3 if middle else 2,
            )  # fmt: skip
            if middle:
                ends[name] = (seconds[-1], errors[-1], colour)
    _frame(axes, f"{title}: error against seconds", "seconds", f"relative L2 error ({stick.against})")
    if stick.bar:
        low = axes.get_ylim()[0]
        axes.axhspan(min(low, stick.bar / 3), stick.bar, color="0.9", zorder=0)
        axes.text(0.01, stick.bar, f" the reference's own error, {stick.bar:.0e}", transform=axes.get_yaxis_transform(),
                  va="bottom", fontsize=8, color="0.35")  # fmt: skip
        axes.set_ylim(bottom=min(low, stick.bar / 3))
    label_ends(figure, axes, ends)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def draw_metrics(path: str | Path, curves: Mapping[str, Mapping[str, Curve]], title: str) -> None:
    """Writes a PNG: each metric against the step in a panel, a curve a network; ``curves[metric][network]``.

    Errors are on a logarithmic axis, figures of the problem's own on a linear one.
    """
    count = len(curves)
    figure = Figure(figsize=(9.0, 4.4 * count + 0.4), dpi=_DPI)
    for k, (metric, by_network) in enumerate(curves.items()):
        bottom = 1 - (k + 1) / count + 0.12 / count
        axes = figure.add_axes((0.09, bottom, 0.66, 0.76 / count))
        own = metric.startswith("relative")
        axes.set_yscale("log" if own else "linear")
        ends = {}
        for (name, curve), colour in zip(by_network.items(), _cycle(len(by_network)), strict=True):
            points = [(s, e) for s, e in curve if math.isfinite(e) and (e > 0 or not own)]
            if not points:
                continue
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, color=colour, linewidth=2.0)
            ends[name] = (steps[-1], values[-1], colour)
        _frame(axes, f"{title}: {metric} against the step" if k == 0 else "", "step", metric)
        label_ends(figure, axes, ends)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def label_ends(figure: Figure, axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Names right of the axes in the curves' colours, moved apart where ends are close, with a line to each end."""
    axes.set_xlim(*axes.get_xlim())
    axes.set_ylim(*axes.get_ylim())
    to_share = axes.transData.transform, axes.transAxes.inverted().transform
    shares = {n: to_share[1](to_share[0]((x, y))) for n, (x, y, _) in ends.items()}
    names = sorted(ends, key=lambda n: shares[n][1])
    height = axes.get_position().height * figure.get_size_inches()[1]
    places = spread_apart([float(shares[n][1]) for n in names], 0.2 / height)
    for name, place in zip(names, places, strict=True):
        colour = ends[name][2]
        axes.annotate(
            name, xy=tuple(shares[name]), xytext=(1.05, place), xycoords="axes fraction", textcoords="axes fraction",
            color=colour, fontsize=10, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6, "shrinkA": 1, "shrinkB": 3},
        )  # fmt: skip


def spread_apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Ascending places at least ``gap`` apart and within [0, 1] where they fit, near the wanted ones."""
    places = list(wanted)
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + gap)
    ceiling = 1.0
    for k in reversed(range(len(places))):
        places[k] = min(places[k], ceiling)
        ceiling = places[k] - gap
    return places


def _colours(runs: Sequence[Run]) -> dict[str, str]:
    names = list(dict.fromkeys(r.method for r in runs))
    own = iter(_cycle(len(names)))
    return {name: GREYS[name][0] if name in GREYS else next(own) for name in names}


def _cycle(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]


def _shown(curve: Curve, floor: float) -> list[tuple[float, float]]:
    return [(s, max(e, floor)) for s, e in curve if math.isfinite(e) and np.isfinite(s) and s > 0]


def _frame(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=12, loc="left")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
