"""The reference square: points, and orthonormal combinations of the features with their derivatives there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError, suggest
from ..jet import Jet, make_plan
from ..patchwork import Basis, Patchwork, features
from ..points import Points

KEYS = ("", "x", "y", "xx", "xy", "yy")
"""The derivatives of an operator of second order, in the order in which coefficients are kept."""
KEPT = 12
"""Reference squares that are kept for the next solve."""
CUT = 1e-14
"""Combinations of features below this much of the largest are rounding, and left out."""


@dataclass(frozen=True)
class Size:
    """How rich a patch is: ``width`` features up to ``bandwidth`` radians a half-width, ``nodes`` Chebyshev nodes an
    axis inside, ``edge`` Gauss-Legendre nodes on each of its sides."""

    width: int
    bandwidth: float
    nodes: int
    edge: int
    basis: Basis = "sine"


SIZES = {
    "S": Size(200, 6.0, 16, 11),
    "M": Size(300, 7.0, 20, 14),
    "L": Size(400, 9.0, 24, 17),
}
"""Measured on waves of 5 radians a patch and on patches far narrower: 3e-8 and 5e-11, 5e-10 and 1e-12, 1e-11 and
1e-12. A wider bandwidth is better for the former and worse for the latter; fewer nodes
(1.4 rows a function instead of 1.8) or a cut of 1e-12 leave a floor of 1e-9 to 5e-9."""


def size_of(name: str) -> Size:
    """The size of a name: ``"S"``, ``"M"``, ``"L"``, or ``"chebyshev 12"`` for polynomials of degree 12 an axis.

    Raises ``UsageError`` for another name.
    """
    kind, _, degree = name.partition(" ")
    if kind == "chebyshev" and degree.isdigit() and int(degree) > 1:
        count = int(degree)
        return Size((count + 1) ** 2, 1.0, count + 2, count - 1, "chebyshev")
    if name not in SIZES:
        known = (*SIZES, "chebyshev 12")
        raise UsageError(f"A patch's size is one of {', '.join(known)}; got {name!r}.{suggest(name, known)}")
    return SIZES[name]


@dataclass(frozen=True, eq=False)
class Reference:
    """Functions ``psi = phi T`` on [-1, 1]^2, orthonormal over the nodes inside, and where they are evaluated.

    ``inside`` ``(nodes^2, 2)``, ``sides`` ``(4 edge, 2)``: the left, right, bottom and top side, each in ascending
    order; ``values`` ``(6, nodes^2, r)`` and ``traces`` ``(3, 4 edge, r)``: derivatives in the order of ``KEYS``;
    ``transform`` ``(width, r)``: T; ``waves`` and ``phases``: the features'.
    """

    size: Size
    inside: Tensor
    sides: Tensor
    values: Tensor
    traces: Tensor
    transform: Tensor
    waves: Tensor
    phases: Tensor

    def to(self, device: torch.device | None) -> Reference:
        """The same on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("inside", "sides", "values", "traces", "transform")}
        return replace(self, **moved)

    @property
    def edge(self) -> int:
        """Nodes on a side."""
        return self.size.edge


@lru_cache(maxsize=KEPT)
def reference_square(size: Size, seed: int) -> Reference:
    """The reference square of a size: one singular value decomposition orthonormalizes the features for all patches."""
    network = Patchwork(
        [[-1, 1], [-1, 1]], 1, size.width, size.bandwidth, size.basis, dtype=torch.float64,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    angles = torch.arange(size.nodes, 0, -1, dtype=torch.float64) - 0.5
    nodes = torch.cos(angles * math.pi / size.nodes)
    gauss = torch.from_numpy(np.polynomial.legendre.leggauss(size.edge)[0])
    inside = torch.cartesian_prod(nodes, nodes)
    one = torch.ones_like(gauss)
    ends = [(-one, gauss), (one, gauss), (gauss, -one), (gauss, one)]
    sides = torch.cat([torch.stack(end, dim=1) for end in ends])
    values = _derivatives(inside, KEYS, size.basis, network)
    if size.basis == "sine":
        _, sizes, turned = torch.linalg.svd(values[0], full_matrices=False)
        kept = sizes > CUT * sizes[0]
        transform = turned[kept].T / sizes[kept]
    else:
        transform = torch.eye(size.width, dtype=torch.float64) / values[0].norm(dim=0)
    traces = _derivatives(sides, KEYS[:3], size.basis, network)
    return Reference(
        size, inside, sides, values @ transform, traces @ transform, transform, network.waves, network.phases
    )


def _derivatives(at: Tensor, keys: tuple[str, ...], basis: Basis, network: Patchwork) -> Tensor:
    """``(keys, n, width)``: the features' derivatives."""
    plan = make_plan(("x", "y"), frozenset(keys) - {""})
    channels = torch.zeros(len(plan.keys), *at.shape, dtype=at.dtype)
    channels[0] = at
    channels[plan.index["x"], :, 0] = 1
    channels[plan.index["y"], :, 1] = 1
    made = features(Jet(channels, plan, Points(plan.axes, at)), basis, network.waves, network.phases)
    return torch.stack([made.channel(key) for key in keys])


__all__ = ["KEYS", "SIZES", "Reference", "Size", "reference_square", "size_of"]
