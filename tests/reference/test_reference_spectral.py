"""Spectral elements for the wave equation: exact solutions, every kind of side, energy, and honest bars."""

import math

import numpy as np
import pytest
import torch
from measured import relative_l2

from pinn_siren import (
    Absorbing,
    Box,
    Dirichlet,
    Initial,
    Neumann,
    Periodic,
    Points,
    Robin,
    Wave,
    solve_reference,
)
from pinn_siren.errors import NoReferenceError, ProblemError
from pinn_siren.reference import solve_wave
from pinn_siren.reference.spectral import spectral_grid
from pinn_siren.reference.wave_fourier import fourier_wave
from pinn_siren.reference.wave_spectral import spectral_wave

LINE = Box(x=(-1, 1), t=(0, 1.5))
PLANE = Box(x=(0, 1), y=(0, 1), t=(0, 0.5))


def test_masses_and_stiffness_integrate_polynomials() -> None:
    (line,) = spectral_grid(Box(x=(0, 2)), {"x": 3}, 5, frozenset()).lines
    x = line.nodes
    assert line.masses @ x**9 == pytest.approx(2**10 / 10)
    assert x**3 @ line.stiffness() @ x**4 == pytest.approx(12 * 2**6 / 6)
    at = np.linspace(0, 2, 17)
    assert np.abs(line.interpolation(at) @ x**5 - at**5).max() < 1e-12


def pulse(p: Points) -> torch.Tensor:
    return torch.exp(-20 * (p.x + 0.2 - p.t) ** 2)


def rate(p: Points) -> torch.Tensor:
    return 40 * (p.x + 0.2 - p.t) * pulse(p)


def standing(p: Points) -> torch.Tensor:
    return torch.sin(2 * torch.pi * p.x) * torch.cos(torch.pi * p.y) * torch.cos(math.sqrt(5) * torch.pi * p.t)


def grown(p: Points) -> torch.Tensor:
    """In a medium of speed 1 + x / 4, with a source."""
    return torch.exp(p.x) * torch.sin(3 * p.t)


def growing(p: Points) -> torch.Tensor:
    return (-9 - (1 + p.x / 4) ** 2) * grown(p)


CASES = {
    "passing": (LINE, {"speed": 1}, [Initial(pulse, rate), Dirichlet(pulse, on="left"), Absorbing(on="right")], pulse),
    "plane": (PLANE, {"speed": 1}, [Initial(standing, 0), Periodic("x"), Neumann(0)], standing),
    "medium": (
        LINE, {"speed": lambda p: 1 + p.x / 4, "source": growing},
        [Initial(0, lambda p: 3 * torch.exp(p.x)), Neumann(grown, on="right"), Robin(2.0, 1.0, grown, on="left")],
        grown,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_true_errors_stay_below_the_bar(name: str) -> None:
    domain, fields, conditions, exact = CASES[name]
    cells = {a: 40 if len(domain.axes) == 2 else 16 for a in domain.axes}
    reference = spectral_wave(domain, conditions=conditions, cells=cells, **({"source": 0} | fields))
    assert relative_l2(reference.finest, exact) <= reference.bar <= 1e-6
    assert reference.finest.shape == tuple(n + 1 for n in cells.values())


def test_a_medium_against_finite_differences() -> None:
    """In two dimensions with absorbing sides, where no formula is known: within the other solver's bar."""
    problem = Wave(
        domain=Box(x=(-1, 1), y=(-1, 1), t=(0, 1.0)), speed=lambda p: 1 + 0.3 * torch.sin(2 * p.x) * p.y,
        conditions=[Initial(lambda p: torch.exp(-20 * (p.x**2 + p.y**2)), 0), Absorbing()],
    )  # fmt: skip
    other = solve_reference(problem, 32, method="finite-differences")
    reference = solve_reference(problem, 32, method="spectral")
    assert reference.bar < other.bar / 10
    fine, ours = other.finest.values["u"][::4, ::4, ::4], reference.finest.values["u"]
    assert np.linalg.norm(fine - ours) <= other.error * np.linalg.norm(ours)


def test_it_is_chosen_where_it_has_the_smaller_bar() -> None:
    problem = Wave(domain=LINE, speed=1, conditions=CASES["passing"][2])
    assert "leapfrog" in solve_reference(problem, 40).method
    chosen = solve_reference(problem, 40, tolerance=1e-6)
    assert chosen.method.startswith("spectral elements") and relative_l2(chosen.best, pulse) <= chosen.bar


def test_a_jump_between_nodes_has_no_narrow_bar() -> None:
    """A speed that jumps inside elements converges slowly, and the bar says so."""
    problem = Wave(domain=LINE, speed=lambda p: torch.where(p.x < 0.21, 1.0, 2.0).double(),
                   conditions=[Initial(lambda p: torch.exp(-20 * (p.x + 0.2) ** 2), 0), Dirichlet(0)])  # fmt: skip
    reference = solve_reference(problem, 40, method="spectral")
    fine = solve_wave(LINE, speed=problem.speed, source=0, conditions=problem.conditions, cells={"x": 1600, "t": 40})
    gap = np.linalg.norm(fine.values["u"][::40] - reference.finest.values["u"]) / np.linalg.norm(fine.values["u"][::40])
    assert reference.bar is None or reference.bar > gap / 3


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ProblemError, match="initial"):
        spectral_wave(LINE, speed=1, source=0, conditions=[Dirichlet(0)], cells={"x": 8, "t": 8})


FOURIER = {
    "fixed and free": (
        Box(x=(0, 1), t=(0, 3)), [Dirichlet(0, on="left"), Neumann(0, on="right")],
        lambda p: torch.sin(1.5 * torch.pi * p.x) * torch.cos(1.5 * torch.pi * p.t),
    ),
    "free and fixed": (
        Box(x=(0, 1), t=(0, 3)), [Neumann(0, on="left"), Dirichlet(0, on="right")],
        lambda p: torch.cos(2.5 * torch.pi * p.x) * torch.cos(2.5 * torch.pi * p.t),
    ),
    "in between": (LINE, [Absorbing()], lambda p: sum(torch.exp(-400 * (p.x + s * p.t) ** 2) for s in (1, -1)) / 2),
    "periodic": (
        Box(t=(0, 0.5), x=(0, 1), y=(0, 1)), [Periodic("x"), Neumann(0, on="bottom"), Neumann(0, on="top")],
        standing,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOURIER)
def test_fourier_series_against_exact_solutions(name: str) -> None:
    domain, sides, exact = FOURIER[name]
    if name == "in between":
        domain = Box(x=(-1, 1), t=(0, 0.7))
    cells = dict.fromkeys(domain.axes, 20)
    reference = fourier_wave(domain, speed=1.0, source=0.0, conditions=[*sides, Initial(exact, 0)], cells=cells)
    assert relative_l2(reference.finest, exact) <= max(reference.bar, 1e-12) <= 1e-9


def test_fourier_series_stop_where_a_wave_has_reached_an_absorbing_side() -> None:
    conditions = [Absorbing(), Initial(lambda p: torch.exp(-400 * p.x**2), 0)]
    with pytest.raises(NoReferenceError, match="reached"):
        fourier_wave(LINE, speed=1.0, source=0.0, conditions=conditions, cells={"x": 20, "t": 4})
