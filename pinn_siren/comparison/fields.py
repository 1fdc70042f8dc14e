"""The fields of several networks side by side, beside the truth, and their errors below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .._panels import Box as Place
from .._panels import Slice, colour_map, differences, error_limits, image_size, limits, parts, place, slices
from ..reference import GridSolution
from ..storage import replacing
from .pictures import COLOURS

# Inches: a panel's width, the room around it, and that for labels at the left and colour bars at the right.
_CELL, _GAP, _LEFT, _RIGHT, _TOP, _BOTTOM = 2.0, 0.22, 0.75, 1.1, 0.85, 0.55
_DPI = 150


def draw_fields(
    path: str | Path, fields: Mapping[str, GridSolution], truth: GridSolution | None, kind: str, title: str
) -> None:
    """Writes a PNG: the first output of every network on the scale of the truth, and the absolute errors below.
    ``kind``: what the truth is called.

    Of complex fields the real part; of more than two axes one slice. Raises ``StorageError`` where the file cannot be
    written.
    """
    output = next(iter(next(iter(fields.values())).values))
    shown = {name: _slice(output, grid) for name, grid in fields.items()}
    known = None if truth is None else _slice(output, truth)
    missed = {} if truth is None else {name: _error(grid, truth, output) for name, grid in fields.items()}
    part = next(iter(shown.values()))
    head = f"{title}: {parts(output, next(iter(fields.values())).values[output])[0][0]}"
    head += f" at {part.where}" if part.where else ""
    one_axis = len(part.coordinates) == 1
    figure = _curves(shown, known, kind, head) if one_axis else _images(shown, known, missed, kind, head)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def _slice(output: str, grid: GridSolution) -> Slice:
    """The last of the slices: where time is an axis, the last moment."""
    return slices(grid.coordinates, parts(output, grid.values[output])[0][1])[-1]


def _error(grid: GridSolution, truth: GridSolution, output: str) -> Slice:
    return slices(grid.coordinates, differences(grid.values[output], truth.values[output])[0])[-1]


def _curves(shown: Mapping[str, Slice], known: Slice | None, kind: str, head: str) -> Figure:
    figure = Figure(figsize=(9.0, 4.6), dpi=_DPI)
    axes = figure.add_axes((0.09, 0.12, 0.72, 0.78))
    for k, (name, part) in enumerate(shown.items()):
        (nodes,) = part.coordinates.values()
        axes.plot(nodes, part.values, color=COLOURS[k % len(COLOURS)], linewidth=1.5, label=name)
    if known is not None:
        (nodes,) = known.coordinates.values()
        axes.plot(nodes, known.values, "k--", linewidth=1.2, label=kind)
    axes.set_title(head, fontsize=12, loc="left")
    axes.set_xlabel(next(iter(next(iter(shown.values())).coordinates)))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def _images(
    shown: Mapping[str, Slice], known: Slice | None, missed: Mapping[str, Slice], kind: str, head: str
) -> Figure:
    top = ({kind: known} if known is not None else {}) | dict(shown)
    columns = len(top)
    height = image_size(next(iter(top.values())), _CELL)[1]
    rows = 1 + bool(missed)
    size = (
        max(_LEFT + columns * (_CELL + _GAP) + _RIGHT, 5.0),
        _TOP + rows * height + (rows - 1) * _GAP + _BOTTOM,
    )  # fmt: skip
    figure = Figure(figsize=size, dpi=_DPI)
    figure.text(_LEFT / size[0], 1 - 0.18 / size[1], head, fontsize=12, va="top")
    # The truth's scale, so that a network that is off is seen to be.
    span = limits([known.values] if known is not None else [part.values for part in shown.values()])
    colours = {"norm": Normalize(*span), "cmap": colour_map(*span)}
    bottom = size[1] - _TOP - height
    for k, (name, part) in enumerate(top.items()):
        _panel(figure, k, bottom, height, part, colours, name, rows == 1 or name == kind)
    beyond = any(part.values[np.isfinite(part.values)].max() > span[1] for part in top.values())
    beneath = any(part.values[np.isfinite(part.values)].min() < span[0] for part in top.values())
    extend = {(True, True): "both", (True, False): "max", (False, True): "min"}.get((beyond, beneath), "neither")
    beside = Place(_LEFT + columns * (_CELL + _GAP), bottom, 0.12, height)
    _bar(figure, beside, colours, "field", extend)
    if missed:
        low, high = error_limits([part.values for part in missed.values()])
        scale = {"norm": LogNorm(low, high), "cmap": "magma"}
        bottom -= height + _GAP
        for k, part in enumerate(missed.values(), columns - len(missed)):
            _panel(figure, k, bottom, height, part._replace(values=np.maximum(part.values, low)), scale, "", True)
        _bar(figure, beside._replace(bottom=bottom), scale, "absolute error")
    return figure


def _panel(
    figure: Figure, column: int, bottom: float, height: float, part: Slice, colours: dict[str, Any], name: str,
    lowest: bool,
) -> None:  # fmt: skip
    axes = place(figure, Place(_LEFT + column * (_CELL + _GAP), bottom, _CELL, height))
    (across, up), (x, y) = part.coordinates, part.coordinates.values()
    axes.imshow(
        part.values.T, origin="lower", extent=(x[0], x[-1], y[0], y[-1]), aspect="auto", interpolation="nearest",
        **colours,
    )  # fmt: skip
    axes.set_facecolor("0.85")
    axes.set_title(name, fontsize=10)
    # Ticks at the very ends would run into the next panel's.
    axes.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
    axes.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    if lowest:
        axes.set_xlabel(across)
    else:
        axes.tick_params(labelbottom=False)
    if column == 0 or (lowest and column == 1 and not name):
        axes.set_ylabel(up)
    else:
        axes.tick_params(labelleft=False)


def _bar(figure: Figure, where: Place, colours: dict[str, Any], label: str, extend: str = "neither") -> None:
    figure.colorbar(ScalarMappable(**colours), cax=place(figure, where), label=label, extend=extend)
