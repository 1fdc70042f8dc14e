"""Spectra: the highest wavenumber of data on lines, on a regular grid, or at scattered points."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

POWER = 0.99
"""The share of the spectral power of sources and data that lies below the highest wavenumber."""
ROUNDING = 1e-12
SHORTEST = 8
"""The fewest nodes along an axis that have a spectrum."""
ABOVE = 2.0
"""The highest wavenumber of scattered data, in units of the root mean square one."""
LOOKED_AT = 500
"""Scattered points whose neighbours are looked at."""


def highest_frequency(data: Tensor, rounding: float = 0.0) -> float:
    """Radians per line length below which ``POWER`` of the power of ``(lines, nodes, parts)`` lies.

    White data below ``rounding`` are what is left of terms that cancel, and have none.
    """
    nodes = data.shape[1]
    window = torch.hann_window(nodes, periodic=False, dtype=torch.float64)[None, :, None]
    swing = data - data.mean(1, keepdim=True)
    power = torch.fft.fft(swing * window, dim=1).abs().square().sum((0, 2))
    bins = (torch.fft.fftfreq(nodes) * nodes).round().abs().long()
    folded = torch.zeros(nodes // 2 + 1, dtype=power.dtype).index_add_(0, bins, power)[: nodes // 2]
    total = folded.sum()
    white = float(folded[nodes // 4 :].sum()) > 0.25 * float(total)
    small = float(swing.abs().square().mean().sqrt()) <= max(rounding, ROUNDING * float(data.abs().max()))
    if float(total) == 0 or (white and small):
        return 0.0
    # The window widens every line by a bin.
    return 2 * math.pi * max(int(torch.searchsorted(folded.cumsum(0), POWER * total)) - 1, 0)


def of_points(coordinates: Tensor, values: Tensor) -> list[float]:
    """The highest wavenumber along each of ``d`` axes of ``(n, k)`` values at ``(n, d)`` points, 0 where none shows.

    On a regular grid that of the spectra along its lines. Elsewhere twice the root mean square wavenumber, which is the
    size of the gradient over that of the values (exact for a wave, between one and three for other spectra); gradients
    are fitted to the nearest neighbours. At most the Nyquist wavenumber of the mean spacing.
    """
    x, v = coordinates.double().cpu(), values.detach().to(torch.complex128).cpu()
    span = x.amax(0) - x.amin(0)
    grid = _grid(x, span)
    if grid is None:
        return _scattered(x, v, span)
    shape, order = grid
    table = v[order].reshape(*shape, -1)
    highest = []
    for axis, nodes in enumerate(shape):
        lines = table.movedim(axis, -2).reshape(-1, nodes, table.shape[-1])
        highest.append(highest_frequency(lines) / float(span[axis]) if nodes >= SHORTEST else 0.0)
    return highest


def _grid(x: Tensor, span: Tensor) -> tuple[list[int], Tensor] | None:
    """The shape of the regular grid that points make, and their order on it; None where they make none."""
    shape, number = [], torch.zeros(len(x), dtype=torch.long)
    for column, length in zip(x.T, span.tolist(), strict=True):
        steps = ((column - column.min()) / (length or 1.0) * 1e6).round()
        nodes, which = torch.unique(steps, return_inverse=True)
        gaps = nodes.diff()
        if len(gaps) and float(gaps.max() - gaps.min()) > 2:
            return None
        shape.append(len(nodes))
        number = number * len(nodes) + which
    if math.prod(shape) != len(x) or len(torch.unique(number)) != len(x):
        return None
    return shape, number.argsort()


def _scattered(x: Tensor, v: Tensor, span: Tensor) -> list[float]:
    extent = [float(s) for s in span]
    free = [a for a, s in enumerate(extent) if s > 0]
    neighbours = 2 * len(free) + 2
    swing = v - v.mean(0)
    size = swing.abs().square().mean(0).sqrt()
    if not free or len(x) <= neighbours:
        return [0.0] * len(extent)
    unit = ((x[:, free] - x[:, free].amin(0)) / span[free]).numpy()
    some = np.linspace(0, len(x) - 1, min(LOOKED_AT, len(x))).astype(int)
    near: NDArray[np.int64] = cKDTree(unit).query(unit[some], k=neighbours + 1)[1]
    apart = torch.from_numpy(unit[near] - unit[some][:, None])
    change = v[torch.from_numpy(near)] - v[torch.from_numpy(some)][:, None]
    gradient = torch.linalg.pinv(apart, rtol=1e-3).to(change.dtype) @ change
    slope = gradient.abs().square().mean(0).sqrt()
    known = size > ROUNDING * v.abs().amax(0)
    ratio = torch.where(known, slope / size.clamp(min=torch.finfo(size.dtype).tiny), 0.0).amax(1)
    nyquist = math.pi * len(x) ** (1 / len(free))
    highest = [0.0] * len(extent)
    for a, k in zip(free, ratio.tolist(), strict=True):
        highest[a] = min(ABOVE * k, nyquist) / extent[a]
    return highest
