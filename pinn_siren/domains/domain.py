"""What every domain can do: sample its inside, its spatial boundary and its first time, and know its normals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import ProblemError
from ..points import TIME, Points, join
from .sampling import Sampler

On = str | Callable[[Points], Tensor] | None
"""Where on the boundary: a side's name, a function of points to a bool mask, or None for all of it."""


class Domain(ABC):
    """A region of space, or of space and time ``t``."""

    axes: tuple[str, ...]

    @property
    def space_axes(self) -> tuple[str, ...]:
        """The names of all axes but time."""
        return tuple(a for a in self.axes if a != TIME)

    @property
    def has_time(self) -> bool:
        """Whether time is one of the axes."""
        return TIME in self.axes

    @property
    @abstractmethod
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The smallest box around the domain, an interval an axis."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """Length, area or volume, time included."""

    @abstractmethod
    def contains(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)`` bool: inside or on the boundary, up to rounding."""

    @abstractmethod
    def interior(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside."""

    @abstractmethod
    def side_names(self) -> tuple[str, ...]:
        """The names that ``on`` accepts."""

    @abstractmethod
    def _boundary(self, n: int, sampler: Sampler, side: str | None) -> Points:
        """About ``n`` points on the spatial boundary, or on one of its sides, by measure, with normals."""

    @abstractmethod
    def start(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside at the first time."""

    def boundary(
        self,
        n: int,
        sampler: Sampler,
        on: On = None,
    ) -> Points:
        """About ``n`` points on the spatial boundary where ``on`` says, with outward unit normals.

        Raises ``ProblemError`` where ``on`` names no side, is no mask, or matches no point.
        """
        if on is None or isinstance(on, str):
            if on is not None and on not in self.side_names():
                raise ProblemError(
                    f"on={on!r} names no side of {self}: use {', '.join(self.side_names())}, or a function of points."
                )
            return self._boundary(n, sampler, on)
        found: list[Points] = []
        count, drawn = 0, max(64, 2 * n)
        for _ in range(12):
            points = self._boundary(drawn, sampler, None)
            kept = points[_mask(on, points)]
            found.append(kept)
            count += len(kept)
            if count >= n:
                # The sides come one after the other: a plain cut would lose the last of them.
                chosen = torch.randperm(count, generator=sampler.generator, device=sampler.device)[:n]
                return join(found)[chosen]
            drawn *= 2
        if count == 0:
            raise ProblemError(
                f"A condition's on= matches none of {drawn} boundary points of {self}. It is called with points on "
                "the spatial boundary; compare with a tolerance, as in on=lambda p: p.x < 1e-6."
            )
        return join(found)


def _mask(on: Callable[[Points], Tensor], points: Points) -> Tensor:
    if not callable(on):
        raise ProblemError(
            f"on= takes a side's name, a function of points to a bool mask, or None, got {on!r}. For several sides "
            "give a condition each."
        )
    mask = on(points)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (len(points),):
        came = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ProblemError(
            f"on= must return a bool tensor of shape ({len(points)},) for {len(points)} points, got {came}."
        )
    return mask
