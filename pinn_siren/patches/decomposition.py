"""Decomposition: the rectangles that a box is cut into."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from ..domains import Box
from ..errors import UsageError, suggest
from ..patchwork import Basis


@dataclass(frozen=True)
class Decomposition:
    """A tensor grid of patches: ``breaks`` has the ascending ends of the patches along each of two axes.

    In the domain's units. Raises ``UsageError`` for another number of axes, or ends that do not ascend.
    """

    breaks: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if len(self.breaks) != 2:
            raise UsageError(f"A decomposition has two axes, got {', '.join(self.breaks) or 'none'}.")
        for axis, ends in self.breaks.items():
            if len(ends) < 2 or any(not b > a for a, b in itertools.pairwise(ends)):
                raise UsageError(f"Axis {axis} needs ascending ends of patches, at least two; got {ends!r}.")

    @classmethod
    def uniform(cls, box: Box, counts: int | Mapping[str, int]) -> Decomposition:
        """Equal patches: as many along every axis, or a number an axis."""
        numbers = {a: counts if isinstance(counts, int) else counts[a] for a in box.axes}
        lines = {a: torch.linspace(*box.bounds[a], numbers[a] + 1, dtype=torch.float64) for a in box.axes}
        return cls({a: tuple(line.tolist()) for a, line in lines.items()})

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(self.breaks)

    @property
    def shape(self) -> tuple[int, int]:
        """Patches along each axis."""
        first, second = (len(ends) - 1 for ends in self.breaks.values())
        return first, second

    def covers(self, box: Box) -> bool:
        """Whether the patches fill a box."""
        return self.axes == box.axes and all((e[0], e[-1]) == box.bounds[a] for a, e in self.breaks.items())

    def centers(self) -> Tensor:
        """``(patches, 2)``, the second axis fastest."""
        return self._products(lambda low, high: (low + high) / 2)

    def half_widths(self) -> Tensor:
        """``(patches, 2)``, the second axis fastest."""
        return self._products(lambda low, high: (high - low) / 2)

    def halved(self, intervals: Mapping[str, Sequence[int]]) -> Decomposition:
        """The named intervals of each axis cut in the middle."""
        breaks = {}
        for axis, ends in self.breaks.items():
            cut = {(ends[i] + ends[i + 1]) / 2 for i in intervals.get(axis, ())}
            breaks[axis] = tuple(sorted({*ends, *cut}))
        return Decomposition(breaks)

    def _products(self, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        lines = [torch.tensor(ends, dtype=torch.float64) for ends in self.breaks.values()]
        return torch.cartesian_prod(*(of(line[:-1], line[1:]) for line in lines))

    def __str__(self) -> str:
        return " x ".join(map(str, self.shape)) + " patches"


@dataclass(frozen=True)
class Patches:
    """What is stated of the patches of a solve: their ``decomposition``, chosen unless given, and their ``basis``.

    ``basis``: ``"sine"`` features, or ``"chebyshev"`` polynomials, a classical spectral element in the same solver.
    Raises ``UsageError`` for another basis.
    """

    decomposition: Decomposition | None = None
    basis: Basis = "sine"

    def __post_init__(self) -> None:
        if self.basis not in get_args(Basis):
            known = get_args(Basis)
            raise UsageError(
                f"basis must be one of {', '.join(known)}; got {self.basis!r}.{suggest(str(self.basis), known)}"
            )


__all__ = ["Decomposition", "Patches"]
