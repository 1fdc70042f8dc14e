"""Observed order and error bar, on grids whose errors are known."""

import math

import numpy as np
import pytest

from pinn_siren import Box
from pinn_siren.conditions import Dirichlet
from pinn_siren.errors import UsageError
from pinn_siren.reference import (
    GridSolution,
    Reference,
    converge,
    estimate,
    extrapolate,
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
    with pytest.raises(UsageError, match="no observed order"):
        extrapolate(reference)


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


def test_richardson_extrapolation_is_fourth_order_for_poisson() -> None:
    def solve_on(cells: dict[str, int]) -> GridSolution:
        return solve_poisson(
            Box(x=(0, 1)), diffusion=1, reaction=0, source=lambda p: p.x.exp(), conditions=[Dirichlet(0)], cells=cells
        )

    reference = converge(solve_on, {"x": 16}, method="finite differences")
    better = extrapolate(reference)
    x = better.coordinates["x"]
    exact = np.exp(x) - 1 - (math.e - 1) * x
    assert len(x) == 17
    assert reference.observed_order == pytest.approx(2, abs=0.01)
    fine = np.abs(reference.finest.values["u"][::4] - exact).max()
    assert np.abs(better.values["u"] - exact).max() < fine / 200
    assert fine < 1.5 * reference.error * np.abs(exact).max()


def test_grids_that_are_not_nested_are_refused() -> None:
    one, two, three = (made(2.0)({"x": n}) for n in (10, 20, 30))
    with pytest.raises(UsageError, match="not nested along axis x"):
        estimate((two, one, three))
    with pytest.raises(UsageError, match="three grids"):
        estimate((one, two))
    with pytest.raises(UsageError, match="other outputs"):
        estimate((one, two, made(2.0, outputs=("w",))({"x": 40})))
