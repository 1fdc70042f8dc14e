"""Images from files, and those that scikit-image ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains.extra import extra
from ..errors import ProblemError, suggest

NAMES = ("astronaut", "brick", "camera", "cat", "coffee", "coins", "grass", "gravel", "moon", "page", "rocket", "text")
"""Images of ``skimage.data`` that come with the package, without a download."""
FEWEST = 8
"""Pixels along a side at least: fewer have neither derivatives nor a structure to compare."""


def read_image(
    source: str, size: int | None = None, gray: bool = False, shape: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """``(nx, ny, channels)`` intensities in [0, 1], x to the right, y upward: of a file, or one of ``NAMES``.

    ``size``: pixels along the longer side at most, by averaging; ``shape``: ``(nx, ny)`` to stretch it to; ``gray``:
    one channel, of the luminance; else one or three, without transparency. Needs the extra ``signals``. Raises
    ``ProblemError`` for a file that is missing or no image, and for images of fewer than 8 pixels along a side.
    """
    skimage = extra("skimage", "Reading images", "signals")
    if size is not None and size < FEWEST:
        raise ProblemError(f"An image needs a size of at least {FEWEST} pixels, got {size}.")
    came = _open(source, skimage)
    if came.ndim not in (2, 3) or (came.ndim == 3 and came.shape[2] > 4):
        raise ProblemError(f"{source} has the shape {came.shape}: give one image, (rows, columns) or with 3 colours.")
    table = skimage.util.img_as_float64(came).reshape(*came.shape[:2], -1)
    if not np.isfinite(table).all():
        raise ProblemError(f"{source} has pixels that are NaN or infinite: give finite intensities.")
    if table.shape[2] == 4:
        table = skimage.color.rgba2rgb(table)
    elif table.shape[2] == 2:
        table = table[..., :1]
    if gray and table.shape[2] == 3:
        table = skimage.color.rgb2gray(table)[..., None]
    rows, columns = table.shape[:2]
    if min(rows, columns) < FEWEST:
        raise ProblemError(f"{source} has {columns} x {rows} pixels: an image needs {FEWEST} along each side at least.")
    if shape is None and size is not None and size < max(rows, columns):
        nx, ny = (max(FEWEST, round(n * size / max(rows, columns))) for n in (columns, rows))
        shape = nx, ny
    if shape is not None:
        table = skimage.transform.resize(table, shape[::-1], anti_aliasing=True)
    return np.ascontiguousarray(table[::-1].transpose(1, 0, 2))


def upright(field: NDArray[Any]) -> NDArray[Any]:
    """``(nx, ny, ...) -> (rows, columns, ...)``, the first row at the top."""
    return field.swapaxes(0, 1)[::-1]


def _open(source: str, skimage: Any) -> NDArray[Any]:
    path = Path(source)
    if not path.exists() and source in NAMES:
        return np.asarray(getattr(skimage.data, source)())
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ProblemError(
            f"The image {source} {what}: name a PNG, JPEG or TIFF file, or one of {', '.join(NAMES)}."
            f"{suggest(source, NAMES, 0.6)}"
        )
    try:
        return np.asarray(skimage.io.imread(path))
    except Exception as error:  # a damaged file raises anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ProblemError(f"{source} cannot be read as an image ({reason}): give a PNG, JPEG or TIFF file.") from None
