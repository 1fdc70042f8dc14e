"""Loss terms in balance, and in causal order."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pinn_siren import LBFGS, Adam, Box, Dirichlet, Helmholtz, Initial, Points, Problem, Siren, Trainer, solve
from pinn_siren.balance import GradientBalance
from pinn_siren.causal import EPSILONS, SLABS, Causal
from pinn_siren.errors import UsageError


class Transport(Problem):
    """``u_t + u_x = 1``."""

    def residual(self, p, u):
        return u.t + u.x - 1


@pytest.fixture
def transport():
    return Transport(
        domain=Box(x=(0, 1), t=(0.5, 2.5)),
        conditions=[Dirichlet(lambda p: torch.cos(p.t - 0.5), on="left"), Initial(lambda p: torch.cos(3 * p.x))],
    )


def small(problem, outputs=1, **options):
    generator = torch.Generator().manual_seed(5)
    network = Siren(2, outputs, width=12, depth=2, omega=4.0, dtype=torch.float64, generator=generator)
    return Trainer(problem, network, points=200, seed=3, progress=False, device="cpu", conditions="soft", **options)


def gradient_norms(trainer):
    """Euclidean norms of each term's gradient, by ``backward`` into the parameters."""
    norms = {}
    for name in trainer.objective.names:
        trainer.model.zero_grad()
        trainer.objective.terms()[name].backward()
        grads = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        norms[name] = float(torch.cat([g.reshape(-1) for g in grads]).norm())
    return norms


def test_two_terms_get_gradients_of_one_length_and_the_average_moves_by_a_tenth():
    balance = GradientBalance(["small", "large"])
    found = []
    for at in ([0.5, -2.0], [3.0, 1.5]):
        w = torch.tensor(at, requires_grad=True)
        balance.update({"small": w.square().sum(), "large": 1e4 * (w - 1).square().sum()}, [w])
        # The gradients are 2 w and 2e4 (w - 1).
        norms = {"small": 2 * math.hypot(*at), "large": 2e4 * math.hypot(at[0] - 1, at[1] - 1)}
        mean = (norms["small"] + norms["large"]) / 2
        found.append({name: mean / norm for name, norm in norms.items()})
        if len(found) == 1:
            assert balance.weights == pytest.approx(found[0], rel=1e-5)
    for name, weight in balance.weights.items():
        assert weight == pytest.approx(0.9 * found[0][name] + 0.1 * found[1][name], rel=1e-5)


def test_a_term_that_is_met_and_one_that_is_nan():
    balance = GradientBalance(["met", "open"])
    w = torch.ones(2, requires_grad=True)
    balance.update({"met": torch.tensor(0.0), "open": w.square().sum()}, [w])
    assert balance.weights == pytest.approx({"met": 1e5, "open": 0.5})
    balance.update({"met": torch.tensor(0.0), "open": (w * math.nan).sum()}, [w])
    assert balance.weights == pytest.approx({"met": 1e5, "open": 0.5})


def test_a_conditions_own_weight_stays_a_factor(transport):
    first, second = transport.conditions
    weighted = dataclasses.replace(transport, conditions=[dataclasses.replace(first, weight=7.0), second])
    trainer = small(weighted, balance="gradients")
    trainer.objective.resample()
    before = gradient_norms(trainer)
    trainer.objective.reweigh(0, fixed=False)
    after = gradient_norms(trainer)
    assert max(before.values()) > 3 * min(before.values())
    assert after["dirichlet left"] == pytest.approx(7 * after["equation"], rel=1e-9)
    assert after["initial"] == pytest.approx(after["equation"], rel=1e-9)


def test_adam_moves_the_balance_and_lbfgs_keeps_it(transport):
    trainer = small(transport, balance="gradients")
    trainer.run(LBFGS(steps=1))
    first = dict(trainer.objective.balance.weights)
    assert first["equation"] != 1.0
    trainer.run(Adam(steps=21))
    second = dict(trainer.objective.balance.weights)
    assert all(second[name] != first[name] for name in first)
    trainer.run(LBFGS(steps=25, resample=10))
    assert trainer.objective.balance.weights == second
    terms = sum(trainer.history[name][-1] for name in trainer.objective.names)
    assert trainer.history["loss"][-1] == pytest.approx(terms)


def by_numpy(trainer, epsilon, kept=None):
    """The causal mean of the equation's residual, from nested autograd and a loop over slabs; and its weights."""
    p = trainer.objective.points["equation"][0]
    at = p.coordinates.clone().requires_grad_()
    slopes = torch.autograd.grad(trainer.model(Points(p.axes, at)).sum(), at)[0]
    scales = trainer.scales
    residual = (slopes.sum(1) - 1).detach().numpy() / (scales.residual["equation"][0] * scales.amplitude)
    slab = np.minimum(np.floor((p.t.numpy() - 0.5) / 2.0 * SLABS).astype(int), SLABS - 1)
    losses = [np.mean(residual[slab == i] ** 2) if (slab == i).any() else 0.0 for i in range(SLABS)]
    weights = kept or [math.exp(-epsilon * sum(losses[:i])) for i in range(SLABS)]
    return sum(w * loss for w, loss in zip(weights, losses, strict=True)) / SLABS, weights


@pytest.mark.parametrize("level", [1, 3])
def test_causal_weights_follow_the_formula(transport, level):
    trainer = small(transport, causal=True)
    causal = trainer.objective.causal
    causal.level = level
    trainer.objective.resample()
    plain = small(transport)
    plain.objective.resample()
    wanted, weights = by_numpy(trainer, EPSILONS[level])
    assert weights[0] == 1.0 and weights[-1] < 0.9
    terms, uniform = trainer.objective.terms(), plain.objective.terms()
    assert float(terms["equation"].detach()) == pytest.approx(wanted, rel=1e-9)
    assert wanted < 0.95 * float(uniform["equation"].detach())
    for name in ("dirichlet left", "initial"):
        assert torch.equal(terms[name], uniform[name])


def test_no_gradient_passes_through_the_weights():
    causal = Causal(Box(t=(0, 1)))
    t = torch.linspace(0.01, 0.99, 4 * SLABS, dtype=torch.float64)
    squares = torch.rand(len(t), generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
    slabs = causal.slab_means(Points(("t",), t[:, None]), squares)
    causal.means({"equation": slabs})["equation"].backward()
    weights = causal.weights(slabs)
    index = (t * SLABS).long()
    wanted = weights[index] / SLABS / torch.bincount(index, minlength=SLABS)[index]
    torch.testing.assert_close(squares.grad, wanted)


def test_epsilon_goes_on_where_the_least_weight_allows_it():
    causal = Causal(Box(t=(0, 1)))
    losses = torch.zeros(SLABS, dtype=torch.float64)
    for total, epsilon in ((2.0, 1e-2), (0.9, 1e-1), (0.9, 1e-1), (1e-9, 1.0), (0.0, 10.0), (0.0, 100.0), (0.0, 100.0)):
        losses[3] = total  # The last weight is exp(-epsilon total).
        causal.means({"equation": losses})
        causal.advance()
        assert causal.epsilon == epsilon
    causal.level = 0
    losses[3] = 5e-3
    causal.keep(lambda: {"equation": losses})
    # exp(-0.01 * 5e-3), exp(-0.1 * 5e-3) and exp(-5e-3) are above 0.99, exp(-0.05) is not.
    assert causal.epsilon == 10.0
    assert float(causal.kept[-1]) == pytest.approx(math.exp(-0.05))
    assert not causal.advance()


def test_a_residual_that_is_nan_leaves_epsilon():
    causal = Causal(Box(t=(0, 1)))
    causal.keep(lambda: {"equation": torch.full((SLABS,), math.nan)})
    assert causal.epsilon == EPSILONS[0]


def test_lbfgs_keeps_causal_weights_until_it_starts_anew(transport):
    trainer = small(transport, causal=True)
    trainer.run(Adam(steps=10))
    assert trainer.objective.causal.kept is None
    trainer.run(LBFGS(steps=12, resample=10))
    kept = trainer.objective.causal.kept
    wanted, _ = by_numpy(trainer, trainer.objective.causal.epsilon, kept.tolist())
    assert float(trainer.objective.terms()["equation"].detach()) == pytest.approx(wanted, rel=1e-9)
    trainer.run(LBFGS(steps=5, resample=0))
    assert not torch.equal(trainer.objective.causal.kept, kept)
    trainer.run(Adam(steps=10))
    assert trainer.objective.causal.kept is None


def test_the_estimate_is_unweighted_at_uniform_points(transport):
    def estimates(**options):
        trainer = small(transport, **options)
        trainer.objective.resample()
        trainer.objective.reweigh(0, fixed=False)
        trainer.objective.concentrate(trainer.objective.points, due=True)
        return [trainer.objective.estimate() for _ in range(2)]

    assert estimates(balance="gradients", causal=True, resampling="rad") == estimates()


def test_complex_fields_balance_and_resample():
    problem = Helmholtz(
        domain=Box(x=(0, 1), y=(0, 1)), wavenumber=4.0, source=lambda p: torch.exp(1j * p.x), conditions=[Dirichlet(0)]
    )
    trainer = small(problem, outputs=2, balance="gradients", resampling="rad")
    for stage in (Adam(steps=12), LBFGS(steps=10)):
        assert trainer.run(stage).end == "steps"
    assert trainer.history["loss"][-1] < trainer.history["loss"][0]


def test_solve_takes_the_options_and_says_so(transport):
    options = {"balance": "gradients", "causal": True, "resampling": "r3"}
    solution = solve(transport, points=100, steps=3, progress=False, device="cpu", **options)
    assert solution.provenance.method == "Adam 3 + LBFGS 3, balanced gradients, causal, r3 points"


WRONG = {
    "another balance": ({"balance": "gradient"}, "'gradients' or None, got 'gradient'. Did you mean 'gradients'"),
    "no name": ({"balance": 3}, "'gradients' or None, got 3"),
    "no bool": ({"causal": "yes"}, "True or False, got 'yes'"),
    "no time": ({"causal": True}, "no time axis t"),
    "another resampling": ({"resampling": "rda"}, "uniform, rad, r3; got 'rda'. Did you mean 'rad'"),
    "a list": ({"resampling": ["rad"]}, "uniform, rad, r3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options(poisson, name):
    options, says = WRONG[name]
    with pytest.raises(UsageError) as raised:
        Trainer(poisson, **options)
    assert says in str(raised.value)
