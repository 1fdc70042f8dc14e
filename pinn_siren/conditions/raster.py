"""Values on a regular grid, kept as they came: a video of bytes stays bytes, whatever its size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..domains import Sampler
from ..errors import ProblemError
from ..points import Points
from ..spectra import SHORTEST, highest_frequency
from .base import ConditionBase, Constraint, Fields, Norm, Parts, expect_norm, label_of

LINES = 64
"""Lines of the grid, an axis, whose spectra are looked at."""


@dataclass(frozen=True, eq=False)
class Raster(ConditionBase):
    """``u = unit * values`` on the nodes of a regular grid.

    ``nodes``: axis to ascending coordinates, in the domain's order; ``values``: an array with a dimension an axis, and
    a last one for the outputs where the problem has several, of floating point numbers or of integers. Each draw
    computes the coordinates of random nodes, so that nothing of the grid's size is held but the values as they came;
    with ``whole`` of all nodes at random places along that axis, such as all pixels of some images.

    Raises ``ProblemError`` for other shapes and values that are not finite.
    """

    nodes: dict[str, Any]
    values: Any
    unit: float = 1.0
    weight: float = 1.0
    norm: Norm = 2
    size: float | None = None
    whole: str | None = None

    def __post_init__(self) -> None:
        expect_norm("Raster", self.norm, self.size)
        if self.table.ndim not in (len(self.shape), len(self.shape) + 1) or self.table.shape[: len(self.shape)] != (
            self.shape
        ):
            raise ProblemError(
                f"Raster values must have shape {self.shape}, a dimension for each of {', '.join(self.nodes)}, and one "
                f"more for several outputs; got {tuple(self.table.shape)}."
            )
        if self.whole is not None and self.whole not in self.nodes:
            raise ProblemError(f"Raster(whole={self.whole!r}) must be one of its axes, {', '.join(self.nodes)}.")
        if self.table.is_floating_point() and not bool(torch.isfinite(self.table).all()):
            raise ProblemError("Raster values are NaN or infinite somewhere: give finite numbers.")

    @cached_property
    def table(self) -> Tensor:
        """The values, in the type they came in."""
        return self.values if isinstance(self.values, Tensor) else torch.from_numpy(np.ascontiguousarray(self.values))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Nodes an axis."""
        return tuple(len(nodes) for nodes in self.nodes.values())

    @property
    def count(self) -> int:
        """The number of nodes."""
        return math.prod(self.shape)

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint, with a part an output. Raises ``ProblemError`` where the grid does not fit the problem."""
        domain, outputs = problem.domain, len(problem.outputs)
        if tuple(self.nodes) != domain.axes:
            raise ProblemError(f"Raster has the axes {', '.join(self.nodes)}, {domain} has {', '.join(domain.axes)}.")
        columns = self.table.shape[-1] if self.table.ndim > len(self.shape) else 1
        if columns != outputs:
            raise ProblemError(
                f"Raster has values of {columns} output(s), the problem has {', '.join(problem.outputs)}."
            )

        def residual(points: list[Points], fields: list[Fields]) -> Parts:
            measured = points[0].attached
            assert measured is not None
            return tuple(u.value - measured[:, i] for i, u in enumerate(fields[0][:outputs]))

        return [
            Constraint(
                label_of("data", None, None), self._sampling(domain.axes), residual, self.weight, on_interior=True,
                wavenumbers=self._wavenumbers, norm=self.norm, size=self.size, measured=True,
            )
        ]  # fmt: skip

    def _sampling(self, axes: tuple[str, ...]) -> Any:
        kept: dict[torch.device, Tensor] = {}
        lines = [torch.as_tensor(np.asarray(self.nodes[a], dtype=np.float64)) for a in axes]

        def sample(n: int, sampler: Sampler) -> list[Points]:
            device = sampler.device
            if device not in kept:
                kept[device] = self.table.reshape(self.count, -1).to(device)
            if self.whole is not None:
                chosen = self._slices(n, sampler)
            elif n < self.count:
                chosen = torch.randint(self.count, (n,), generator=sampler.generator, device=device)
            else:
                chosen = torch.arange(self.count, device=device)
            where = torch.unravel_index(chosen, self.shape)
            columns = [line.to(device, sampler.dtype)[i] for line, i in zip(lines, where, strict=True)]
            values = kept[device][chosen].to(sampler.dtype) * self.unit
            return [Points(axes, torch.stack(columns, dim=1), None, values)]

        return sample

    def _slices(self, n: int, sampler: Sampler) -> Tensor:
        """The numbers of all nodes at random places along the axis ``whole``: of as many as hold ``n`` of them."""
        assert self.whole is not None
        axis, device = list(self.nodes).index(self.whole), sampler.device
        length = self.shape[axis]
        draw = torch.randint(length, (max(1, n * length // self.count),), generator=sampler.generator, device=device)
        return torch.arange(self.count, device=device).view(self.shape).index_select(axis, draw).reshape(-1)

    def _wavenumbers(self) -> dict[str, float]:
        """The highest along each axis, from the spectra of some of the grid's lines."""
        highest, random = {}, np.random.default_rng(0)
        for axis, (name, nodes) in enumerate(self.nodes.items()):
            if len(nodes) < SHORTEST:
                continue
            moved = self.table.movedim(axis, 0).reshape(len(nodes), -1)
            some = torch.from_numpy(random.choice(moved.shape[1], min(LINES, moved.shape[1]), replace=False))
            lines = moved[:, some].T.to(torch.complex128)[..., None]
            highest[name] = highest_frequency(lines) / float(nodes[-1] - nodes[0])
        return highest
