"""Full-waveform inversion: how fast are waves in a square that is heard from outside?

laplacian u_s + (k / c)^2 u_s = -g_s for five sources at once, and one unknown speed c that all share, a second network;
30 receivers read every u_s with noise. Wavenumber, sources, receivers and layers are those of the SIREN paper's
inversion (Sitzmann et al. 2020, arXiv 2006.09661, and its code). What is hidden is a disc in which waves run twice as
fast; the data are its exact series in cylinder functions. `pinn-siren solve` eliminates the waves (`--method adjoint`)
and takes minutes; `--method lbfgs` is the paper's way, all fields networks that are trained: hours on a CPU.
`benchmarks/inversion.py` compares the network of c with classical grids.
"""

import math

import numpy as np
import torch
from scipy.special import h1vp, hankel1, jv, jvp

from pinn_siren import PML, Box, Data, Problem, UnknownField
from pinn_siren.equations.stretch import stretch

WAVENUMBER, BOUNDS, UNKNOWN = 20.0, (0.9, 2.5), 0.4
SOURCES = np.stack([np.linspace(-0.3471, 0.3471, 5), np.full(5, -0.3471)], axis=1)
TOP, SIDE = np.linspace(-0.3471, 0.3471, 10), np.linspace(-0.2529, 0.402, 10)
RECEIVERS = np.concatenate(
    [np.stack(s, axis=1) for s in ((TOP, 0 * TOP + 0.402), (0 * SIDE - 0.402, SIDE), (0 * SIDE + 0.402, SIDE))]
)
WIDTH = 0.03  # standard deviation of the sources
CENTER, RADIUS, SPEED = np.array([0.03, -0.05]), 0.1, 2.0
NOISE = 0.01  # of the data's root mean square
ORDERS = 30


class FullWaveform(Problem):
    """Waves of all sources in one unknown medium, which is known to be 1 outside of a square."""

    outputs = ("u1", "u2", "u3", "u4", "u5")
    complex_valued = True
    stretches = True

    speed: UnknownField

    def residual(self, p, *waves):
        """``laplacian u + (k / c)^2 u + source`` of every wave, in the layer's coordinates."""
        inside = (p.x.abs() < UNKNOWN) & (p.y.abs() < UNKNOWN)
        square = (WAVENUMBER / torch.where(inside, self.speed(p), 1.0)) ** 2
        lines = stretch(p, self.layer, self.domain)
        rows = []
        for u, (x, y) in zip(waves, SOURCES, strict=True):
            source = torch.exp(-((p.x - x) ** 2 + (p.y - y) ** 2) / (2 * WIDTH**2)) / (2 * math.pi * WIDTH**2)
            row = square * u.value + source
            for axis, (e, slope) in lines.items():
                row = row + u.channel(2 * axis) / e**2 - slope / e**3 * u.channel(axis)
            rows.append(row)
        return tuple(rows)


def disc_waves(width=WIDTH, center=CENTER, radius=RADIUS, speed=SPEED):
    """``(R, S)``: i/4 H0(k |r - s|) and what a disc scatters of it, in cylinder functions; no grid at all.

    A Gaussian source of deviation ``width`` is a point source of strength ``exp(-(k width)^2 / 2)`` away from itself.
    """
    n = np.arange(-ORDERS, ORDERS + 1)
    out, within = WAVENUMBER, WAVENUMBER / speed
    inner, slope = jv(n, within * radius), within * jvp(n, within * radius)
    top = inner * out * jvp(n, out * radius) - slope * jv(n, out * radius)
    bottom = slope * hankel1(n, out * radius) - inner * out * h1vp(n, out * radius)

    def outgoing(places, sign):
        away = places - center
        angle = np.arctan2(away[:, 1], away[:, 0])
        return hankel1(n[:, None], out * np.hypot(*away.T)) * np.exp(sign * 1j * n[:, None] * angle)

    scattered = np.einsum("n,nr,ns->rs", top / bottom, outgoing(RECEIVERS, 1), outgoing(SOURCES, -1))
    straight = hankel1(0, out * np.linalg.norm(RECEIVERS[:, None] - SOURCES, axis=2))
    return 0.25j * (straight + scattered) * np.exp(-((out * width) ** 2) / 2)


def measured(seed=4):
    exact = disc_waves()
    noise = NOISE * np.sqrt(np.mean(np.abs(exact) ** 2) / 2)
    random = np.random.default_rng(seed)
    values = exact + noise * (random.standard_normal(exact.shape) + 1j * random.standard_normal(exact.shape))
    return FullWaveform(
        domain=Box(x=(-1, 1), y=(-1, 1)),
        speed=UnknownField(1.0, bounds=BOUNDS, wavenumber=2 * WAVENUMBER, smoothness=1e-6),
        conditions=[
            PML(thickness=0.5),
            *(Data(RECEIVERS, values[:, s], output=f"u{s + 1}", noise=float(noise)) for s in range(5)),
        ],
    )


problem = measured()
