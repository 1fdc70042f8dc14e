"""The benchmark's statements, protocol, tables and classical solvers, without any peer installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pinn_siren import Points

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from classical import chebyshev, corner, differences
from peers import hard, tables
from peers.figure import draw
from peers.methods import METHODS, takes_part
from peers.protocol import Method, Race, Run, relative_l2, spawn, work
from peers.statements import STATEMENTS
from rows import ROWS

STATED = [name for name in ROWS if name != "l_shape"]


def exact_unknown(name: str, x: torch.Tensor) -> list[torch.Tensor]:
    problem = ROWS[name]().problem
    assert problem.exact is not None
    u = problem.exact(Points(problem.domain.axes, x))
    if name == "eikonal":
        u = u / (torch.hypot(x[:, 0] - 1.0, x[:, 1] - 0.5) / 2.25) - 1
    return [u.real, u.imag] if u.is_complex() else [u]


def test_every_row_is_stated() -> None:
    assert list(STATEMENTS) == list(ROWS)
    for name, make in ROWS.items():
        problem, statement = make().problem, STATEMENTS[name]()
        assert statement.dimensions == len(problem.domain.axes)
        assert (statement.polygon is None) == (name != "l_shape")


@pytest.mark.parametrize("name", STATED)
def test_the_exact_solution_satisfies_the_statement(name: str) -> None:
    s = STATEMENTS[name]()
    low, high = torch.tensor(s.bounds, dtype=torch.float64).T
    generator = torch.Generator().manual_seed(0)
    x = low + (high - low) * torch.rand(40, s.dimensions, generator=generator, dtype=torch.float64)
    x.requires_grad_(True)
    columns = list(x.T)
    for u, f in zip(exact_unknown(name, x), s.source(torch, columns), strict=True):
        grad = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        dd = [torch.autograd.grad(grad[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(s.dimensions)]
        value = s.operator(torch, columns, u, list(grad.T), dd)
        size = max(1.0, *(float(v.detach().abs().max()) for v in dd))
        assert float((value - f).detach().abs().max()) < 1e-9 * size


@pytest.mark.parametrize("name", STATED)
def test_conditions_of_the_statement_are_those_of_the_exact_solution(name: str) -> None:
    s = STATEMENTS[name]()
    low, high = torch.tensor(s.bounds, dtype=torch.float64).T
    generator = torch.Generator().manual_seed(1)
    x = low + (high - low) * torch.rand(20, s.dimensions, generator=generator, dtype=torch.float64)
    for axis, end in s.sides:
        side = x.clone()
        side[:, axis] = (low, high)[end][axis]
        assert s.values is not None
        for u, g in zip(exact_unknown(name, side), s.values(torch, list(side.T)), strict=True):
            assert torch.allclose(u, g, atol=1e-12)
    if s.initial is not None:
        start = x.clone()
        start[:, -1] = low[-1]
        assert torch.allclose(exact_unknown(name, start)[0], s.initial(torch, list(start.T)), atol=1e-12)


@pytest.mark.parametrize("name", ["eikonal", "burgers", "allen_cahn", "bratu", "helmholtz", "wave"])
def test_linearization_of_the_statement(name: str) -> None:
    s = STATEMENTS[name]()
    rng = np.random.default_rng(0)
    x = [low + (high - low) * rng.random(8) for low, high in s.bounds]
    u, d, dd, du, dd1, ddd = (rng.standard_normal((s.dimensions, 8)) for _ in range(6))
    h = 1e-6
    ahead = s.operator(np, x, u[0] + h * du[0], list(d + h * dd1), list(dd + h * ddd))
    behind = s.operator(np, x, u[0] - h * du[0], list(d - h * dd1), list(dd - h * ddd))
    c0, c1, c2 = s.linear(np, x, u[0], list(d))
    change = c0 * du[0] + sum(c1[i] * dd1[i] + c2[i] * ddd[i] for i in range(s.dimensions))
    assert np.allclose((ahead - behind) / (2 * h), change, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in STATED if hard.is_hard(STATEMENTS[n]()) and n != "eikonal"])
def test_conditions_in_the_output_hold(name: str) -> None:
    s = STATEMENTS[name]()
    rng = np.random.default_rng(0)
    x = np.array([low + (high - low) * rng.random(12) for low, high in s.bounds])
    raw = rng.standard_normal(12)
    for axis, end in s.sides:
        side = x.copy()
        side[axis] = s.bounds[axis][end]
        assert s.values is not None
        assert np.allclose(hard.output(s, np, list(side), raw), s.values(np, list(side))[0], atol=1e-12)
    assert not np.allclose(hard.output(s, np, list(x), raw), hard.output(s, np, list(x), 2 * raw))


@pytest.mark.parametrize(
    ("name", "size", "error"),
    [("poisson", [20, 20], 1e-12), ("helmholtz", [28, 28], 1e-11), ("eikonal", [12, 12], 1e-10),
     ("burgers", [96], 1e-9), ("bratu", [14, 14], 1e-9), ("wave", [24, 36], 1e-9), ("poisson_3d", [16] * 3, 1e-10)],
)  # fmt: skip
def test_chebyshev(name: str, size: list[int], error: float) -> None:
    race = Race(name, 0, 5.0)
    field, _ = chebyshev.collocate(race.statement, size)
    assert race.error(race.observe(race.points, field(race.points))) < error


@pytest.mark.parametrize(("order", "rate"), [(2, 2.0), (4, 4.0)])
@pytest.mark.parametrize("name", ["helmholtz", "bratu"])
def test_differences_have_their_order(name: str, order: int, rate: float) -> None:
    s = STATEMENTS[name]()
    errors = []
    for cells in (32, 64):
        nodes = np.meshgrid(*(np.linspace(*b, cells + 1) for b in s.bounds), indexing="ij")
        exact = exact_unknown(name, torch.from_numpy(np.stack([n.ravel() for n in nodes], 1)))
        found = differences.differences(s, cells, order)
        errors.append(max(np.abs(v.ravel() - u.numpy()).max() for v, u in zip(found, exact, strict=True)))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(rate, abs=0.3)


def test_corner_series_solves_the_l() -> None:
    field, bound, _ = corner.l_shape(60)
    assert bound < 1e-11  # and zero there is the solution's: the maximum principle
    h, middle = 1e-3, np.array([[-0.4, 0.3], [-0.5, -0.5], [0.6, -0.7]])
    around = sum(field(middle + h * np.array(step)) for step in ((1, 0), (-1, 0), (0, 1), (0, -1)))
    assert np.allclose((around - 4 * field(middle)) / h**2, -1, atol=1e-4)


def test_protocol_runs_in_a_process_of_its_own() -> None:
    run = spawn(METHODS["chebyshev"], "poisson", 0, 3.0, threads=1)
    assert not run.failure
    assert run.error < 1e-12
    assert run.curve[-1] == (run.seconds, run.error)


def test_a_failure_is_a_result() -> None:
    run = work(Method("scikit-fem p4", "classical.elements", "classical"), "poisson_5d", 0, 1.0)  # not stated there
    assert run.failure
    assert not run.curve
    assert relative_l2(np.array([np.nan]), np.ones(1)) == np.inf


def test_who_takes_part_is_known_without_peers() -> None:
    assert takes_part(METHODS["deepxde"], "helmholtz")
    assert not takes_part(METHODS["jinns"], "l_shape")
    assert not takes_part(METHODS["chebyshev"], "l_shape")
    assert takes_part(METHODS["corner series"], "l_shape")
    assert not takes_part(METHODS["scikit-fem p8"], "eikonal")


def once(error: float, seconds: float) -> Run:
    return Run(error, seconds, 10, "", [(seconds, error)])


def course(*pairs: tuple[float, float]) -> Run:
    return Run(pairs[-1][1], pairs[-1][0], 10, "", list(pairs))


def test_comparison() -> None:
    slow = course((1.0, 1e-1), (10.0, 1e-3), (20.0, 1e-4))
    accurate, faster, met = tables.compare([once(1e-6, 10.0)], [slow])
    assert (accurate, faster, met) == (pytest.approx(1e3), 2.0, True)  # 20 s to its own best: a lower bound
    # Better but a little later, once: no advantage may come of its silence before.
    accurate, faster, met = tables.compare([once(1e-5, 6.0)], [once(1e-7, 7.0)])
    assert accurate == pytest.approx(1e-2)
    assert faster == pytest.approx(7 / 6)
    assert not met
    # Both below 1e-10: the time alone.
    assert not tables.compare([once(1e-14, 1.0)], [once(1e-11, 5.0)])[2]
    assert tables.compare([once(1e-11, 1.0)], [once(1e-14, 11.0)])[2]
    assert not tables.compare([once(1e-3, 1.0)], [Run(failure="diverged")])[2]


def test_tables_and_picture(tmp_path: Path) -> None:
    runs = {
        "poisson": {
            "least-squares": [once(1e-13, 0.5), once(2e-13, 0.4), once(3e-13, 0.6)],
            "fastlsq": [once(1e-9, 2.0)],
            "deepxde": [course((1.0, 0.5), (15.0, 1e-3))],
            "chebyshev": [course((1e-3, 1e-4), (2e-3, 1e-9), (4e-3, 1e-14))],
        },
        "l_shape": {"gauss-newton": [once(1e-2, 9.0)], "jinns": [Run(failure="ValueError: no | mesh")]},
    }
    titles, aims = {"poisson": "Poisson", "l_shape": "L"}, {"poisson": (1e-13, 0.5), "l_shape": None}
    frozen = tables.against_peers(runs, titles, "frozen", aims)
    assert "2.0e-13 [1.0e-13, 3.0e-13]" in frozen
    assert "| fastlsq | 1.0e-09 | 2.00 | 5e+03x | 4x | yes |" in frozen
    assert "deepxde" not in frozen  # trained: the two are never mixed
    trained = tables.against_peers(runs, titles, "trained", aims)
    assert "| Poisson | 1e-13 in 0.5 s | - | - | deepxde | 1.0e-03 | 15.00 | - | - | - |" in trained
    assert "ValueError: no / mesh" in trained
    classical = tables.against_classical(runs, titles)
    assert "chebyshev, 0.002 s, 2.5e+02x less than ours" in classical
    for table in (frozen, trained, classical):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    draw(tmp_path / "peers.png", runs, titles)
    assert (tmp_path / "peers.png").stat().st_size > 10_000
