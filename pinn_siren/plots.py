"""Pictures of stored solutions and references: every figure is drawn from the file's content alone."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ._panels import (
    Box,
    Real,
    Slice,
    colour_map,
    differences,
    error_limits,
    image_size,
    limits,
    loss_terms,
    paint,
    paint_curves,
    paint_error_curve,
    paint_history,
    parts,
    slices,
)
from .reference.grid import Reference
from .storage import StoredSolution, replacing

_DPI = 150
# Inches: a column, the room for labels around its panel, and for the legend beside the history.
_CELL, _LEFT, _RIGHT, _ABOVE, _BELOW, _LEGEND = 4.5, 0.8, 1.2, 0.45, 0.55, 2.2
_AGAINST = ("_exact", "_reference")
_HEADLINE = {
    "problem": "",
    "method": "",
    "relative_l2": "relative L2 ",
    "reference_error": "reference error ",
    "verdict": "verdict: ",
}
_Grid = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Labels:
    """``units`` by the name of an axis or output, "1" unless given; ``downward``: axes that grow downward."""

    units: Mapping[str, str] = field(default_factory=dict)
    downward: Collection[str] = ()


@dataclass(frozen=True, eq=False)
class _Comparison:
    """One real quantity: fields on one shared scale by their titles, and the error between them where there is one."""

    name: str
    shown: dict[str, tuple[_Grid, Real]]
    error: tuple[_Grid, Real] | None
    error_title: str
    labels: Labels
    unit: str


def draw(path: str | Path, stored: StoredSolution, *, title: str | None = None) -> None:
    """Writes a PNG of a stored solution, whole or not at all.

    For each output: the prediction and the exact solution (the reference where there is none) on one shared scale, and
    the absolute error on a logarithmic one; then the history of the loss. The headline is ``title``, or the stored one,
    over the figures among ``attributes``. Raises :class:`StorageError` where the file cannot be written.
    """
    comparisons = [c for output in _outputs(stored.fields) for c in _against_truth(stored, output)]
    headline = [title or stored.title or str(stored.attributes.get("problem", "")), _figures(stored.attributes)]
    _render(path, comparisons, headline, stored.history)


def draw_reference(path: str | Path, reference: Reference, title: str, labels: Labels | None = None) -> None:
    """Writes a PNG of a reference: its finest grid, the next coarser one (where there is one), and their difference on
    the shared nodes.

    Raises :class:`StorageError` where the file cannot be written.
    """
    comparisons = [
        c for output in reference.finest.values for c in _between_grids(reference, output, labels or Labels())
    ]
    order, error = reference.observed_order, reference.bar
    formal = "spectral" if math.isinf(reference.formal_order) else f"formal {reference.formal_order:g}"
    figures = [
        reference.name,
        "grids " + ", ".join("×".join(map(str, level.shape)) for level in reference.levels),
        f"observed order {'none' if order is None else f'{order:.2f}'} ({formal})",
        f"reference error {'none' if error is None else f'{error:.2e}'}",
    ]
    _render(path, comparisons, [title, _listed(figures)], {})


def _outputs(fields: Mapping[str, NDArray[Any]]) -> list[str]:
    return [n for n in fields if n not in ("error", "slowness") and not n.endswith((*_AGAINST, "_error"))]


def _against_truth(stored: StoredSolution, output: str) -> list[_Comparison]:
    labels = Labels(stored.units, [axis for axis, way in stored.positive.items() if way == "down"])
    prediction = stored.fields[output]
    truth_name = next((output + suffix for suffix in _AGAINST if output + suffix in stored.fields), None)
    if truth_name is None:
        return _compare(output, {"prediction": (stored.coordinates, prediction)}, None, labels)
    truth, kind = stored.fields[truth_name], truth_name.rpartition("_")[2]
    if np.iscomplexobj(truth) != np.iscomplexobj(prediction):
        prediction, truth = prediction.astype(complex), truth.astype(complex)
    shown = {"prediction": (stored.coordinates, prediction), kind: (stored.coordinates, truth)}
    return _compare(output, shown, (stored.coordinates, prediction, truth), labels)


def _between_grids(reference: Reference, output: str, labels: Labels) -> list[_Comparison]:
    if len(reference.levels) == 1:
        alone = reference.finest
        return _compare(output, {"reference": (alone.coordinates, alone.values[output])}, None, labels)
    coarse, fine = reference.levels[1:]
    shown = {
        "finest grid": (fine.coordinates, fine.values[output]),
        "coarser grid": (coarse.coordinates, coarse.values[output]),
    }
    every_other = fine.values[output][(slice(None, None, 2),) * len(fine.shape)]
    shared = every_other.shape == coarse.shape
    return _compare(output, shown, (coarse.coordinates, every_other, coarse.values[output]) if shared else None, labels)


def _compare(
    output: str,
    shown: Mapping[str, tuple[_Grid, NDArray[Any]]],
    pair: tuple[_Grid, NDArray[Any], NDArray[Any]] | None,
    labels: Labels,
) -> list[_Comparison]:
    """A comparison for each part of a field; the ``pair`` are the grid and the two fields of which the error is."""
    found = []
    for k, (name, _) in enumerate(parts(output, next(iter(shown.values()))[1])):
        # Beside the magnitude stands the modulus of the complex difference, which sees a wrong phase too.
        title = f"{output if name.startswith('|') else name}: |{' − '.join(shown)}|"
        error = None if pair is None else (pair[0], differences(*pair[1:])[k])
        real = {kind: (grid, parts(output, values)[k][1]) for kind, (grid, values) in shown.items()}
        found.append(_Comparison(name, real, error, title, labels, labels.units.get(output, "1")))
    return found


def _figures(attributes: Mapping[str, str | int | float]) -> str:
    shown = []
    for key, word in _HEADLINE.items():
        value = attributes.get(key)
        if key == "relative_l2" and "against" in attributes:
            word = f"relative L2 to the {attributes['against']} ".replace("exact", "exact solution")
        if value is not None and not (isinstance(value, float) and np.isnan(value)):
            shown.append(word + (f"{value:.2e}" if isinstance(value, float) else str(value)))
    return _listed(shown)


@dataclass(frozen=True, eq=False)
class _Row:
    """Slices of one comparison that stand side by side, and the scales that all its slices share."""

    comparison: _Comparison
    shown: dict[str, Slice]
    error: Slice | None
    span: tuple[float, float]
    error_span: tuple[float, float]

    @property
    def first(self) -> Slice:
        return next(iter(self.shown.values()))

    @property
    def is_curve(self) -> bool:
        return len(self.first.coordinates) == 1

    @property
    def columns(self) -> int:
        wide = 1 if self.error is None else 2
        return (wide if self.is_curve else len(self.shown)) + (self.error is not None)


def _rows(comparison: _Comparison) -> list[_Row]:
    shown = {title: slices(*content) for title, content in comparison.shown.items()}
    count = len(next(iter(shown.values())))
    errors = slices(*comparison.error) if comparison.error else []
    span = limits([part.values for found in shown.values() for part in found])
    error_span = error_limits([part.values for part in errors]) if errors else (1.0, 1.0)
    return [
        _Row(comparison, {t: s[k] for t, s in shown.items()}, errors[k] if errors else None, span, error_span)
        for k in range(count)
    ]


def _render(
    path: str | Path, comparisons: Sequence[_Comparison], headline: Sequence[str], history: Mapping[str, NDArray[Any]]
) -> None:
    rows = [row for comparison in comparisons for row in _rows(comparison)]
    terms = loss_terms(history)
    columns = max((row.columns for row in rows), default=1)
    width = max(_CELL * columns, 7.0)
    lines = [line for text in headline if text for line in textwrap.wrap(text, int(width * 10))]
    heights = [_height(row, width / columns - _LEFT - _RIGHT) for row in rows] + [max(2.2, 0.2 * len(terms))] * bool(
        terms
    )
    top = 0.25 * len(lines) + 0.1 + sum(heights) + (_ABOVE + _BELOW) * len(heights)
    figure = Figure(figsize=(width, top), dpi=_DPI)
    figure.suptitle("\n".join(lines), fontsize=12, y=1 - 0.1 / top, va="top")
    top -= 0.25 * len(lines) + 0.1
    for row, height in zip([*rows, None], heights, strict=False):
        top -= _ABOVE + height
        if row is None:
            paint_history(figure, Box(_LEFT, top, width - _LEFT - _LEGEND, height), history, terms)
        else:
            _paint_row(figure, row, top, height, width / columns)
        top -= _BELOW
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def _height(row: _Row, width: float) -> float:
    return 2.5 if row.is_curve else max(1.0, *(image_size(part, width)[1] for part in row.shown.values()))


def _paint_row(figure: Figure, row: _Row, bottom: float, height: float, cell: float) -> None:
    comparison, error = row.comparison, row.error
    label, error_label = (_with_unit(name, comparison.unit) for name in (comparison.name, "absolute error"))
    boxes = [Box(k * cell + _LEFT, bottom, cell - _LEFT - _RIGHT, height) for k in range(row.columns)]
    if row.is_curve:
        wide = boxes[0]._replace(width=(row.columns - (error is not None)) * cell - _LEFT - 0.2)
        painted = [paint_curves(figure, wide, row.shown, row.span, comparison.name, label)]
    else:
        colours = colour_map(*row.span)
        painted = [
            paint(
                figure, box, part, Normalize(*row.span), colours, _join(f"{comparison.name}: {kind}", part.where), label
            )
            for box, (kind, part) in zip(boxes, row.shown.items(), strict=False)
        ]
    if error is not None and row.is_curve:
        box = boxes[-1]._replace(width=cell - _LEFT - 0.2)
        painted.append(paint_error_curve(figure, box, error, row.error_span, comparison.error_title, error_label))
    elif error is not None:
        title = _join(comparison.error_title, error.where)
        painted.append(paint(figure, boxes[-1], error, LogNorm(*row.error_span), "magma", title, error_label))
    names = list(row.first.coordinates)
    written = [_with_unit(a, comparison.labels.units.get(a, "1")) for a in names]
    for axes in painted:
        axes.set_xlabel(written[0])
        if names[0] in comparison.labels.downward:
            axes.invert_xaxis()
        if not row.is_curve:
            axes.set_ylabel(written[1])
            if names[1] in comparison.labels.downward:
                axes.invert_yaxis()


def _listed(figures: Sequence[str]) -> str:
    # Spaces that do not break: a line of the headline ends between two figures only.
    return " · ".join(figure.replace(" ", "\u00a0") for figure in figures)


def _with_unit(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name} ({unit})"


def _join(title: str, where: str) -> str:
    return f"{title}\n{where}" if where else title
