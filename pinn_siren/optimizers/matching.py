"""Matching pursuit: the few waves that a problem's source and data are made of, found one after another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..model import Model
from ..points import Points
from ..siren import Siren
from ..system import System
from .design import design
from .features import waves_of
from .least_squares import collocation

SPACING = math.pi / 2
"""The mean distance of the first candidates, in radians per half-width: half of what a wave's peak is wide."""
FEWEST, MOST = 32, 800
"""First candidates, at least and at most."""
ROUNDS, NEAR, FINER = 4, 16, 3.0
"""How often a wave is looked for closer by, among how many candidates, and how much closer each time."""
FOUND = 1e-3
"""Of a linear problem the search ends where this much of the right side is left."""
MIRRORS = 3
"""Most axes of which each wave is taken with its mirror images."""


@dataclass
class Matching:
    """Orthogonal matching pursuit on a problem's linearization at a field of zero.

    (Pati, Rezaiifar and Krishnaprasad 1993, doi 10.1109/ACSSC.1993.342465.) The right side, sources and data, is
    projected on what groups of waves make of the equation and conditions. The group that takes up most of it is moved
    to where it takes up even more, and kept; the next is looked for in what is left. A group is a sine and a cosine of
    a wavevector and its mirror images, since the sides of a domain reflect.

    ``model``: one whose network is replaced; ``bandwidth``: the highest frequencies looked at, in radians per
    half-width; ``onto``: where every frequency is moved first (``Symbol.onto``).
    """

    system: System
    model: Model
    bandwidth: dict[str, float]
    outputs: int
    linear: bool
    onto: Callable[[Tensor], Tensor] | None = None
    _points: dict[str, list[Points]] = field(default_factory=dict, init=False)
    _weights: list[float] = field(default_factory=list, init=False)

    def find(self, width: int, seed: int) -> Tensor:
        """``(n, axes)``: waves for at most ``width`` features, in radians per half-width, the first found first."""
        d = len(self.bandwidth)
        top = torch.tensor(list(self.bandwidth.values()), dtype=torch.float64)
        count = int(min(MOST, max(FEWEST, float((top / SPACING + 1).prod()))))
        generator = torch.Generator().manual_seed(seed)
        self._points = collocation(self.system, max(4 * FEWEST, count) * len(self._mirrors), generator)
        candidates = self._moved(_sobol(count, d, seed) * top)
        bases, right = self._bases(candidates)
        near = _sobol(NEAR, d, seed + 1) - 0.5
        chosen: list[Tensor] = []
        basis, left = right.new_zeros(len(right), 0), right
        while self.features * (len(chosen) + 1) <= width:
            best, wave = _best(bases, candidates, left)
            reach = 2 * SPACING
            for _ in range(ROUNDS):
                around = self._moved((wave + reach * near).abs())
                best, wave = _best(
                    torch.cat([best[None], self._bases(around)[0]]), torch.cat([wave[None], around]), left
                )
                reach /= FINER
            chosen.append(wave)
            basis = torch.linalg.qr(torch.cat([basis, best], dim=1)).Q
            left = right - basis @ (basis.mH @ right)
            if self.linear and not float(left.norm()) > FOUND * float(right.norm()):
                break
        return torch.stack(chosen)

    @property
    def features(self) -> int:
        """Features of a wave: sine and cosine of each of its images."""
        return 2 * len(self._mirrors)

    @property
    def _mirrors(self) -> Tensor:
        """``(mirrors, axes)``: the signs of a wavevector's images; of a wave and its opposite one is enough."""
        axes = len(self.bandwidth)
        if axes > MIRRORS:
            return torch.ones(1, axes, dtype=torch.float64)
        signs = [(1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=axes - 1)]
        return torch.tensor(signs, dtype=torch.float64)

    def _moved(self, waves: Tensor) -> Tensor:
        return waves if self.onto is None else self.onto(waves)

    def network(self, waves: Tensor) -> Siren:
        """A SIREN of one layer, its output zero: the sines of waves and their mirror images, then the cosines."""
        images = (waves[:, None] * self._mirrors).reshape(-1, waves.shape[1])
        return waves_of(images, self.outputs)

    def _bases(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """``(n, rows, columns)``: an orthonormal basis of what each wave's group makes; and the right side ``(rows,)``.

        Row groups are divided by what the first candidates make of them.
        """
        self.model.network = self.network(waves)
        blocks = design(self.system, self._points, self.model).blocks()
        if not self._weights:
            sizes = [float(b.matrix.abs().square().mean().sqrt()) or 1.0 for b in blocks]
            self._weights = [
                math.sqrt(b.constraint.weight / len(b.matrix)) / size for b, size in zip(blocks, sizes, strict=True)
            ]
        matrix = torch.cat([b.matrix * w for b, w in zip(blocks, self._weights, strict=True)])
        right = torch.cat([b.right * w for b, w in zip(blocks, self._weights, strict=True)])
        # Data may be complex where the operator is real.
        matrix = matrix.to(right.dtype) / matrix.norm(dim=0).clamp(min=1e-300)
        # Columns: every field's own, with a bias last.
        features = self.model.network.width
        columns = matrix.reshape(len(matrix), -1, features + 1)[..., :-1]
        groups = columns.reshape(len(matrix), columns.shape[1], 2, len(waves), -1).permute(3, 0, 1, 2, 4)
        return torch.linalg.qr(groups.reshape(len(waves), len(matrix), -1)).Q, right


def _best(bases: Tensor, waves: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """The basis, and its wave, that takes up most of what is left."""
    taken = torch.einsum("nrc,r->nc", bases.conj(), left).abs().square().sum(1)
    which = int(taken.nan_to_num(nan=-1.0).argmax())
    return bases[which], waves[which]


def _sobol(n: int, dimensions: int, seed: int) -> Tensor:
    return torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed).draw(n, dtype=torch.float64)


__all__ = ["Matching"]
