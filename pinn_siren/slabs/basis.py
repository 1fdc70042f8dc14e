"""What all patches share in a slab: sines in space, even or odd in time, orthonormal on a patch's data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

SPREAD = 0.2
"""How far, in parts, frequencies reach beyond the speeds that the medium has."""


@dataclass(frozen=True)
class Size:
    """``pairs`` of a sine and a cosine up to ``bandwidth`` radians a half-width, fitted to ``nodes`` values an axis of
    the patch enlarged by ``reach``; in media that vary, ``levels`` of the slab, on each of which are ``inner`` nodes an
    axis. Singular values below ``cut`` of the largest are left out: with 1e-12 marching is unstable."""

    pairs: int
    bandwidth: float
    nodes: int
    levels: int = 4
    inner: int = 14
    reach: float = 1.5
    cut: float = 1e-10


@dataclass(frozen=True, eq=False)
class Basis:
    """``u = sum_j a_j E_j + b_j O_j``, ``E = [sin k x, cos k x] cos(omega t) T``, ``O`` its integral over time.

    Coordinates of a patch: space in half-widths, time in what the fastest wave takes for the smaller half-width, from
    the slab's start to ``duration``. ``stretch``: the smaller half-width in units of each; ``waves`` ``(pairs, axes)``
    and ``omega`` ``(pairs,)``; ``transform`` ``(2 pairs, r)``: makes the even functions orthonormal on their samples;
    ``values`` ``(data, r)``: these functions on the data, as the decomposition gave them: made anew from ``transform``
    they are rounded to 1e-6; ``nodes``: of the data along one axis; ``own``: whether they satisfy the equation.
    """

    waves: Tensor
    omega: Tensor
    stretch: Tensor
    transform: Tensor
    values: Tensor
    nodes: Tensor
    duration: float
    size: Size
    own: bool

    @property
    def rank(self) -> int:
        """How many functions there are, even ones."""
        return self.transform.shape[1]

    @property
    def data(self) -> Tensor:
        """``(nodes^axes, axes)``: where the state is handed over."""
        return grid(self.nodes, self.waves.shape[1])

    def even(self, x: Tensor, t: Tensor, *, rates: int = 0, across: int | None = None) -> Tensor:
        """``(n, r)`` at ``(n, axes)`` places and ``(n,)`` times: even functions, their ``rates``-th time derivative
        (-1: the integral, which is the odd functions), and the slope along the axis ``across``."""
        return self._features(x, t, rates, across) @ self.transform

    def wave_terms(self, x: Tensor, t: Tensor, odd: bool = False) -> tuple[Tensor, Tensor]:
        """``(n, r)`` each: minus the Laplacian, and minus the second time derivative, of the even or odd functions."""
        features = self._features(x, t, -1 if odd else 0, None)
        square = (self.waves * self.stretch).square().sum(1).repeat(2)
        return (features * square) @ self.transform, (features * self.omega.square().repeat(2)) @ self.transform

    def _features(self, x: Tensor, t: Tensor, rates: int, across: int | None) -> Tensor:
        phase = x @ self.waves.T
        turn = t[:, None] * self.omega
        time = {
            -1: lambda: turn.sin() / self.omega,
            0: turn.cos,
            1: lambda: -self.omega * turn.sin(),
        }[rates]()
        sine, cosine = phase.sin(), phase.cos()
        if across is not None:
            slope = self.waves[:, across] * self.stretch[across]
            sine, cosine = slope * cosine, -slope * sine
        return torch.cat([sine * time, cosine * time], dim=1)

    def layer(self) -> tuple[Tensor, Tensor]:
        """``(4 pairs, axes + 1)`` waves and ``(4 pairs,)`` phases of travelling sines, in time from -1 to 1 a slab."""
        half = self.duration / 2
        waves = [torch.cat([self.waves, sign * half * self.omega[:, None]], dim=1) for sign in (1, -1)]
        shifts = [sign * half * self.omega for sign in (1, -1)]
        quarter = torch.full_like(self.omega, math.pi / 2)
        return torch.cat(waves * 2), torch.cat([*shifts, *(s + quarter for s in shifts)])

    def travelling(self, even: Tensor, odd: Tensor) -> Tensor:
        """``(r, patches)`` twice to ``(patches, 4 pairs)``: the same field in the sines of ``layer``."""
        a_sine, a_cosine = (self.transform @ even).chunk(2)
        b_sine, b_cosine = ((self.transform @ odd) / self.omega.repeat(2)[:, None]).chunk(2)
        parts = [a_sine + b_cosine, a_sine - b_cosine, a_cosine - b_sine, a_cosine + b_sine]
        return torch.cat(parts).T / 2


def make_basis(size: Size, stretch: Tensor, duration: float, slowest: float, own: bool, seed: int) -> Basis:
    """The functions of a slab. ``slowest``: the smallest speed in units of the largest; ``own``: they satisfy the
    equation at the largest, else their frequencies are spread over all speeds, and ``SPREAD`` beyond."""
    waves, share = _draw(size, len(stretch), seed)
    nodes, omega = size.reach * chebyshev(size.nodes), (waves * stretch).norm(dim=1)
    if own:
        transform, values = spatial(size, len(stretch), seed)
        return Basis(waves, omega, stretch, transform, values, nodes, duration, size, own)
    least = (1 - SPREAD) * slowest
    omega = omega * (least + (1 + SPREAD - least) * share)
    whole = torch.eye(2 * size.pairs, dtype=torch.float64)
    raw = Basis(waves, omega, stretch, whole, whole, nodes, duration, size, own)
    inner, later = cone(raw)
    samples = raw.even(torch.cat([raw.data, inner]), torch.cat([torch.zeros(len(raw.data), dtype=nodes.dtype), later]))
    transform, values = _orthonormal(samples, size.cut)
    return Basis(waves, omega, stretch, transform, values[: len(raw.data)].contiguous(), nodes, duration, size, own)


@lru_cache(maxsize=8)
def spatial(size: Size, axes: int, seed: int) -> tuple[Tensor, Tensor]:
    """``transform`` and ``values`` of the sines in space alone, orthonormal on the data."""
    phase = grid(size.reach * chebyshev(size.nodes), axes) @ _draw(size, axes, seed)[0].T
    return _orthonormal(torch.cat([phase.sin(), phase.cos()], dim=1), size.cut)


def spatial_values(size: Size, seed: int, x: Tensor) -> Tensor:
    """``(n, r)``: the functions of ``spatial`` at ``(n, axes)`` local places."""
    phase = x @ _draw(size, x.shape[1], seed)[0].T
    return torch.cat([phase.sin(), phase.cos()], dim=1) @ spatial(size, x.shape[1], seed)[0]


def _orthonormal(samples: Tensor, cut: float) -> tuple[Tensor, Tensor]:
    left, values, right = torch.linalg.svd(samples, full_matrices=False)
    kept = int((values > cut * values[0]).sum())
    return right[:kept].T / values[:kept], left[:, :kept].contiguous()


def _draw(size: Size, axes: int, seed: int) -> tuple[Tensor, Tensor]:
    """``(pairs, axes)`` waves, even in a disk or up to the bandwidth, and ``(pairs,)`` shares from 0 to 1."""
    draw = torch.quasirandom.SobolEngine(axes + 1, scramble=True, seed=seed).draw(size.pairs, dtype=torch.float64)
    if axes == 1:
        return size.bandwidth * draw[:, :1].clamp(min=1e-3), draw[:, 1]
    radius, angle = size.bandwidth * draw[:, 0].sqrt(), 2 * math.pi * draw[:, 1]
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), draw[:, 2]


def cone(basis: Basis) -> tuple[Tensor, Tensor]:
    """Places and times in the part of the slab that the enlarged patch's data determine."""
    axes = len(basis.stretch)
    times = basis.duration * (1 + chebyshev(basis.size.levels)) / 2
    line = grid(chebyshev(basis.size.inner), axes)
    x = torch.cat([(basis.size.reach - float(t)) * line for t in times])
    return x, times.repeat_interleave(len(line))


def chebyshev(count: int) -> Tensor:
    """Chebyshev-Gauss points of [-1, 1], ascending."""
    return -torch.cos((torch.arange(count, dtype=torch.float64) + 0.5) * math.pi / count)


def grid(line: Tensor, axes: int) -> Tensor:
    """``(len(line)^axes, axes)``: the tensor product, the last axis fastest."""
    return torch.cartesian_prod(*[line] * axes).reshape(-1, axes)


__all__ = ["Basis", "Size", "chebyshev", "cone", "grid", "make_basis", "spatial", "spatial_values"]
