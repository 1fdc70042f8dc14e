"""Scales are read off the problem: wavenumbers, sizes, amplitudes; no look at the exact solution."""

import math

import pytest
import torch

from pinn_siren import PML, Absorbing, Box, Dirichlet, Eikonal, Helmholtz, Initial, Poisson, Problem, Wave
from pinn_siren.scales import measure_scales

SQUARE = Box(x=(0, 1), y=(0, 1))


def waves(n):
    return lambda p: torch.sin(n * torch.pi * p.x) * torch.sin(n * torch.pi * p.y)


@pytest.mark.parametrize("n", [4, 8, 16])
def test_the_source_gives_the_wavenumber(n):
    scales = measure_scales(Poisson(domain=SQUARE, source=waves(n), conditions=[Dirichlet(0)]))
    for axis in "xy":
        assert 0.7 * n * math.pi <= scales.wavenumber[axis] <= 1.6 * n * math.pi


def test_boundary_data_give_the_wavenumber():
    scales = measure_scales(
        Poisson(domain=SQUARE, source=0.0, conditions=[Dirichlet(lambda p: torch.sin(10 * torch.pi * p.x))])
    )
    assert 0.7 * 10 * math.pi <= scales.wavenumber["x"] <= 1.6 * 10 * math.pi


def test_the_operator_gives_the_wavenumber_of_helmholtz():
    problem = Helmholtz(domain=SQUARE, wavenumber=25.0, source=1.0, conditions=[Absorbing()])
    assert measure_scales(problem).wavenumber["x"] == pytest.approx(25.0, rel=0.3)


def test_waves_link_time_to_space():
    problem = Wave(
        domain=Box(x=(0, 1), t=(0, 1)), speed=5.0,
        conditions=[Dirichlet(0), Initial(lambda p: torch.sin(6 * torch.pi * p.x), rate=0)],
    )  # fmt: skip
    k = measure_scales(problem).wavenumber
    assert k["t"] == pytest.approx(5 * k["x"], rel=0.1)


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_units_carry_over(factor):
    def problem(length):
        return Poisson(
            domain=Box(x=(0, length), y=(0, length)),
            source=lambda p: torch.sin(4 * torch.pi * p.x / length) / length**2,
            conditions=[Dirichlet(0)],
        )

    one, other = measure_scales(problem(1.0)), measure_scales(problem(factor))
    assert other.wavenumber["x"] * factor == pytest.approx(one.wavenumber["x"])
    assert other.amplitude == pytest.approx(one.amplitude)
    assert other.residual["equation"][0] * factor**2 == pytest.approx(one.residual["equation"][0])


# A problem and the size of its field, which the amplitude must meet within a factor of five either way.
AMPLITUDES = {
    "poisson": (Poisson(domain=SQUARE, source=lambda p: -20 * waves(1)(p), conditions=[Dirichlet(0)]), 0.5),
    "boundary data": (Poisson(domain=SQUARE, source=0.0, conditions=[Dirichlet(1e6)]), 1e6),
    "helmholtz": (
        Helmholtz(
            domain=Box(x=(-1.5, 1.5), y=(-1.5, 1.5)), wavenumber=2 * math.pi, conditions=[PML(thickness=0.5)],
            source=lambda p: torch.exp(-32 * (p.x**2 + p.y**2)) * 32 / torch.pi,
        ),
        0.08,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AMPLITUDES)
def test_the_amplitude_is_of_the_fields_size(name):
    problem, size = AMPLITUDES[name]
    assert size / 5 <= measure_scales(problem).amplitude <= size * 5


class Conservation(Problem):
    """A first-order equation without sources."""

    def residual(self, p, u):
        return u.t + u.value * u.x


class SlopeOne(Problem):
    """A residual whose linearization vanishes at the zero field."""

    def residual(self, p, u):
        return (u.grad**2).sum(-1) - 1


@pytest.mark.parametrize(
    "problem",
    [
        Conservation(domain=Box(x=(0, 1), t=(0, 1)), conditions=[Dirichlet(0), Initial(lambda p: torch.sin(p.x))]),
        SlopeOne(domain=SQUARE, conditions=[Dirichlet(0)]),
        Poisson(domain=SQUARE, source=0.0, conditions=[Dirichlet(0)]),
        Poisson(domain=SQUARE, source=lambda p: (p.x > 0.5) * 1.0, conditions=[Dirichlet(0)]),
        Eikonal(domain=SQUARE, velocity=1.0, source=(0.5, 0.5)),
        Eikonal(domain=Box(x=(0, 1)), velocity=1.0, surface=[[0.0]]),
    ],
    ids=["first order", "no slope", "nothing", "jump", "point source", "surface"],
)
def test_every_scale_is_finite_and_positive(problem):
    scales = measure_scales(problem)
    parts = [size for each in (scales.residual, scales.response) for sizes in each.values() for size in sizes]
    numbers = [*scales.wavenumber.values(), *parts, scales.amplitude]
    assert all(math.isfinite(v) and v > 0 for v in numbers), scales
