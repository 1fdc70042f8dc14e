"""Gauss-Newton's steps where memory is short: what is held, what is made again, and products with a sketch."""

import pytest
import torch

from pinn_siren import GaussNewton, Siren, Trainer
from pinn_siren.errors import OutOfMemoryError
from pinn_siren.optimizers import damped as algebra
from pinn_siren.optimizers import jacobian, ways
from pinn_siren.optimizers.damped import Dual, Primal
from pinn_siren.optimizers.products import Products
from pinn_siren.optimizers.sketch import sketch
from pinn_siren.parallel import Ranks


def matrix(rows, columns, decades):
    draw = torch.Generator().manual_seed(rows)
    j = torch.randn(rows, columns, generator=draw, dtype=torch.float64)
    return j * torch.logspace(0, -decades, columns, dtype=torch.float64), torch.randn(
        rows, generator=draw, dtype=torch.float64
    )


def pieces(j, r, step=9):
    return lambda: iter([(r[i : i + step], j[i : i + step]) for i in range(0, len(r), step)])


def least_squares(j, r, mu):
    """By SVD."""
    n = j.shape[1]
    whole = torch.cat([j, mu**0.5 * torch.eye(n, dtype=j.dtype)])
    return torch.linalg.lstsq(whole, -torch.cat([r, r.new_zeros(n)]), driver="gelsd").solution


@pytest.mark.parametrize("share", [1e-3, 1e-6, 1e-10, 1e-14])
@pytest.mark.parametrize("rows", [150, 50])
def test_a_sketch_takes_few_passes_where_plain_lsqr_takes_many(share, rows):
    j, r = matrix(rows, 80, 8)
    mu = share * float(torch.linalg.matrix_norm(j, 2)) ** 2
    expected = least_squares(j, r, mu)
    passes = {}
    for rank in (1, min(rows, 80)):
        way, passes[rank] = Products(pieces(j, r), 80, rank), 0
        turn = way._turn

        def counted(*given, turn=turn, rank=rank):
            passes[rank] += 1
            return turn(*given)

        way._turn = counted
        found = way.solve(mu)
    assert float((found - expected).norm()) <= 1e-8 * float(expected.norm())
    assert passes[min(rows, 80)] <= 12 and passes[min(rows, 80)] < passes[1] / 3


def test_a_sketch_that_sees_a_part_gives_the_step_in_more_passes():
    j, r = matrix(150, 80, 3)
    expected = least_squares(j, r, 1e-5)
    found = Products(pieces(j, r), 80, 30).solve(1e-5)
    assert float((found - expected).norm()) <= 1e-5 * float(expected.norm())


def test_the_sketch_finds_the_eigenvalues_that_it_has_room_for():
    draw = torch.Generator().manual_seed(2)
    q = torch.linalg.qr(torch.randn(50, 50, generator=draw, dtype=torch.float64)).Q
    values = torch.logspace(0, -12, 50, dtype=torch.float64)
    found = sketch(lambda v: q @ (values[:, None] * (q.T @ v)), torch.empty(50, 40, dtype=torch.float64))
    torch.testing.assert_close(found.values[:25], values[:25], rtol=1e-3, atol=0)
    torch.testing.assert_close(found.vectors.T @ found.vectors, torch.eye(40, dtype=torch.float64))
    v = q[:, 3] + q[:, 7]
    exact = (found.values[-1] + 1e-6) * (q[:, 3] / (values[3] + 1e-6) + q[:, 7] / (values[7] + 1e-6))
    twice = found.half(found.half(v, 1e-6), 1e-6)
    torch.testing.assert_close(twice, exact, rtol=1e-3, atol=1e-3 * float(exact.norm()))


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


def test_a_triangle_takes_fewer_rows_at_a_time_where_memory_runs_out(monkeypatch, capsys):
    j, r = matrix(60, 20, 2)
    monkeypatch.setattr(algebra, "extended", failing(algebra.extended, 2))
    found = Primal(pieces(j, r, 30), False).solve(1e-4)
    torch.testing.assert_close(found, least_squares(j, r, 1e-4), rtol=1e-9, atol=1e-9)
    said = capsys.readouterr().err
    assert "30 rows of the Jacobian at once: going on with 15" in said and "going on with 7" in said


@pytest.mark.parametrize("rows, columns, kinds", [(60, 20, [Primal, Primal, Products]), (20, 60, [Dual, Products])])
def test_a_way_that_ran_out_is_not_taken_again(rows, columns, kinds, capsys):
    j, r = matrix(rows, columns, 2)
    choice = ways.Ways()
    # The last way has a sketch of 20 columns, then of 10, then of 8.
    for number, kind in enumerate([*kinds, Products, Products]):
        found = choice.damped(pieces(j, r), rows, columns)
        assert type(found) is kind
        assert float((found.solve(1e-2) - least_squares(j, r, 1e-2)).norm()) < 1e-9
        if number < len(kinds) + 1:
            choice.smaller("fake")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(kinds) + 1 and all(line.startswith("Out of memory with ") for line in said)
    assert "a sketch of 20 columns: going on with 10." in said[-2]
    with pytest.raises(OutOfMemoryError, match="LBFGS or Adam"):
        choice.smaller("fake")


def test_several_processes_end_where_memory_runs_out():
    j, r = matrix(60, 20, 2)
    choice = ways.Ways()
    choice.damped(pieces(j, r), 60, 20)
    with pytest.raises(OutOfMemoryError, match="says: fake"):
        choice.smaller("fake", Ranks(1, 2))


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


@pytest.mark.parametrize("where", ["_gram", "augmented"])
def test_a_step_that_runs_out_is_made_in_less_memory(poisson, where, monkeypatch, capsys):
    """Once in the normal equations or the triangle, after the derivative was made."""
    plain = run(poisson)
    monkeypatch.setattr(algebra, where, failing(getattr(algebra, where), 1))
    if where == "augmented":
        monkeypatch.setattr(algebra, "WELL", 1.0)
    other = run(poisson)
    assert "the derivatives held: they are made some rows at a time" in capsys.readouterr().err
    assert other.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-4)


def test_rows_that_do_not_fit_train_as_well(poisson, monkeypatch):
    """Nothing but a sketch of 60 columns has room."""
    plain = run(poisson)
    monkeypatch.setattr(algebra.memory, "free_bytes", lambda device: 2 * 8 * 6 * 151 * 60)
    sketched = run(poisson)
    assert sketched.history["loss"] == pytest.approx(plain.history["loss"], rel=2e-2)
