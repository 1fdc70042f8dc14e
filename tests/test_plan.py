"""From a method's name and what was asked for to a search, stages and a reason."""

from dataclasses import replace

import pytest

from pinn_siren import Box, Data, Dirichlet, Poisson, Unknown
from pinn_siren.errors import UsageError
from pinn_siren.plan import METHODS, make_stages, squares_alone

TABLE = [
    # method, steps, training, searched, stages, a word of the reason
    ("auto", None, False, True, ["GaussNewton 300"] * 5, "least squares"),
    ("auto", None, True, False, ["Adam 200", "LBFGS 6000"], "only training has"),
    ("auto", 50, False, False, ["Adam 50", "LBFGS 50"], "only training has"),
    ("least-squares", None, False, True, [], "as asked"),
    ("patches", None, False, True, [], "sine features on patches"),
    ("chebyshev", None, False, True, [], "polynomials on patches"),
    ("adjoint", None, False, True, [], "by adjoint states"),
    ("lbfgs", None, False, False, ["Adam 200", "LBFGS 6000"], "as asked"),
    ("lbfgs", 300, True, False, ["Adam 200", "LBFGS 300"], "as asked"),
    ("gauss-newton", None, False, False, ["GaussNewton 300"] * 5, "as asked"),
    ("gauss-newton", 40, True, False, ["GaussNewton 40"] * 5, "as asked"),
    ("adam", None, False, False, ["Adam 5000"], "as asked"),
    ("adam", 70, False, False, ["Adam 70"], "as asked"),
]


@pytest.mark.parametrize("method, steps, training, searched, stages, word", TABLE)
def test_the_table(method, steps, training, searched, stages, word):
    plan = make_stages(method, steps, training)
    assert plan.frozen == searched
    assert [f"{s.name} {s.steps}" for s in plan.stages] == stages
    assert word in plan.reason


def test_every_method_is_in_the_table():
    assert {row[0] for row in TABLE} == set(METHODS)


def test_a_signal_is_trained_by_adam_unless_asked_otherwise():
    plan = make_stages(signal=True)
    assert not plan.frozen and [s.name for s in plan.stages] == ["Adam"] and "very many values" in plan.reason
    assert make_stages(signal=True, derivatives=True).stages[0].lr < plan.stages[0].lr
    assert make_stages("least-squares", signal=True).frozen
    assert [s.name for s in make_stages("lbfgs", signal=True).stages] == ["Adam", "LBFGS"]


def test_what_is_no_sum_of_squares_is_trained_by_lbfgs():
    assert [s.name for s in make_stages(squares=False).stages] == ["Adam", "LBFGS"]
    box, data = Box(x=(0, 1)), Data([0.5], [1.0])
    assert squares_alone(Poisson(domain=box, source=1, conditions=[Dirichlet(0), data]))
    assert not squares_alone(Poisson(domain=box, source=1, conditions=[Dirichlet(0), replace(data, norm=1)]))
    assert not squares_alone(Poisson(domain=box, source=1, diffusion=Unknown(1.0), conditions=[Dirichlet(0), data]))


@pytest.mark.parametrize("method, steps", [("newton", None), ("adam", 0), ("auto", 1.5)])
def test_what_cannot_be(method, steps):
    with pytest.raises(UsageError):
        make_stages(method, steps)
