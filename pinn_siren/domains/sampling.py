"""Points in the unit cube, from a ``torch.Generator``, on its device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import UsageError, suggest

Scheme = Literal["uniform", "sobol", "chebyshev"]
BITS = 30
"""Of every coordinate of a Sobol point."""


@dataclass(frozen=True, eq=False)
class Sampler:
    """Where points come from: a generator (and its device), a dtype and a scheme.

    ``"uniform"``: independent points. ``"sobol"``: a scrambled Sobol sequence (Owen 1998, doi 10.1006/jcom.1998.0487),
    of low discrepancy. ``"chebyshev"``: the same sequence with the arcsine density of Chebyshev points, dense at the
    sides. Raises ``UsageError`` for another scheme.
    """

    generator: torch.Generator
    dtype: torch.dtype = torch.float64
    scheme: Scheme = "sobol"

    def __post_init__(self) -> None:
        if self.scheme not in get_args(Scheme):
            known = get_args(Scheme)
            raise UsageError(
                f"Points are sampled by one of {', '.join(known)}; got {self.scheme!r}.{suggest(self.scheme, known)}"
            )

    @property
    def device(self) -> torch.device:
        """The device of the generator and of the points."""
        return self.generator.device

    def unit_cube(self, n: int, dimensions: int) -> Tensor:
        """``(n, dimensions)`` points in [0, 1]^d, nondimensional."""
        if dimensions == 0:
            return torch.zeros(n, 0, dtype=self.dtype, device=self.device)
        if self.scheme == "uniform":
            return torch.rand(n, dimensions, generator=self.generator, dtype=self.dtype, device=self.device)
        if self.device.type == "cpu":
            seed = int(torch.randint(2**31 - 1, (), generator=self.generator))
            points = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed).draw(n, dtype=torch.float64)
        else:
            points = shifted(n, dimensions, self.generator)
        # Drawn in float64 and kept off 0 and 1: rounding would put interior points on the boundary.
        points = points.clamp(1e-7, 1 - 1e-7)
        if self.scheme == "chebyshev":
            points = torch.sin(points * (torch.pi / 2)) ** 2
        rounding = torch.finfo(self.dtype).eps
        return points.to(device=self.device, dtype=self.dtype).clamp(rounding, 1 - rounding)

    def even(self, n: int, dimensions: int) -> Tensor:
        """``(n, dimensions)`` points of even density in [0, 1]^d, in float64, whatever the scheme and the dtype.

        For curved and cut shapes: the Chebyshev density belongs to the sides of a box.
        """
        scheme: Scheme = "sobol" if self.scheme == "chebyshev" else self.scheme
        return replace(self, dtype=torch.float64, scheme=scheme).unit_cube(n, dimensions)


def shifted(n: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """``(n, dimensions)`` points of [0, 1]^d in float64 on the generator's device: the Sobol sequence, its bits flipped
    by a random pattern along each axis, a digital shift (L'Ecuyer and Lemieux 2002, doi 10.1007/0-306-48102-2_20).

    It keeps the low discrepancy, and the host does not wait for the device.
    """
    flips = torch.randint(2**BITS, (dimensions,), generator=generator, device=generator.device)
    return ((_sobol(n, dimensions, generator.device) ^ flips) + 0.5) / 2**BITS


@lru_cache(maxsize=16)
def _sobol(n: int, dimensions: int, device: torch.device) -> Tensor:
    drawn = torch.quasirandom.SobolEngine(dimensions).draw(n, dtype=torch.float64)
    return (drawn * 2**BITS).long().to(device)


def lattice(n: int, dimensions: int) -> Tensor:
    """``(n, dimensions)`` points of [0, 1]^d that are the same in every call, for integrals; ``n`` a power of two.

    The first ``n`` Sobol points, centred: in one dimension the midpoint rule. One point in no dimension.
    """
    if dimensions == 0:
        return torch.zeros(1, 0, dtype=torch.float64)
    return torch.quasirandom.SobolEngine(dimensions).draw(n, dtype=torch.float64) + 0.5 / n


def allot(n: int, measures: list[float]) -> list[int]:
    """Share ``n`` among parts by their measure: at least one each, the largest remainders first."""
    total = sum(measures)
    exact = [n * m / total for m in measures]
    counts = [max(1, int(e)) for e in exact]
    order = sorted(range(len(exact)), key=lambda i: int(exact[i]) - exact[i])
    for i in order[: max(0, n - sum(counts))]:
        counts[i] += 1
    return counts


def choose(unit: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """A part for every number ``(n,)`` in [0, 1], by size ``(k,)``, and what of the number is left, again in [0, 1]."""
    ends = sizes.cumsum(0)
    position = unit * ends[-1]
    which = torch.searchsorted(ends, position).clamp(max=len(sizes) - 1)
    return which, (1 - (ends[which] - position) / sizes[which]).clamp(0, 1)


def on_triangles(unit: Tensor, corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``(n, 2)`` evenly onto triangles ``(k, 3, d)``: which ``(n,)``, where ``(n, d)``, and the weights ``(n, 3)``."""
    first, second, third = corners.unbind(dim=1)
    one, two = second - first, third - first
    squares = one.square().sum(dim=1) * two.square().sum(dim=1) - (one * two).sum(dim=1).square()
    which, rest = choose(unit[:, 0], squares.clamp(min=0).sqrt())
    # Strips parallel to the side opposite the first corner have areas that grow with the distance to it.
    root, v = rest.sqrt(), unit[:, 1]
    weights = torch.stack([1 - root, root * (1 - v), root * v], dim=1)
    return which, (weights[:, :, None] * corners[which]).sum(dim=1), weights
