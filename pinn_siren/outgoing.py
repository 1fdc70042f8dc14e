"""OutgoingWaves: a network of point sources, each of whose waves satisfies the Helmholtz equation and leaves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from scipy import special
from torch import Tensor, nn

from .errors import UsageError
from .jet import Jet, make_plan
from .points import Points

DIMENSIONS = (2, 3)


class OutgoingWaves(nn.Module):
    """``u = sum_j w_j g(|x - place_j|)``, ``g = H0(k r)`` in the plane, ``exp(i k r) / (i k r)`` in space.

    ``(n, inputs) -> (n, 2)``: real and imaginary part, with the time factor exp(-i omega t). ``places``
    ``(sources, inputs)``: in the coordinates ``stretch x``, in which ``wavenumber`` is k: sources lie outside the
    domain, as in an obstacle (method of fundamental solutions: Fairweather, Karageorghis and Martin 2003,
    doi:10.1016/S0955-7997(03)00017-1). After them come those of dipoles at ``dipoles``, one an axis:
    ``(x_i - dipole_i) / r h1(k r)``, ``h1`` the next Hankel function. The last layer takes the real parts of all waves
    and then their imaginary ones; the field is outgoing where its weights are ``[a, -b], [b, a]``, which ``put`` sees
    to. Raises ``UsageError`` for other than two or three inputs.
    """

    places: Tensor
    dipoles: Tensor
    stretch: Tensor

    def __init__(
        self,
        places: Sequence[Sequence[float]],
        wavenumber: float,
        stretch: Sequence[float] | None = None,
        dipoles: Sequence[Sequence[float]] = (),
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        at = torch.as_tensor(places, dtype=torch.float64)
        if at.ndim != 2 or at.shape[1] not in DIMENSIONS or not wavenumber > 0:
            raise UsageError(
                f"OutgoingWaves needs places (sources, 2 or 3) and a positive wavenumber; got {tuple(at.shape)}, "
                f"{wavenumber=}."
            )
        self.inputs, self.outputs, self.wavenumber = at.shape[1], 2, float(wavenumber)
        self.register_buffer("places", at.to(dtype))
        pairs = torch.as_tensor(dipoles, dtype=torch.float64).reshape(len(dipoles), self.inputs)
        self.register_buffer("dipoles", pairs.to(dtype), persistent=len(pairs) > 0)
        self.register_buffer("stretch", torch.tensor(stretch or [1.0] * self.inputs, dtype=dtype))
        self.count = len(at) + self.inputs * len(pairs)
        self.last = nn.Linear(2 * self.count, 2, bias=False, dtype=dtype)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Any) -> Any:
        """``(n, inputs) -> (n, 2)``; jets of inputs give jets of outputs."""
        if not isinstance(x, Jet):
            plan = make_plan(("x", "y", "z")[: self.inputs], frozenset())
            return self.forward(Jet(x[None], plan, Points(plan.axes, x))).value
        return self.last(self.waves(x))

    def waves(self, x: Jet) -> Jet:
        """``(n, 2 waves)``: the real parts of all waves, then their imaginary ones."""
        made = [_from(x, self.places, self.stretch)[1].apply(partial(self._derivatives, 0))]
        if len(self.dipoles):
            away, square = _from(x, self.dipoles, self.stretch)
            slope = square.apply(partial(self._derivatives, 1))
            made += [step * slope for step in away]
        channels = torch.cat([wave.channels for wave in made], dim=-1)
        return x._like(torch.cat([channels.real, channels.imag], dim=-1))

    def _derivatives(self, first: int, square: Tensor, order: int) -> list[Tensor]:
        """Of ``F_first`` by the squared distance: with ``F_m = r^-m H_m(k r)``, ``F_m' = -k/2 F_m+1``."""
        r = square.real.sqrt()
        hankel = _plane if self.inputs == 2 else _space
        waves = hankel(self.wavenumber * r, order + first)[first:]
        return [
            (-self.wavenumber / (2 * r)) ** m * (wave / r**first if first else wave) for m, wave in enumerate(waves)
        ]

    def put(self, coefficients: Tensor) -> None:
        """Give the waves complex strengths ``(waves,)``."""
        a, b = coefficients.real, coefficients.imag
        with torch.no_grad():
            self.last.weight.copy_(torch.stack([torch.cat([a, -b]), torch.cat([b, a])]))

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this network: the arguments of the constructor."""
        return {
            "network": "outgoing waves", "places": self.places.tolist(), "wavenumber": self.wavenumber,
            "stretch": self.stretch.tolist(), "dipoles": self.dipoles.tolist(),
        }  # fmt: skip


def _from(x: Jet, places: Tensor, stretch: Tensor) -> tuple[list[Jet], Jet]:
    """The way from every place, an axis each, and its square, in complex numbers."""
    ones = torch.ones_like(places[:, :1])
    away, total = [], None
    for i in range(places.shape[1]):
        step: Any = (x[:, i : i + 1] * stretch[i])._linear(ones, -places[:, i])  # type: ignore[union-attr]
        total = step * step if total is None else total + step * step
        away.append(step._like(step.channels + 0j))
    assert total is not None
    return away, total._like(total.channels + 0j)


def _plane(z: Tensor, order: int) -> list[Tensor]:
    """Hankel functions of the first kind up to an order."""
    # torch's own Bessel functions are off by 1e-6 beyond z = 5.
    at = z.detach().cpu().double().numpy()
    pairs = ((special.j0(at), special.y0(at)), (special.j1(at), special.y1(at)))
    found = [torch.complex(*(torch.from_numpy(part).to(z) for part in pair)) for pair in pairs]
    for m in range(1, order):
        found.append(2 * m / z * found[m] - found[m - 1])
    return found[: order + 1]


def _space(z: Tensor, order: int) -> list[Tensor]:
    """Spherical Hankel functions of the first kind up to an order."""
    wave = torch.polar(1 / z, z)
    found = [-1j * wave, -wave * (1 + 1j / z)]
    for m in range(1, order):
        found.append((2 * m + 1) / z * found[m] - found[m - 1])
    return found[: order + 1]


__all__ = ["OutgoingWaves"]
