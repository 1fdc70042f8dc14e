"""Wrong inputs, one a row: each ends in one message that says what came and what to do, and leaves nothing behind."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pinn_siren import (
    LBFGS,
    PML,
    Absorbing,
    Adam,
    Ball,
    Box,
    Condition,
    Dirichlet,
    Disk,
    Eikonal,
    Helmholtz,
    Initial,
    Neumann,
    Periodic,
    Points,
    Poisson,
    Polygon,
    Problem,
    Robin,
    Siren,
    Solution,
    Trainer,
    Wave,
    solve,
    solve_reference,
)
from pinn_siren.errors import NoReferenceError, PinnSirenError, ProblemError, ResidualError, StorageError, UsageError

SQUARE, LINE, STRING = Box(x=(0, 1), y=(0, 1)), Box(x=(0, 1)), Box(x=(0, 1), t=(0, 1))


def poisson(**changes):
    return Poisson(**({"domain": LINE, "source": -1.0, "conditions": [Dirichlet(0)]} | changes))


def wave(**changes):
    stated = {"domain": STRING, "speed": 1.0, "conditions": [Dirichlet(0), Initial(0, rate=0)]}
    return Wave(**(stated | changes))


def helmholtz(**changes):
    return Helmholtz(**({"domain": LINE, "wavenumber": 9.0, "source": 1.0, "conditions": [Absorbing()]} | changes))


def eikonal(**changes):
    return Eikonal(**({"domain": SQUARE, "velocity": 1.0, "source": (0.5, 0.5)} | changes))


def own(formula, **changes):
    """A problem of one unknown whose residual is a formula."""
    return type("Own", (Problem,), {"residual": lambda self, p, u: formula(p, u)})(
        **({"domain": LINE, "conditions": [Dirichlet(0)]} | changes)
    )


def two(**changes):
    body = {"outputs": ("u", "v"), "residual": lambda self, p, u, v: (u.xx, v.xx)}
    return type("Two", (Problem,), body)(**({"domain": LINE} | changes))


def start(problem, **arguments):
    return Trainer(problem, **({"points": 64, "progress": False, "device": "cpu"} | arguments))


def run(problem=None, **arguments):
    return solve(problem or poisson(), **({"points": 64, "progress": False, "device": "cpu", "steps": 2} | arguments))


def solution():
    return start(poisson()).solution()


STATEMENTS = {
    "domain is a tuple": (lambda: poisson(domain=(0, 1)), ProblemError, "tuple", "Box(x=(0, 1))"),
    "conditions is no list": (lambda: poisson(conditions=Dirichlet(0)), ProblemError, "conditions=[...]"),
    "conditions holds a number": (lambda: poisson(conditions=[0]), ProblemError, "int", "Dirichlet(0)"),
    "conditions is a number": (lambda: poisson(conditions=3), ProblemError, "int", "list"),
    "a condition as a class": (lambda: poisson(conditions=[Dirichlet]), ProblemError, "Dirichlet", "(...)"),
    "exact is a number": (lambda: poisson(exact=0.0), ProblemError, "exact", "float", "function"),
    "exact of another shape": (
        lambda: start(poisson(exact=lambda p: p.coordinates)), ProblemError, "exact", "(100, 1)", "trailing axis"
    ),
    "unknown argument": (lambda: poisson(sources=1.0), TypeError, "sources"),
    "source is text": (lambda: start(poisson(source="a")), ProblemError, "source", "str", "number or a function"),
    "source is None": (lambda: start(poisson(source=None)), ProblemError, "source", "NoneType"),
    "source is an array": (lambda: start(poisson(source=np.ones(3))), ProblemError, "source", "ndarray"),
    "source is NaN": (lambda: start(poisson(source=math.nan)), ProblemError, "source", "NaN", "nan"),
    "source returns an array": (
        lambda: start(poisson(source=lambda p: np.ones(len(p)))), ProblemError, "source(p)", "ndarray", "tensor"
    ),
    "source has a trailing axis": (
        lambda: start(poisson(source=lambda p: p.coordinates)), ProblemError, "source(p)", "trailing axis"
    ),
    "source takes no points": (lambda: start(poisson(source=lambda: 1.0)), ProblemError, "source", "argument"),
    "source is complex": (lambda: start(poisson(source=1j)), ResidualError, "complex", "complex_valued"),
    "diffusion is NaN": (lambda: start(poisson(diffusion=math.nan)), ProblemError, "diffusion", "nan"),
    "wrong axis letter": (
        lambda: start(poisson(source=lambda p: p.z, domain=SQUARE)), ProblemError, "p.z", "axes x, y"
    ),
    "axis of a longer name": (lambda: Box(xx=(0, 1)), ProblemError, "'xx'", "one lowercase letter"),
    "bounds the wrong way round": (lambda: Box(x=(1, 0)), ProblemError, "(1, 0)", "ascending"),
    "bounds of one number": (lambda: Box(x=1), ProblemError, "got 1", "x=(0, 1)"),
    "bounds that are NaN": (lambda: Box(x=(0, math.nan)), ProblemError, "nan", "finite"),
    "bounds by position": (lambda: Box((0, 1)), TypeError, "positional"),
    "no axis": (lambda: Box(), ProblemError, "at least one axis"),
    "radius zero": (lambda: Disk(radius=0), ProblemError, "positive radius", "0"),
    "center of a ball in the plane": (lambda: Ball(center=(0, 0)), ProblemError, "3 numbers", "(0, 0)"),
    "polygon of two vertices": (lambda: Polygon([(0, 0), (1, 0)]), ProblemError, "three or more vertices"),
    "polygon that crosses itself": (
        lambda: Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), ProblemError, "cross"
    ),
    "a hole as large as the domain": (lambda: Disk() - Disk(radius=2), ProblemError, "empty"),
    "a domain minus a number": (lambda: Disk() - 1, ProblemError, "two domains", "int"),
    "a domain times a number": (lambda: Disk() * 2, ProblemError, "Box(t=(0, T))", "2"),
    "wave without time": (lambda: wave(domain=LINE), ProblemError, "time axis t", "Box(x=(0, 1))"),
    "eikonal with time": (lambda: eikonal(domain=STRING), ProblemError, "space axes only"),
    "eikonal source is text": (lambda: eikonal(source="a"), ProblemError, "source", "(x, y)", "'a'"),
    "eikonal source is a dict": (lambda: eikonal(source={"x": 1}), ProblemError, "source", "(x, y)", "{'x': 1}"),
    "eikonal source is ragged": (lambda: eikonal(source=[(1, 0), (1,)]), ProblemError, "source", "(x, y)"),
    "eikonal source of one number": (lambda: eikonal(source=0.5), ProblemError, "source", "(x, y)", "0.5"),
    "eikonal source is NaN": (lambda: eikonal(source=(math.nan, 0)), ProblemError, "source", "nan"),
    "eikonal source outside": (lambda: eikonal(source=(2, 0)), ProblemError, "(2.0, 0.0)", "outside"),
    "eikonal without a start": (lambda: eikonal(source=None), ProblemError, "source=", "surface="),
    "velocity is text": (lambda: eikonal(velocity="fast"), ProblemError, "velocity", "str"),
    "wavenumber is a function": (lambda: helmholtz(wavenumber=lambda p: p.x), ProblemError, "wavenumber", "speed="),
    "wavenumber is NaN": (lambda: helmholtz(wavenumber=math.nan), ProblemError, "wavenumber", "positive", "nan"),
    "speed is text": (lambda: start(wave(speed="fast")), ProblemError, "speed", "str"),
}  # fmt: skip

CONDITIONS = {
    "unknown side": (
        lambda: start(poisson(conditions=[Dirichlet(0, on="lefft")])), ProblemError, "'lefft'", "left, right",
        "Did you mean 'left'",
    ),
    "side of another axis": (
        lambda: start(poisson(conditions=[Dirichlet(0, on="top")])), ProblemError, "'top'", "left, right"
    ),
    "a list of sides": (
        lambda: start(poisson(conditions=[Dirichlet(0, on=["left"])])), ProblemError, "['left']", "a condition each"
    ),
    "on is no mask": (
        lambda: start(poisson(conditions=[Dirichlet(0, on=lambda p: p.x)])), ProblemError, "bool", "float64"
    ),
    "on is a domain elsewhere": (
        lambda: start(poisson(domain=SQUARE, conditions=[Dirichlet(0, on=Disk(center=(9, 9)))])),
        ProblemError, "shares no boundary", "hole",
    ),
    "Dirichlet of text": (lambda: start(poisson(conditions=[Dirichlet("0")])), ProblemError, "Dirichlet", "str"),
    "Dirichlet of NaN": (lambda: start(poisson(conditions=[Dirichlet(math.nan)])), ProblemError, "Dirichlet", "nan"),
    "Robin with text": (lambda: start(poisson(conditions=[Robin("a", 1, 0)])), ProblemError, "'a'", "number"),
    "Neumann has no value": (lambda: Neumann(), TypeError, "value"),
    "which output": (lambda: start(two(conditions=[Dirichlet(0)])), ProblemError, "output=", "u, v"),
    "unknown output": (
        lambda: start(two(conditions=[Dirichlet(0, output="w")])), ProblemError, "'w'", "u, v"
    ),
    "output of the only unknown": (
        lambda: start(poisson(conditions=[Dirichlet(0, output="uu")])), ProblemError, "'uu'", "Did you mean 'u'"
    ),
    "periodic along no axis": (
        lambda: start(poisson(conditions=[Periodic("z")])), ProblemError, "'z'", "use x"
    ),
    "periodic in time": (lambda: start(wave(conditions=[Periodic("t")])), ProblemError, "'t'", "use x"),
    "periodic without quotes": (lambda: start(poisson(conditions=[Periodic(1)])), ProblemError, "1", "use x"),
    "initial without time": (lambda: start(poisson(conditions=[Initial(0)])), ProblemError, "no time axis"),
    "layer in a Poisson problem": (
        lambda: start(poisson(conditions=[PML(0.1)])), ProblemError, "PML", "Absorbing()"
    ),
    "layer of no thickness": (
        lambda: start(helmholtz(conditions=[PML(0)])), ProblemError, "thickness", "positive"
    ),
    "layer thicker than the domain": (
        lambda: start(helmholtz(conditions=[PML(0.6)])), ProblemError, "physical region", "enlarge"
    ),
    "thickness is text": (lambda: PML("thick"), ProblemError, "thickness", "'thick'"),
    "layer on an unknown side": (
        lambda: start(helmholtz(conditions=[PML(0.3, on="rihgt")])), ProblemError, "'rihgt'", "Did you mean 'right'"
    ),
    "layers that amplify": (lambda: PML(0.1, strength=-1), ProblemError, "strength", "positive"),
    "absorbing of what waves": (
        lambda: start(poisson(conditions=[Absorbing()])), ProblemError, "Poisson", "speed=", "wavenumber="
    ),
    "condition without a function": (
        lambda: start(poisson(conditions=[Condition(3.0)])), ProblemError, "Condition", "float", "function"
    ),
    "condition of another shape": (
        lambda: start(poisson(conditions=[Condition(lambda p, u: u.value[:, None])])), ResidualError, "trailing axis"
    ),
    "weight is text": (
        lambda: start(poisson(conditions=[Dirichlet(0, weight="big")])), ProblemError, "weight", "'big'"
    ),
    "weight is NaN": (
        lambda: start(poisson(conditions=[Dirichlet(0, weight=math.nan)])), ProblemError, "weight", "nan"
    ),
}  # fmt: skip

RESIDUALS = {
    "no residual": (lambda: start(Problem(domain=LINE)), ProblemError, "no residual", "residual(self, p, u)"),
    "unknown derivative": (lambda: start(own(lambda p, u: u.lapalcian)), ProblemError, "lapalcian", "'laplacian'"),
    "derivative along another axis": (lambda: start(own(lambda p, u: u.xy)), ProblemError, "u.xy", "axes x"),
    "fifth derivative": (lambda: start(own(lambda p, u: u.xxxxx)), ProblemError, "order", "4"),
    "the field without .value": (lambda: start(own(lambda p, u: u.xx - u)), ProblemError, "u.value"),
    "returns the field": (lambda: start(own(lambda p, u: u)), ResidualError, "Jet", "u.value"),
    "returns nothing": (lambda: start(own(lambda p, u: None)), ResidualError, "NoneType", "tensor"),
    "returns one number": (lambda: start(own(lambda p, u: u.xx.sum())), ResidualError, "got ()", "shape (3,)"),
    "another dtype": (lambda: start(own(lambda p, u: u.xx.to(torch.float32))), ResidualError, "float32", "float64"),
    "another device": (lambda: start(own(lambda p, u: u.xx.to("meta"))), ResidualError, "meta", "cpu"),
    "a column": (lambda: start(own(lambda p, u: u.xx - p.coordinates)), ResidualError, "(3, 3)", ".squeeze(-1)"),
    "no function of the network": (lambda: start(own(lambda p, u: p.x)), ProblemError, "derivative", "u"),
    "root of a negative number": (
        lambda: start(own(lambda p, u: u.xx - torch.sqrt(p.x - 2))), ResidualError, "NaN"
    ),
    "outputs is one text": (
        lambda: type("Two", (Problem,), {"outputs": "uv"})(domain=LINE), ProblemError, "outputs", '("uv",)'
    ),
    "ansatz returns a tensor": (
        lambda: start(own(lambda p, u: u.xx, ansatz=lambda p, u: u.value)), ProblemError, "ansatz", "jet", "Tensor"
    ),
    "ansatz mixes in a tensor": (
        lambda: start(own(lambda p, u: u.xx, ansatz=lambda p, u: p.coordinates[:, 0] * u)), ProblemError, "jet"
    ),
}  # fmt: skip

ARGUMENTS = {
    "solve a number": (lambda: solve(3), UsageError, "Problem", "int"),
    "solve a class": (lambda: solve(Poisson), UsageError, "Problem", "Poisson", "(...)"),
    "tolerance is text": (lambda: run(tolerance="x"), UsageError, "tolerance", "'x'", "number"),
    "tolerance is zero": (lambda: run(tolerance=0), UsageError, "tolerance", "positive", "0"),
    "tolerance is NaN": (lambda: run(tolerance=math.nan), UsageError, "tolerance", "nan"),
    "budget is text": (lambda: run(budget="an hour"), UsageError, "budget", "'an hour'", "seconds"),
    "budget is negative": (lambda: run(budget=-1), UsageError, "budget", "-1"),
    "steps is zero": (lambda: run(steps=0), UsageError, "steps", "0", "at least 1"),
    "steps is a fraction": (lambda: run(steps=1.5), UsageError, "steps", "whole number", "1.5"),
    "steps is text": (lambda: run(steps="many"), UsageError, "steps", "whole number", "'many'"),
    "points is text": (lambda: run(points="many"), UsageError, "points", "whole number", "'many'"),
    "points are few": (lambda: run(points=3), UsageError, "points", "16", "3"),
    "seed is text": (lambda: run(seed="a"), UsageError, "seed", "whole number", "'a'"),
    "seed is a fraction": (lambda: run(seed=0.5), UsageError, "seed", "whole number", "0.5"),
    "seed is negative": (lambda: run(seed=-1), UsageError, "seed", "-1"),
    "unknown method": (lambda: run(method="lbgfs"), UsageError, "'lbgfs'", "auto, adam", "Did you mean 'lbfgs'"),
    "method is None": (lambda: run(method=None), UsageError, "method", "None", "auto, adam"),
    "unknown device": (lambda: run(device="abacus"), UsageError, "'abacus'", "use cpu"),
    "device is a number": (lambda: run(device=1.5), UsageError, "1.5", "use cpu"),
    "dtype is text": (lambda: run(dtype="float64"), UsageError, "torch.float64", "'float64'"),
    "dtype is too short": (lambda: run(dtype=torch.float16), UsageError, "torch.float64", "torch.float16"),
    "unknown scheme": (lambda: start(poisson(), scheme="sobo"), UsageError, "'sobo'", "Did you mean 'sobol'"),
    "network is a class": (lambda: run(network=Siren), UsageError, "network", "Siren", "(...)"),
    "network is text": (lambda: run(network="siren"), UsageError, "network", "Module", "str"),
    "network of other inputs": (lambda: run(network=Siren(2, 1, width=8)), UsageError, "1 inputs", "got 2"),
    "own network of other inputs": (lambda: run(network=nn.Linear(2, 1)), UsageError, "1 inputs", "network"),
    "network of other outputs": (lambda: run(network=Siren(1, 2, width=8)), UsageError, "1 outputs", "got 2"),
    "network of unknown functions": (
        lambda: run(network=nn.Sequential(nn.Linear(1, 8), nn.Hardshrink(), nn.Linear(8, 1))),
        ProblemError, "hardshrink", "known derivatives",
    ),
    "trainer of a number": (lambda: Trainer(3), UsageError, "Problem", "int"),
    "stage by name": (lambda: start(poisson()).run("adam"), UsageError, "stage", "Adam(steps=", "str"),
    "stage class": (lambda: start(poisson()).run(Adam), UsageError, "stage", "Adam(steps="),
    "width is zero": (lambda: Siren(1, 1, width=0), UsageError, "positive", "width=0"),
    "width is a fraction": (lambda: Siren(1, 1, width=8.5), UsageError, "width=8.5", "whole"),
    "inputs is text": (lambda: Siren("x", 1), UsageError, "inputs='x'", "whole"),
    "omega is zero": (lambda: Siren(1, 1, omega=0), UsageError, "omega", "positive"),
    "omega is text": (lambda: Siren(1, 1, omega="high"), UsageError, "omega", "'high'"),
    "omegas for other layers": (lambda: Siren(1, 1, depth=3, omega=[1.0, 2.0]), UsageError, "omega", "3", "[1.0, 2.0]"),
    "Adam of no steps": (lambda: Adam(steps=0), UsageError, "steps", "0"),
    "Adam of a negative rate": (lambda: Adam(lr=-1), UsageError, "learning rate", "-1"),
    "Adam of a rate in words": (lambda: Adam(lr="slow"), UsageError, "learning rate", "'slow'"),
    "Adam's schedule": (lambda: Adam(schedule="cosin"), UsageError, "'cosin'", "Did you mean 'cosine'"),
    "L-BFGS of a fraction of steps": (lambda: LBFGS(steps=1.5), UsageError, "steps", "1.5"),
    "L-BFGS without a history": (lambda: LBFGS(history=0), UsageError, "history", "0"),
    "resample is negative": (lambda: Adam(resample=-1), UsageError, "resample", "-1"),
    "points of other axes": (
        lambda: solution()(Points(("y",), torch.zeros(1, 1))), UsageError, "('y',)", "('x',)"
    ),
    "points of another shape": (lambda: solution()([0.5]), UsageError, "(n, 1)", "[[x]]"),
    "points of text": (lambda: solution()([["a"]]), UsageError, "numbers", "(n, 1)"),
    "derivative of a solution": (
        lambda: solution().jet([[0.5]], ["y"]), ProblemError, "u.y", "axes are x"
    ),
    "no reference to be had": (lambda: solve_reference(own(lambda p, u: u.xx)), NoReferenceError, "Own", "reference="),
    "resolution too small": (lambda: solve_reference(poisson(), 2), ProblemError, "resolution=2", "at least 4"),
    "resolution is text": (lambda: solve_reference(poisson(), "fine"), ProblemError, "resolution", "'fine'"),
    "no folder to load": (lambda: Solution.load("nowhere"), StorageError, "report.json", "solve wrote"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::pinn_siren.check.StatementWarning")
@pytest.mark.parametrize("name", [*STATEMENTS, *CONDITIONS, *RESIDUALS, *ARGUMENTS])
def test_in_python(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    do, kind, *says = (STATEMENTS | CONDITIONS | RESIDUALS | ARGUMENTS)[name]
    with pytest.raises(kind) as raised:
        do()
    # A word that Python itself refuses needs no message of ours.
    assert type(raised.value) is kind and (isinstance(raised.value, PinnSirenError) or kind is TypeError)
    message = str(raised.value)
    assert [word for word in says if word not in message] == [], message
    assert list(tmp_path.iterdir()) == []
