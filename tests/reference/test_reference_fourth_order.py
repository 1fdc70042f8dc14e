"""Fourth-order finite differences of the Helmholtz equation: order, conditions, layers, and when they are chosen."""

import math

import numpy as np
import pytest
import torch
from measured import assert_order, normal_derivative, relative_l2
from scipy.special import hankel1

from pinn_siren import PML, Absorbing, Box, Dirichlet, Helmholtz, Neumann, Periodic, Points, Robin, solve_reference
from pinn_siren.errors import UsageError
from pinn_siren.reference import GridSolution, solve_helmholtz
from pinn_siren.reference.wide import wide

LINE, SQUARE = Box(x=(0, 1)), Box(x=(0, 1), y=(0, 1))
K, ANGLE = 6.0, 0.5
ALONG_Y = K * math.sin(ANGLE)


def plane(p: Points) -> torch.Tensor:
    return torch.exp(1j * K * (math.cos(ANGLE) * p.x + math.sin(ANGLE) * p.y))


def slope(u):
    return lambda p: normal_derivative(u)(p).detach()


def solve(conditions: list, cells: dict[str, int], **changes: object) -> GridSolution:
    fields = {"domain": SQUARE, "wavenumber": K, "speed": 1, "source": 0, "order": 4} | changes
    return solve_helmholtz(fields.pop("domain"), conditions=conditions, cells=cells, **fields)


@pytest.mark.parametrize("periodic", [False, True])
def test_derivatives(periodic: bool) -> None:
    for order in (1, 2):
        errors = []
        for cells in (24, 48):
            x = np.linspace(0, 1, cells + 1)
            u = np.sin(2 * np.pi * x + 0.3)[: cells + (not periodic)]
            exact = {1: 2 * np.pi * np.cos(2 * np.pi * x + 0.3), 2: -4 * np.pi**2 * np.sin(2 * np.pi * x + 0.3)}
            errors.append(np.abs(wide(x, order, periodic) @ u - exact[order][: len(u)]).max())
        assert 3.6 < np.log2(errors[0] / errors[1]) < 4.6
    x = np.linspace(0, 1, 9) * (1 + 0.5j) + 1j * np.linspace(0, 1, 9) ** 3
    assert np.abs(wide(x, 2) @ x**4 - 12 * x**2).max() < 1e-10


CONDITIONS = {
    "dirichlet": [Dirichlet(plane)],
    "neumann": [Dirichlet(plane, on="left"), *(Neumann(slope(plane), on=s) for s in ("right", "top", "bottom"))],
    "robin": [Robin(-2j, 1.0, lambda p: -2j * plane(p) + slope(plane)(p))],
    "absorbing": [
        Dirichlet(plane, on="left"), Neumann(slope(plane), on="right"), Robin(1j * ALONG_Y, 1.0, 0.0, on="bottom"),
        Absorbing(on="top", wavenumber=ALONG_Y),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CONDITIONS)
def test_plane_waves(name: str) -> None:
    conditions = CONDITIONS[name]
    assert_order(lambda cells: solve(conditions, cells), plane, {"x": 16, "y": 14}, band=(3.7, 4.6), cap=2e-5)


def test_a_speed_that_varies_in_three_dimensions() -> None:
    box = Box(x=(0, 1), y=(0, 1), z=(0, 0.5))

    def wave(p):
        return torch.exp(1j * (2 * p.x + 2 * torch.pi * p.y)) * torch.cos(p.z)

    def speed(p):
        return 1 / (1 + 0.3 * p.x)

    def source(p):
        return (5 + 4 * math.pi**2 - (3 * (1 + 0.3 * p.x)) ** 2) * wave(p)

    conditions = [Periodic("y"), *(Dirichlet(wave, on=s) for s in ("left", "right", "front", "back"))]
    errors = [
        relative_l2(solve(conditions, {"x": n, "y": n, "z": n // 2}, domain=box, wavenumber=3, speed=speed,
                          source=source), wave)
        for n in (12, 20)
    ]  # fmt: skip
    assert 3.6 < np.log(errors[0] / errors[1]) / np.log(20 / 12) < 4.8 and errors[1] < 2e-3, errors


@pytest.mark.parametrize("layer", [PML(0.3), PML(0.27, strength=7.0, order=3)], ids=["default", "own"])
def test_layers_keep_fourth_order(layer: PML) -> None:
    wavenumber, width, center = 14.0, 0.07, (0.1, -0.05)
    weight = 2 * math.pi * width**2 * math.exp(-((wavenumber * width) ** 2) / 2)

    def source(p):
        return torch.exp(-((p.x - center[0]) ** 2 + (p.y - center[1]) ** 2) / (2 * width**2))

    fields = []
    for n in (32, 64, 128):
        fields.append(solve([layer], {"x": n, "y": n}, domain=Box(x=(-1, 1), y=(-1, 1)), wavenumber=wavenumber,
                            source=source))  # fmt: skip
    coarse, middle, fine = (f.values["u"][:: 2**i, :: 2**i] for i, f in enumerate(fields))
    order = np.log2(np.linalg.norm(coarse - middle) / np.linalg.norm(middle - fine))
    assert 3.6 < order < 4.6
    distance = np.linalg.norm(fields[-1].nodes() - center, axis=1)
    far = distance > 6 * width
    exact = weight * 0.25j * hankel1(0, wavenumber * distance[far])
    assert np.linalg.norm(fields[-1].values["u"].ravel()[far] - exact) / np.linalg.norm(exact) < 1e-3


def smooth(**fields: object) -> Helmholtz:
    return Helmholtz(domain=SQUARE, wavenumber=K, source=0, conditions=[Dirichlet(plane)], **fields)


def test_it_is_chosen_where_it_has_the_smaller_bar() -> None:
    second = solve_reference(smooth(), 16, method="finite-differences")
    fourth = solve_reference(smooth(), 32, method="fourth-order")
    assert fourth.observed_order == pytest.approx(4, abs=0.5) and "fourth order" in fourth.name
    assert relative_l2(fourth.finest, plane) <= fourth.error
    assert relative_l2(fourth.best, plane) <= fourth.bar < second.error
    chosen = solve_reference(smooth(), 16, tolerance=10 * second.bar / 1.2)
    assert chosen.bar < second.bar and relative_l2(chosen.best, plane) <= chosen.bar


def test_a_jump_leaves_second_order() -> None:
    problem = smooth(speed=lambda p: torch.where((p.x < 0.41) & (p.y < 0.37), 1.0, 2.0))
    chosen = solve_reference(problem, 16, tolerance=1e-6)
    assert "second order" in chosen.method


def test_another_order_is_refused() -> None:
    with pytest.raises(UsageError, match="order is 2 or 4"):
        solve([Dirichlet(0)], {"x": 8, "y": 8}, order=3)
    with pytest.raises(UsageError, match="at least 6"):
        solve([Dirichlet(0)], {"x": 4, "y": 8})
