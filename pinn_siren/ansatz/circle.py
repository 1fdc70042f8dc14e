"""Values held on a circle or a sphere, from inside or around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..jet import LAPLACIAN, Jet, Plan, constant, coordinate
from ..points import Points
from .chebyshev import ACCURACY

MOST = 1024
"""Angles sampled on a circle at most."""


class CirclePiece(nn.Module):
    """``u = lift + factor * N`` takes given values on ``|x - center| = radius``, whatever N is.

    With boundary data ``sum_m c_m exp(i m theta)`` the lift is their harmonic extension, inside
    ``sum_m c_m (r/R)^|m| exp(i m theta)`` and around ``sum_m c_m (R/r)^|m| exp(i m theta)``; on a sphere the data must
    be constant. The factor is ``1 - (r/R)^2`` inside and ``1 - (R/r)^2`` around.
    """

    def __init__(
        self, axes: Sequence[str], center: Sequence[float], radius: float, around: bool, modes: Sequence[int],
        coefficients: Tensor, real: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.axes, self.center, self.radius, self.around = tuple(axes), tuple(center), radius, around
        self.modes, self.real = list(modes), real
        self.register_buffer("data", torch.view_as_real(coefficients))

    @classmethod
    def of(
        cls, axes: Sequence[str], center: Sequence[float], radius: float, around: bool,
        function: Callable[[NDArray[np.float64]], NDArray],
    ) -> CirclePiece | None:  # fmt: skip
        """From ``(n, d) -> (n,)`` data on the boundary; None where they are not smooth enough."""
        if len(axes) != 2:
            directions = np.random.default_rng(3).normal(size=(64, len(axes)))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            values = function(np.asarray(center) + radius * directions)
            if np.abs(values - values[0]).max() > 0:
                return None
            modes, found = [0], values[:1]
        else:
            fourier = _fit(center, radius, function)
            if fourier is None:
                return None
            modes, found = fourier
        real = not np.iscomplexobj(function(np.asarray([center]) + radius * np.eye(len(axes))[:1]))
        return cls(axes, center, radius, around, modes, torch.from_numpy(found.astype(complex)), real)

    @property
    def lifts(self) -> bool:
        """Whether the values are not all zero."""
        return bool(self.modes)

    def lift(self, points: Points, plan: Plan) -> Jet:
        """The jet of what takes the values."""
        kept = torch.view_as_complex(self.get_buffer("data"))
        total = torch.zeros(len(plan.keys), len(points), dtype=torch.complex128, device=kept.device)
        if self.modes == [0]:
            total[0] += kept[0]
        elif self.modes:
            offset = [
                (points.coordinates[:, points.axes.index(a)].double() - c) / self.radius
                for a, c in zip(self.axes, self.center, strict=True)
            ]
            z = torch.complex(*offset)
            for c, m in zip(kept, self.modes, strict=True):
                # exp(i m theta) r^|m| is z^m, or the conjugate of z to the -m; around the circle with -|m| for |m|.
                turn = 1 if (m >= 0) != self.around else -1
                total += c * self._power(z if turn > 0 else z.conj(), -abs(m) if self.around else abs(m), turn, plan)
        kind = points.coordinates.dtype
        return Jet(total.real.to(kind) if self.real else total.to(kind.to_complex()), plan, points)

    def factor(self, points: Points, plan: Plan) -> Jet:
        """The jet of what vanishes on the circle."""
        square = constant(points, plan, 0.0)
        for a, c in zip(self.axes, self.center, strict=True):
            x = coordinate(points, plan, a) - c
            square = square + x * x
        return 1 - self.radius**2 / square if self.around else 1 - square / self.radius**2

    def configuration(self) -> dict[str, Any]:
        """What rebuilds the piece, but for the numbers in its buffer."""
        return {
            "piece": "circle", "axes": list(self.axes), "center": list(self.center), "radius": self.radius,
            "around": self.around, "modes": self.modes, "real": self.real,
        }  # fmt: skip

    @classmethod
    def from_configuration(cls, described: dict[str, Any]) -> CirclePiece:
        """The piece without its numbers, which ``load_state_dict`` brings."""
        arguments = {k: v for k, v in described.items() if k != "piece"}
        return cls(**arguments, coefficients=torch.zeros(len(described["modes"]), dtype=torch.complex128))

    def _power(self, z: Tensor, exponent: int, turn: int, plan: Plan) -> Tensor:
        """The channels of ``z^exponent``: d/dx is d/dz, d/dy is i d/dz, or -i d/dz for the conjugate."""

        def derivative(key: str) -> Tensor:
            if any(letter not in self.axes for letter in key):
                return torch.zeros_like(z)
            order = len(key)
            fall = math.prod(exponent - j for j in range(order))
            if fall == 0:
                return torch.zeros_like(z)
            return fall * (1j * turn) ** key.count(self.axes[1]) / self.radius**order * z ** (exponent - order)

        # Powers of z are harmonic.
        return torch.stack([torch.zeros_like(z) if key == LAPLACIAN else derivative(key) for key in plan.keys])


def _fit(
    center: Sequence[float], radius: float, function: Callable[[NDArray[np.float64]], NDArray]
) -> tuple[list[int], NDArray] | None:
    """Wavenumbers and Fourier coefficients of the data, or None where they do not decay."""
    count = 16
    while count <= MOST:
        angle = 2 * np.pi * np.arange(count) / count
        # A second set of angles between the first ones sees what those alias.
        other = angle + np.pi / count * 0.7
        values, between = (
            function(np.asarray(center) + radius * np.stack([np.cos(a), np.sin(a)], axis=1)) for a in (angle, other)
        )
        size = float(np.abs(values).max())
        found = np.fft.fft(values) / count
        modes = np.fft.fftfreq(count, 1 / count).round().astype(int)
        model = np.exp(1j * other[:, None] * modes) @ found
        if np.abs(found[np.abs(modes) > count // 2 - 3]).max() <= ACCURACY * size and (
            np.abs(model - between).max() <= 100 * ACCURACY * max(size, float(np.abs(between).max()))
        ):
            kept = np.abs(found) > 1e-3 * ACCURACY * size
            return modes[kept].tolist(), found[kept]
        count *= 2
    return None
