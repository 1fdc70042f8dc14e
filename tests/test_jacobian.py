"""Jacobian rows against autograd, one row at a time through the plain loss path."""

import pytest
import torch
from torch import nn

from pinn_siren import (
    MLP,
    Box,
    Dirichlet,
    GaussianRBF,
    Helmholtz,
    Integral,
    Neumann,
    Periodic,
    Poisson,
    Problem,
    Siren,
    Trainer,
)
from pinn_siren.errors import UsageError
from pinn_siren.optimizers import jacobian
from pinn_siren.optimizers.jacobian import Rows

SQUARE = Box(x=(0, 1), y=(0, 1))


class Plate(Problem):
    def residual(self, p, u):
        return u.xxxx + 2 * u.xxyy + u.yyyy + u.value**2 - p.x


class Pair(Problem):
    outputs = ("u", "v")

    def residual(self, p, u, v):
        return u.xx + v.y * u.value - 1, v.yy - u.x * p.y


class Envelope(Problem):
    complex_valued = True

    def residual(self, p, u):
        return 1j * u.x + u.yy + u.value.abs() ** 2 * u.value - p.x


class Scaled(nn.Module):
    """Parameters used as factors and shifts, not in linear layers alone."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 5).double(), nn.Linear(5, 1).double()
        self.factor = nn.Parameter(torch.linspace(0.5, 1.5, 5, dtype=torch.float64))
        self.mixing = nn.Parameter(torch.linspace(-1, 1, 25, dtype=torch.float64).reshape(5, 5))

    def forward(self, x):
        return self.last(torch.sin(torch.tanh(self.first(x)) * self.factor @ self.mixing))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(2, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 1)
        self.double()

    def forward(self, x):
        return self.last(torch.sin(self.middle(torch.sin(self.middle(torch.sin(self.first(x)))))))


def poisson():
    return Poisson(domain=SQUARE, source=lambda p: p.x, conditions=[Dirichlet(0)])


def siren(outputs=1, inputs=2):
    return Siren(inputs, outputs, width=6, depth=2, omega=3.0, generator=torch.Generator().manual_seed(0))


def helmholtz():
    return Helmholtz(domain=SQUARE, wavenumber=4.0, source=1j, conditions=[Dirichlet(1)])


def strip():
    ends = [Dirichlet(0, on="top"), Dirichlet(0, on="bottom")]
    return Poisson(domain=SQUARE, source=1.0, conditions=[Periodic("x"), *ends])


CASES = {
    "ansatz": lambda: (poisson(), siren(), "auto"),
    "soft": lambda: (poisson(), siren(), "soft"),
    "order 4": lambda: (Plate(domain=SQUARE, conditions=[Dirichlet(0), Neumann(0)]), siren(), "auto"),
    "system": lambda: (Pair(domain=SQUARE, conditions=[Dirichlet(0, output="u")]), siren(2), "auto"),
    "complex": lambda: (Envelope(domain=SQUARE, conditions=[Dirichlet(1j)]), siren(2), "soft"),
    "helmholtz": lambda: (helmholtz(), siren(2), "auto"),
    "mean": lambda: (Poisson(domain=SQUARE, source=1.0, conditions=[Integral(lambda p, u: u.value, 0.5)]), siren(),
                     "auto"),
    "faces": lambda: (strip(), siren(), "soft"),
    "encoding": lambda: (poisson(), MLP(2, 1, width=5, depth=2, encoding=2), "auto"),
    "radial": lambda: (poisson(), nn.Sequential(GaussianRBF(2, 4), nn.Linear(4, 1)), "auto"),
    "factors": lambda: (poisson(), Scaled(), "auto"),
    "tied": lambda: (poisson(), Tied(), "auto"),
    "no bias": lambda: (poisson(), nn.Sequential(nn.Linear(2, 5, bias=False), nn.Tanh(), nn.Linear(5, 1)), "soft"),
}  # fmt: skip


def rows_of(name, n=40):
    torch.manual_seed(3)
    problem, network, conditions = CASES[name]()
    trainer = Trainer(problem, network, points=n, conditions=conditions, progress=False)
    trainer.objective.resample()
    return Rows(trainer.objective, trainer.objective.points)


def by_autograd(rows):
    """Each row's gradient, from the residual's parts as the loss sees them."""
    objective, found = rows.objective, []
    for c in objective.system.constraints:
        parts = objective.system.parts(c, rows.points[c.name], objective.model)
        split = [half for p in parts for half in ((p.real, p.imag) if p.is_complex() else (p,))]
        numbers = [i for i, p in enumerate(parts) for _ in range(1 + p.is_complex())]
        table = torch.stack(split, 1) * rows._factors(c, numbers, len(split[0]))
        for value in (table.mean(0) if c.reduce == "mean" else table).reshape(-1):
            grads = torch.autograd.grad(value, rows.parameters, retain_graph=True, allow_unused=True)
            found.append(torch.cat([torch.zeros_like(p).reshape(-1) if g is None else g.reshape(-1)
                                    for p, g in zip(rows.parameters, grads, strict=True)]))  # fmt: skip
    return torch.stack(found)


@pytest.mark.parametrize("name", CASES)
def test_rows_are_those_of_autograd(name, monkeypatch):
    rows = rows_of(name)
    monkeypatch.setattr(jacobian, "CHUNK", 17 * rows.size)
    chunks = list(rows.chunks(rows.where()))
    values, slopes = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    torch.testing.assert_close(values, rows.values(), rtol=1e-12, atol=1e-14)
    expected = by_autograd(rows)
    assert (slopes - expected).abs().max() <= 1e-12 * expected.abs().max()


@pytest.mark.parametrize("name", ["ansatz", "complex", "mean", "system"])
def test_the_squared_length_is_the_loss(name):
    rows = rows_of(name)
    loss = torch.stack(list(rows.objective.terms().values())).sum()
    torch.testing.assert_close(rows.values().square().sum(), loss.detach(), rtol=1e-12, atol=0)


def test_parameters_of_an_ansatz_are_refused():
    class Held(nn.Module):
        def __init__(self):
            super().__init__()
            self.power = nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, p, u):
            return u * self.power

    problem = Poisson(domain=SQUARE, source=1.0, conditions=[Dirichlet(0)], ansatz=Held())
    trainer = Trainer(problem, siren(), points=20, progress=False)
    trainer.objective.resample()
    with pytest.raises(UsageError, match="ansatz"):
        Rows(trainer.objective, trainer.objective.points)
