"""Points: coordinates with names, and the outward normal on boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ProblemError, suggest

TIME = "t"


@dataclass(frozen=True, eq=False)
class Points:
    """``n`` points in ``d`` named coordinates.

    ``p.x``, ``p.t``, ... are ``(n,)`` tensors; ``coordinates`` is ``(n, d)`` in the order of ``axes``;
    ``space`` is ``(n, space dims)``; ``normal`` is ``(n, space dims)``, the outward unit normal, on boundaries only.
    ``attached`` is ``(n, k)``: numbers that belong to the points and go with them, such as measured values.
    """

    axes: tuple[str, ...]
    coordinates: Tensor
    outward: Tensor | None = None
    attached: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.coordinates.shape)
        if len(shape) != 2 or shape[1] != len(self.axes):
            raise ProblemError(f"Points over {self.axes} need coordinates of shape (n, {len(self.axes)}), got {shape}.")

    def __len__(self) -> int:
        return self.coordinates.shape[0]

    def __getattr__(self, name: str) -> Tensor:
        axes = self.__dict__.get("axes", ())
        if name in axes:
            return self.coordinates[:, axes.index(name)]
        if name.startswith("_"):
            raise AttributeError(name)
        raise ProblemError(f"These points have the axes {', '.join(axes)}; there is no p.{name}.{suggest(name, axes)}")

    def __getitem__(self, index: Tensor | slice) -> Points:
        outward = None if self.outward is None else self.outward[index]
        attached = None if self.attached is None else self.attached[index]
        return Points(self.axes, self.coordinates[index], outward, attached)

    @property
    def space_axes(self) -> tuple[str, ...]:
        """The names of all axes but time."""
        return tuple(a for a in self.axes if a != TIME)

    @property
    def space(self) -> Tensor:
        """``(n, space dims)``: the coordinates without time."""
        return self.coordinates[:, [i for i, a in enumerate(self.axes) if a != TIME]]

    @property
    def normal(self) -> Tensor:
        """``(n, space dims)``: the outward unit normal; on boundaries only."""
        if self.outward is None:
            raise ProblemError("p.normal is known on a boundary only, and these points are not on one.")
        return self.outward

    def replace(self, coordinates: Tensor) -> Points:
        """The same axes, normals and attached numbers at other coordinates of the same shape."""
        return Points(self.axes, coordinates, self.outward, self.attached)


def join(parts: Sequence[Points]) -> Points:
    """Points of the same axes, one after the other; normals and attached numbers stay if all parts have them."""

    def joined(columns: list[Tensor | None]) -> Tensor | None:
        known = [c for c in columns if c is not None]
        return torch.cat(known) if len(known) == len(columns) else None

    coordinates = torch.cat([part.coordinates for part in parts])
    outward, attached = joined([part.outward for part in parts]), joined([part.attached for part in parts])
    return Points(parts[0].axes, coordinates, outward, attached)
