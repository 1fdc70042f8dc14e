"""Textbook problems that the package has never seen, as a stranger states them: a short file, one command line."""

import ast
import json

import numpy as np
import pytest

from pinn_siren import Solution
from pinn_siren.cli import main

HOPF = '''
"""The Hopf bifurcation's normal form (Strogatz 1994, section 8.2): a spiral out to the circle of radius 1."""

import torch
from pinn_siren import Box, Initial, Problem


class Hopf(Problem):
    outputs = ("x", "y")

    def residual(self, p, x, y):
        growth = 1 - x.value**2 - y.value**2
        return x.t - growth * x.value + y.value, y.t - growth * y.value - x.value


def radius(p):
    return (1 + 3 * torch.exp(-2 * p.t)) ** -0.5


problem = Hopf(
    domain=Box(t=(0, 4)),
    conditions=[Initial(0.5, output="x"), Initial(0, output="y")],
    exact=lambda p: (radius(p) * torch.cos(p.t), radius(p) * torch.sin(p.t)),
)
'''

LAYER = '''
"""Steady advection and diffusion, peclet u_x = u_xx, with a boundary layer of width 1 / peclet on the right."""

import torch
from pinn_siren import Box, Dirichlet, Problem


class AdvectionDiffusion(Problem):
    peclet: float

    def residual(self, p, u):
        return self.peclet * u.x - u.xx


problem = AdvectionDiffusion(
    domain=Box(x=(0, 1)),
    peclet=20.0,
    conditions=[Dirichlet(0, on="left"), Dirichlet(1, on="right")],
    exact=lambda p: torch.expm1(20 * p.x) / torch.expm1(torch.tensor(20.0)),
)
'''

HEAT = '''
"""Heat in a conductivity u^2, u_t = (u^2 u_x)_x, with heat lost through both sides: a travelling wave."""

import torch
from pinn_siren import Box, Initial, Problem, Robin


class NonlinearHeat(Problem):
    def residual(self, p, u):
        return u.t - u.value**2 * u.xx - 2 * u.value * u.x**2


def wave(p):
    return torch.sqrt(1 + 2 * (p.t + 1 - p.x))


problem = NonlinearHeat(
    domain=Box(x=(0, 1), t=(0, 1)),
    conditions=[Initial(wave), Robin(1, 1, lambda p: wave(p) - p.normal[:, 0] / wave(p))],
    exact=wave,
)
'''


def spiral(t):
    r = 1 / np.sqrt(1 + 3 * np.exp(-2 * t))
    return {"x": r * np.cos(t), "y": r * np.sin(t)}


STATED = {
    "hopf": (HOPF, spiral),
    "layer": (LAYER, lambda x: {"u": (np.exp(20 * x) - 1) / (np.exp(20) - 1)}),
    "heat": (HEAT, lambda x, t: {"u": np.sqrt(3 + 2 * t - 2 * x)}),
}
MOST_LINES = 12
TOLERANCE = 1e-3


def lines(text):
    """Lines of the statement: what is neither empty, nor a docstring, nor an import."""
    tree = ast.parse(text)
    left_out = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)] + tree.body[:1]
    numbers = {k for n in left_out for k in range(n.lineno, n.end_lineno + 1)}
    return sum(bool(line.strip()) and k not in numbers for k, line in enumerate(text.splitlines(), 1))


@pytest.mark.parametrize("name", STATED)
def test_a_strangers_problem_is_short_and_solved(tmp_path, monkeypatch, capsys, name):
    text, exact = STATED[name]
    assert lines(text) <= MOST_LINES
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{name}.py").write_text(text.strip() + "\n")
    line = ["solve", f"{name}.py", "--points", "200", "--steps", "400", "--tolerance", str(TOLERANCE)]
    assert main([*line, "--device", "cpu", "--quiet", "--require", "certified"]) == 0, capsys.readouterr()
    report = json.loads((tmp_path / "results" / name / "report.json").read_text())
    assert report["verdict"] == "certified" and report["against"] == "exact"
    assert report["relative_l2"] <= TOLERANCE
    # Finite differences would have certified it too, and their bar covers their own error.
    assert report["reference_difference"] + report["reference_error"] <= TOLERANCE
    assert report["reference_to_exact"] <= 1.5 * report["reference_error"]
    assert main(["verify", f"results/{name}"]) == 0
    solution = Solution.load(f"results/{name}")
    low, high = np.array(list(solution.shape.domain.bounds.values())).T
    points = np.random.default_rng(0).uniform(low, high, (300, len(low)))
    truth = np.stack(list(exact(*points.T).values()), axis=1)
    gap = solution(points).reshape(truth.shape) - truth
    assert np.linalg.norm(gap) <= 3 * TOLERANCE * np.linalg.norm(truth)


SLIPS = {
    "hopf": ("x.t - growth * x.value + y.value", "x.t - growth * x.value - y.value"),
    "layer": ("self.peclet * u.x - u.xx", "self.peclet * u.x + u.xx"),
    "heat": ("2 * u.value * u.x**2", "u.value * u.x**2"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_strangers_slip_is_said_before_training(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{name}.py").write_text(STATED[name][0].replace(*SLIPS[name]).strip())
    assert main(["solve", f"{name}.py", "--device", "cpu", "--quiet"]) == 2
    assert "exact does not satisfy the equation" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
