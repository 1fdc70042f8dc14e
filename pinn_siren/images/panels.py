"""Pictures of images: the image, its gradient and its Laplacian side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from ..storage import replacing
from .read import upright

Field = NDArray[np.float64]
DEVIATIONS = 4.0
"""The scale of derivatives reaches so many root mean squares of the first row's: single edges would darken the rest."""
INCH = 2.6


def draw_panels(path: Path, rows: Mapping[str, Any], given: Field | None = None) -> None:
    """Writes a PNG with a row each of image, gradient and Laplacian, on the scales of the first row.

    Images are black at 0 and white at 1, clipped beyond; a gradient's hue is its direction, its brightness its length;
    Laplacians are gray at 0. ``given``: an image in a row of its own.
    """
    first = next(iter(rows.values()))
    slope, curvature = (DEVIATIONS * float(np.sqrt(np.mean(f**2))) or 1.0 for f in (first.gradient, first.laplacian))
    aspect = first.value.shape[1] / first.value.shape[0]
    count = len(rows) + (given is not None)
    figure = Figure(figsize=(3 * INCH, count * (INCH * aspect + 0.3)), layout="constrained")
    axes = figure.subplots(count, 3, squeeze=False)
    for line, (name, shown) in zip(axes, rows.items(), strict=False):
        _paint(line[0], shades(upright(shown.value)), name)
        _paint(line[1], directions(upright(shown.gradient.mean(2)), slope), f"gradient, up to {slope:.2g} a pixel")
        gray = upright(shown.laplacian.mean(2)) / (2 * curvature) + 0.5
        _paint(line[2], shades(gray[..., None]), f"Laplacian, within ±{curvature:.2g}")
    if given is not None:
        _paint(axes[-1][0], shades(upright(given)), "what is given")
        for empty in axes[-1][1:]:
            empty.set_axis_off()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def save_image(path: Path, image: Field) -> None:
    """Writes ``(rows, columns, channels)`` intensities in [0, 1] as a PNG, clipped beyond."""
    with replacing(path) as temporary:
        imsave(temporary, np.ascontiguousarray(shades(image)), format="png")


def shades(image: Field) -> Field:
    """``(rows, columns, 3)``: intensities as colours."""
    return np.broadcast_to(np.clip(np.nan_to_num(image), 0, 1), (*image.shape[:2], 3))


def directions(slopes: Field, longest: float) -> Field:
    """``(rows, columns, 2) -> (rows, columns, 3)``: the direction as hue, the length as brightness."""
    hue = np.arctan2(slopes[..., 1], slopes[..., 0]) / (2 * np.pi) % 1
    length = np.clip(np.linalg.norm(slopes, axis=-1) / longest, 0, 1)
    return np.asarray(hsv_to_rgb(np.stack([hue, np.ones_like(hue), length], axis=-1)))


def _paint(axes: Axes, image: Field, title: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
