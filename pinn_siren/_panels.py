"""What one panel of a figure shows: parts of complex fields, slices of many axes, scales, and how it is painted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

Real = NDArray[np.floating[Any]]

# Multiples of a quarter, so that grids that refine each other show the same times.
_TIMES = (0.25, 0.5, 1.0)
_DECADES = 1e-5


class Slice(NamedTuple):
    """A field on one or two axes, the first of them horizontal, and where the others are held (``"z = 0.5"``)."""

    where: str
    coordinates: dict[str, NDArray[Any]]
    values: NDArray[Any]


class Box(NamedTuple):
    """A place in a figure, in inches from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float


def parts(name: str, values: NDArray[Any]) -> list[tuple[str, Real]]:
    """The real fields to draw of one field: itself, or the real part, the imaginary part and the magnitude."""
    if not np.iscomplexobj(values):
        return [(name, values)]
    real, imaginary = _real_and_imaginary(values)
    return [(f"Re {name}", real), (f"Im {name}", imaginary), (f"|{name}|", np.abs(values))]


def differences(left: NDArray[Any], right: NDArray[Any]) -> list[Real]:
    """The absolute error of each of :func:`parts`; beside the magnitude, the modulus of the complex difference."""
    difference = left - right
    if not np.iscomplexobj(difference):
        return [np.abs(difference)]
    return [*map(np.abs, _real_and_imaginary(difference)), np.abs(difference)]


def _real_and_imaginary(values: NDArray[Any]) -> tuple[Real, Real]:
    # Where one part is NaN the node is masked, and the other part means nothing.
    hidden = np.isnan(values)
    return np.where(hidden, np.nan, values.real), np.where(hidden, np.nan, values.imag)


def slices(coordinates: Mapping[str, NDArray[Any]], values: NDArray[Any]) -> list[Slice]:
    """The field on at most two axes: all of it, the three middle planes of a space, or its middle plane at some times.

    Space axes come first, in the problem's order, and time last.
    """
    axes = tuple(coordinates)
    space = [a for a in axes if a != "t"]
    order = [*space, *(["t"] if "t" in axes else [])]
    array = values.transpose([axes.index(a) for a in order])
    if len(order) <= 2:
        return [Slice("", {a: coordinates[a] for a in order}, array)]
    planes = list(combinations(space, 2)) if order == space and len(space) == 3 else [tuple(space[:2])]
    moments = [round(f * (len(coordinates["t"]) - 1)) for f in _TIMES] if "t" in axes else [0]
    found = []
    for plane in planes:
        for moment in dict.fromkeys(moments):
            held = {a: moment if a == "t" else _middle(coordinates[a]) for a in order if a not in plane}
            where = ", ".join(f"{a} = {coordinates[a][k]:.3g}" for a, k in held.items())
            values_there = array[tuple(held.get(a, slice(None)) for a in order)]
            found.append(Slice(where, {a: coordinates[a] for a in plane}, values_there))
    return found


def limits(arrays: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """The one colour scale of all these arrays: their whole range, symmetric about 0 where they take both signs.

    Nothing is clipped or scaled apart, so that a wrong amplitude is seen. Overshoots of a one-signed field below 5 % of
    its range do not make it signed.
    """
    finite = np.concatenate([a[np.isfinite(a)].ravel() for a in arrays])
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    largest = max(-low, high, np.finfo(float).tiny)
    if min(-low, high) > 0.05 * largest:
        return -largest, largest
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = 0.5 * max(abs(low), abs(high)) or 1.0
        return low - margin, high + margin
    return low, high


def colour_map(low: float, high: float) -> str:
    """A diverging map for limits that are symmetric about 0, else a sequential one."""
    return "RdBu_r" if low == -high else "viridis"


def error_limits(arrays: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """A logarithmic scale for errors: up to the largest, down to the smallest one, but two to five decades below."""
    finite = np.concatenate([a[np.isfinite(a)].ravel() for a in arrays])
    positive = finite[finite > 0]
    if not positive.size:
        return 1e-18, 1e-16
    high = float(positive.max())
    low = max(float(positive.min()), _DECADES * high)
    return min(low, 0.01 * high), high


def place(figure: Figure, box: Box) -> Axes:
    """New axes in a box given in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes((box.left / width, box.bottom / height, box.width / width, box.height / height))


def image_size(part: Slice, width: float) -> tuple[float, float]:
    """Inches of a slice's image that is to be at most that wide: true to scale in space, free where time is an axis."""
    spans = [float(np.ptp(nodes)) for nodes in part.coordinates.values()]
    if "t" in part.coordinates or min(spans) == 0:
        return width, 2.5
    shape = spans[1] / spans[0]
    width = min(width, 5.0 / shape)
    return width, width * shape


def paint(figure: Figure, box: Box, part: Slice, norm: Normalize, colours: str, title: str, label: str) -> Axes:
    """An image of a slice on two axes, its nodes at the middle of their cells, grey where it is NaN; a colour bar."""
    width, height = image_size(part, box.width)
    axes = place(figure, Box(box.left, box.bottom + (box.height - height) / 2, width, height))
    (left, right), (bottom, top) = (_edges(nodes) for nodes in part.coordinates.values())
    floor = norm.vmin if isinstance(norm, LogNorm) and norm.vmin is not None else -np.inf
    image = axes.imshow(
        np.maximum(part.values, floor).T,
        origin="lower",
        extent=(left, right, bottom, top),
        norm=norm,
        cmap=colours,
        interpolation="nearest",
        aspect="auto",
    )
    axes.set_facecolor("0.85")
    axes.set_title(title, fontsize=10)
    axes.locator_params(axis="x", nbins=5)
    tall = max(height, 1.0)
    beside = place(
        figure,
        Box(box.left + width + (0.2 if tall == height else 0.3), box.bottom + (box.height - tall) / 2, 0.14, tall),
    )
    bar = figure.colorbar(image, cax=beside, label=label, extend="min" if np.any(part.values < floor) else "neither")
    if isinstance(norm, LogNorm):
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        bar.ax.ticklabel_format(axis="y", scilimits=(-3, 4))
        bar.ax.yaxis.set_offset_position("left")  # so that it grows away from the title
    return axes


def paint_curves(
    figure: Figure, box: Box, curves: Mapping[str, Slice], span: tuple[float, float], title: str, label: str
) -> Axes:
    """Slices on one axis as curves on a common scale."""
    axes = place(figure, box)
    for (name, part), line, thickness, colour in zip(
        curves.items(), ("-", "--"), (2.2, 1.5), ("C0", "k"), strict=False
    ):
        (nodes,) = part.coordinates.values()
        axes.plot(nodes, part.values, linestyle=line, linewidth=thickness, color=colour, label=name)
    margin = 0.05 * (span[1] - span[0])
    axes.set_ylim(span[0] - margin, span[1] + margin)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(label)
    axes.ticklabel_format(axis="y", scilimits=(-3, 4))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return axes


def paint_error_curve(figure: Figure, box: Box, part: Slice, span: tuple[float, float], title: str, label: str) -> Axes:
    """An error on one axis, on a logarithmic scale."""
    axes = place(figure, box)
    (nodes,) = part.coordinates.values()
    axes.semilogy(nodes, np.maximum(part.values, span[0]), color="C3")
    axes.set_ylim(span[0] * 0.7, span[1] * 1.4)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(label)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(alpha=0.3, which="both")
    return axes


def loss_terms(history: Mapping[str, NDArray[Any]]) -> list[str]:
    """The columns of a history that a logarithmic axis can show: the loss and its terms, where any is positive."""
    columns = {name: np.asarray(values) for name, values in history.items() if name not in ("step", "seconds")}
    return [name for name, values in columns.items() if np.any(np.isfinite(values) & (values > 0))]


def paint_history(figure: Figure, box: Box, history: Mapping[str, NDArray[Any]], terms: Sequence[str]) -> Axes:
    """The loss and its terms against the step, both as recorded; of a search, the misfits of its attempts."""
    # Only a search has no terms: its attempts do not follow from each other.
    searched = list(terms) == ["loss"]
    axes = place(figure, box)
    steps = history.get("step", np.arange(len(history[terms[0]])))
    marker = "o" if searched or len(steps) < 30 else None
    for k, name in enumerate(terms):
        line, thickness, colour = (
            ("" if searched else "-", 2.2, "k")
            if name == "loss"
            else (("-", "--", ":")[k // 10 % 3], 1.5, f"C{k % 10}")
        )
        values = np.where(np.asarray(history[name]) > 0, history[name], np.nan)
        short = name if len(name) < 20 else f"{name[:9]}…{name[-9:]}"
        axes.semilogy(
            steps,
            values,
            linestyle=line,
            linewidth=thickness,
            color=colour,
            label=short,
            marker=marker,
            markersize=6 if searched else 3,
        )
    axes.set_title(
        "attempts of the search, of which the best is kept" if searched else "history of the loss", fontsize=10
    )
    axes.set(xlabel="attempt" if searched else "step", ylabel="loss")
    if searched:
        axes.set_xlim(0.5, len(steps) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    return axes


def _middle(nodes: NDArray[Any]) -> int:
    return int(np.argmin(np.abs(nodes - (nodes[0] + nodes[-1]) / 2)))


def _edges(nodes: NDArray[Any]) -> tuple[float, float]:
    half = (nodes[-1] - nodes[0]) / (len(nodes) - 1) / 2 if len(nodes) > 1 else 0.5
    return float(nodes[0] - half), float(nodes[-1] + half)
