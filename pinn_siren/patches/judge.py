"""How far patches are from solving a problem: residual, jumps and conditions at points that the solve did not see."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..domains import Sampler
from ..jet import Jet, make_plan
from ..patchwork import Patchwork
from ..points import Points
from ..problem import Problem
from ..scales import Scales
from .decomposition import Decomposition
from .linearized import coefficients, stated
from .square import KEYS

FRESH, FEWER, MANY = 8, 4, 100
"""Points in each patch at which the residual is looked at, and on each of its sides for the jumps; fewer where there
are many patches."""
SEEN = 2000


class Judge:
    """Misfits of problems of one operator, each with a source and data of its own, all evaluated at once."""

    def __init__(self, problems: Sequence[Problem], scales: Scales) -> None:
        sampler = Sampler(torch.Generator().manual_seed(4711))
        self.problems, self.axes = problems, problems[0].domain.axes
        self.equations, self.beside = zip(*(stated(p) for p in problems), strict=True)
        self.dtype = torch.complex128 if problems[0].complex_valued else torch.float64
        bounds = torch.tensor([problems[0].domain.bounds[a] for a in self.axes], dtype=torch.float64)
        self._center, self._half = bounds.mean(1), bounds.diff(dim=1)[:, 0] / 2
        self.units = {name: sizes[0] for name, sizes in scales.residual.items()}
        self.unit = self.units[self.equations[0].name] / max(scales.wavenumber.values()) ** 2
        self._inside = problems[0].physical_domain.interior(SEEN, sampler)
        self._around = [c.sample(SEEN, sampler)[0] for c in self.beside[0]]

    def values(self, network: Patchwork) -> Tensor:
        """``(SEEN, k)``: the fields at points of the physical domain."""
        return self._fields(network, self._inside, ())[0]

    def __call__(
        self, network: Patchwork, decomposition: Decomposition, values: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``(k,)`` misfits in units of the fields, and the largest ones of each interval's patches, an axis each.

        The equation counts as the field that answers it within a patch: its residual times the squared half-width over
        the second coefficients' size; jumps and values at the sides count as they are.
        """
        generator = torch.Generator().manual_seed(4712)
        center, half = decomposition.centers(), decomposition.half_widths()
        fresh = FRESH if len(center) <= MANY else FEWER
        draw = 2 * torch.rand(len(center), fresh, 2, generator=generator, dtype=torch.float64) - 1
        p = Points(self.axes, (center[:, None] + half[:, None] * draw).reshape(-1, 2))
        inside = self._residual(network, self.equations, p).reshape(len(center), fresh, -1).mean(1).sqrt()
        inside = inside * half.amin(1)[:, None] ** 2 / self.unit
        jumps = self._jumps(network, decomposition, fresh, generator)
        local = (inside**2 + jumps**2) * (half.prod(1) / half.prod(1).sum())[:, None]
        size = values.abs().square().mean(0)
        total = local.sum(0)
        for one, at in zip(zip(*self.beside, strict=True), self._around, strict=True):
            total = total + self._residual(network, one, at).mean(0) / self.units[one[0].name] ** 2
        misfit = torch.where(size > 0, total / size, torch.where(total > 0, math.inf, 0.0)).sqrt()
        grid = (local / torch.where(size > 0, size, 1.0)).amax(1).sqrt().reshape(decomposition.shape)
        by_interval = dict(zip(self.axes, (grid.amax(1), grid.amax(0)), strict=True))
        return misfit.nan_to_num(math.inf, math.inf), by_interval

    def _residual(self, network: Patchwork, constraints: Sequence, p: Points) -> Tensor:  # type: ignore[type-arg]
        """``(n, k)`` squared residuals of one constraint of each problem."""
        c, right = coefficients(self.problems, constraints, p, self.dtype)
        names = dict(zip("xy", self.axes, strict=True))
        used = [i for i in range(len(KEYS)) if bool(c[:, i].any())]
        keys = ["".join(names[a] for a in KEYS[i]) for i in used]
        fields = self._fields(network, p, tuple(keys))
        total = -right
        for i, values in zip(used, fields, strict=True):
            total = total + c[:, i, None] * values
        return total.abs().square()

    def _fields(self, network: Patchwork, p: Points, keys: tuple[str, ...]) -> list[Tensor]:
        """``(n, k)`` values, or the derivatives of the names by the problem's coordinates."""
        plan = make_plan(self.axes, frozenset(keys) - {""})
        channels = torch.zeros(len(plan.keys), len(p), 2, dtype=torch.float64)
        channels[0] = (p.coordinates - self._center) / self._half
        for i, axis in enumerate(self.axes):
            if axis in plan.index:
                channels[plan.index[axis], :, i] = 1 / self._half[i]
        with torch.no_grad():
            made = network(Jet(channels, plan, p))
        return [self._joined(made.channel(key)) for key in keys or ("",)]

    def _joined(self, outputs: Tensor) -> Tensor:
        """``(..., k)`` of the network's outputs: real parts, then imaginary ones."""
        if self.dtype == torch.float64:
            return outputs
        return torch.complex(*outputs.chunk(2, dim=-1))

    def _jumps(self, network: Patchwork, decomposition: Decomposition, fresh: int, g: torch.Generator) -> Tensor:
        """``(patches, k)``: the root mean square jump of the field, and of its slope times the half-width, over the
        sides that a patch shares with the next."""
        count = decomposition.shape
        number = torch.arange(math.prod(count)).reshape(count)
        square = torch.zeros(math.prod(count), len(self.problems), dtype=torch.float64)
        lines = network.lines
        for axis in (0, 1):
            if count[axis] == 1:
                continue
            first = (number[:-1] if axis == 0 else number[:, :-1]).flatten()
            second = (number[1:] if axis == 0 else number[:, 1:]).flatten()
            share = torch.rand(len(first), fresh, generator=g, dtype=torch.float64)
            along = first % count[1] if axis == 0 else first // count[1]
            across = first // count[1] if axis == 0 else first % count[1]
            other = lines[1 - axis]
            free = torch.lerp(other[along, None], other[along + 1, None], share).flatten()
            fixed = lines[axis][across + 1].repeat_interleave(fresh)
            u = _with_slopes(torch.stack([fixed, free] if axis == 0 else [free, fixed], dim=1), self.axes)
            with torch.no_grad():
                one, two = (network.at(u, patch.repeat_interleave(fresh)).channels for patch in (first, second))
            jump = one - two
            width = (lines[axis][across + 1] - lines[axis][across]).repeat_interleave(fresh)[:, None]
            parts = self._joined(jump[0]).abs().square()
            parts = parts + self._joined(width / 2 * jump[1 + axis]).abs().square()
            square[first] += parts.reshape(len(first), fresh, -1).mean(1)
        return square.sqrt()


def _with_slopes(x: Tensor, axes: tuple[str, ...]) -> Jet:
    """Coordinates of a network with their first derivatives."""
    plan = make_plan(axes, frozenset(axes))
    channels = torch.cat([x[None], torch.eye(2, dtype=x.dtype)[:, None].expand(-1, len(x), -1)])
    return Jet(channels, plan, Points(axes, x))


__all__ = ["Judge"]
