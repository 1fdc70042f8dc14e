"""Gauss-Newton's steps where memory is short: what is held, what is made again, and the sketch in its place."""

import pytest
import torch

from pinn_siren import GaussNewton, Siren, Trainer
from pinn_siren.optimizers import damped as algebra
from pinn_siren.optimizers import jacobian
from pinn_siren.optimizers.damped import Dual, Primal, Products, damped
from pinn_siren.optimizers.sketch import sketch


def matrix(rows, columns, decades):
    draw = torch.Generator().manual_seed(rows)
    j = torch.randn(rows, columns, generator=draw, dtype=torch.float64)
    return j * torch.logspace(0, -decades, columns, dtype=torch.float64), torch.randn(
        rows, generator=draw, dtype=torch.float64
    )


def pieces(j, r, step=9):
    return lambda: iter([(r[i : i + step], j[i : i + step]) for i in range(0, len(r), step)])


def objective(j, r, d, mu):
    return float((j @ d + r).square().sum() + mu * d.square().sum())


@pytest.mark.parametrize("share", [1e-3, 1e-6, 1e-9])
def test_a_sketch_takes_few_passes_where_plain_conjugate_gradients_do_not_end(share):
    j, r = matrix(150, 80, 8)
    mu = share * float(torch.linalg.matrix_norm(j, 2)) ** 2
    best = objective(j, r, damped(pieces(j, r), 150, 80).solve(mu), mu)
    passes = {}
    for rank in (1, 60):
        way, passes[rank] = Products(pieces(j, r), 80, rank), 0
        square = way._square

        def counted(v, square=square, rank=rank):
            passes[rank] += 1
            return square(v)

        way._square = counted
        found = objective(j, r, way.solve(mu), mu)
        if rank > 1:
            assert found <= (1 + 1e-8) * best
    assert passes[60] <= 6 and passes[60] < passes[1] / 3


def test_the_sketch_finds_the_eigenvalues_that_it_has_room_for():
    draw = torch.Generator().manual_seed(2)
    q = torch.linalg.qr(torch.randn(50, 50, generator=draw, dtype=torch.float64)).Q
    values = torch.logspace(0, -12, 50, dtype=torch.float64)
    found = sketch(lambda v: q @ (values[:, None] * (q.T @ v)), torch.empty(50, 40, dtype=torch.float64))
    torch.testing.assert_close(found.values[:25], values[:25], rtol=1e-3, atol=0)
    torch.testing.assert_close(found.vectors.T @ found.vectors, torch.eye(40, dtype=torch.float64))
    v = q[:, 3] + q[:, 7]
    exact = (found.values[-1] + 1e-6) * (q[:, 3] / (values[3] + 1e-6) + q[:, 7] / (values[7] + 1e-6))
    torch.testing.assert_close(found.solve(v, 1e-6), exact, rtol=1e-3, atol=1e-3 * float(exact.norm()))


@pytest.mark.parametrize("step", [1, 7, 60])
def test_a_problem_of_zeros_has_no_step(step):
    j = torch.zeros(20, 5, dtype=torch.float64)
    way = Products(pieces(j, torch.ones(20, dtype=torch.float64), step), 5, 3)
    assert way.top == 0 and float(way.solve(1.0).norm()) == 0


def failing(original, failures):
    """Runs out of memory so many times."""
    left = [failures]

    def work(*arguments, **named):
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("fake")
        return original(*arguments, **named)

    return work


@pytest.mark.parametrize("rows, columns", [(60, 20), (20, 60)])
@pytest.mark.parametrize("failures, way", [(0, None), (1, Primal), (2, Products)])
def test_where_memory_runs_out_the_next_way_is_taken(rows, columns, failures, way, monkeypatch, capsys):
    j, r = matrix(rows, columns, 2)
    kind = Dual if rows < columns else Primal
    expected = damped(pieces(j, r), rows, columns).solve(1e-2)
    ways = [kind] if kind is Dual or not failures else [Primal] * failures
    for one in set(ways):
        made = one.__init__
        monkeypatch.setattr(one, "__init__", failing(made, failures))
    found = damped(pieces(j, r), rows, columns)
    expected_kind = kind if not failures else Products if kind is Dual else way
    assert type(found) is expected_kind
    said = capsys.readouterr().err.splitlines()
    assert len(said) == (min(failures, 1) if kind is Dual else failures)
    assert float((found.solve(1e-2) - expected).norm()) <= 1e-3 * float(expected.norm())


def test_a_triangle_takes_fewer_rows_at_a_time_where_memory_runs_out(monkeypatch, capsys):
    j, r = matrix(60, 20, 2)
    expected = damped(pieces(j, r), 60, 20).solve(1e-4)
    monkeypatch.setattr(algebra, "extended", failing(algebra.extended, 2))
    found = Primal(pieces(j, r, 30), False).solve(1e-4)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    said = capsys.readouterr().err
    assert "30 rows of the Jacobian at once: going on with 15" in said and "going on with 7" in said


def run(problem, **arguments):
    network = Siren(2, 1, width=10, depth=2, omega=2.0, generator=torch.Generator().manual_seed(1))
    trainer = Trainer(problem, network, progress=False)
    trainer.run(GaussNewton(steps=6, **arguments))
    return trainer


def test_training_survives_a_memory_cap(poisson, monkeypatch, capsys):
    """Fake out of memory on the first pieces of the Jacobian: the same steps, fewer points at once, said once each."""
    plain = run(poisson)
    monkeypatch.setattr(jacobian, "point_rows", failing(jacobian.point_rows, 3))
    capped = run(poisson)
    said = [line for line in capsys.readouterr().err.splitlines() if "Out of memory" in line]
    assert len(said) == 3 and all("'equation' at once: going on with" in line for line in said)
    assert capped.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-6)
    assert capped.objective.system.pieces["equation"].halvings == 3


def test_rows_that_do_not_fit_train_as_well(poisson, monkeypatch):
    """Nothing but a sketch of 60 columns has room."""
    plain = run(poisson)
    monkeypatch.setattr(algebra.memory, "free_bytes", lambda device: 2 * 8 * 6 * 151 * 60)
    sketched = run(poisson)
    assert sketched.history["loss"][-1] < 10 * plain.history["loss"][-1]
