"""The Helmholtz solver: plane waves, radiation, layers against the Green's function, and the sign convention."""

import math

import numpy as np
import pytest
import torch
from measured import Exact, assert_order, normal_derivative, relative_l2
from scipy.special import hankel1
from torch import Tensor

from pinn_siren import Box
from pinn_siren.conditions import PML, Absorbing, Dirichlet, Initial, Neumann, Periodic, Robin
from pinn_siren.errors import NoReferenceError, ProblemError, UsageError
from pinn_siren.points import Points
from pinn_siren.reference import GridSolution, solve_helmholtz

LINE, SQUARE = Box(x=(0, 1)), Box(x=(0, 1), y=(0, 1))
K, ANGLE = 6.0, 0.5


def plane(p: Points) -> Tensor:
    return torch.exp(1j * K * (math.cos(ANGLE) * p.x + math.sin(ANGLE) * p.y))


def slope(u: Exact) -> Exact:
    def along(p: Points) -> Tensor:
        return normal_derivative(u)(p).detach()

    return along


def solve(conditions: list, cells: dict[str, int], **changes: object) -> GridSolution:
    fields = {"domain": SQUARE, "wavenumber": K, "speed": 1, "source": 0} | changes
    return solve_helmholtz(fields.pop("domain"), conditions=conditions, cells=cells, **fields)


ALONG_Y = K * math.sin(ANGLE)
PLANE_WAVES = {
    "dirichlet": [Dirichlet(plane)],
    "neumann": [Dirichlet(plane, on="left"), *(Neumann(slope(plane), on=s) for s in ("right", "top", "bottom"))],
    "robin": [Robin(-2j, 1.0, lambda p: -2j * plane(p) + slope(plane)(p))],
    "absorbing": [
        Dirichlet(plane, on="left"), Neumann(slope(plane), on="right"), Robin(1j * ALONG_Y, 1.0, 0.0, on="bottom"),
        Absorbing(on="top", wavenumber=ALONG_Y),
    ],
}  # fmt: skip
CAPS = {"dirichlet": 2e-3, "neumann": 4e-3, "robin": 2e-3, "absorbing": 3e-3}


@pytest.mark.parametrize("name", PLANE_WAVES)
def test_plane_waves(name: str) -> None:
    conditions = PLANE_WAVES[name]
    if name == "absorbing":  # On the bottom the wave enters: du/dn = -i k_y u.
        assert torch.allclose(slope(plane)(_bottom()), -1j * ALONG_Y * plane(_bottom()))
    assert_order(lambda cells: solve(conditions, cells), plane, {"x": 14, "y": 12}, cap=CAPS[name])


def _bottom() -> Points:
    return Points(("x", "y"), torch.tensor([[0.3, 0.0]]).double(), torch.tensor([[0.0, -1.0]]).double())


def test_absorbing_takes_the_wavenumber_over_the_speed() -> None:
    conditions = [Dirichlet(1, on="left"), Absorbing(on="right")]
    assert_order(
        lambda cells: solve(conditions, cells, domain=LINE, wavenumber=10.0, speed=2),
        lambda p: torch.exp(5j * p.x), {"x": 32}, cap=3e-4,
    )  # fmt: skip


def test_a_speed_that_jumps_on_a_node_keeps_second_order() -> None:
    left, right = 8.0, 4.0
    reflected = (left - right) / (left + right)

    def layered(p: Points) -> Tensor:
        x = p.x - 0.5
        below = torch.exp(1j * left * x) + reflected * torch.exp(-1j * left * x)
        return torch.where(x < 0, below, (1 + reflected) * torch.exp(1j * right * x))

    conditions = [Dirichlet(layered, on="left"), Absorbing(on="right")]
    speed = {"speed": lambda p: torch.where(p.x < 0.5, 1.0, 2.0)}
    assert_order(
        lambda cells: solve(conditions, cells, domain=LINE, wavenumber=8.0, **speed), layered, {"x": 32}, cap=1e-3
    )


def test_periodic_and_three_dimensions() -> None:
    box = Box(x=(0, 1), y=(0, 1), z=(0, 0.5))

    def wave(p: Points) -> Tensor:
        return torch.exp(1j * (3 * p.x + 2 * torch.pi * p.y)) * torch.cos(2 * torch.pi * p.z)

    wavenumber = math.sqrt(9 + 8 * math.pi**2)
    conditions = [Periodic("y"), Dirichlet(wave, on="left"), Absorbing(on="right", wavenumber=3.0)]
    conditions += [Neumann(0, on="front"), Neumann(0, on="back")]
    errors = [
        relative_l2(solve(conditions, {"x": n, "y": n, "z": n // 2}, domain=box, wavenumber=wavenumber), wave)
        for n in (14, 28)
    ]
    assert 1.8 < np.log2(errors[0] / errors[1]) < 2.2, errors
    assert errors[1] < 0.08


def test_layer_in_one_dimension_leaves_an_outgoing_wave() -> None:
    """exp(+i k |x - s|) / (-2 i k) away from a narrow Gaussian, on both sides: the sign of i and of the source."""
    wavenumber, width = 12.0, 0.05

    def source(p: Points) -> Tensor:
        return torch.exp(-((p.x / width) ** 2) / 2)

    def field(p: Points) -> Tensor:
        weight = math.sqrt(2 * math.pi) * width * math.exp(-((wavenumber * width) ** 2) / 2)
        return weight * 1j / (2 * wavenumber) * torch.exp(1j * wavenumber * p.x.abs())

    def far(cells: dict[str, int]) -> GridSolution:
        whole = solve([PML(0.5)], cells, domain=Box(x=(-1.5, 1.5)), wavenumber=wavenumber, source=source)
        kept = np.abs(whole.coordinates["x"]) > 0.45
        values = np.where(kept, whole.values["u"], field(Points(("x",), torch.from_numpy(whole.nodes()))).numpy())
        return GridSolution(whole.coordinates, {"u": values})

    assert_order(far, field, {"x": 150}, cap=3e-3)


@pytest.mark.parametrize("layer", [PML(0.3), PML(0.27, strength=7.0, order=3)], ids=["default", "own"])
def test_layer_in_two_dimensions_against_the_green_function(layer: PML) -> None:
    """Outside a Gaussian the field is i/4 H0(k r) times the Gaussian's transform at k."""
    wavenumber, width, center = 14.0, 0.07, (0.1, -0.05)
    weight = 2 * math.pi * width**2 * math.exp(-((wavenumber * width) ** 2) / 2)

    def source(p: Points) -> Tensor:
        return torch.exp(-((p.x - center[0]) ** 2 + (p.y - center[1]) ** 2) / (2 * width**2))

    errors = []
    for n in (60, 120, 240):
        u = solve([layer], {"x": n, "y": n}, domain=Box(x=(-1, 1), y=(-1, 1)), wavenumber=wavenumber, source=source)
        distance = np.linalg.norm(u.nodes() - center, axis=1)
        far = distance > 6 * width
        exact = weight * 0.25j * hankel1(0, wavenumber * distance[far])
        errors.append(np.linalg.norm(u.values["u"].ravel()[far] - exact) / np.linalg.norm(exact))
    assert 1.85 < np.log2(errors[1] / errors[2]) < 2.15, errors
    assert errors[2] < 5e-3


def test_layer_on_some_sides_beside_other_conditions() -> None:
    """A duct: Neumann walls, u given at the left, a layer at the right; the plane wave goes through undisturbed."""
    walls = [Dirichlet(1, on="left"), Neumann(0, on="top"), Neumann(0, on="bottom"), PML(0.4, on="right")]
    solution = solve(walls, {"x": 120, "y": 8}, domain=Box(x=(0, 1.6), y=(0, 0.3)), wavenumber=10.0)
    assert solution.coordinates["x"][-1] == pytest.approx(1.2)
    assert relative_l2(solution, lambda p: torch.exp(10j * p.x)) < 1e-2
    assert np.iscomplexobj(solution.values["u"])


MESSAGES = [
    ([PML(0.2), PML(0.1, on="left")], {}, ProblemError, "Two PML"),
    ([PML(0.6)], {}, ProblemError, "physical region"),
    ([PML(0.6, on="left"), PML(0.5, on="right")], {}, ProblemError, "both ends of axis x"),
    ([PML(0.2), Periodic("y")], {}, ProblemError, "Periodic and has a PML"),
    ([PML(0.2)], {"cells": {"x": 6, "y": 8}}, UsageError, "at least 8"),
    ([PML(0.2), Neumann(0)], {}, ProblemError, "has both"),
    ([Absorbing(speed=2.0)], {}, ProblemError, "wavenumber="),
    ([Absorbing(on="left")], {}, ProblemError, "Side right has no condition"),
    ([Neumann(0)], {"wavenumber": 0.0, "source": 1}, ProblemError, "singular"),
    ([Initial(0), Dirichlet(0)], {}, NoReferenceError, "Initial"),
    ([Dirichlet(0)], {"domain": Box(x=(0, 1), t=(0, 1))}, ProblemError, "without a time axis"),
]  # fmt: skip


@pytest.mark.parametrize(("conditions", "changes", "kind", "message"), MESSAGES, ids=[m[3] for m in MESSAGES])
def test_messages(conditions: list, changes: dict, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        solve(conditions, **({"cells": {"x": 16, "y": 16}} | changes))
