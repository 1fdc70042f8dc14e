"""The problems that methods are timed on: each with an exact solution (but the L), and the figures aimed at.

``ROWS[name]`` is a function returning a ``Row``. Nothing here is used by the package; solvers never see ``exact``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, pi

from pinn_siren import Box, Dirichlet, Eikonal, Helmholtz, Initial, Points, Poisson, Polygon, Problem, Wave

Function = Callable[[Points], Tensor]


@dataclass(frozen=True)
class Row:
    """A problem, and the relative L2 error and seconds aimed at: ``frozen`` by least squares, ``trained``: all layers.

    ``None`` where no figure was set: what is reached is what is shown.
    """

    title: str
    problem: Problem
    frozen: tuple[float, float] | None
    trained: tuple[float, float] | None


class Burgers(Problem):
    """``u u_x = viscosity u_xx``, nondimensional: an inner layer of width ``2 viscosity / amplitude``."""

    viscosity: float

    def residual(self, p, u):
        """Zero where the equation holds."""
        return u.value * u.x - self.viscosity * u.xx


class AllenCahn(Problem):
    """``epsilon laplacian(u) + u - u^3 = source``, nondimensional."""

    epsilon: float
    source: Function

    def residual(self, p, u):
        """Zero where the equation holds."""
        return self.epsilon * u.laplacian + u.value - u.value**3 - self.source(p)


class Bratu(Problem):
    """``laplacian u + strength exp(u) = source``, nondimensional."""

    strength: float
    source: Function

    def residual(self, p, u):
        """Zero where the equation holds."""
        return u.laplacian + self.strength * torch.exp(u.value) - self.source(p)


def poisson() -> Row:
    """One mode on a square of side 2."""

    def u(p: Points) -> Tensor:
        return torch.sin(pi * p.x) * torch.sin(pi * p.y)

    problem = Poisson(
        domain=Box(x=(-1, 1), y=(-1, 1)), source=lambda p: -2 * pi**2 * u(p), conditions=[Dirichlet(0)], exact=u
    )
    return Row("Poisson, sin πx sin πy", problem, (1e-13, 0.5), (1e-11, 5))


def multiscale() -> Row:
    """Modes of 4, 8, 12 and 16 pi along both axes."""
    waves = (4, 8, 12, 16)

    def u(p: Points) -> Tensor:
        return sum((torch.sin(k * pi * p.x) * torch.sin(k * pi * p.y) for k in waves), torch.zeros_like(p.x))

    def source(p: Points) -> Tensor:
        return sum(
            (-2 * (k * pi) ** 2 * torch.sin(k * pi * p.x) * torch.sin(k * pi * p.y) for k in waves),
            torch.zeros_like(p.x),
        )

    problem = Poisson(domain=Box(x=(0, 1), y=(0, 1)), source=source, conditions=[Dirichlet(0)], exact=u)
    return Row("Poisson, modes 4π to 16π", problem, (1e-11, 8), (1e-5, 60))


def _smooth(axes: str) -> tuple[Function, Function]:
    """``u = exp(s) cos(q)`` with ``s`` the mean of the coordinates, ``q = sum of x_i^2 / 2``, and its laplacian."""
    d = len(axes)

    def parts(p: Points) -> tuple[Tensor, Tensor, Tensor]:
        x = p.coordinates
        return x.mean(1), (x**2).sum(1) / 2, (x**2).sum(1)

    def u(p: Points) -> Tensor:
        s, q, _ = parts(p)
        return torch.exp(s) * torch.cos(q)

    def laplacian(p: Points) -> Tensor:
        s, q, r2 = parts(p)
        # grad s = 1/d each, grad q = x: u (1/d - r^2) - exp(s) sin(q) (2 mean + d)
        return torch.exp(s) * ((1 / d - r2) * torch.cos(q) - (2 * s + d) * torch.sin(q))

    return u, laplacian


def poisson_3d() -> Row:
    """A smooth field on the cube of side 2 that is no sum of sines."""
    u, laplacian = _smooth("xyz")
    problem = Poisson(domain=Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)), source=laplacian, conditions=[Dirichlet(u)], exact=u)
    return Row("Poisson in three dimensions", problem, (1e-10, 5), (1e-7, 60))


def poisson_5d() -> Row:
    """The same on the unit cube of five dimensions."""
    u, laplacian = _smooth("vwxyz")
    problem = Poisson(
        domain=Box(v=(0, 1), w=(0, 1), x=(0, 1), y=(0, 1), z=(0, 1)),
        source=laplacian,
        conditions=[Dirichlet(u)],
        exact=u,
    )
    return Row("Poisson in five dimensions", problem, (1e-7, 20), None)


def helmholtz() -> Row:
    """Wavenumber 4 pi, complex, a manufactured field that is no plane wave."""
    k = 4 * pi

    def u(p: Points) -> Tensor:
        wave = torch.exp(1j * k * (0.6 * p.x + 0.8 * p.y))
        return wave * (1 + 0.5 * torch.sin(pi * p.x) * torch.cos(pi * p.y))

    def source(p: Points) -> Tensor:
        wave = torch.exp(1j * k * (0.6 * p.x + 0.8 * p.y))
        sx, cx, sy, cy = (f(pi * c) for c in (p.x, p.y) for f in (torch.sin, torch.cos))
        # -(lap u + k^2 u): the wave alone leaves nothing, its product with the envelope 1 + m the rest.
        return -wave * (-(pi**2) * sx * cy + 1j * k * pi * (0.6 * cx * cy - 0.8 * sx * sy))

    problem = Helmholtz(domain=Box(x=(0, 1), y=(0, 1)), wavenumber=k, source=source, conditions=[Dirichlet(u)], exact=u)
    return Row("Helmholtz, k = 4π, complex", problem, (1e-11, 1), (1e-7, 30))


def helmholtz_1_4() -> Row:
    """Wavenumber 1 and the mode (1, 4) on a square of side 2: the benchmark of the literature."""

    def u(p: Points) -> Tensor:
        return torch.sin(pi * p.x) * torch.sin(4 * pi * p.y)

    problem = Helmholtz(
        domain=Box(x=(-1, 1), y=(-1, 1)),
        wavenumber=1.0,
        source=lambda p: (17 * pi**2 - 1) * u(p),
        conditions=[Dirichlet(0)],
        exact=u,
    )
    return Row("Helmholtz, k = 1, sin πx sin 4πy", problem, (1e-11, 0.6), (1e-9, 10))


def _wave(speed: float) -> Problem:
    """Two standing waves, of 1 and 3 half-waves, over a unit of time."""

    def start(p: Points) -> Tensor:
        return torch.sin(pi * p.x) + 0.5 * torch.sin(3 * pi * p.x)

    def u(p: Points) -> Tensor:
        return torch.sin(pi * p.x) * torch.cos(pi * speed * p.t) + 0.5 * torch.sin(3 * pi * p.x) * torch.cos(
            3 * pi * speed * p.t
        )

    return Wave(domain=Box(x=(0, 1), t=(0, 1)), speed=speed, conditions=[Dirichlet(0), Initial(start, rate=0)], exact=u)


def wave() -> Row:
    """Speed 2."""
    return Row("wave, c = 2, two modes", _wave(2.0), (1e-11, 1), (1e-8, 25))


def wave_10() -> Row:
    """Speed 10."""
    return Row("wave, c = 10, two modes", _wave(10.0), (1e-11, 2), (1e-5, 60))


def eikonal() -> Row:
    """Travel times from a point, the velocity linear in depth (Slotnick 1959)."""
    source, surface, gradient = (1.0, 0.5), 2.0, 0.5

    def velocity(p: Points) -> Tensor:
        return surface + gradient * p.z

    def u(p: Points) -> Tensor:
        r2 = (p.x - source[0]) ** 2 + (p.z - source[1]) ** 2
        at_source = surface + gradient * source[1]
        return torch.acosh(1 + gradient**2 * r2 / (2 * at_source * velocity(p))) / gradient

    problem = Eikonal(domain=Box(x=(0, 4), z=(0, 2)), velocity=velocity, source=source, exact=u)
    return Row("eikonal, linear velocity", problem, (1e-10, 0.5), (1e-9, 10))


def burgers() -> Row:
    """A standing shock ``-tanh(x / (2 viscosity))``, viscosity 0.1."""
    viscosity = 0.1

    def u(p: Points) -> Tensor:
        return -torch.tanh(p.x / (2 * viscosity))

    problem = Burgers(domain=Box(x=(-1, 1)), viscosity=viscosity, conditions=[Dirichlet(u)], exact=u)
    return Row("steady Burgers, an inner layer", problem, (1e-9, 5), (1e-8, 30))


def allen_cahn() -> Row:
    """Epsilon 0.1, where the solution is unique."""

    def u(p: Points) -> Tensor:
        return torch.sin(pi * p.x) * torch.sin(pi * p.y)

    problem = AllenCahn(
        domain=Box(x=(0, 1), y=(0, 1)),
        epsilon=0.1,
        source=lambda p: (1 - 0.2 * pi**2) * u(p) - u(p) ** 3,
        conditions=[Dirichlet(0)],
        exact=u,
    )
    return Row("Allen-Cahn", problem, (1e-9, 5), (1e-8, 30))


def bratu() -> Row:
    """Strength 1, below the fold, a manufactured field."""

    def u(p: Points) -> Tensor:
        return torch.sin(pi * p.x) * torch.sin(pi * p.y) * torch.exp(p.x * p.y)

    def laplacian(p: Points) -> Tensor:
        x, y = p.x, p.y
        sx, cx, sy, cy = torch.sin(pi * x), torch.cos(pi * x), torch.sin(pi * y), torch.cos(pi * y)
        return torch.exp(x * y) * ((x**2 + y**2 - 2 * pi**2) * sx * sy + 2 * pi * (y * cx * sy + x * sx * cy))

    problem = Bratu(
        domain=Box(x=(0, 1), y=(0, 1)),
        strength=1.0,
        source=lambda p: laplacian(p) + torch.exp(u(p)),
        conditions=[Dirichlet(0)],
        exact=u,
    )
    return Row("Bratu", problem, (1e-9, 5), (1e-8, 30))


def l_shape() -> Row:
    """``laplacian u = -1`` on an L of side 2: the gradient is infinite at the corner, ``u ~ r^(2/3)``."""
    corners = [(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]
    problem = Poisson(domain=Polygon(corners), source=-1.0, conditions=[Dirichlet(0)])
    return Row("L-shaped Poisson, f = 1", problem, None, None)


ROWS: dict[str, Callable[[], Row]] = {
    f.__name__: f
    for f in (
        poisson, multiscale, poisson_3d, poisson_5d, helmholtz, helmholtz_1_4, wave, wave_10, eikonal, burgers,
        allen_cahn, bratu, l_shape,
    )
}  # fmt: skip
