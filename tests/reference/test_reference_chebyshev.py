"""Chebyshev collocation on elements: exact solutions of linear and nonlinear, real and complex problems, and bars."""

import math

import numpy as np
import pytest
import torch
from measured import normal_derivative, relative_l2
from scipy.special import hankel1

from pinn_siren import (
    PML,
    Box,
    Dirichlet,
    Helmholtz,
    Initial,
    Neumann,
    Periodic,
    Points,
    Poisson,
    Problem,
    Robin,
    Wave,
    solve_reference,
)
from pinn_siren.errors import NoReferenceError, UsageError
from pinn_siren.reference import adaptive
from pinn_siren.reference.adaptive import solve_chebyshev
from pinn_siren.reference.chebyshev import Axis, tails, unit_derivative, unit_nodes

SQUARE = Box(x=(0, 1), y=(-1, 1))


def slope(u):
    def along(p):
        with torch.enable_grad():
            return normal_derivative(u)(p).detach()

    return along


@pytest.mark.parametrize("degree", [5, 12, 24])
def test_derivatives_of_polynomials(degree: int) -> None:
    x = unit_nodes(degree)
    for order in (1, 2):
        for power in range(degree + 1):
            coefficients = np.polynomial.chebyshev.chebder([0] * power + [1], order)
            exact = np.polynomial.chebyshev.chebval(x, coefficients)
            found = unit_derivative(degree, order) @ np.polynomial.chebyshev.chebval(x, [0] * power + [1])
            assert np.abs(found - exact).max() <= 1e-13 * degree ** (2 * order)


def test_an_axis_of_elements() -> None:
    axis, at = Axis("x", np.array([0, 0.3, 1.0]), 16), np.linspace(0, 1, 41)
    u = np.exp(2 * axis.nodes)
    assert np.abs(axis.interpolation(at) @ u - np.exp(2 * at)).max() < 1e-13
    assert np.abs(axis.derivative(2) @ u - 4 * u).max() < 1e-9
    kink = np.abs(axis.nodes - 0.3)
    assert np.abs(axis.jump() @ u).max() < 1e-11 and (axis.jump() @ kink)[16] == pytest.approx(2)
    ring = Axis("x", np.array([0, 0.3, 1.0]), 20, periodic=True)
    assert np.abs(ring.jump() @ np.sin(2 * np.pi * ring.nodes)).max() < 1e-10
    assert tails(np.polynomial.chebyshev.chebval(unit_nodes(9), [0] * 8 + [0.25]), 0) == pytest.approx(0.25)


class Reaction(Problem):
    """laplacian u + u_xy / 2 - u^3 = source."""

    source: object

    def residual(self, p, u):
        return u.laplacian + 0.5 * u.xy - u.value**3 - self.source(p)


def wave(p: Points) -> torch.Tensor:
    return torch.exp(2 * p.x) * torch.cos(3 * p.y) + p.x * p.y


def reaction() -> Problem:
    def source(p):
        u = torch.exp(2 * p.x) * torch.cos(3 * p.y)
        return 4 * u - 9 * u + 0.5 * (-6 * torch.exp(2 * p.x) * torch.sin(3 * p.y) + 1) - wave(p) ** 3

    return Reaction(domain=SQUARE, source=source, conditions=[Dirichlet(wave)])


def mixed() -> Problem:
    """A diffusion that varies, and a condition of each kind."""

    def source(p):
        e = torch.exp(2 * p.x)
        laplacian = -5 * e * torch.cos(3 * p.y)
        return (2 + p.x) * laplacian + 2 * e * torch.cos(3 * p.y) + p.y

    conditions = [
        Dirichlet(wave, on="left"), Neumann(slope(wave), on="right"),
        Robin(2.0, 0.5, lambda p: 2 * wave(p) + 0.5 * slope(wave)(p), on="top"), Neumann(slope(wave), on="bottom"),
    ]  # fmt: skip
    return Poisson(domain=SQUARE, diffusion=lambda p: 2 + p.x, source=source, conditions=conditions)


def plane(p: Points) -> torch.Tensor:
    return torch.exp(1j * (6 * p.x + 2 * torch.pi * p.y))


def periodic() -> Problem:
    conditions = [Periodic("y"), Robin(-2j, 1.0, lambda p: -2j * plane(p) + slope(plane)(p))]
    return Helmholtz(domain=SQUARE, wavenumber=math.hypot(6, 2 * math.pi), source=0, conditions=conditions)


def line(p: Points) -> torch.Tensor:
    return torch.tanh(40 * (p.x - 0.3))


def layer() -> Problem:
    def source(p):
        u = line(p)
        return -3200 * u * (1 - u**2)

    return Poisson(domain=Box(x=(0, 1)), source=source, conditions=[Dirichlet(line)])


def solid(p: Points) -> torch.Tensor:
    return torch.exp(p.x + 0.5 * p.y) * torch.sin(p.z)


def cube() -> Problem:
    return Poisson(domain=Box(x=(0, 0.5), y=(0, 0.5), z=(0, 0.5)), source=lambda p: 0.25 * solid(p),
                   conditions=[Dirichlet(solid)])  # fmt: skip


CASES = {
    "nonlinear": (reaction, wave, 1e-10), "mixed": (mixed, wave, 1e-10), "periodic": (periodic, plane, 1e-10),
    "layer": (layer, line, 1e-9), "cube": (cube, solid, 1e-10),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_true_errors_stay_below_the_bar(name: str) -> None:
    make, exact, most = CASES[name]
    problem = make()
    reference = solve_chebyshev(problem, dict.fromkeys(problem.domain.axes, 20))
    assert relative_l2(reference.finest, exact) <= reference.bar <= most
    assert reference.observed_order is None and math.isinf(reference.formal_order)


def test_a_layer_and_a_narrow_source_against_the_green_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a Gaussian the field is i/4 H0(k r) times the Gaussian's transform at k, but for reflections."""
    monkeypatch.setitem(adaptive.DEGREES, 2, (8, 11, 14))
    monkeypatch.setattr(adaptive, "RESOLVED", 1e-6)
    wavenumber, width, center = 8.0, 0.1, (0.1, -0.05)

    def source(p):
        return torch.exp(-((p.x - center[0]) ** 2 + (p.y - center[1]) ** 2) / (2 * width**2))

    problem = Helmholtz(domain=Box(x=(-1, 1), y=(-1, 1)), wavenumber=wavenumber, source=source,
                        conditions=[PML(0.5)])  # fmt: skip
    reference = solve_chebyshev(problem, {"x": 40, "y": 40})
    distance = np.linalg.norm(reference.finest.nodes() - center, axis=1)
    far = distance > 5 * width
    weight = 2 * math.pi * width**2 * math.exp(-((wavenumber * width) ** 2) / 2)
    exact = weight * 0.25j * hankel1(0, wavenumber * distance[far])
    error = np.linalg.norm(reference.finest.values["u"].ravel()[far] - exact) / np.linalg.norm(exact)
    assert error < 1e-4 and reference.bar < 1e-6


def test_coefficients_may_jump_between_elements() -> None:
    left, right = 8.0, 4.0
    reflected = (left - right) / (left + right)

    def layered(p):
        x = p.x - 0.55
        below = torch.exp(1j * left * x) + reflected * torch.exp(-1j * left * x)
        return torch.where(x < 0, below, (1 + reflected) * torch.exp(1j * right * x))

    conditions = [Dirichlet(layered, on="left"), Robin(-4j, 1.0, 0.0, on="right")]
    problem = Helmholtz(domain=Box(x=(0, 1)), wavenumber=8.0, source=0, conditions=conditions,
                        speed=lambda p: torch.where(p.x < 0.55, 1.0, 2.0))  # fmt: skip
    reference = solve_chebyshev(problem, {"x": 40}, {"x": [0.55]})
    assert relative_l2(reference.finest, layered) <= reference.bar <= 1e-10
    with pytest.raises(NoReferenceError, match="not smooth"):
        solve_chebyshev(problem, {"x": 40})


REFUSED = {
    "time": Wave(domain=Box(x=(0, 1), t=(0, 1)), speed=1, conditions=[Initial(0, rate=0), Dirichlet(0)]),
    "constant": Poisson(domain=Box(x=(0, 1)), source=lambda p: p.x - 0.5, conditions=[Neumann(0)]),
    "bare": Poisson(domain=SQUARE, source=1.0, conditions=[Dirichlet(0, on="left")]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_cover(name: str) -> None:
    with pytest.raises(NoReferenceError):
        solve_chebyshev(REFUSED[name], {"x": 20, "y": 20})


def test_it_is_chosen_where_finite_differences_cannot_certify() -> None:
    problem = layer()
    easy = solve_reference(problem, 40, tolerance=1e-2)
    assert easy.method.startswith("conservative finite differences")
    hard = solve_reference(problem, 40, tolerance=1e-8)
    assert hard.method.startswith("Chebyshev collocation") and hard.bar <= 1e-9
    assert solve_reference(problem, 40, method="chebyshev").bar <= 1e-9
    assert solve_reference(problem, 40, method="finite-differences").name == easy.name
    with pytest.raises(UsageError, match="'chebyshev'"):
        solve_reference(problem, method="chebishev")


def test_a_residual_that_finite_differences_contradict_is_not_trusted() -> None:
    """The solver of the statement itself keeps the choice: a wrong sign in the residual must show."""

    class Wrong(Poisson):
        def residual(self, p, u):
            return super().residual(p, u) - 3 * u.value

    problem = Wrong(domain=Box(x=(0, 1)), source=lambda p: torch.exp(3 * p.x), conditions=[Dirichlet(0)])
    assert "finite differences" in solve_reference(problem, 20, tolerance=1e-9).method
