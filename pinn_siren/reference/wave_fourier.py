"""The wave equation of constant speed on a box, by Fourier series: exact in time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..coefficients import Coefficient, values
from ..conditions import Absorbing, Boundary, ConditionBase, Dirichlet, Initial, Neumann, Periodic
from ..conditions.sides import is_zero
from ..domains import Box
from ..errors import NoReferenceError
from ..points import TIME, Points
from .convergence import judged
from .grid import GridSolution, Reference
from .lines import Real
from .wave import _initial

METHOD = "Fourier series in space, exact in time"
FINER = (4, 8, 16)
"""Nodes for every cell that is shown, at the three resolutions."""
MOST_NODES = {1: 20_000, 2: 700}
"""An axis at the finest resolution, by the number of space axes."""
UNTOUCHED = 1e-14
"""Of the largest initial value: what may reach a side that lets waves out."""


def fourier_wave(
    domain: Box,
    *,
    speed: Coefficient,
    source: Coefficient,
    conditions: Sequence[ConditionBase],
    cells: Mapping[str, int],
    output: str = "u",
) -> Reference:
    """Solve ``u_tt = speed^2 laplacian u`` at three resolutions; the bar is twice the last difference.

    The initial state is continued as an odd field beyond Dirichlet sides, as an even one beyond Neumann sides; each
    wave then turns as ``cos(speed |k| t)``. ``Absorbing`` sides are covered as long as no wave has reached them: then
    the solution is that of all space. ``cells``: of the uniform grid that all three are shown on.

    Raises ``NoReferenceError`` for a speed that varies, a source, other data on the sides, or waves that have reached
    an absorbing side.
    """
    began = time.perf_counter()
    axes, initial = domain.space_axes, _initial(conditions)
    if not isinstance(speed, int | float) or not is_zero(source) or len(axes) not in MOST_NODES:
        raise NoReferenceError("The Fourier reference needs a constant speed, no source, and one or two space axes.")
    c, (first, last) = float(speed), domain.bounds[TIME]
    signs = _signs(domain, conditions)
    _expect_untouched(domain, conditions, initial, c * (last - first))
    shown = {a: np.linspace(*domain.bounds[a], cells[a] + 1) for a in axes}
    times = np.linspace(first, last, cells[TIME] + 1)
    finest = max(cells[a] for a in axes) * FINER[-1]
    share = min(1.0, MOST_NODES[len(axes)] / finest)
    factors = [max(1, int(f * share)) for f in FINER]
    if len(set(factors)) < len(FINER):
        raise NoReferenceError("The Fourier reference would need too many nodes: show it on fewer cells.")
    levels = []
    for factor in factors:
        state = [_continued(domain, initial, part, cells, factor, signs) for part in ("value", "rate")]
        spectra = [np.fft.fftn(part) for part in state]
        lengths = [domain.bounds[a][1] - domain.bounds[a][0] for a in axes]
        spacings = [length / (cells[a] * factor) for length, a in zip(lengths, axes, strict=True)]
        waves = np.meshgrid(
            *(2 * math.pi * np.fft.fftfreq(n, h) for n, h in zip(state[0].shape, spacings, strict=True)), indexing="ij"
        )
        turn = c * np.sqrt(sum(k**2 for k in waves))
        picks = np.ix_(*(factor * np.arange(cells[a] + 1) % n for a, n in zip(axes, state[0].shape, strict=True)))
        field = []
        for t in times - first:
            # sin(turn t) / turn, and t where the wave does not turn.
            moved = spectra[0] * np.cos(turn * t) + spectra[1] * t * np.sinc(turn * t / math.pi)
            field.append(np.fft.ifftn(moved).real[picks])
        found = np.moveaxis(np.stack(field), 0, domain.axes.index(TIME))
        levels.append(GridSolution({a: times if a == TIME else shown[a] for a in domain.axes}, {output: found}))
    coarse, middle, fine = levels
    return judged((coarse, middle, fine), METHOD, math.inf, time.perf_counter() - began)


def _signs(domain: Box, conditions: Sequence[ConditionBase]) -> list[tuple[int, int]]:
    """Of each space axis: the sign of the field beyond its lower and its upper side, 0 where it is periodic."""
    found: dict[tuple[str, int], int] = {}
    for c in conditions:
        if isinstance(c, Periodic):
            found |= {(c.axis, 0): 0, (c.axis, 1): 0}
            continue
        if isinstance(c, Initial):
            continue
        zero = isinstance(c, Absorbing) or (isinstance(c, Dirichlet | Neumann) and is_zero(c.value))
        if not isinstance(c, Boundary | Absorbing) or not zero or not (c.on is None or isinstance(c.on, str)):
            raise NoReferenceError("The Fourier reference takes sides without data, each as a whole.")
        names = domain.side_names() if c.on is None else (c.on,)
        found |= {domain.side(n): -1 if isinstance(c, Dirichlet) else 1 for n in names}
    try:
        return [(found[a, 0], found[a, 1]) for a in domain.space_axes]
    except KeyError:
        raise NoReferenceError("The Fourier reference needs a condition on every side.") from None


def _state(domain: Box, initial: Initial, part: str, lines: Sequence[Real]) -> Real:
    """The initial value or rate on a tensor grid of the space axes."""
    mesh = np.meshgrid(*lines, indexing="ij")
    columns = dict(zip(domain.space_axes, (torch.from_numpy(m.ravel()) for m in mesh), strict=True))
    columns[TIME] = torch.full_like(next(iter(columns.values())), domain.bounds[TIME][0])
    p = Points(domain.axes, torch.stack([columns[a] for a in domain.axes], dim=1))
    found = values(getattr(initial, part), p, f"Initial {part}")
    return np.asarray(found.numpy().reshape(mesh[0].shape))


def _continued(
    domain: Box, initial: Initial, part: str, cells: Mapping[str, int], factor: int, signs: list[tuple[int, int]]
) -> Real:
    """One period of the continued initial state: once, twice or four times the box along each axis."""
    lines = [np.linspace(*domain.bounds[a], cells[a] * factor + 1) for a in domain.space_axes]
    field = _state(domain, initial, part, lines)
    for axis, (low, high) in enumerate(signs):
        field = np.moveaxis(field, axis, 0)
        if low == 0:
            field = field[:-1]
        elif low == high:
            field = np.concatenate([field, high * field[-2:0:-1]])
        else:
            half = np.concatenate([field, high * field[-2::-1]])
            field = np.concatenate([half, low * half[-2:0:-1]])
        field = np.moveaxis(field, 0, axis)
    return field


def _expect_untouched(domain: Box, conditions: Sequence[ConditionBase], initial: Initial, reach: float) -> None:
    lines = [np.linspace(*domain.bounds[a], 201) for a in domain.space_axes]
    state = np.abs(np.stack([_state(domain, initial, part, lines) for part in ("value", "rate")]))
    for c in (c for c in conditions if isinstance(c, Absorbing)):
        for name in domain.side_names() if c.on is None else (c.on,):
            axis, end = domain.side(str(name))
            i = domain.space_axes.index(axis)
            near = np.abs(lines[i] - domain.bounds[axis][end]) <= reach
            if state.compress(near, axis=i + 1).max() > UNTOUCHED * state.max():
                raise NoReferenceError("A wave has reached an absorbing side, which the Fourier reference leaves out.")


__all__ = ["fourier_wave"]
