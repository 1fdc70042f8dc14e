"""What is wrong with a statement is said in one message, before any training."""

import math
import warnings

import pytest
import torch

from pinn_siren import (
    PML,
    Absorbing,
    Box,
    Dirichlet,
    Eikonal,
    Helmholtz,
    Initial,
    Neumann,
    Periodic,
    Poisson,
    Problem,
    Trainer,
    Wave,
)
from pinn_siren.check import StatementWarning
from pinn_siren.errors import ProblemError

SQUARE = Box(x=(0, 1), y=(0, 1))
STRING = Box(x=(0, 1), t=(0, 1))


class Mean(Problem):
    def residual(self, p, u):
        return u.laplacian - u.value.mean()


class Named(Problem):
    outputs = ("x",)

    def residual(self, p, u):
        return u.laplacian


class Heat(Problem):
    def residual(self, p, u):
        return u.t - u.laplacian


class Beam(Problem):
    """Second order in time, none of the built-in equations."""

    def residual(self, p, u):
        return u.tt + u.xxxx


def sine(p):
    return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)


def string(**changes):
    stated = {
        "domain": STRING,
        "speed": 1.0,
        "conditions": [Dirichlet(0), Initial(lambda p: torch.sin(torch.pi * p.x), rate=0)],
    }
    return Wave(**(stated | changes))


def poisson(**changes):
    stated = {
        "domain": SQUARE,
        "source": lambda p: -2 * torch.pi**2 * sine(p),
        "conditions": [Dirichlet(0)],
        "exact": sine,
    }
    return Poisson(**(stated | changes))


def helmholtz(**changes):
    stated = {"domain": SQUARE, "wavenumber": 9.0, "source": 1.0, "conditions": [Absorbing()]}
    return Helmholtz(**(stated | changes))


WRONG = {
    "speed negative": (lambda: string(speed=-1.0), "speed must be positive"),
    "speed zero somewhere": (lambda: string(speed=lambda p: torch.clamp(p.x - 0.5, min=0)), "speed must be positive"),
    "diffusion zero": (lambda: poisson(diffusion=0.0, exact=None), "diffusion must be positive"),
    "diffusion NaN": (lambda: poisson(diffusion=lambda p: torch.sqrt(p.x - 0.5)), "diffusion.*NaN"),
    "diffusion jumps": (
        lambda: poisson(diffusion=lambda p: torch.where(p.y > 0.377, 10.0, 1.0), exact=None),
        "diffusion jumps from 1 to 10 at y=0.377",
    ),
    "velocity negative": (lambda: Eikonal(domain=SQUARE, velocity=lambda p: p.x - 0.5, source=(1, 0)), "velocity must"),
    "reaction negative": (lambda: poisson(reaction=-4.0, exact=None), "reaction must not be negative"),
    "wavenumber zero": (lambda: helmholtz(wavenumber=0.0), "wavenumber must be positive"),
    "source infinite": (lambda: poisson(source=lambda p: 1 / (p.x - p.x), exact=None), r"source\(p\) is NaN"),
    "no rate": (lambda: string(conditions=[Dirichlet(0), Initial(0)]), "rate=0"),
    "no rate, own equation": (lambda: Beam(domain=STRING, conditions=[Initial(0)]), "rate=0"),
    "twice on a side": (lambda: poisson(conditions=[Dirichlet(0), Dirichlet(1, on="left")]), "Two Dirichlet.*'left'"),
    "nowhere on the boundary": (lambda: poisson(conditions=[Dirichlet(0, on=lambda p: p.x > 2)]), "matches none"),
    "incompatible fluxes": (
        lambda: poisson(source=1.0, conditions=[Neumann(0)], exact=None),
        "must balance the flux: its integral is 1",
    ),
    "not pointwise": (lambda: Mean(domain=SQUARE, conditions=[Dirichlet(0)]), "pointwise"),
    "exact, wrong sign": (lambda: poisson(exact=lambda p: -sine(p)), "exact does not satisfy the equation"),
    "exact, wrong factor": (lambda: poisson(exact=lambda p: 1.001 * sine(p)), "exact does not satisfy the equation"),
    "no condition on a side": (lambda: poisson(conditions=[Dirichlet(0, on="left")], exact=None), "right"),
    "no start": (lambda: string(conditions=[Dirichlet(0)]), "Initial"),
    "absorbing over a wall": (lambda: helmholtz(conditions=[Dirichlet(1, on="left"), Absorbing()]), "left"),
    "an output like an axis": (lambda: Named(domain=SQUARE, conditions=[Dirichlet(0)]), "'x' has the name of an axis"),
    "weight": (lambda: poisson(conditions=[Dirichlet(0, weight=-1.0)]), "weight of dirichlet must be a positive"),
    "exact of two outputs": (lambda: poisson(exact=lambda p: (sine(p), sine(p))), r"1 output\(s\), got 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_statement_is_an_error(name):
    make, says = WRONG[name]
    with pytest.raises(ProblemError, match=says):
        Trainer(make(), points=1000, progress=False, device="cpu")


DOUBTFUL = {
    "exact, wrong data": (lambda: poisson(conditions=[Dirichlet(0.1)]), "exact does not satisfy the dirichlet"),
    "exact, wrong start": (
        lambda: string(exact=lambda p: torch.sin(torch.pi * p.x) * torch.cos(torch.pi * p.t - 0.3)),
        "exact does not satisfy the initial",
    ),
    "corner": (lambda: string(conditions=[Dirichlet(1.0), Initial(0, rate=0)]), "disagree where they meet"),
    "corner, heat": (lambda: Heat(domain=STRING, conditions=[Dirichlet(0), Initial(lambda p: p.x)]), "x=1"),
    "resonance": (lambda: helmholtz(wavenumber=math.sqrt(5) * math.pi, conditions=[Dirichlet(0)]), "resonates"),
    "resonance, mixed": (
        lambda: helmholtz(
            domain=Box(x=(0, 1)), wavenumber=1.5 * math.pi, conditions=[Dirichlet(0, on="left"), Neumann(0, on="right")]
        ),
        "resonates",
    ),
    "free constant": (lambda: poisson(source=1.0, conditions=[Neumann(0.25)], exact=None), "zero mean"),
    "thin layer": (lambda: helmholtz(conditions=[PML(thickness=0.1)]), "quarter"),
    "few points": (lambda: helmholtz(wavenumber=90.0), "collocation points"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubtful_statement_warns(name):
    make, says = DOUBTFUL[name]
    with pytest.warns(StatementWarning, match=says):
        Trainer(make(), points=1000, progress=False, device="cpu")


RIGHT = {
    "poisson": poisson,
    "string": string,
    "helmholtz": helmholtz,
    "off resonance": lambda: helmholtz(conditions=[Dirichlet(0)]),
    "periodic": lambda: poisson(
        conditions=[Periodic("x"), Dirichlet(0, on="bottom"), Dirichlet(0, on="top")], exact=None
    ),
    "sides apart": lambda: poisson(conditions=[Dirichlet(0, on=s) for s in ("left", "right", "bottom", "top")]),
    "periodic exact": lambda: Poisson(
        domain=Box(x=(0, 1), y=(0, 1)),
        source=lambda p: -8 * torch.pi**2 * torch.sin(2 * torch.pi * p.x) * torch.sin(2 * torch.pi * p.y),
        conditions=[Periodic("x"), Dirichlet(0, on="bottom"), Dirichlet(0, on="top")],
        exact=lambda p: torch.sin(2 * torch.pi * p.x) * torch.sin(2 * torch.pi * p.y),
    ),
    "exact from a table": lambda: poisson(exact=lambda p: torch.from_numpy(sine(p).numpy())),
    "exact outside the layer": lambda: helmholtz(
        domain=Box(x=(0, 2)),
        source=0.0,
        conditions=[Dirichlet(1, on="left"), PML(0.5, on="right")],
        exact=lambda p: torch.exp(9j * p.x),
    ),
    "steep diffusion": lambda: poisson(diffusion=lambda p: 2 + torch.tanh(50 * (p.x - 0.3)), exact=None),
    "layer": lambda: helmholtz(conditions=[PML(thickness=0.3)]),
    "complex exact": lambda: helmholtz(
        source=0.0,
        conditions=[Dirichlet(lambda p: torch.exp(9j * p.x))],
        exact=lambda p: torch.exp(9j * p.x),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_statement_is_quiet(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Trainer(RIGHT[name](), points=1000, progress=False, device="cpu")
