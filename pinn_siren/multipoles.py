"""Multipoles: what satisfies laplacian u + k^2 u = 0 around a round hole and is singular inside, with derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from scipy import special
from torch import Tensor

from .jet import LAPLACIAN, Jet, Plan

INSIDE = 1 - 1e-6
"""In radii: points nearer than this are no points of the field around a hole, with rounding."""


@dataclass(frozen=True)
class Multipoles:
    """``C_m(k r) cos m theta`` for ``m = 0 .. count``, then ``C_m(k r) sin m theta`` for ``m = 1 .. count``.

    ``r, theta`` about ``x, y``; ``square`` is k^2: where positive ``C_m`` is the Bessel function ``Y_m``, where
    negative ``K_m`` of ``|k| r``, and where zero ``r^-m``, for ``m = 0`` log r. All in units of what they are at
    ``radius``; nearer points are moved there. With ``inner`` they are ``r^m``, what is harmonic inside, and farther
    points are moved. ``field``: the one field that has them, -1 for all. Sums of them and of
    smooth functions are any field around holes, and converge exponentially (Trefethen 2018, "Series solution of Laplace
    problems", arXiv 1803.00973).
    """

    x: float
    y: float
    radius: float
    count: int
    square: float = 0.0
    field: int = -1
    inner: bool = False

    @property
    def columns(self) -> int:
        """The number of functions."""
        return 2 * self.count + 1

    @property
    def wavenumber(self) -> float:
        """``|k|`` times the radius, the unit of lengths here."""
        return math.sqrt(abs(self.square)) * self.radius

    def at(self, plane: Tensor, ratio: Tensor) -> MultipolesAt:
        """The functions at points of the plane ``(n, 2)``; ``ratio``: see ``MultipolesAt``."""
        x, y = (plane[:, 0] - self.x) / self.radius, (plane[:, 1] - self.y) / self.radius
        z = torch.complex(x, y)
        return MultipolesAt(self, ratio / self.radius, z * self._onto(z.abs()) + self._off(z == 0), {})

    def jets(self, x: Jet, y: Jet) -> Jet:
        """``(n, columns)`` of jets ``(n, 1)`` of the two coordinates: ``[r^-m C_m(k r)] (r e^(i theta))^m``."""
        one = x.channels.new_ones(self.count + 1, 1) / self.radius
        shift = one[:, 0]
        right, up = x._linear(one, -self.x * shift), y._linear(one, -self.y * shift)
        r = torch.hypot(right.value, up.value)
        right, up = (
            part._like(torch.cat([part.channels[:1] * self._onto(r) + at, part.channels[1:]]))
            for part, at in ((right, self._off(r == 0).to(r)), (up, 0.0))
        )
        power = torch.arange(self.count + 1, device=shift.device).to(shift)
        square = right * right + up * up

        def radial(s: Tensor, order: int) -> list[Tensor]:
            r, k = s[:, :1].sqrt(), self.wavenumber
            if not k:
                return [_powers(s, power, m) for m in range(order + 1)]
            found = _cylinder(self, r, self.count + order) * r ** -torch.arange(self.count + order + 1).to(r)
            return [(-k / 2) ** m * found[:, m : m + len(power)] for m in range(order + 1)]

        def turning(z: Tensor, order: int) -> list[Tensor]:
            factors = [torch.ones_like(power)]
            for m in range(order):
                factors.append(factors[-1] * (power - m))
            # A factor of zero, not a power of a negative exponent.
            return [f * z ** (power - m).clamp(min=0) for m, f in enumerate(factors)]

        z = right._like(right.channels + 1j * up.channels).apply(turning)
        if self.inner:
            return z._like(self._parted(z.channels))
        return z._like(self._parted((square.apply(radial) * z).channels))

    def _onto(self, r: Tensor) -> Tensor:
        """What points at ``r`` radii are multiplied by: those on the other side, where other fields hold, lie on it."""
        beyond = r > 1 / INSIDE if self.inner else (r < INSIDE) & (r > 0)
        return torch.where(beyond, 1 / r.clamp(min=1e-300), 1.0)

    def _off(self, center: Tensor) -> Tensor:
        """What points at the center are moved by."""
        return torch.zeros_like(center) if self.inner else center

    def _parted(self, values: Tensor) -> Tensor:
        """Real parts and then imaginary ones, in units of what they are at the radius."""
        scaled = values / self._sizes(values.real)
        return torch.cat([scaled.real, scaled.imag[..., 1:]], dim=-1)

    def _sizes(self, like: Tensor) -> Tensor:
        """``(count + 1,)``: never near zero, as ``Y_m`` alone would be at its own zeros."""
        k, orders = self.wavenumber, list(range(self.count + 1))
        if not k:
            return like.new_ones(self.count + 1)
        sizes = abs(special.hankel1(orders, k)) if self.square > 0 else special.kv(orders, k)
        return torch.from_numpy(sizes).to(like)


@dataclass(frozen=True, eq=False)
class MultipolesAt:
    """Multipoles at ``n`` points, ``z`` ``(n,)`` being ``r exp(i theta)`` in radii.

    With ``D = d/dx - i d/dy`` and its conjugate ``D'``, of ``F_m = C_m(k r) exp(i m theta)`` they are multiples of
    ``F_m-1`` and ``F_m+1``. ``ratio`` ``(2,)``: the derivatives of the plane's coordinates, in radii, along those that
    are differentiated by.
    """

    of: Multipoles
    ratio: Tensor
    z: Tensor
    kept: dict[int, Tensor]

    def channel(self, key: str, axes: tuple[str, ...]) -> Tensor:
        """``(n, columns)``: one derivative, by axis letters or ``"laplacian"``."""
        found: dict[int, Tensor] = {}
        for letters in ([i, i] for i in range(len(axes))) if key == LAPLACIAN else ([axes.index(a) for a in key],):
            for shift, factor in self._expand(letters).items():
                found[shift] = found.get(shift, 0) + factor
        width = self.of.count + 1
        total = torch.zeros(len(self.z), width, dtype=self.z.dtype, device=self.z.device)
        for shift, factor in found.items():
            if bool(factor.any()):
                total += factor * self._shifted(shift)
        return self.of._parted(total)

    def _expand(self, letters: list[int]) -> dict[int, Tensor]:
        """A product of derivatives along the axes as ``{shift: factors of F_m+shift}``."""
        orders = torch.arange(self.of.count + 1, device=self.z.device)
        found = {0: torch.ones(len(orders), dtype=self.z.dtype, device=self.z.device)}
        for i in letters:
            grown: dict[int, Tensor] = {}
            half = self.ratio[i] / 2
            # d/dx = (D' + D) / 2, d/dy = (D' - D) / 2i.
            for step, slope in ((1, half if i == 0 else -1j * half), (-1, half if i == 0 else 1j * half)):
                for shift, factor in found.items():
                    passed = factor * slope * self._ladder(orders + shift, step)
                    grown[shift + step] = grown.get(shift + step, 0) + passed
            found = grown
        return found

    def _ladder(self, orders: Tensor, step: int) -> Tensor:
        """The factor of ``F_m+step`` in the derivative of ``F_m`` by ``D'`` (``step`` 1) or ``D`` (-1)."""
        k = self.of.wavenumber
        if k:
            return torch.full_like(orders, k if step < 0 < self.of.square else -k, dtype=self.z.real.dtype)
        along = -step * orders if self.of.inner else step * orders
        if self.of.inner:
            return 2 * along.clamp(min=0).to(self.z.real)
        return torch.where(along == 0, 1, -2 * along.clamp(min=0)).to(self.z.real)

    def _shifted(self, shift: int) -> Tensor:
        """``(n, count + 1)``: ``F_shift .. F_shift+count``."""
        table, count = self._table(self.of.count + abs(shift)), self.of.count
        if shift >= 0:
            return table[:, shift : shift + count + 1]
        # F_-m is the conjugate of F_m, for Y_m times (-1)^m.
        below = table[:, 1 : 1 - shift].conj()
        if self.of.square > 0:
            below = below * (-1.0) ** torch.arange(1, 1 - shift, device=below.device)
        return torch.cat([below.flip(1), table], dim=1)[:, : count + 1]

    def _table(self, highest: int) -> Tensor:
        """``(n, highest + 1)``: ``F_0 .. F_highest``."""
        for count, table in self.kept.items():
            if count >= highest:
                return table
        one = torch.ones_like(self.z[:, None])
        if self.of.inner:
            self.kept[highest] = torch.cat([one, self.z[:, None].expand(-1, highest).cumprod(dim=1)], dim=1)
            return self.kept[highest]
        r = self.z.abs()[:, None]
        unit = self.z[:, None] / r
        turned = torch.cat([one, unit.expand(-1, highest).cumprod(dim=1)], dim=1)
        self.kept[highest] = _cylinder(self.of, r, highest) * turned
        return self.kept[highest]

    def channels(self, plan: Plan, weight: Tensor) -> Tensor:
        """``(channels, n, outputs)``: the derivatives of sums of the functions, ``weight`` ``(outputs, columns)``."""
        return torch.stack([self.channel(key, plan.axes) @ weight.T for key in plan.keys])

    def rows(self, plan: Plan, coefficients: Tensor) -> Tensor:
        """``(n, columns)``: ``sum_c coefficients[:, c] (derivative c of each function)``."""
        total = torch.zeros(len(self.z), self.of.columns, dtype=coefficients.dtype, device=self.z.device)
        for c in torch.nonzero((coefficients != 0).any(dim=0))[:, 0].tolist():
            total += coefficients[:, c, None] * self.channel(plan.keys[c], plan.axes)
        return total


def _cylinder(of: Multipoles, r: Tensor, highest: int) -> Tensor:
    """``(n, highest + 1)``: ``C_0 .. C_highest`` at distances ``(n, 1)`` in radii."""
    k = of.wavenumber
    if not k:
        inverse = (1 / r).expand(-1, highest).cumprod(dim=1)
        return torch.cat([r.log(), inverse], dim=1)
    found = list(_First.apply(k * r[:, 0], of.square > 0))
    sign = -1.0 if of.square > 0 else 1.0
    for m in range(1, highest):
        found.append(2 * m / (k * r[:, 0]) * found[m] + sign * found[m - 1])
    return torch.stack(found[: highest + 1], dim=1)


class _First(torch.autograd.Function):
    """``Y_0, Y_1`` where ``waves``, else ``K_0, K_1``, differentiable as often as wanted."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, waves: bool) -> tuple[Tensor, Tensor]:
        """By scipy: torch's own Bessel functions are off by 1e-6 beyond x = 5."""
        ctx.save_for_backward(x)
        ctx.waves = waves
        at = x.detach().cpu().double().numpy()
        zeroth, first = (special.y0(at), special.y1(at)) if waves else (special.k0(at), special.k1(at))
        return torch.from_numpy(zeroth).to(x), torch.from_numpy(first).to(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """``C_0' = -C_1``, ``C_1' = +-C_0 - C_1 / x``."""
        (x,) = ctx.saved_tensors
        zeroth, first = _First.apply(x, ctx.waves)
        turned = zeroth if ctx.waves else -zeroth
        return gradients[1] * (turned - first / x) - gradients[0] * first, None


def _powers(s: Tensor, power: Tensor, order: int) -> Tensor:
    """``d^order/ds^order`` of ``s^-m``, and of ``log(s) / 2`` for ``m = 0``."""
    factor, first = torch.ones_like(power), s[:, :1]
    for j in range(order):
        factor = factor * (-power - j)
    log_factor = (-1) ** (order - 1) * math.factorial(max(order - 1, 0)) / 2
    logarithm = log_factor * first**-order if order else first.log() / 2
    return torch.cat([logarithm, factor[1:] * s[:, 1:] ** (-power[1:] - order)], dim=1)


__all__ = ["Multipoles", "MultipolesAt"]
