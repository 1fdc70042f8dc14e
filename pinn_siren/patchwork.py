"""Patchwork: small networks on the rectangles of a tensor grid, with frozen features that all of them share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from .errors import UsageError, suggest
from .jet import Jet, make_plan
from .jet.rules import multiply
from .points import Points

Basis = Literal["sine", "chebyshev"]

CHUNK = 2**23
"""Numbers of the features' jets that are held at once."""


class Patchwork(nn.Module):
    """``u(x) = sum_m w_pm phi_m(Q_p (x - c_p) / h_p)`` on patch p, a rectangle of center c_p and half-widths h_p.

    ``(n, 2) -> (n, outputs)``, nondimensional. ``breaks``: ascending ends of the patches along each of two axes; patch
    ``(i, j)`` has the number ``i * columns + j``; ends belong to the patch above them, points outside to the nearest.

    ``basis="sine"``: ``phi_m(z) = sin(a_m z + b_m)``, each patch a SIREN of one hidden layer of ``width``, all hidden
    layers the same and frozen: ``a_m`` uniform in a disk of radius ``bandwidth``, ``b_m`` uniform over a period
    (locally random features: Dong and Li 2021, doi 10.1016/j.cma.2021.114129). ``"chebyshev"``: products of Chebyshev
    polynomials up to degree ``sqrt(width) - 1`` along each axis, a classical spectral element beside it.

    ``weight`` ``(patches, outputs, width)`` is trained, zero at first. ``turn`` ``(patches, 2, 2)``: the reflection or
    quarter turn Q_p through which a patch sees the features, so that mirrored patches are one.

    ``generator``: where the hidden layer comes from; torch's global one unless given. Raises ``UsageError`` for ends
    that do not ascend, sizes that are not positive, or another basis.
    """

    turn: Tensor
    waves: Tensor
    phases: Tensor

    def __init__(
        self,
        breaks: Sequence[Sequence[float]],
        outputs: int,
        width: int = 300,
        bandwidth: float = 8.0,
        basis: Basis = "sine",
        *,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        ends = [torch.as_tensor(line, dtype=torch.float64) for line in breaks]
        if len(ends) != 2 or not all(len(line) > 1 and bool((line.diff() > 0).all()) for line in ends):
            raise UsageError(f"Patchwork needs ascending ends of its patches along two axes, got {breaks!r}.")
        if outputs < 1 or width < 1 or not bandwidth > 0:
            raise UsageError(f"Patchwork needs positive sizes, got {outputs=}, {width=}, {bandwidth=}.")
        if basis not in get_args(Basis):
            known = get_args(Basis)
            raise UsageError(f"basis must be one of {', '.join(known)}; got {basis!r}.{suggest(basis, known)}")
        if basis == "chebyshev" and math.isqrt(width) ** 2 != width:
            raise UsageError(f"A Chebyshev basis has (degree + 1)^2 functions, and {width} is no square.")
        self.inputs, self.outputs, self.width, self.bandwidth, self.basis = 2, outputs, width, bandwidth, basis
        for name, line in zip(("first", "second"), ends, strict=True):
            self.register_buffer(name, line.to(dtype))
        count = math.prod(len(line) - 1 for line in ends)
        self.register_buffer("turn", torch.eye(2, dtype=dtype).repeat(count, 1, 1))
        radius, angle, phase = torch.rand(3, width, generator=generator, dtype=torch.float64)
        radius, angle = bandwidth * radius.sqrt(), 2 * math.pi * angle
        waves = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
        self.register_buffer("waves", waves.to(dtype))
        self.register_buffer("phases", (2 * math.pi * phase).to(dtype))
        self.weight = nn.Parameter(torch.zeros(count, outputs, width, dtype=dtype))

    @property
    def lines(self) -> tuple[Tensor, Tensor]:
        """The patches' ends along each axis."""
        return self.get_buffer("first"), self.get_buffer("second")

    def forward(self, x: Any) -> Any:
        """``(n, 2) -> (n, outputs)``; jets of inputs give jets of outputs."""
        return self.at(x, self.patches(x.value if isinstance(x, Jet) else x))

    def patches(self, x: Tensor) -> Tensor:
        """``(n, 2) -> (n,)``: the number of the patch of each point."""
        places = [
            torch.searchsorted(line[1:-1].contiguous(), column.contiguous(), right=True)
            for line, column in zip(self.lines, x.T, strict=True)
        ]
        return places[0] * (len(self.lines[1]) - 1) + places[1]

    def at(self, x: Any, patch: Tensor) -> Any:
        """The functions of the named patches ``(n,)`` at points ``(n, 2)``, inside them or not."""
        if not isinstance(x, Jet):
            return self.at(_plain(x), patch).value
        order = patch.argsort()
        numbers, counts = torch.unique_consecutive(patch[order], return_counts=True)
        local = self._local(x.channels, patch)
        out = local.new_empty(*local.shape[:2], self.outputs)
        most = max(1, CHUNK // (len(local) * self.width))
        start = 0
        for chunk in _runs(numbers.tolist(), counts.tolist(), most):
            size = sum(count for _, count in chunk)
            points = order[start : start + size]
            functions = features(Jet(local[:, points], x.plan, x.points), self.basis, self.waves, self.phases).channels
            parts = functions.split([count for _, count in chunk], dim=1)
            made = [part @ self.weight[number].T for part, (number, _) in zip(parts, chunk, strict=True)]
            out = out.index_copy(1, points, torch.cat(made, dim=1))
            start += size
        return Jet(out, x.plan, x.points)

    def _local(self, channels: Tensor, patch: Tensor) -> Tensor:
        """Coordinates in each point's patch, turned: its derivatives are those of a linear map."""
        rows = len(self.lines[1]) - 1
        which = (patch // rows, patch % rows)
        center = torch.stack([(s[i] + s[i + 1]) / 2 for s, i in zip(self.lines, which, strict=True)], dim=1)
        half = torch.stack([(s[i + 1] - s[i]) / 2 for s, i in zip(self.lines, which, strict=True)], dim=1)
        moved = torch.cat([channels[:1] - center, channels[1:]]) / half
        return torch.einsum("nij,cnj->cni", self.turn[patch], moved)

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this network: the arguments of the constructor."""
        return {
            "network": "patchwork",
            "breaks": [line.tolist() for line in self.lines],
            "outputs": self.outputs,
            "width": self.width,
            "bandwidth": self.bandwidth,
            "basis": self.basis,
        }


def features(x: Jet, basis: Basis, waves: Tensor, phases: Tensor) -> Jet:
    """``(n, 2) -> (n, width)``: the jets of the features at points of the reference square [-1, 1]^2."""
    if basis == "sine":
        z: Any = x._linear(waves, phases)
        return torch.sin(z)  # type: ignore[return-value]
    count = math.isqrt(len(phases))
    first, second = (_chebyshev(x[:, i], count) for i in (0, 1))
    product = multiply(first[..., :, None], second[..., None, :], x.plan)
    return Jet(product.flatten(-2), x.plan, x.points)


def _chebyshev(x: Jet, count: int) -> Tensor:
    """``(channels, n, count)``: Chebyshev polynomials by their recurrence."""
    known = [x * 0 + 1.0, x]
    while len(known) < count:
        known.append(2 * (x * known[-1]) - known[-2])
    return torch.stack([u.channels for u in known[:count]], dim=-1)


def _plain(x: Tensor) -> Jet:
    plan = make_plan(("x", "y"), frozenset())
    return Jet(x[None], plan, Points(plan.axes, x))


def _runs(numbers: list[int], counts: list[int], most: int) -> list[list[tuple[int, int]]]:
    """Patches with their numbers of points, in chunks of at most ``most`` points; a long patch is cut."""
    chunks: list[list[tuple[int, int]]] = [[]]
    room = most
    for number, count in zip(numbers, counts, strict=True):
        while count > 0:
            taken = min(count, room)
            chunks[-1].append((number, taken))
            count, room = count - taken, room - taken
            if room == 0:
                chunks.append([])
                room = most
    return [chunk for chunk in chunks if chunk]


__all__ = ["Basis", "Patchwork", "features"]
