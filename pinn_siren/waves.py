"""One sine layer in closed form: a derivative of ``sin(k x + b)`` is k's components times a sine or a cosine."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .jet import LAPLACIAN, Plan
from .points import TIME, Points


@dataclass(frozen=True, eq=False)
class Waves:
    """``sin(k_j (x - center) + phase_j)``: ``wavevectors`` ``(width, axes)`` in radians per unit length or time."""

    wavevectors: Tensor
    phase: Tensor
    center: Tensor

    def at(self, points: Points) -> WavesAt:
        """The waves at ``n`` points."""
        angle = torch.addmm(self.phase, points.coordinates - self.center, self.wavevectors.T)
        return WavesAt(self, torch.sin(angle), torch.cos(angle))

    def factors(self, plan: Plan) -> Tensor:
        """``(channels, width)``: what multiplies the sine (even order) or the cosine (odd order) in each derivative."""
        rows = []
        for key in plan.keys:
            if key == LAPLACIAN:
                space = [i for i, a in enumerate(plan.axes) if a != TIME]
                rows.append(-self.wavevectors[:, space].square().sum(dim=1))
                continue
            row = torch.ones_like(self.phase)
            for axis in key:
                row = row * self.wavevectors[:, plan.axes.index(axis)]
            rows.append(-row if len(key) % 4 > 1 else row)
        return torch.stack(rows)


@dataclass(frozen=True, eq=False)
class WavesAt:
    """Waves at ``n`` points: ``sine`` and ``cosine`` ``(n, width)``."""

    waves: Waves
    sine: Tensor
    cosine: Tensor

    def channels(self, plan: Plan, weight: Tensor) -> Tensor:
        """``(channels, n, outputs)``: the derivatives of sums of waves, ``weight`` ``(outputs, width)``."""
        factors, odd = self.waves.factors(plan), _odd(plan)
        return torch.stack(
            [(self.cosine if o else self.sine) @ (f * weight).T for f, o in zip(factors, odd, strict=True)]
        )

    def rows(self, plan: Plan, coefficients: Tensor) -> Tensor:
        """``(n, width)``: ``sum_c coefficients[:, c] (derivative c of each wave)``, coefficients real or complex."""
        factors, odd = self.waves.factors(plan), torch.tensor(_odd(plan))
        total = None
        for which, base in ((~odd, self.sine), (odd, self.cosine)):
            used = which.to(coefficients.device) & (coefficients != 0).any(dim=0)
            if bool(used.any()):
                # Thin times small: the cost is that of one product with the waves, however many derivatives there are.
                product = coefficients[:, used] @ factors[used].to(coefficients.dtype)
                product *= base
                total = product if total is None else total.add_(product)
        return torch.zeros_like(self.sine) if total is None else total


def _odd(plan: Plan) -> list[bool]:
    return [key != LAPLACIAN and len(key) % 2 == 1 for key in plan.keys]


__all__ = ["Waves", "WavesAt"]
