"""Comparisons: who is fastest, what errors are measured against, what is kept, tables and pictures."""

import json
import math

import numpy as np
import pytest
import torch

from pinn_siren import Box, Data, Dirichlet, Poisson, Problem, Raster, compare, compare_networks, solve
from pinn_siren.cli import main
from pinn_siren.commands import COMMANDS
from pinn_siren.comparison import series
from pinn_siren.comparison.baselines import NETWORKS, make_network
from pinn_siren.comparison.curves import (
    EXTRAPOLATED,
    GRIDS,
    Run,
    fastest,
    make_rows,
    reached,
    time_to,
    verdict_sentences,
)
from pinn_siren.comparison.grids import Level, extrapolations, solve_grids
from pinn_siren.comparison.pictures import draw_curves, spread_apart
from pinn_siren.comparison.snapshots import Snapshots
from pinn_siren.comparison.tables import agreed, as_text, cells, spread
from pinn_siren.comparison.yardstick import Best, Exact, Misfit, Unknown, best_reference, choose_yardstick
from pinn_siren.errors import NoReferenceError, StorageError, UsageError
from pinn_siren.plan import INVERSE, METHODS, PATCHED
from pinn_siren.reference import GridSolution
from pinn_siren.scales import measure_scales
from pinn_siren.siren import count_parameters

LINE = Box(x=(0, 1))


def sine(p):
    return torch.sin(torch.pi * p.x)


def line(**changes):
    stated = {"domain": LINE, "source": lambda p: -(torch.pi**2) * sine(p), "conditions": [Dirichlet(0)], "exact": sine}
    return Poisson(**(stated | changes))


def made_up(method, curve, seed=0):
    return Run(method, seed, tuple(curve), 10)


SLOW = made_up("adam", [(1.0, 1e-1), (5.0, 5e-3), (6.0, 2e-2), (9.0, 5e-5)])
QUICK = made_up("least-squares", [(0.5, 1e-3), (0.8, 1e-9)])
COARSE = made_up(GRIDS, [(0.01, 1e-1), (0.1, 5e-3), (4.0, 5e-5)])


def test_the_time_to_an_accuracy_is_that_of_the_first_point_below_it():
    assert [time_to(a, SLOW.curve) for a in (1e-1, 1e-2, 1e-4, 1e-6)] == [1.0, 5.0, 9.0, math.inf]
    # What a reference may be off by counts against the claim.
    assert time_to(1e-2, SLOW.curve, bar=4e-3) == 5.0 and time_to(1e-2, SLOW.curve, bar=6e-3) == 9.0


def test_times_are_medians_over_seeds():
    runs = [made_up("adam", [(s, 1e-3)], k) for k, s in enumerate((3.0, 1.0, 2.0))]
    (row,) = make_rows(runs)
    assert row.times[1e-2] == 2.0 and row.times[1e-4] == math.inf and row.seconds == (3.0, 1.0, 2.0)
    mostly_missed = [*runs[:1], made_up("adam", [(1.0, 1.0)], 1), made_up("adam", [(1.0, math.inf)], 2)]
    assert make_rows(mostly_missed)[0].times[1e-2] == math.inf


def test_the_winner_of_each_accuracy():
    rows = make_rows([COARSE, QUICK, SLOW])
    assert reached(rows) == [1e-2, 1e-4, 1e-6, 1e-8]
    assert [fastest(rows, a).method for a in reached(rows)] == [GRIDS, *["least-squares"] * 3]
    assert fastest(rows, 1e-12) is None
    classical, networks = verdict_sentences(rows)
    assert classical == (
        "The classical solver is the fastest to 1e-2 (finite differences, 0.1 s; 5 times as fast as least-squares)."
    )
    assert networks.startswith("A network is the fastest to 1e-4 (least-squares, 0.8 s; 5 times as fast as finite")
    assert networks.endswith("no grid reaches it).")
    alone = verdict_sentences(make_rows([COARSE]))
    assert alone == [classical.replace("5 times as fast as least-squares", "no network reaches it").replace(
        "it).", "it) and 1e-4 (finite differences, 4 s; no network reaches it)."
    )]  # fmt: skip
    assert verdict_sentences(make_rows([made_up("adam", [(1.0, 0.5)])])) == ["No method reaches 1e-2."]


def test_the_table_marks_the_fastest_and_refuses_with_dashes():
    runs = [COARSE, QUICK, SLOW, Run("lbfgs", 0, refused="ResidualError: no")]
    rows = make_rows(runs)
    table = cells(rows, 0.0, [["failed"], ["certified"], ["failed"], []], "{}*")
    by_name = {cell[0]: dict(zip(table[0], cell, strict=True)) for cell in table[1:]}
    assert by_name[GRIDS]["s to 1e-2"] == "0.1*" and by_name[GRIDS]["s to 1e-6"] == "-"
    assert by_name["least-squares"]["s to 1e-8"] == "0.8*" and by_name["least-squares"]["error"] == "1.0e-09"
    assert sum(cell.count("*") for row in table for cell in row) == len(reached(rows))
    assert by_name["lbfgs"]["verdict"].startswith("cannot") and by_name["lbfgs"]["error"] == "-"
    assert len({len(row) for row in table}) == 1 and "adam" in as_text(table)


def test_nothing_is_said_below_the_bar():
    assert spread([1e-9, 2e-9, 3e-9], bar=1e-6) == "< 1.0e-06"
    assert spread([1e-9, 2e-5, 3e-5], bar=1e-6) == "2.0e-05 [1.0e-06, 3.0e-05]"
    assert spread([0.5]) == "5.0e-01" and spread([math.nan]) == "-"
    assert agreed(["certified", "failed", "certified"]) == "certified, 2 of 3"
    # An accuracy below the bar cannot have been reached.
    assert make_rows([QUICK], bar=1e-6)[0].times[1e-6] == math.inf


def test_a_run_survives_json():
    run = made_up("adam", [(1.0, math.inf), (2.0, 1e-3)])
    assert Run.of(json.loads(json.dumps(run.plain(), allow_nan=False))) == run


def test_grids_double_and_extrapolation_gains_two_orders():
    problem = line()
    levels = solve_grids(problem, 0.0, least=6)
    assert [level.solution.shape[0] - 1 for level in levels] == [8, 16, 32, 64, 128, 256]
    stick = Exact(problem)
    plain = [stick.grid_error(level.solution) for level in levels]
    better = [stick.grid_error(level.solution) for level in extrapolations(levels)]
    assert 1.9 < math.log2(plain[-2] / plain[-1]) < 2.1
    assert 3.5 < math.log2(better[0] / better[1]) < 4.5 and better[-1] < 1e-3 * plain[-1]


def levels_of(error, grids=5):
    """Made-up grids whose solution is off by ``error(h) sin(3 x)``."""
    found = []
    for k in range(grids):
        x = np.linspace(0, 1, 8 * 2**k + 1)
        off = error(1 / (len(x) - 1)) * np.sin(3 * x)
        found.append(Level(GridSolution({"x": x}, {"u": 1 + x + off}), 0.1))
    return found


def test_the_bar_of_the_best_reference_covers_its_error():
    levels = levels_of(lambda h: h**2 + 3 * h**4)
    best = best_reference(levels)
    x = best.truth.coordinates["x"]
    off = np.linalg.norm(best.truth.values["u"] - 1 - x) / np.linalg.norm(1 + x)
    assert "extrapolation" in best.described and off < best.bar < 100 * off
    finest = levels[-1].solution
    assert best.bar < 1e-2 * np.abs(finest.values["u"] - 1 - finest.coordinates["x"]).max()
    # Three grids carry one extrapolation, which has no bar: the finest grid then has.
    assert "finest grid" in best_reference(levels[:3]).described
    assert best_reference(levels_of(lambda h: h**0.2)) is None


def test_grids_are_compared_on_the_nodes_of_the_coarser():
    levels = levels_of(lambda h: h**2)
    best = Best(levels[2].solution, 1e-4, "")
    assert best.grid_error(levels[2].solution) == 0
    assert best.grid_error(levels[0].solution) > 3 * best.grid_error(levels[1].solution) > 0
    assert best.grid_error(levels[4].solution) < best.grid_error(levels[1].solution)


def test_what_errors_are_measured_against():
    fit = Problem(domain=LINE, conditions=[Data([[0.1], [0.5], [0.9]], [1.0, 2.0, 1.5])])
    assert isinstance(choose_yardstick(line(), []), Exact)
    assert isinstance(choose_yardstick(line(exact=None), levels_of(lambda h: h**2)), Best)
    assert isinstance(choose_yardstick(fit, []), Misfit)
    assert isinstance(choose_yardstick(line(exact=None), []), Unknown)


def test_the_misfit_is_that_of_the_data():
    values = torch.tensor([1.0, 2.0, 1.5], dtype=torch.float64)
    fit = Problem(domain=LINE, conditions=[Data([[0.1], [0.5], [0.9]], values)])
    found = solve(fit, method="adam", steps=3, points=16, progress=False, device="cpu")
    here = found(torch.tensor([[0.1], [0.5], [0.9]], dtype=torch.float64))
    assert Misfit(fit).error_of(found) == pytest.approx(float((here - values).norm() / values.norm()), rel=1e-12)


@pytest.mark.parametrize("method", ["adam", "least-squares"])
def test_watching_changes_nothing_and_brings_the_weights_back(method):
    problem, shots = line(), Snapshots()
    arguments = {"method": method, "progress": False, "device": "cpu", "tolerance": 1e-6}
    arguments |= {"steps": 30, "points": 100} if method == "adam" else {}
    plain, watched = solve(problem, **arguments), solve(problem, **arguments, watch=shots)
    stick = Exact(problem)
    curve = [(s, stick.error_of(shot)) for s, shot in shots.solutions(problem, watched)]
    x = torch.linspace(0, 1, 7, dtype=torch.float64)[:, None]
    assert torch.equal(plain(x), watched(x))
    assert curve == sorted(curve) and curve[-1][0] <= watched.provenance.seconds
    assert curve[-1][1] == pytest.approx(stick.error_of(watched), rel=0.5) and curve[0][1] > curve[-1][1]


def tiny(folder=None, **changes):
    arguments = {"budget": 0.2, "seeds": 1, "device": "cpu", "progress": False, "folder": folder, "tolerance": 1e-6}
    return compare(line(), **(arguments | changes))


def test_every_method_beside_the_grids(tmp_path, capsys):
    found = tiny(tmp_path, progress=True)
    usual = [method for method in METHODS[1:] if method not in PATCHED + INVERSE]
    assert [run.method for run in found.runs] == [GRIDS, EXTRAPOLATED, *usual]
    table = {row[0]: row for row in found.table("{}*")[1:]}
    assert table["least-squares"][-1] == "certified" and table["adam"][-1] == "failed"
    assert "the exact solution" in str(found) and "fastest to 1e-2" in str(found)
    assert {f.name for f in tmp_path.iterdir()} == {"compare.json", "compare.md", "compare.png"}
    assert "| least-squares |" in (tmp_path / "compare.md").read_text()
    assert (tmp_path / "compare.png").read_bytes()[:4] == b"\x89PNG"
    assert f"{1 + len(usual)} of {1 + len(usual)}: " in capsys.readouterr().err


def test_ended_runs_are_not_repeated(tmp_path, monkeypatch):
    first = tiny(tmp_path, methods=["least-squares"])

    def refuse(*arguments, **named):
        raise AssertionError("solved again")

    with monkeypatch.context() as patched:
        patched.setattr(series, "solve", refuse)
        patched.setattr(series, "solve_grids", refuse)
        again = tiny(tmp_path, methods=["least-squares"])
        assert again.runs == first.runs and str(again) == str(first)
        # Another method is run beside those that are kept; other arguments and --fresh start anew.
        further = tiny(tmp_path, methods=["least-squares", "adam"])
        assert further.runs[:3] == first.runs and "solved again" in further.runs[3].refused
        assert all(r.refused for r in tiny(tmp_path, methods=["adam"], tolerance=1e-3).runs)
        assert all(r.refused for r in tiny(tmp_path, methods=["adam"], tolerance=1e-3, fresh=True).runs)


def test_without_an_exact_solution_the_reference_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(series, "solve_grids", lambda problem, budget: solve_grids(problem, 0.0, least=7))
    problem = line(exact=None)
    arguments = {"methods": ["least-squares"], "budget": 1.0, "device": "cpu", "progress": False, "folder": tmp_path}
    first = compare(problem, seeds=1, **arguments)
    assert first.yardstick.against == "reference" and 0 < first.yardstick.bar < 1e-6
    row = {row[0]: row for row in first.table("{}")[1:]}["least-squares"]
    assert row[2] == f"< {first.yardstick.bar:.1e}"
    again = compare(problem, seeds=2, **arguments)
    assert again.yardstick.bar == first.yardstick.bar
    assert np.array_equal(again.yardstick.truth.values["u"], first.yardstick.truth.values["u"])
    assert [r.seed for r in again.runs] == [0, 1] * 3 and again.runs[0] == first.runs[0]


def test_ctrl_c_keeps_what_is_done(tmp_path, monkeypatch):
    def interrupted(problem, *, method, **arguments):
        if method == "adam":
            raise KeyboardInterrupt
        return solve(problem, method=method, **arguments)

    monkeypatch.setattr(series, "solve", interrupted)
    found = tiny(tmp_path, methods=["least-squares", "adam"])
    assert found.interrupted and [r.method for r in found.runs] == [GRIDS, EXTRAPOLATED, "least-squares"]
    assert (tmp_path / "compare.md").exists()
    monkeypatch.undo()
    whole = tiny(tmp_path, methods=["least-squares", "adam"])
    assert not whole.interrupted and whole.runs[:3] == found.runs


def test_a_method_that_cannot_has_a_row_that_says_why(monkeypatch):
    def refuses(problem, *, method, **arguments):
        if method == "lbfgs":
            raise RuntimeError("no\nway")
        return solve(problem, method=method, **arguments)

    monkeypatch.setattr(series, "solve", refuses)
    found = tiny(methods=["lbfgs", "least-squares"])
    assert "lbfgs cannot: RuntimeError: no way" in str(found)
    assert [r.method for r in found.runs if r.refused is None] == [GRIDS, EXTRAPOLATED, "least-squares"]


def test_a_reference_on_one_grid_is_no_sequence():
    x = np.linspace(0, 1, 9)
    with pytest.raises(NoReferenceError, match="one grid alone"):
        solve_grids(line(reference=lambda cells: GridSolution({"x": x}, {"u": np.sin(x)})), 10.0)


def test_a_fit_has_no_grids_and_is_measured_by_its_data():
    x = torch.linspace(0, 1, 21, dtype=torch.float64)[:, None]
    fit = Problem(domain=LINE, conditions=[Data(x, torch.sin(3 * x[:, 0]))])
    found = compare(fit, methods=["least-squares"], budget=0.2, seeds=1, device="cpu", progress=False)
    assert found.yardstick.against == "data" and "no equation" in str(found)
    assert found.runs[-1].error < 1e-6


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "compare.json").write_text("[1, 2]")
    with pytest.raises(StorageError, match="remove it"):
        tiny(tmp_path)
    with pytest.raises(UsageError, match=r"lbgfs.*Did you mean 'lbfgs'"):
        tiny(methods=["lbgfs"])


def test_labels_are_apart_and_near_their_ends(tmp_path, monkeypatch):
    places = spread_apart([0.5, 0.5, 0.52, 0.99, 0.995], 0.05)
    assert np.diff(places).min() >= 0.05 - 1e-12 and max(places) <= 1
    assert np.abs(np.array(places) - [0.5, 0.5, 0.52, 0.99, 0.995]).max() < 0.11
    drawn = []
    from matplotlib.figure import Figure

    monkeypatch.setattr(Figure, "savefig", lambda self, path, **how: (drawn.append(self), open(path, "w").close()))
    draw_curves(tmp_path / "a.png", [COARSE, QUICK, SLOW], Best(COARSE, 1e-6, ""), "Mine")
    (axes,) = drawn[0].axes
    texts = " ".join(t.get_text() for t in axes.texts)
    assert all(word in texts for word in (GRIDS, "least-squares", "adam", "own error, 1e-06"))
    assert axes.get_xscale() == axes.get_yscale() == "log" and axes.get_xlabel() == "seconds"
    least = min(line.get_ydata().min() for line in axes.lines)
    assert least == 1e-6


def test_networks_are_of_one_size():
    problem = line()
    sizes = {n: count_parameters(make_network(n, problem, measure_scales(problem), 16, 3, 0)) for n in NETWORKS}
    assert len({sizes[n] for n in ("siren", "tanh", "relu", "softplus")}) == 1
    assert max(sizes.values()) < 1.2 * min(sizes.values())


class Measured(Poisson):
    """A problem with a figure of its own."""

    def metrics(self, solution):
        return {"middle": float(solution([[0.5]])[0])}


def test_networks_are_trained_alike(tmp_path, monkeypatch):
    problem = Measured(domain=LINE, source=lambda p: -(torch.pi**2) * sine(p), conditions=[Dirichlet(0)], exact=sine)
    arguments = {"width": 16, "depth": 2, "steps": 100, "seeds": 1, "device": "cpu", "folder": tmp_path}
    found = compare_networks(problem, networks=["siren", "relu", "rbf"], progress=False, **arguments)
    head, *rows = found.table()
    by_name = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert "middle" in head and float(by_name["siren"]["middle"]) == pytest.approx(
        found.fields["siren"].values["u"][256], rel=1e-3
    )
    assert float(by_name["siren"]["relative L2 error"]) < 0.5 * float(by_name["relu"]["relative L2 error"])
    assert "derivatives vanish" in by_name["relu"]["remark"] and by_name["siren"]["remark"] == ""
    assert [step for step, _ in found.runs[0].curves["middle"]] == list(range(10, 101, 10))
    assert set(found.fields) == {"siren", "relu", "rbf"}
    kept = {"networks.json", "networks.npz", "networks.md", "networks.png", "networks_fields.png"}
    assert {f.name for f in tmp_path.iterdir()} == kept
    assert found.truth is not None and "exact" in found.foot
    monkeypatch.setattr("pinn_siren.comparison.training.Trainer", None)
    again = compare_networks(problem, networks=["siren", "relu", "rbf"], progress=False, **arguments)
    assert str(again) == str(found)


class Sampled(Problem):
    """A signal that is known on one grid."""

    one_grid = True
    reference_method = "the samples"


def test_networks_of_a_signal_have_its_size_precision_and_grid():
    x = np.linspace(0, 1, 3000)
    kept = GridSolution({"x": x}, {"u": np.sin(40 * x)})
    data = [Data(x, kept.values["u"])]
    problem = Sampled(domain=LINE, conditions=data, reference=lambda cells: kept)
    arguments = {"networks": ["siren"], "seeds": 1, "steps": 60, "device": "cpu", "progress": False}
    found, slow = (compare_networks(problem, rate=rate, **arguments) for rate in (1e-3, 1e-7))
    assert "4 hidden layers of 55" in found.foot and "float32" in found.foot and "against the samples" in found.foot
    misses = found.fields["siren"].values["u"] - kept.values["u"]
    weights = kept.quadrature()
    expected = math.sqrt((weights * misses**2).sum() / (weights * kept.values["u"] ** 2).sum())
    assert found.runs[0].last("relative L2 error") == pytest.approx(expected, rel=1e-6)
    assert expected < 0.5 * slow.runs[0].last("relative L2 error")
    with pytest.raises(UsageError, match="rate must be a positive number"):
        compare_networks(problem, rate=0)


def test_the_misfit_of_a_raster_is_that_of_its_values():
    x, values = np.linspace(0, 1, 8), np.arange(8, dtype=np.uint8)
    fit = Problem(domain=LINE, conditions=[Raster({"x": x}, values, unit=0.1)])
    found = solve(fit, method="adam", steps=3, points=16, progress=False, device="cpu")
    gap = found(x[:, None]) - 0.1 * values
    assert Misfit(fit).error_of(found) == pytest.approx(np.linalg.norm(gap) / np.linalg.norm(0.1 * values), rel=1e-12)


FILE = """
import torch
from pinn_siren import Box, Dirichlet, Poisson

def problem(modes: int = 1):
    u = lambda p: torch.sin(modes * torch.pi * p.x)
    return Poisson(domain=Box(x=(0, 1)), source=lambda p: -(modes * torch.pi)**2 * u(p), conditions=[Dirichlet(0)],
                   exact=u)
"""


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    line = ["compare", "mine.py", "--device", "cpu", "--seeds", "1", "--quiet"]
    assert main([*line, "--methods", "least-squares", "--budget", "0.2", "--modes", "2"]) == 0
    assert main([*line, "--networks", "siren,tanh", "--steps", "20", "--width", "8", "--dtype", "float32"]) == 0
    out, err = capsys.readouterr()
    assert "fastest to 1e-2" in out and "relu" not in out and "tanh" in out and "float32" in out and err == ""
    names = {f.name for f in (tmp_path / "results/mine").iterdir()}
    assert names >= {"compare.md", "compare.json", "compare.png", "networks.md", "networks.png"}
    # Another option of the problem makes it another problem.
    before = (tmp_path / "results/mine/compare.json").read_text()
    assert main([*line, "--methods", "least-squares", "--budget", "0.2", "--modes", "2"]) == 0
    assert (tmp_path / "results/mine/compare.json").read_text() == before
    assert main([*line, "--methods", "least-squares", "--budget", "0.2", "--modes", "3"]) == 0
    assert (tmp_path / "results/mine/compare.json").read_text() != before


def test_the_help_names_every_network():
    assert COMMANDS["compare"].__doc__ is not None
    import inspect

    assert ",".join(NETWORKS) in inspect.getsource(COMMANDS["compare"])
