"""How alike two images are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..domains.extra import extra

Field = NDArray[np.float64]
WINDOW = 7
"""Pixels along a side of the window in which structure is compared."""


def psnr(field: Field, truth: Field, span: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, ``10 log10(span^2 / mean (field - truth)^2)``; infinite where they are equal.

    Nothing is clipped: intensities beyond black and white count as errors.
    """
    square = float(np.mean((field - truth) ** 2))
    return float("inf") if square == 0 else float(10 * np.log10(span**2 / square))


def ssim(field: Field, truth: Field, span: float = 1.0) -> float:
    """Structural similarity of ``(nx, ny, channels)`` fields, mean over windows of 7 by 7 pixels and over channels.

    At most 1 (Wang, Bovik, Sheikh and Simoncelli 2004, doi 10.1109/TIP.2003.819861), by scikit-image.
    """
    metrics = extra("skimage.metrics", "SSIM", "signals")
    return float(metrics.structural_similarity(truth, field, win_size=WINDOW, data_range=span, channel_axis=-1))


def span_of(field: Field) -> float:
    """The range of a field: what counts as its peak."""
    return float(np.ptp(field)) or 1.0
