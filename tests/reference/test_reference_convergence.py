"""Observed order and error bar, on grids whose errors are known."""

import math

import numpy as np
import pytest
import torch
from measured import relative_l2

from pinn_siren import Box
from pinn_siren.conditions import Dirichlet
from pinn_siren.errors import UsageError
from pinn_siren.points import Points
from pinn_siren.reference import (
    GridSolution,
    Reference,
    converge,
    estimate,
    extrapolate,
    judged,
    solve_poisson,
)


def made(order: float, amplitude: float = 0.1, outputs: tuple[str, ...] = ("u",)):
    """A solver whose error is amplitude times h^order times sin(x)."""

    def solve_on(cells: dict[str, int]) -> GridSolution:
        x = np.linspace(0, 1, cells["x"] + 1)
        return GridSolution({"x": x}, {n: np.exp(x) + amplitude * cells["x"] ** -order * np.sin(x) for n in outputs})

    return solve_on


def true_error(reference: Reference) -> float:
    x, weights = reference.finest.coordinates["x"], reference.finest.quadrature()
    error = reference.finest.values["u"] - np.exp(x)
    return math.sqrt((weights * error**2).sum() / (weights * np.exp(2 * x)).sum())


@pytest.mark.parametrize("order", [0.8, 1.0, 2.0, 3.7])
def test_order_and_bar_of_a_known_error(order: float) -> None:
    reference = converge(made(order), {"x": 10}, method="made", formal_order=4)
    assert reference.observed_order == pytest.approx(order, abs=1e-6)
    assert reference.error == pytest.approx(1.25 * true_error(reference), rel=0.05)
    assert reference.seconds >= 0
    assert reference.method == "made"
    assert [level.shape for level in reference.levels] == [(11,), (21,), (41,)]


def test_an_order_above_the_formal_one_does_not_shrink_the_bar() -> None:
    levels = converge(made(4.0), {"x": 10}, method="made").levels
    capped, trusted = estimate(levels, 2.0), estimate(levels, 4.0)
    assert capped[0] == trusted[0] == pytest.approx(4, abs=1e-5)
    assert capped[1] == pytest.approx(5 * trusted[1], rel=1e-4)


def test_slow_convergence_gives_an_order_and_no_bar() -> None:
    reference = converge(made(0.3), {"x": 10}, method="made")
    assert reference.observed_order == pytest.approx(0.3, abs=1e-3)
    assert reference.error is None
    assert reference.extrapolated is None and reference.bar is None and reference.best is reference.finest


def test_rounding_level_gives_a_bar_and_no_order() -> None:
    reference = converge(made(2.0, amplitude=1e-13), {"x": 10}, method="made")
    assert reference.observed_order is None
    assert 1e-17 < reference.error < 1e-14
    exact = converge(made(2.0, amplitude=0.0), {"x": 10}, method="made")
    assert (exact.observed_order, exact.error) == (None, np.finfo(float).eps)


def test_no_difference_on_one_pair_only_has_no_order() -> None:
    one, two, three = (made(2.0)({"x": n}) for n in (10, 20, 40))
    same = GridSolution(
        three.coordinates, {"u": np.interp(three.coordinates["x"], one.coordinates["x"], two.values["u"][::2])}
    )
    assert estimate((one, two, same)) == (None, None)
    broken = GridSolution(three.coordinates, {"u": np.full(41, np.inf)})
    assert estimate((one, two, broken)) == (None, None)


def test_masked_nodes_are_left_out_and_outputs_count_together() -> None:
    levels = [made(2.0, outputs=("u", "v"))({"x": n}) for n in (10, 20, 40)]
    whole = estimate(levels)
    levels[1].values["v"][4] = np.nan
    levels[2].values["u"][:9] = np.nan
    order, error = estimate(levels)
    assert order == pytest.approx(2, abs=1e-6)
    assert error == pytest.approx(whole[1], rel=0.3)


def test_complex_fields() -> None:
    levels = [made(2.0)({"x": n}) for n in (10, 20, 40)]
    turned = [GridSolution(s.coordinates, {"u": s.values["u"] * (0.6 + 0.8j)}) for s in levels]
    assert estimate(turned) == pytest.approx(estimate(levels), rel=1e-9)


SMOOTH = Box(x=(0, 1), y=(0, 1))


def smooth(p: Points) -> torch.Tensor:
    return torch.exp(p.x) * torch.cos(2 * p.y) + p.x * p.y


def ramp(p: Points) -> torch.Tensor:
    """With a singular second derivative: the leading error has no whole power."""
    return p.x**1.5


POISSON = {
    "smooth": (SMOOTH, smooth, lambda p: -3 * torch.exp(p.x) * torch.cos(2 * p.y), True),
    "line": (Box(x=(0, 1)), lambda p: p.x.exp(), lambda p: p.x.exp(), True),
    "singular": (Box(x=(0, 1)), ramp, lambda p: 0.75 * p.x.clamp(min=1e-30) ** -0.5 * (p.x > 0), False),
}


@pytest.mark.parametrize("name", POISSON)
def test_true_errors_stay_below_the_bars(name: str) -> None:
    domain, exact, source, gains = POISSON[name]
    for count in (6, 10, 16, 24):
        reference = converge(
            lambda cells: solve_poisson(
                domain, diffusion=1, reaction=0, source=source, conditions=[Dirichlet(exact)], cells=cells
            ),
            dict.fromkeys(domain.axes, count),
            method="finite differences",
        )
        fine, best = relative_l2(reference.finest, exact), relative_l2(reference.best, exact)
        assert fine <= reference.error and best <= reference.bar, (count, fine, best, reference.bar)
        assert (reference.best is reference.extrapolated) == gains
        if gains:
            assert reference.bar < reference.error / 10 and best < fine / 20
            assert reference.name == "finite differences, extrapolated"
            assert reference.best.shape == reference.levels[1].shape


def test_an_order_that_is_not_the_formal_one_is_not_extrapolated() -> None:
    reference = converge(made(1.7), {"x": 10}, method="made")
    assert reference.error is not None and reference.extrapolated is None
    assert extrapolate(reference.levels, 2.0, None) is None


def test_extrapolated_bar_never_falls_below_rounding() -> None:
    reference = converge(made(2.0), {"x": 10}, method="made")
    assert reference.extrapolated_error >= 1e-12
    assert np.abs(reference.best.values["u"] - np.exp(reference.best.coordinates["x"])).max() < 1e-14


SEQUENCES = {
    "falling": ((1e-3, 1e-6, 1e-10), 1e-6), "rounding": ((3e-12, 2e-12, 4e-12), 4e-12),
    "exact": ((0.0, 0.0, 0.0), 0.0), "stalled": ((1e-3, 8e-4, 2e-4), None), "rising": ((1e-5, 1e-6, 1e-3), None),
}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_bar_of_a_spectral_sequence(name: str) -> None:
    """Errors of three resolutions on one grid: the bar covers the last one, or there is none."""
    errors, least = SEQUENCES[name]
    x = np.linspace(0, 1, 21)
    shapes = [np.sin(x), np.cos(3 * x), x**2]
    levels = tuple(GridSolution({"x": x}, {"u": np.exp(x) + e * s}) for e, s in zip(errors, shapes, strict=True))
    reference = judged(levels, "spectral", math.inf, 0.0)
    assert reference.observed_order is None and reference.extrapolated is None
    if least is None:
        assert reference.bar is None
    else:
        assert true_error(reference) <= reference.bar <= max(3 * least, 1e-13)


def test_grids_that_are_not_nested_are_refused() -> None:
    one, two, three = (made(2.0)({"x": n}) for n in (10, 20, 30))
    with pytest.raises(UsageError, match="not nested along axis x"):
        estimate((two, one, three))
    with pytest.raises(UsageError, match="three grids"):
        estimate((one, two))
    with pytest.raises(UsageError, match="other outputs"):
        estimate((one, two, made(2.0, outputs=("w",))({"x": 40})))
