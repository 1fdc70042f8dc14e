"""Slabwork: one layer of frozen sines that all patches of space share, at every slab of time, each with weights of its
own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .errors import UsageError
from .jet import Jet, make_plan
from .points import Points
from .spill import release, zeros

CHUNK = 2**23
"""Numbers of the features' jets that are held at once."""
READ = 64
"""Rows of weights in a file that are read before their memory is given back: of each the system reads 64 KiB."""


class Slabwork(nn.Module):
    """``u(x) = sum_m w_pm sin(a_m z + b_m)`` in cell p of a tensor grid, ``z = (x - c_p) / h_p`` in it.

    ``(n, d) -> (n, 1)``, nondimensional; time is one of the axes. ``breaks``: ascending ends of the cells along each
    axis; ends belong to the cell above them, points outside to the nearest. The hidden layer, ``waves`` ``(width, d)``
    and ``phases`` ``(width,)``, is the same in all cells: each is a SIREN of one hidden layer. ``weight``
    ``(stored, width)``: of the cells where the field is not silent; ``row`` ``(cells,)`` says which, -1 where none.
    ``clock``: which axis is the time, where cells are of several widths or waves of several speeds: then h is that of
    the cell over ``extent`` ``(stored, d)``, and of the time z is -1 at the cell's start.
    Weights that outgrow memory lie in a file (``spill``), and evaluation gives back what it read of them.

    Raises ``UsageError`` for ends that do not ascend, or sizes that are not positive.
    """

    waves: Tensor
    phases: Tensor
    row: Tensor
    extent: Tensor

    def __init__(
        self,
        breaks: Sequence[Sequence[float]],
        width: int,
        stored: int,
        *,
        clock: int | None = None,
        weight: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        ends = [torch.as_tensor(line, dtype=torch.float64) for line in breaks]
        if not ends or not all(len(line) > 1 and bool((line.diff() > 0).all()) for line in ends):
            raise UsageError(f"Slabwork needs ascending ends of its cells along each axis, got {breaks!r}.")
        if width < 1 or stored < 0:
            raise UsageError(f"Slabwork needs a positive width and no negative number of cells, got {width}, {stored}.")
        self.inputs, self.outputs, self.width, self.stored = len(ends), 1, width, stored
        for i, line in enumerate(ends):
            self.register_buffer(f"ends_{i}", line.to(dtype))
        self.register_buffer("waves", torch.zeros(width, len(ends), dtype=dtype))
        self.register_buffer("phases", torch.zeros(width, dtype=dtype))
        self.register_buffer("row", torch.full((math.prod(len(line) - 1 for line in ends),), -1))
        self.clock = clock
        if clock is not None:
            self.register_buffer("extent", torch.ones(stored, len(ends), dtype=dtype))
        self.weight = nn.Parameter(zeros(stored, width, self.waves.dtype) if weight is None else weight)

    @property
    def lines(self) -> tuple[Tensor, ...]:
        """The cells' ends along each axis."""
        return tuple(self.get_buffer(f"ends_{i}") for i in range(self.inputs))

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return tuple(len(line) - 1 for line in self.lines)

    def forward(self, x: Any) -> Any:
        """``(n, d) -> (n, 1)``; jets of inputs give jets of outputs."""
        return self.at(x, self.cells(x.value if isinstance(x, Jet) else x))

    def cells(self, x: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: the number of the cell of each point, the last axis fastest."""
        number = torch.zeros(len(x), dtype=torch.long, device=x.device)
        for line, column in zip(self.lines, x.T, strict=True):
            place = torch.searchsorted(line[1:-1].contiguous(), column.contiguous(), right=True)
            number = number * (len(line) - 1) + place
        return number

    def at(self, x: Any, cell: Tensor) -> Any:
        """The functions of the named cells ``(n,)`` at points ``(n, d)``, inside them or not."""
        if not isinstance(x, Jet):
            plan = make_plan(tuple("xyzw"[: self.inputs]), frozenset())
            return self.at(Jet(x[None], plan, Points(plan.axes, x)), cell).value
        out = x.channels.new_zeros(*x.channels.shape[:2], 1)
        row = self.row[cell]
        order = row.argsort()
        order = order[row[order] >= 0]
        most = max(1, CHUNK // (len(x.channels) * self.width))
        for some in order.split(most) if len(order) else ():
            local = Jet(self._local(x.channels[:, some], cell[some], row[some]), x.plan, x.points)
            functions: Any = torch.sin(local._linear(self.waves, self.phases))  # type: ignore[arg-type]
            numbers, counts = torch.unique_consecutive(row[some], return_counts=True)
            parts = functions.channels.split(counts.tolist(), dim=1)
            made = []
            for part, number in zip(parts, numbers.tolist(), strict=True):
                made.append(part @ self.weight[number][:, None])
                if len(made) % READ == 0:
                    release(self.weight)
            out = out.index_copy(1, some, torch.cat(made, dim=1))
            release(self.weight)
        return Jet(out, x.plan, x.points)

    def _local(self, channels: Tensor, cell: Tensor, row: Tensor) -> Tensor:
        """Coordinates in each point's cell: its derivatives are those of a linear map."""
        center, half = [], []
        for line in reversed(self.lines):
            which, cell = cell % (len(line) - 1), cell // (len(line) - 1)
            center.append((line[which] + line[which + 1]) / 2)
            half.append((line[which + 1] - line[which]) / 2)
        middle, halves = (torch.stack(columns[::-1], dim=1) for columns in (center, half))
        if self.clock is not None:
            wide = halves / self.extent[row]
            shift = torch.zeros_like(wide)
            shift[:, self.clock] = (wide - halves)[:, self.clock]
            middle, halves = middle + shift, wide
        return torch.cat([channels[:1] - middle, channels[1:]]) / halves

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this network: the arguments of the constructor."""
        return {
            "network": "slabwork",
            "breaks": [line.tolist() for line in self.lines],
            "width": self.width,
            "stored": self.stored,
            **({} if self.clock is None else {"clock": self.clock}),
        }


__all__ = ["Slabwork"]
