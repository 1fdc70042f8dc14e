"""What all patches share in a slab: sines in space, even or odd in time, orthonormal on a patch's data."""

from __future__ import annotations

import itertools
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
    axis. Singular values below ``cut`` of the largest are left out: with 1e-12 marching is unstable. ``equation``: the
    weight of its rows, divided by the squared bandwidth."""

    pairs: int
    bandwidth: float
    nodes: int
    levels: int = 4
    inner: int = 14
    reach: float = 1.5
    cut: float = 1e-10
    equation: float = 30.0


MIX = {
    1: torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64),
    2: torch.tensor([[0, 1, 1, 0], [0, -1, 1, 0], [1, 0, 0, -1], [1, 0, 0, 1]], dtype=torch.float64) / 2,
}
"""Products of a cosine (even) or a sine (odd) along each axis, in the order of ``itertools.product``, as columns, in
sines of all waves, then cosines: in two dimensions a wave is followed by its mirror image in the first axis."""


@dataclass(frozen=True, eq=False)
class Parity:
    """The functions that are even or odd along each axis in one way: ``transform`` ``(m, r)`` of products of cosines
    and sines, ``values`` ``((nodes / 2)^axes, r)`` on the data in the positive quadrant."""

    transform: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False)
class Basis:
    """``u = sum_j a_j E_j + b_j O_j``, ``E = [sin k x, cos k x] cos(omega t) T``, ``O`` its integral over time.

    Coordinates of a patch: space in half-widths, time in what the fastest wave takes for the smaller half-width, from
    the slab's start to ``duration``. ``stretch``: the smaller half-width in units of each; ``waves`` ``(pairs, axes)``
    and ``omega`` ``(pairs,)``; ``transform`` ``(2 pairs, r)``: makes the even functions orthonormal on their samples;
    ``values`` ``(data, r)``: these functions on the data, as the decomposition gave them: made anew from ``transform``
    they are rounded to 1e-6; ``nodes``: of the data along one axis; ``own``: whether they satisfy the equation.
    ``parities``: where the functions are even or odd along the axes, they follow each other by class, and products with
    them cost a half for every axis.
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
    parities: tuple[Parity, ...] = ()

    @property
    def rank(self) -> int:
        """How many functions there are, even ones."""
        return self.transform.shape[1]

    @property
    def data(self) -> Tensor:
        """``(nodes^axes, axes)``: where the state is handed over."""
        return grid(self.nodes, self.waves.shape[1])

    def even(self, x: Tensor, t: Tensor, *, rates: int = 0, across: int | None = None, pace: float = 1.0) -> Tensor:
        """``(n, r)`` at ``(n, axes)`` places and ``(n,)`` times: even functions, their ``rates``-th time derivative
        (-1: the integral, which is the odd functions), and the slope along the axis ``across``. ``pace``: the speed of
        these waves, in units of the largest."""
        return self._features(x, t, rates, across, pace) @ self.transform

    def wave_terms(self, x: Tensor, t: Tensor, odd: bool = False) -> tuple[Tensor, Tensor]:
        """``(n, r)`` each: minus the Laplacian, and minus the second time derivative, of the even or odd functions."""
        features = self._features(x, t, -1 if odd else 0, None)
        square = (self.waves * self.stretch).square().sum(1).repeat(2)
        return (features * square) @ self.transform, (features * self.omega.square().repeat(2)) @ self.transform

    def _features(self, x: Tensor, t: Tensor, rates: int, across: int | None, pace: float = 1.0) -> Tensor:
        phase, omega = x @ self.waves.T, pace * self.omega
        turn = t[:, None] * omega
        time = {
            -1: lambda: turn.sin() / omega,
            0: turn.cos,
            1: lambda: -omega * turn.sin(),
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
        a_sine, a_cosine = self.raw(even).chunk(2)
        b_sine, b_cosine = (self.raw(odd) / self.omega.repeat(2)[:, None]).chunk(2)
        parts = [a_sine + b_cosine, a_sine - b_cosine, a_cosine - b_sine, a_cosine + b_sine]
        return torch.cat(parts).T / 2

    def raw(self, given: Tensor) -> Tensor:
        """``(r, n)`` to ``(2 pairs, n)``: coefficients of the sines, then of the cosines."""
        if not self.parities:
            return self.transform @ given
        return _mixed([part.transform @ some for part, some in self.parted(given)], self.waves.shape[1])

    def parted(self, given: Tensor) -> list[tuple[Parity, Tensor]]:
        """Coefficients ``(r, n)`` of the classes of parity."""
        counts = [part.transform.shape[1] for part in self.parities]
        return list(zip(self.parities, given.split(counts), strict=True))

    def project(self, u: Tensor) -> Tensor:
        """``(data, n)`` to ``(r, n)``: the coefficients of what the functions take of values on the data."""
        if not self.parities:
            return self.values.T @ u
        folded = fold(u, len(self.nodes), self.waves.shape[1])
        return torch.cat([part.values.T @ some for part, some in zip(self.parities, folded, strict=True)])


def make_basis(size: Size, stretch: Tensor, duration: float, speeds: Tensor, varies: bool, seed: int) -> Basis:
    """The functions of a slab. They satisfy the equation at every constant speed, each at its pace. Where the medium
    ``varies``, frequencies are spread over all ``speeds``, in units of the largest, and ``SPREAD`` beyond."""
    waves, share = _draw(size, len(stretch), seed)
    nodes, omega = size.reach * chebyshev(size.nodes), (waves * stretch).norm(dim=1)
    own = not varies
    if own:
        parities, transform, values = spatial(size, len(stretch), seed)
        return Basis(waves, omega, stretch, transform, values, nodes, duration, size, own, parities)
    least = (1 - SPREAD) * float(speeds.min())
    omega = omega * (least + (1 + SPREAD - least) * share)
    whole = torch.eye(2 * size.pairs, dtype=torch.float64)
    raw = Basis(waves, omega, stretch, whole, whole, nodes, duration, size, own)
    inner, later = cone(raw)
    samples = raw.even(torch.cat([raw.data, inner]), torch.cat([torch.zeros(len(raw.data), dtype=nodes.dtype), later]))
    transform, values = _orthonormal(samples, size.cut)
    return Basis(waves, omega, stretch, transform, values[: len(raw.data)].contiguous(), nodes, duration, size, own)


@lru_cache(maxsize=8)
def spatial(size: Size, axes: int, seed: int) -> tuple[tuple[Parity, ...], Tensor, Tensor]:
    """The functions in space alone, orthonormal on the data: by parity, their ``transform`` and ``values``."""
    waves = _draw(size, axes, seed)[0]
    phase = (size.reach * chebyshev(size.nodes))[size.nodes // 2 :, None, None] * waves[: size.pairs // axes]
    along = (phase.cos(), phase.sin())
    found = []
    for kinds in itertools.product((0, 1), repeat=axes):
        product = along[kinds[0]][:, :, 0]
        for axis, kind in enumerate(kinds[1:], 1):
            product = (product[:, None] * along[kind][:, :, axis]).reshape(-1, product.shape[1])
        found.append(torch.linalg.svd(product, full_matrices=False))
    largest = max(float(s[0]) for _, s, _ in found)
    parities = []
    for left, s, right in found:
        kept = int((s > size.cut * largest).sum())
        # A quadrant's values are those of every other, but for their signs.
        values = left[:, :kept] / 2 ** (axes / 2)
        parities.append(Parity(right[:kept].T / (s[:kept] * 2 ** (axes / 2)), values.contiguous()))
    transform = _mixed([_block(parities, i, "transform") for i in range(len(parities))], axes)
    values = unfold([_block(parities, i, "values") for i in range(len(parities))], size.nodes, axes)
    return tuple(parities), transform, values


def _block(parities: list[Parity], number: int, name: str) -> Tensor:
    """One class's matrix, between zeros in place of the columns of the others."""
    return torch.cat([getattr(p, name) * (i == number) for i, p in enumerate(parities)], dim=1)


def _mixed(products: list[Tensor], axes: int) -> Tensor:
    """``(m, n)`` coefficients of every class's products to ``(2 pairs, n)`` of sines and cosines."""
    return torch.tensordot(MIX[axes], torch.stack(products), dims=1).flatten(0, 1)


def fold(u: Tensor, nodes: int, axes: int) -> list[Tensor]:
    """``(nodes^axes, n)`` values: sums over the mirror images of the positive quadrant, a sign for every odd axis."""
    parts = [u.reshape(*[nodes] * axes, -1)]
    for axis in range(axes):
        split = [(p.narrow(axis, nodes // 2, nodes // 2), p.narrow(axis, 0, nodes // 2).flip(axis)) for p in parts]
        parts = [made for high, low in split for made in (high + low, high - low)]
    return [p.flatten(0, axes - 1) for p in parts]


def unfold(parts: list[Tensor], nodes: int, axes: int) -> Tensor:
    """Values of every class in the positive quadrant to those of their sum, ``(nodes^axes, n)``."""
    parts = [p.reshape(*[nodes // 2] * axes, -1) for p in parts]
    for axis in reversed(range(axes)):
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [torch.cat([(even - odd).flip(axis), even + odd], dim=axis) for even, odd in pairs]
    return parts[0].flatten(0, axes - 1)


def spatial_values(size: Size, seed: int, x: Tensor) -> Tensor:
    """``(n, r)``: the functions of ``spatial`` at ``(n, axes)`` local places."""
    phase = x @ _draw(size, x.shape[1], seed)[0].T
    return torch.cat([phase.sin(), phase.cos()], dim=1) @ spatial(size, x.shape[1], seed)[1]


def _orthonormal(samples: Tensor, cut: float) -> tuple[Tensor, Tensor]:
    left, values, right = torch.linalg.svd(samples, full_matrices=False)
    kept = int((values > cut * values[0]).sum())
    return right[:kept].T / values[:kept], left[:, :kept].contiguous()


def _draw(size: Size, axes: int, seed: int) -> tuple[Tensor, Tensor]:
    """``(pairs, axes)`` waves, even in a disk or up to the bandwidth, and ``(pairs,)`` shares from 0 to 1.

    In two dimensions the second half are the mirror images of the first.
    """
    engine = torch.quasirandom.SobolEngine(axes + 1, scramble=True, seed=seed)
    draw = engine.draw(size.pairs // axes, dtype=torch.float64)
    if axes == 1:
        return size.bandwidth * draw[:, :1].clamp(min=1e-3), draw[:, 1]
    radius, angle = size.bandwidth * draw[:, 0].sqrt(), math.pi / 2 * draw[:, 1]
    one = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return torch.cat([one, one * torch.tensor([1.0, -1.0])]), draw[:, 2].repeat(2)


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


__all__ = [
    "Basis", "Parity", "Size", "chebyshev", "cone", "fold", "grid", "make_basis", "spatial", "spatial_values", "unfold",
]  # fmt: skip
