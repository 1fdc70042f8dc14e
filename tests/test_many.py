"""Many problems of one kind in one run: exact solutions, and the answers of solve one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pinn_siren import PML, Box, Dirichlet, Helmholtz, Poisson, Problem, Solution, Unknown, many, solve, solve_many
from pinn_siren.check import StatementWarning
from pinn_siren.errors import ProblemError, UsageError
from pinn_siren.patches import solver

SQUARE = Box(x=(0, 1), y=(0, 1))
GRID = np.stack(np.meshgrid(*[np.linspace(0.03, 0.97, 21)] * 2), axis=-1).reshape(-1, 2)
PI = torch.pi


class Oscillation(Problem):
    """``laplacian u + k^2 u = f`` with ``u = sin(pi x) cos(k y / 2)`` held on the boundary."""

    k: float
    bent: float = 0.0

    def residual(self, p, u):
        exact = wave(self.k)(p)
        source = (self.k**2 * 0.75 - PI**2) * exact + self.bent * exact**3
        return u.laplacian + self.k**2 * u.value + self.bent * u.value**3 - source


def wave(k):
    return lambda p: torch.sin(PI * p.x) * torch.cos(k * p.y / 2)


def oscillation(k, bent=0.0):
    return Oscillation(domain=SQUARE, k=k, bent=bent, conditions=[Dirichlet(wave(k))], exact=wave(k))


def source(m, size=1.0):
    def exact(p):
        return size * torch.sin(m * PI * p.x) * torch.sin(PI * p.y)

    return Poisson(
        domain=SQUARE, source=lambda p: -(m**2 + 1) * PI**2 * exact(p), conditions=[Dirichlet(0)], exact=exact
    )


def error(solution):
    p = solution._points(GRID)
    exact = solution.problem.exact(p)
    return float((solution(p) - exact).norm() / exact.norm())


def test_many_sources_share_one_factorization(capsys):
    problems = [source(m, size) for m, size in ((1, 1.0), (2, 1e3), (3, 1e-3), (1, -2.0), (2, 0.5))]
    solutions = solve_many(problems, tolerance=1e-6)
    said = capsys.readouterr().err
    assert "5 problems" in said
    assert "5 with shared features, 1 factorizations, 0 one by one" in said
    assert all(isinstance(s, Solution) and s.problem is p for s, p in zip(solutions, problems, strict=True))
    assert max(error(s) for s in solutions) < 1e-6
    # The estimates are of the errors' size.
    assert max(s.provenance.estimate for s in solutions) <= 1e-6


def test_many_wavenumbers_share_features(capsys):
    ks = (2.0, 3.5, 6.0)
    solutions = solve_many([oscillation(k) for k in ks], tolerance=1e-6)
    assert "3 with shared features, 3 factorizations" in capsys.readouterr().err
    assert max(error(s) for s in solutions) < 1e-6


def test_the_answers_of_solve_one_by_one_in_complex_numbers():
    def at(k):
        return Helmholtz(
            domain=SQUARE, wavenumber=k, source=lambda p: (1 + 2j) * torch.sin(PI * p.x) * torch.sin(2 * PI * p.y),
            conditions=[Dirichlet(0)],
        )  # fmt: skip

    for solution in solve_many([at(2.0), at(5.0)], tolerance=1e-6, progress=False):
        alone = solve(solution.problem, tolerance=1e-6, progress=False, device="cpu")
        assert np.linalg.norm(solution(GRID) - alone(GRID)) < 2e-6 * np.linalg.norm(alone(GRID))


def test_nonlinear_problems_share_features_too():
    solutions = solve_many([oscillation(3.0, bent) for bent in (0.0, 0.5, 1.0)], tolerance=1e-5, progress=False)
    assert max(error(s) for s in solutions) < 1e-5


def test_what_shared_features_leave_is_solved_alone(monkeypatch, capsys):
    judged = []

    def missed(batch, found):
        judged.append(found)
        return [1e-9 if i else 0.5 for i in range(len(batch.problems))]

    fit = many._Batch.fit
    monkeypatch.setattr(many._Batch, "fit", lambda batch, found: [fit(batch, found), missed(batch, found)][1])
    solutions = solve_many([source(1), source(2)], tolerance=1e-4)
    assert len(judged) == 1
    assert "1 with shared features" in capsys.readouterr().err
    assert max(error(s) for s in solutions) < 1e-4


def test_each_has_its_own_report_and_files(tmp_path):
    solutions = solve_many([source(1), source(1, 2.0)], tolerance=1e-4, progress=False)
    solutions[1].save(tmp_path / "second")
    again = Solution.load(tmp_path / "second")
    assert again(GRID) == pytest.approx(2 * solutions[0](GRID), rel=1e-9, abs=1e-9)
    assert again.report.verdict == solutions[1].report.verdict == "certified"


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        ([], "got none"),
        (source(1), "got Poisson"),
        ([source(1), 3], "number 2 is a int"),
        ([source(1), oscillation(2.0)], "number 2 is Oscillation"),
        ([source(1), Poisson(domain=Box(x=(0, 2), y=(0, 1)), source=1.0, conditions=[Dirichlet(0)])], "one domain"),
        ([oscillation(2.0), Oscillation(domain=SQUARE, k=Unknown(2.0), conditions=[Dirichlet(0)])], "unknowns"),
    ],
)
def test_wrong_problems_are_said(problems, said):
    with pytest.raises(UsageError, match=said):
        solve_many(problems)


WRONG = {
    "source": {"source": lambda p: p.x[:3]},
    "data": {"conditions": [Dirichlet(float("nan"))]},
    "missing side": {"conditions": [Dirichlet(0, on="left")]},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_statement_is_said_with_its_number(name):
    with pytest.raises(ProblemError, match="Problem number 3: "):
        solve_many([source(1), source(2), replace(source(1), exact=None, **WRONG[name])], progress=False)


def test_what_may_be_a_mistake_is_said_once_with_the_numbers():
    """An exact solution that misses the boundary values, of two problems of three."""
    off = [Poisson(domain=SQUARE, source=0.0, conditions=[Dirichlet(0)], exact=lambda p: p.x) for _ in range(2)]
    with pytest.warns(StatementWarning, match="2 of 3 problems, number 2, 3: exact does not satisfy") as said:
        solve_many([source(1), *off], tolerance=1e-2, progress=False)
    assert len(said) == 1


def test_other_methods_are_said():
    with pytest.raises(UsageError, match="call solve for each problem"):
        solve_many([source(1)], method="adam")


def test_many_sources_share_patches(monkeypatch, capsys):
    """Ten sources, one wide and nine narrow, in an absorbing layer: the answers one by one, by few factorizations."""

    def at(x, y, width):
        def source(p):
            return torch.exp(-((p.x - x) ** 2 + (p.y - y) ** 2) / (2 * width**2)) / width**2

        return Helmholtz(domain=Box(x=(-1, 1), y=(-1, 1)), wavenumber=12.0, source=source, conditions=[PML(0.5)])

    factored = []
    locally = solver.solve_locally
    monkeypatch.setattr(solver, "solve_locally", lambda *a: [factored.append(a[0].right.shape[2]), locally(*a)][1])
    places = np.random.default_rng(3).uniform(-0.4, 0.4, (10, 2))
    problems = [at(*place, 0.08 if i else 0.2) for i, place in enumerate(places)]
    solutions = solve_many(problems, tolerance=1e-6)
    assert "10 on shared patches, 0 one by one" in capsys.readouterr().err
    # All at once, then those at most that had not met the tolerance.
    assert factored[0] == 10 and len(factored) <= 2
    inner = 0.9 * GRID - 0.45
    for number in (0, 7):
        alone = solve(problems[number], tolerance=1e-6, progress=False, device="cpu")
        off = np.linalg.norm(solutions[number](inner) - alone(inner)) / np.linalg.norm(alone(inner))
        assert off < solutions[number].provenance.estimate + alone.provenance.estimate <= 2e-6
    assert len({s.provenance.estimate for s in solutions}) == 10
