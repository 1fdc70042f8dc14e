"""Unknown fields with the equation's fields eliminated: adjoint states, grids, noise, and what is solved and kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pinn_siren import (
    PML,
    Box,
    Data,
    Dirichlet,
    Helmholtz,
    Neumann,
    Poisson,
    Problem,
    Solution,
    Unknown,
    UnknownField,
    solve,
)
from pinn_siren.adjoint import Adjoint, NotReducedError, weight_slopes
from pinn_siren.discrepancy import Evaluated, descend
from pinn_siren.domains import Sampler
from pinn_siren.errors import UsageError
from pinn_siren.files import load_problem
from pinn_siren.jet import lift, make_plan
from pinn_siren.parameters import FieldNetwork
from pinn_siren.patches.apart import apart, search_apart
from pinn_siren.points import Points
from pinn_siren.reference.interpolation import interpolation
from pinn_siren.reference.nodes import box_nodes
from pinn_siren.scales import measure_scales
from pinn_siren.storage import read_solution
from pinn_siren.verify import verify

BOX = Box(x=(-1, 1), y=(0, 1))
QUIET = {"progress": False, "device": "cpu"}


def field(p):
    return p.x + p.y / 2 + 0.2 * torch.sin(2 * p.x) * torch.cos(3 * p.y)


def diffusion(p):
    return 1 + 0.8 * torch.exp(-((p.x - 0.2) ** 2 + (p.y - 0.5) ** 2) / 0.1)


def source(p):
    """``div(diffusion grad field)`` by automatic differentiation."""
    plan = make_plan(p.axes, frozenset({"x", "y", "xx", "yy"}))
    u, a = lift(field, p, plan), lift(diffusion, p, plan)
    return a.value * (u.xx + u.yy) + a.x * u.x + a.y * u.y


def receivers(count=150):
    return BOX.interior(count, Sampler(torch.Generator().manual_seed(9))).coordinates


def measured(noise=2e-4, stated=True, **changes):
    """Interior values of the exact field, with noise: they share nothing with a grid."""
    at = receivers()
    values = field(Points(BOX.axes, at)).numpy() + noise * np.random.default_rng(4).standard_normal(len(at))
    given = {"bounds": (0.3, 4.0)} | changes
    data = Data(at.numpy(), values, noise=noise if stated else None)
    conditions = [Dirichlet(field), data]
    return Poisson(domain=BOX, source=source, diffusion=UnknownField(1.0, **given), conditions=conditions)


def error(found):
    p = BOX.interior(2000, Sampler(torch.Generator().manual_seed(8)))
    truth = diffusion(p)
    return float((found(p) - truth).norm() / truth.norm())


def gallery():
    return load_problem(Path(__file__).parent.parent / "problems" / "inversion.py")


# --- grids ---


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_differences_have_their_order_and_interpolation_is_exact_for_polynomials(accuracy):
    errors = []
    for cells in (12, 24):
        nodes = box_nodes(BOX, {"x": cells, "y": cells}, {"x": 2, "y": 2}, accuracy=accuracy)
        x, y = nodes.coordinates.T
        u = np.sin(2 * x + y)
        errors.append(max(np.abs(nodes.derivative(k) @ u - v).max() for k, v in
                          {"x": 2 * np.cos(2 * x + y), "xx": -4 * u, "xy": -2 * u, "yy": -u}.items()))  # fmt: skip
    assert accuracy - 0.4 < np.log2(errors[0] / errors[1]) < accuracy + 1.2
    at = receivers(20).numpy()
    values = interpolation(nodes, at, 6) @ (x**5 * y**4 - x * y)
    assert values == pytest.approx(at[:, 0] ** 5 * at[:, 1] ** 4 - at[:, 0] * at[:, 1], abs=1e-12)


# --- derivatives ---


def flux():
    """Gradients, a part of the boundary with a flux that the unknown field makes, and a Laplacian."""
    unknown = UnknownField(lambda p: 1 + 0.3 * p.x, wavenumber=3.0, width=6)
    problem = replace(measured(), diffusion=unknown, reaction=unknown)
    at = receivers(12).numpy()
    slopes, bends = np.random.default_rng(3).standard_normal((12, 2)), np.arange(12.0)
    return replace(problem, conditions=[
        Dirichlet(field, on="left"), Dirichlet(1.0, on="right"), Neumann(unknown, on="bottom"), Neumann(0.0, on="top"),
        Data(at, slopes, of="grad", noise=1.0), Data(at, bends, of="laplacian", noise=1.0),
    ])  # fmt: skip


@pytest.mark.parametrize("make", [measured, flux, gallery])
def test_slopes_by_the_weights_are_those_of_differences(make):
    adjoint = Adjoint(make(), 5)
    readings = adjoint._readings({"x": 36, "y": 30})
    random = np.random.default_rng(6)
    at, step = (0.1 * random.standard_normal(len(adjoint.start)) for _ in range(2))

    def left(parameters):
        adjoint._set(parameters)
        return readings.at()

    slopes = adjoint._slopes(left(at)) @ step
    difference = (left(at + 1e-6 * step).left - left(at - 1e-6 * step).left) / 2e-6
    whole = np.concatenate([difference.real, difference.imag]) if np.iscomplexobj(difference) else difference
    assert slopes == pytest.approx(whole, rel=1e-4, abs=1e-6 * np.abs(whole).max())


def test_channels_of_a_field_change_with_its_weights_as_autograd_says():
    network = FieldNetwork(
        UnknownField(1.0, bounds=(0.5, 2.0), width=5), BOX, torch.float64, torch.Generator().manual_seed(2)
    )
    torch.nn.init.normal_(network.network.layers[-1].weight, generator=torch.Generator().manual_seed(3))
    p = BOX.interior(4, Sampler(torch.Generator().manual_seed(1)))
    jets = network.jet_at(p, make_plan(p.axes, frozenset({"x", "xy", "laplacian"})))
    weights = list(network.parameters())
    for key in ("", "x", "xy", "laplacian"):
        rows = []
        for value in jets.channel(key):
            found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
            pairs = zip(found, weights, strict=True)
            rows.append(torch.cat([(w * 0 if g is None else g).detach().reshape(-1) for g, w in pairs]).numpy())
        assert weight_slopes(network, key, p) == pytest.approx(np.array(rows), abs=1e-10)


# --- the descent ---


def test_a_descent_ends_at_the_noise_or_where_held_out_data_do_not_gain():
    random = np.random.default_rng(1)
    design, noise = random.standard_normal((60, 30)) / np.arange(1, 31), random.standard_normal(60)
    data = design @ np.ones(30) + 0.1 * noise

    def at(parameters, kept, weight=0.0):
        left = (data - design @ parameters) / 0.1
        held = float(np.mean(left[~kept] ** 2)) if not kept.all() else np.nan
        prior = weight * np.eye(30)
        return Evaluated(left[kept], lambda: np.concatenate([design[kept] / 0.1, prior]), prior @ parameters, held)

    every = np.ones(60, dtype=bool)
    found = descend(lambda p: at(p, every), np.zeros(30))
    assert found.end == "noise" and 0.1 < found.misfits[-1] <= 1 < found.misfits[-2]
    held = descend(lambda p: at(p, np.arange(60) % 2 > 0), np.zeros(30), aim=0.0)
    # Half of the data are as many as the parameters: in the end they are fitted exactly, noise and all.
    assert held.evaluated.held < 4 and held.misfits[-1] < held.evaluated.misfit
    drawn = descend(lambda p: at(p, every, 10.0), np.zeros(30))
    assert np.linalg.norm(drawn.parameters) < np.linalg.norm(found.parameters)


# --- solving ---


def test_a_diffusion_is_found_shown_and_kept(tmp_path):
    solution = solve(measured(), tolerance=1e-4, **QUIET)
    found = solution.unknowns["diffusion"]
    assert error(found) < 0.06 < error(lambda p: torch.ones(len(p))) / 3
    p = BOX.interior(500, Sampler(torch.Generator().manual_seed(8)))
    assert float((solution(p) - field(p)).abs().max()) < 3e-3
    assert 0.85 < solution.report.data_misfit < 1.1 and "misfit of the data" in str(solution.report)
    assert solution.report.method.startswith("Adjoint") and "of the stated noise" in solution.report.stages
    assert solution.report.relative_l2 < 1e-3
    solution.save(tmp_path)
    assert verify(tmp_path)[1] == []
    stored = read_solution(tmp_path / "solution.h5")
    grid = np.stack([m.ravel() for m in np.meshgrid(*stored.coordinates.values(), indexing="ij")], axis=1)
    assert stored.fields["diffusion"].ravel() == pytest.approx(found(grid))
    loaded = Solution.load(tmp_path)
    assert loaded.unknowns["diffusion"](grid) == pytest.approx(found(grid))


def test_noise_that_is_not_stated_is_that_of_held_out_data(monkeypatch):
    monkeypatch.setattr("pinn_siren.adjoint.STEPS", 14)
    found = Adjoint(measured(stated=False, width=16), 1)
    noise = found._held_out(found._readings({"x": 24, "y": 24}), np.zeros(150))
    # What is left of held-out readings is their noise and what the fit to the others misses of them.
    assert 0.8 * 2e-4 < noise.min() == noise.max() < 3 * 2e-4


def test_smoothness_counts_as_in_a_loss_whose_data_count_by_their_size():
    adjoint = Adjoint(measured(smoothness=1e-3, width=6), 1)
    readings, random = adjoint._readings({"x": 24, "y": 24}), np.random.default_rng(2)
    at, step = random.standard_normal((2, len(adjoint.start)))
    beside = {}
    for t in (-1e-6, 0.0, 1e-6):
        adjoint._set(at + t * step)
        beside[t], slopes = adjoint._prior(readings, np.full(150, 2e-4))
    adjoint._set(at)
    inside = BOX.interior(200, Sampler(torch.Generator().manual_seed(1)))
    share = np.mean(readings.measured**2) / 2e-4**2
    roughness = float(adjoint.networks[0].roughness(inside).detach())
    assert np.sum(beside[0.0] ** 2) == pytest.approx(1e-3 * share * roughness)
    assert slopes() @ step == pytest.approx((beside[1e-6] - beside[-1e-6]) / 2e-6, rel=1e-5, abs=1e-4)


# --- several fields in one medium ---


class Pair(Problem):
    """Two sources in one medium."""

    outputs = ("u", "v")
    complex_valued = True

    def residual(self, p, u, v):
        square = 16 * (1 + 0.3 * p.x)
        return u.laplacian + square * u.value + torch.exp(-20 * p.x**2), v.laplacian + square * v.value + p.y


PAIR = Pair(domain=BOX, conditions=[Dirichlet(0, output="u"), Dirichlet(1, output="v")])


def test_fields_that_no_residual_joins_are_solved_apart():
    both = solve(PAIR, method="auto", tolerance=1e-5, **QUIET)
    found = search_apart(PAIR, measure_scales(PAIR), 1e-5, 0, 1e9)
    p = BOX.interior(200, Sampler(torch.Generator().manual_seed(8)))
    assert found.network.outputs == 4 and found.estimate <= 1e-5
    alone = Helmholtz(domain=BOX, wavenumber=4.0, speed=lambda p: (1 + 0.3 * p.x) ** -0.5,
                      source=lambda p: torch.exp(-20 * p.x**2), conditions=[Dirichlet(0)])  # fmt: skip
    one = solve(alone, tolerance=1e-7, **QUIET)(p)
    assert float((both(p)[:, 0] - one).abs().max()) < 1e-4 * float(one.abs().max())
    made = found.network(torch.stack([p.x, 2 * p.y - 1], dim=1)).detach() * measure_scales(PAIR).amplitude
    assert float((torch.complex(made[:, 0], made[:, 2]) - one).abs().max()) < 1e-4 * float(one.abs().max())


def test_fields_that_a_residual_joins_stay_together():
    class Joined(Pair):
        def residual(self, p, u, v):
            return u.laplacian + v.value, v.laplacian

    assert apart(Joined(domain=BOX, conditions=PAIR.conditions)) is None
    assert apart(measured()) is None and len(apart(PAIR)) == 2
    layered = gallery()
    assert [
        c.layer for c in apart(replace(layered, speed=lambda p: p.x * 0 + 1, conditions=layered.conditions[:1]))
    ] == [c for c in layered.conditions[:1] for _ in range(5) if isinstance(c, PML)]


# --- what is not covered ---


class Bent(Poisson):
    def residual(self, p, u):
        return super().residual(p, u) + u.value**3


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda p: Bent(domain=p.domain, source=p.source, diffusion=p.diffusion, conditions=p.conditions), "linear"),
        (lambda p: replace(p, source=Unknown(1.0)), "without unknown numbers"),
        (lambda p: replace(p, conditions=[p.conditions[1]]), "not solved on a grid"),
        (lambda p: replace(p, conditions=[p.conditions[0]]), "Nothing is measured"),
    ],
)
def test_what_is_not_covered_is_said(change, says):
    with pytest.raises(NotReducedError, match=says):
        Adjoint(change(measured()), 0).run()


def test_adjoint_is_for_unknown_fields():
    with pytest.raises(UsageError, match="the problem has none"):
        solve(Poisson(domain=BOX, source=1.0, conditions=[Dirichlet(0)]), method="adjoint", **QUIET)
    with pytest.raises(UsageError, match="adjoint does not cover this problem"):
        solve(replace(measured(), source=Unknown(1.0)), method="adjoint", **QUIET)
