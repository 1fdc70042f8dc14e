"""Least squares some rows at a time: the same solutions as from the whole matrix, in bounded memory."""

import subprocess
import sys

import pytest
import torch

from pinn_siren import Box, Condition, Dirichlet, Helmholtz, Integral, LeastSquares, Neumann, Poisson, Problem, Siren
from pinn_siren import Trainer as Trained
from pinn_siren.ansatz.derive import BuiltIn
from pinn_siren.build import build_model
from pinn_siren.domains import Sampler
from pinn_siren.memory import Chunks
from pinn_siren.optimizers import design, linearized, weighted
from pinn_siren.optimizers.by_gram import solve_gram
from pinn_siren.optimizers.by_qr import solve, solve_swept
from pinn_siren.optimizers.features import sine_features
from pinn_siren.optimizers.least_squares import LastLayer, collocation
from pinn_siren.scales import measure_scales
from pinn_siren.system import System

SQUARE = Box(x=(-1, 1), y=(0, 1))


class Kerr(Problem):
    """A complex field whose equation is not complex-differentiable."""

    complex_valued = True

    def residual(self, p, u):
        return u.laplacian + (3 + u.value.abs() ** 2) * u.value - 1


class Bratu(Problem):
    def residual(self, p, u):
        return u.laplacian + torch.exp(u.value) - p.x


class Pair(Problem):
    outputs = ("u", "v")

    def residual(self, p, u, v):
        return u.laplacian - v.value, v.laplacian + u.x - 1


STATED = {
    "poisson": Poisson(domain=SQUARE, source=lambda p: torch.exp(p.x * p.y), conditions=[Dirichlet(0)]),
    "complex": Helmholtz(domain=SQUARE, wavenumber=4.0, source=lambda p: 1j * p.x, conditions=[Dirichlet(1)]),
    "kerr": Kerr(domain=SQUARE, conditions=[Dirichlet(0)]),
    "bratu": Bratu(domain=SQUARE, conditions=[Dirichlet(0)]),
    "pair": Pair(domain=SQUARE, conditions=[Dirichlet(1, output="u"),
                                            Condition(lambda p, u, v: v.normal_derivative - u.value, on=None)]),
    "mean": Poisson(domain=SQUARE, source=0, conditions=[Neumann(0), Integral(lambda p, u: u.value, 2.0)]),
}  # fmt: skip


def solver_of(problem, width=60, **changes):
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    network = sine_features(width, dict.fromkeys(problem.domain.axes, 3.0), outputs, torch.Generator().manual_seed(1))
    model = build_model(problem, measure_scales(problem), network, torch.float64, 0, BuiltIn(problem.ansatz))
    system = System(problem)
    made = LastLayer(system, model, collocation(system, width, torch.Generator().manual_seed(2)), **changes)
    while not made.done:
        made.step()
    return made


@pytest.mark.parametrize("gram", [False, True], ids=["qr", "gram"])
@pytest.mark.parametrize("name", STATED)
def test_rows_that_do_not_fit_give_the_same_solution(name, gram, monkeypatch):
    problem = STATED[name]
    whole = solver_of(problem)
    lengths, made = [], design.ConstraintRows.matrix

    def counted(rows, cut):
        lengths.append(cut.stop - cut.start)
        return made(rows, cut)

    monkeypatch.setattr(design.ConstraintRows, "matrix", counted)
    monkeypatch.setattr(weighted, "allowed_bytes", lambda device: 2**10)
    monkeypatch.setattr(weighted, "LEAST_ROWS", 17)
    monkeypatch.setattr(linearized, "rows_within", lambda device, size: 13)
    streamed = solver_of(problem, gram=gram)
    assert max(lengths) == 17 and streamed.matrix.numel() == 0
    at = problem.domain.interior(200, Sampler(torch.Generator().manual_seed(5)))
    with torch.no_grad():
        one, other = whole.model(at), streamed.model(at)
    # The pair's condition amplifies rounding to a billionth.
    assert float((one - other).norm()) <= 1e-8 * float(one.norm())
    assert streamed.residual <= 1.01 * whole.residual + 1e-12
    torch.testing.assert_close(torch.tensor(streamed.scales), torch.tensor(whole.scales), rtol=1e-12, atol=0)


def pieces(matrix, right, step, seen=None):
    """A sweep over a matrix that there is, in pieces."""

    def sweep(work):
        def some(cut):
            if seen is not None:
                seen.append(cut.stop - cut.start)
            return work(matrix[cut], right[cut])

        return Chunks("rows", step).over(len(matrix), some)

    return sweep


KINDS = [(torch.float64, torch.float64), (torch.complex128, torch.complex128), (torch.float64, torch.complex128)]


@pytest.mark.parametrize("matrix_kind, right_kind", KINDS)
@pytest.mark.parametrize("step", [1, 7, 30, 100])
def test_pieces_of_any_size_give_the_solution_of_the_whole(matrix_kind, right_kind, step):
    draw = torch.Generator().manual_seed(1)
    a = torch.randn(100, 12, generator=draw, dtype=matrix_kind) * torch.logspace(3, -3, 12, dtype=torch.float64)
    b = torch.randn(100, generator=draw, dtype=right_kind)
    expected = torch.linalg.lstsq(a.to(right_kind), b[:, None]).solution[:, 0]
    split = matrix_kind != right_kind
    for way in (solve_swept, solve_gram):
        found = way(pieces(a, b, step), 12, split)
        # A column's weight is known to rounding in units of its length.
        close = 1e-12 * float((expected * a.norm(dim=0)).norm())
        assert float(((found - expected) * a.norm(dim=0)).norm()) <= close
    torch.testing.assert_close(solve(a, b), expected, rtol=1e-10, atol=1e-12)


def test_several_right_sides_at_once():
    draw = torch.Generator().manual_seed(1)
    a, b = (torch.randn(40, n, generator=draw, dtype=torch.float64) for n in (5, 3))
    torch.testing.assert_close(solve(a, b), torch.linalg.lstsq(a, b).solution)


def test_dependent_columns_keep_their_digits():
    """Singular values from 1 to 1e-20: three Gram passes leave a residual at rounding, as QR; one, half its digits."""
    draw = torch.Generator().manual_seed(3)
    left, right = (torch.linalg.qr(torch.randn(n, 60, generator=draw, dtype=torch.float64)).Q for n in (200, 60))
    a = left @ torch.diag(torch.logspace(0, -20, 60, dtype=torch.float64)) @ right.T
    b = a @ torch.ones(60, dtype=torch.float64)

    def misfit(x):
        return float((a @ x - b).norm() / b.norm())

    whole, streamed = misfit(solve(a, b)), misfit(solve_swept(pieces(a, b, 50), 60))
    thrice, once = (misfit(solve_gram(pieces(a, b, 50), 60, passes=n)) for n in (3, 1))
    assert whole < 1e-14 and streamed < 1e-14 and thrice < 1e-13
    assert 1e-12 < once < 1e-6


@pytest.mark.parametrize("way", [solve_swept, solve_gram])
def test_running_out_of_memory_on_the_first_pieces_is_survived(way, capsys):
    draw = torch.Generator().manual_seed(1)
    a, b = torch.randn(64, 6, generator=draw, dtype=torch.float64), torch.randn(64, generator=draw, dtype=torch.float64)
    failures, chunks = [3], Chunks("rows", 32)

    def sweep(work):
        def some(cut):
            found = work(a[cut], b[cut])
            # After the work is done, as where the last allocation fails: nothing may be taken up twice.
            if failures[0] and cut.start:
                failures[0] -= 1
                raise torch.OutOfMemoryError("fake")
            return found

        return chunks.over(64, some)

    torch.testing.assert_close(way(sweep, 6), torch.linalg.lstsq(a, b[:, None]).solution[:, 0])
    assert chunks.rows == 4 and capsys.readouterr().err.count("Out of memory") == 3


def test_a_matrix_that_does_not_fit_after_all_is_streamed(monkeypatch, capsys):
    problem = STATED["poisson"]
    whole = solver_of(problem)

    def full(*arguments):
        raise torch.OutOfMemoryError("fake")

    monkeypatch.setattr(weighted, "solve_apart", full)
    streamed = solver_of(problem)
    assert "going on with some at a time" in capsys.readouterr().err
    at = problem.domain.interior(200, Sampler(torch.Generator().manual_seed(5)))
    with torch.no_grad():
        torch.testing.assert_close(streamed.model(at), whole.model(at), rtol=1e-9, atol=1e-9)


def test_the_stage_takes_gram_matrices_too(monkeypatch):
    monkeypatch.setattr(weighted, "allowed_bytes", lambda device: 2**10)
    errors = []
    for gram in (False, True):
        network = Siren(2, 1, width=120, depth=1, omega=6.0, dtype=torch.float64,
                        generator=torch.Generator().manual_seed(2))  # fmt: skip
        trainer = Trained(STATED["poisson"], network, progress=False)
        trainer.run(LeastSquares(gram=gram))
        errors.append(float(trainer.history["loss"][-1]))
    assert errors[1] == pytest.approx(errors[0], rel=0.05)


PEAK = """
import resource, torch
from pinn_siren.memory import Chunks
from pinn_siren.optimizers.by_qr import solve_swept
torch.set_num_threads(1)
rows, n = 500, 400
def sweep(work):
    def some(cut):
        draw = torch.Generator().manual_seed(cut.start)
        a = torch.randn(cut.stop - cut.start, n, generator=draw, dtype=torch.float64)
        return work(a, a.sum(1))
    return Chunks("rows", 500).over(rows, some)
once = solve_swept(sweep, n)
rows = 40_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = solve_swept(sweep, n)
assert float((found - 1).abs().max()) < 1e-12
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / (8 * rows * n))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of ru_maxrss")
def test_the_memory_is_that_of_a_chunk():
    """128 MB of rows, 1.6 MB at a time: the peak is a small part of the matrix."""
    run = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 0.2
