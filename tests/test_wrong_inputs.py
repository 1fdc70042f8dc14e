"""Wrong inputs, one a row: each ends in one message that says what came and what to do, and leaves nothing behind."""

import math
import shutil
import sys

import h5py
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
from pinn_siren.cli import entry
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
    "a condition as a class": (lambda: poisson(conditions=[Dirichlet]), ProblemError, "class, Dirichlet", "(...)"),
    "exact is a number": (lambda: poisson(exact=0.0), ProblemError, "exact", "float", "function"),
    "exact of another shape": (
        lambda: start(poisson(exact=lambda p: p.coordinates)), ProblemError, "exact", "(100, 1)", "trailing axis"
    ),
    "unknown argument": (lambda: poisson(sources=1.0), TypeError, "sources"),
    "source is text": (lambda: start(poisson(source="a")), ProblemError, "source", "str", "number or a function"),
    "source is None": (lambda: start(poisson(source=None)), ProblemError, "source", "NoneType"),
    "source is an array": (lambda: start(poisson(source=np.ones(3))), ProblemError, "source", "ndarray"),
    "source is NaN": (lambda: start(poisson(source=math.nan)), ProblemError, "source", "finite", "nan"),
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
        lambda: Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), ProblemError, "simple", "in order"
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
    "returns one number": (lambda: start(own(lambda p, u: u.xx.sum())), ResidualError, "got ()", "tensor of shape"),
    "another dtype": (lambda: start(own(lambda p, u: u.xx.to(torch.float32))), ResidualError, "float32", "float64"),
    "another device": (lambda: start(own(lambda p, u: u.xx.to("meta"))), ResidualError, "meta", "cpu"),
    "a column": (lambda: start(own(lambda p, u: u.xx - p.coordinates)), ResidualError, "(200, 200)", ".squeeze(-1)"),
    "no unknown in it": (lambda: start(own(lambda p, u: p.x)), ProblemError, "does not depend on u", "u.laplacian"),
    "root of a negative number": (
        lambda: start(own(lambda p, u: u.xx - torch.sqrt(p.x - 2))), ResidualError, "NaN"
    ),
    "outputs is one text": (
        lambda: type("Two", (Problem,), {"outputs": "uv"})(domain=LINE), ProblemError, "outputs", '("u",)', "'uv'"
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
    "unknown method": (lambda: run(method="lbgfs"), UsageError, "least-squares", "Did you mean 'lbfgs'"),
    "method is None": (lambda: run(method=None), UsageError, "method", "None", "auto, least-squares"),
    "unknown device": (lambda: run(device="abacus"), UsageError, "'abacus'", "use cpu"),
    "device is a number": (lambda: run(device=1.5), UsageError, "1.5", "use cpu"),
    "dtype is text": (lambda: run(dtype="float64"), UsageError, "torch.float64", "'float64'"),
    "dtype is too short": (lambda: run(dtype=torch.float16), UsageError, "torch.float64", "torch.float16"),
    "unknown scheme": (lambda: start(poisson(), scheme="sobo"), UsageError, "'sobo'", "Did you mean 'sobol'"),
    "network is a class": (lambda: run(network=Siren), UsageError, "network", "Siren", "(...)"),
    "network is text": (lambda: run(network="siren"), UsageError, "network", "Module", "str"),
    "network of other inputs": (lambda: run(network=Siren(2, 1, width=8)), UsageError, "1 inputs", "got 2"),
    "own network of other inputs": (lambda: run(network=nn.Linear(2, 1)), UsageError, "1 inputs", "layer"),
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
    "no reference to be had": (
        lambda: solve_reference(own(lambda p, u: u.xx, conditions=[])), NoReferenceError, "0 condition(s)", "reference="
    ),
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


OWN = """
import torch
from pinn_siren import Box, Dirichlet, Problem

class Screened(Problem):
    mass: float
    def residual(self, p, u):
        return u.laplacian - self.mass**2 * u.value + 1

problem = Screened(domain=Box(x=(0, 1), y=(0, 1)), conditions=[Dirichlet(0)], mass=2.0)
"""
FUNCTION = """
from pinn_siren import Box, Dirichlet, Poisson

def problem(charge: float = 1.0, length: float = 1.0):
    return Poisson(domain=Box(x=(0, length)), source=-charge, conditions=[Dirichlet(0)])
"""
ODD = FUNCTION.replace("length: float", "length: 'Metres'")
FIT = """
from pinn_siren import Box, Data, Problem

problem = Problem(domain=Box(x=(0, 1)), conditions=[Data([[0.1], [0.5], [0.9]], [1.0, 2.0, 1.5])])
"""
STILL = """
from pinn_siren import Box, Dirichlet, Initial, Wave

problem = Wave(domain=Box(x=(0, 1), t=(0, 1)), speed=1.0, conditions=[Dirichlet(0), Initial(0)])
"""
SOLVE = "solve mine.py --quiet --device cpu --points 64 --steps 5"


def swapped(old, new):
    assert old in OWN
    return OWN.replace(old, new)


FILES = {
    "no python": ("this is no python", "mine.py, line 1", "no valid Python"),
    "half a file": (OWN[: OWN.index("conditions=[") + 12], "mine.py, line 10", "no valid Python", "never closed"),
    "binary": ("\x00\x01", "no", "Python"),
    "empty": ("", "sets no `problem`", "problem = MyEquation("),
    "problem is a number": ("problem = 3\n", "int", "expected a Problem"),
    "problem is a list": ("problem = []\n", "list", "expected a Problem"),
    "problem is a class": (
        swapped("problem = Screened(", "made = Screened(") + "problem = Screened",
        "the class Screened", "problem = Screened(",
    ),
    "a module that is not installed": ("import pinn_siran\n", "line 1", "ModuleNotFoundError", "pinn_siran"),
    "raises": ("import torch\n\nproblem = 1 / 0\n", "line 3", "ZeroDivisionError"),
    "ends Python": ("raise SystemExit(0)\n", "__main__"),
    "name that is not set": (swapped("mass=2.0", "mass=m"), "line 10", "NameError", "'m'"),
    "field of another name": (swapped("mass=2.0", "mess=2.0"), "line 10", "mess"),
    "field without a value": (swapped(", mass=2.0", ""), "line 10", "mass"),
    "conditions is no list": (swapped("[Dirichlet(0)]", "Dirichlet(0)"), "conditions=[...]"),
    "a method hides a field": (
        swapped("    mass: float", "    def exact(self, p): return p.x\n    mass: float"), "Screened(exact=...)"
    ),
    "a second dataclass": (
        swapped("class Screened", "from dataclasses import dataclass\n@dataclass\nclass Screened"),
        "remove the @dataclass",
    ),
    "residual raises": (swapped("self.mass**2", "self.weight**2"), "line 8", "AttributeError", "weight"),
    "residual takes no u": (swapped("(self, p, u)", "(self, p)"), "residual(p, u)", "takes 2 positional arguments"),
    "residual of another letter": (swapped("u.laplacian", "u.xq"), "line 8", "axes x, y"),
    "residual of another name": (swapped("u.laplacian", "u.laplacien"), "line 8", "Did you mean 'laplacian'"),
    "residual of another shape": (swapped("u.value + 1", "u.value[:, None] + 1"), "trailing axis"),
    "residual of another dtype": (swapped("u.value + 1", "u.value + 1j"), "complex_valued = True"),
    "residual of NaN": (swapped("u.value + 1", "u.value + torch.log(-p.x)"), "NaN", "division by zero"),
    "exact is a torch function": (swapped("mass=2.0", "mass=2.0, exact=torch.sin"), "exact(p)", "Points"),
    "condition of the wrong side": (swapped("Dirichlet(0)", "Dirichlet(0, on='lef')"), "'lef'", "Did you mean 'left'"),
    "condition raises": (swapped("Dirichlet(0)", "Dirichlet(lambda p: p.q)"), "line 10", "p.q", "x, y"),
    "wave without a rate": (STILL, "rate=0"),
    "function that returns nothing": ("def problem():\n    pass\n", "must return a Problem", "NoneType"),
    "function that needs an argument": ("def problem(k):\n    pass\n", "default"),
    "function that raises": ("def problem(k: int = 0):\n    return 1 / k\n", "line 2", "ZeroDivisionError"),
}  # fmt: skip

LINES = {
    "no command": ("", "Name a command", "solve, check"),
    "unknown command": ("slove mine.py", "'slove'", "Did you mean 'solve'"),
    "an option before the command": ("--quiet solve mine.py", "'--quiet'", "solve, check"),
    "no file": ("solve", "at least one problem file"),
    "a missing file": ("solve min.py", "no file min.py", "Did you mean 'mine.py'", "pinn-siren new"),
    "a missing file, checked": ("check nowhere/mine.py", "no file nowhere/mine.py"),
    "a folder": ("solve .", "is a folder", "my_equation.py"),
    "a file of another kind": ("solve notes.txt", "notes.txt", ".py"),
    "the same file twice": ("solve mine.py mine.py --out kept", "Two files are called mine", "--out"),
    "unknown option": ("solve mine.py --tolerence 1e-2", "--tolerence", "Did you mean '--tolerance'"),
    "unknown option first": ("solve --tolerence 1e-2 mine.py", "--tolerence", "Did you mean '--tolerance'"),
    "unknown short option": ("solve mine.py -o kept", "-o is no option"),
    "option of another command": ("verify kept --steps 3", "--steps is no option of pinn-siren verify"),
    "unknown option of a function": (
        "solve own.py --chrage 3", "--chrage", "--charge, --length", "Did you mean '--charge'"
    ),
    "text for a function's number": ("solve own.py --charge much", "--charge takes a number", "'much'"),
    "function's option without a value": ("check own.py --charge", "--charge needs a value", "a number"),
    "function's option of no known kind": ("check odd.py --charge 3", "odd.py", "problem()", "float, str or bool"),
    "unknown method": ("solve mine.py --method lbgfs", "--method", "least-squares", "Did you mean 'lbfgs'"),
    "unknown dtype": ("solve mine.py --dtype float16", "--dtype", "float64, float32", "'float16'"),
    "unknown device": ("solve mine.py --quiet --device abacus", "'abacus'", "use cpu"),
    "unknown requirement": ("solve mine.py --require certifed", "--require", "Did you mean 'certified'"),
    "tolerance of zero": ("solve mine.py --quiet --tolerance 0", "tolerance", "positive", "0"),
    "tolerance of NaN": ("solve mine.py --quiet --tolerance nan", "tolerance", "nan"),
    "tolerance in words": ("solve mine.py --tolerance tight", "--tolerance takes a number", "'tight'"),
    "steps of zero": ("solve mine.py --quiet --steps 0", "steps", "at least 1", "0"),
    "steps in powers of ten": ("solve mine.py --steps 1e3", "--steps takes a whole number", "'1e3'"),
    "steps without a value": ("solve mine.py --steps --quiet", "--steps needs a value"),
    "few points": ("solve mine.py --quiet --points 3", "points", "16", "3"),
    "a negative budget": ("solve mine.py --quiet --budget -1", "budget", "positive", "-1"),
    "a negative seed": ("solve mine.py --quiet --seed -1", "seed", "-1"),
    "an output folder that is a file": (SOLVE + " --out notes.txt", "notes.txt", "--out"),
    "an output folder below a file": (SOLVE + " --out notes.txt/below", "notes.txt/below", "--out"),
    "resolution too small": ("reference own.py --resolution 2", "resolution=2", "at least 4"),
    "no reference to be had": ("reference fit.py", "no equation", "reference="),
    "compare without a file": ("compare", "at least one problem file"),
    "compare an unknown method": ("compare mine.py --methods lbgfs,adam", "'lbgfs'", "Did you mean 'lbfgs'"),
    "compare no method": ("compare mine.py --methods ,", "got none", "least-squares"),
    "compare an unknown network": ("compare mine.py --networks sirne", "'sirne'", "Did you mean 'siren'", "relu-pe"),
    "compare with methods and networks": ("compare mine.py --networks siren --methods adam", "--methods", "--networks"),
    "compare networks to a tolerance": ("compare own.py --networks tanh --tolerance 1", "--tolerance", "no meaning"),
    "compare methods of a width": ("compare mine.py --width 8", "--width belongs to --networks"),
    "compare with no seed": ("compare mine.py --seeds 0", "seeds", "at least 1", "0"),
    "compare with a budget of zero": ("compare mine.py --budget 0", "budget", "positive"),
    "compare networks of no width": ("compare mine.py --networks siren --width 0", "width", "at least 1"),
    "compare networks on no device": ("compare mine.py --networks siren --device abacus", "'abacus'", "use cpu"),
    "compare unknown option": ("compare mine.py --methid adam", "--methid", "Did you mean '--methods'"),
    "no folder": ("verify", "at least one folder"),
    "a missing folder": ("verify kpt", "no folder kpt", "Did you mean 'kept'"),
    "a file for a folder": ("plot kept/solution.h5", "is a file", "kept"),
    "a folder without results": ("verify empty", "empty/report.json", "solve wrote"),
    "a folder without a solution": ("plot empty", "empty/solution.h5", "pinn-siren solve"),
    "new without a name": ("new", "pinn-siren new my_equation.py"),
    "new over a file": ("new mine.py", "mine.py is there already", "another file"),
    "new over a file, without .py": ("new mine", "mine.py is there already"),
    "new of two names": ("new one.py two.py", "'two.py'"),
    "new in no folder": ("new nowhere/one.py", "no folder nowhere", "Create it"),
    "new as a folder": ("new empty", "is a folder"),
    "new that hides a module": ("new torch.py", "hide", "torch_equation.py"),
    "completion for what": ("completion", "completion bash"),
    "completion for another shell": ("completion fish", "'fish'", "bash"),
}  # fmt: skip


def other_checkpoint(kept):
    made = {"equation": "Screened", "domain": "Box(x=(0, 1), y=(0, 1))", "seed": 5, "dtype": "torch.float64"}
    rest = {"weights": {}, "loop": {}, "ends": [], "history": {}, "seconds": 0.0, "steps": 0}
    torch.save({"made": made, **rest}, kept / "checkpoint.pt")


def cut(file):
    file.write_bytes(file.read_bytes()[:1000])


def foreign(file):
    with h5py.File(file, "w") as opened:
        opened["u"] = np.zeros(3)


def no_network(kept):
    with h5py.File(kept / "solution.h5", "r+") as opened:
        del opened["network"]


def other_weights(kept):
    with h5py.File(kept / "solution.h5", "r+") as opened:
        name = next(n for n in opened["network"] if n.endswith("weight"))
        del opened["network"][name]
        opened["network"][name] = np.zeros((2, 2))


def half_description(kept):
    with h5py.File(kept / "solution.h5", "r+") as opened:
        opened["network"].attrs["configuration"] = '{"equation": "Poi'


RESUME = SOLVE + " --out kept --resume"
DAMAGED = {
    "checkpoint of noise": (
        lambda kept: (kept / "checkpoint.pt").write_bytes(b"noise"), RESUME,
        "checkpoint.pt", "not a checkpoint", "remove it",
    ),
    "checkpoint of something else": (
        lambda kept: torch.save({"loop": 1}, kept / "checkpoint.pt"), RESUME, "something else", "remove it"
    ),
    "checkpoint of another run": (
        other_checkpoint, RESUME, "another run", "seed: 5 there, 0 here", "start anew"
    ),
    "report cut short": (
        lambda kept: (kept / "report.json").write_text('{"problem": "Poi'), "verify kept", "report.json", "solve again"
    ),
    "report of something else": (
        lambda kept: (kept / "report.json").write_text("[1, 2]"), "verify kept", "kept/report.json", "solve again"
    ),
    "report without a field": (
        lambda kept: (kept / "report.json").write_text('{"problem": "Poisson"}'), "verify kept",
        "missing", "solve again",
    ),
    "solution cut short": (lambda kept: cut(kept / "solution.h5"), "verify kept", "kept/solution.h5", "cut short"),
    "solution cut short, drawn": (lambda kept: cut(kept / "solution.h5"), "plot kept", "solution.h5", "cut short"),
    "solution of another program": (
        lambda kept: foreign(kept / "solution.h5"), "plot kept", "kept/solution.h5", "no such mark", "pinn-siren solve"
    ),
    "solution without a network": (no_network, "verify kept", "kept/solution.h5", "network", "pinn-siren solve"),
    "network of another shape": (other_weights, "verify kept", "kept/solution.h5", "solve again"),
    "network half described": (half_description, "verify kept", "kept/solution.h5", "solve again"),
    "reference missing": (lambda kept: (kept / "reference.h5").unlink(), "verify kept", "reference.h5", "none"),
    "reference of another program": (
        lambda kept: foreign(kept / "reference.h5"), "verify kept", "kept/reference.h5", "no such mark"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder that a short solve wrote."""
    folder = tmp_path_factory.mktemp("wrong") / "kept"
    run().save(folder)
    return folder


def everything(folder):
    return {f: f.read_bytes() if f.is_file() else None for f in folder.rglob("*") if "__pycache__" not in f.parts}


def refused(folder, monkeypatch, capsys, line, says):
    """Run one command line: it ends with 2 and one message, and changes nothing."""
    before = everything(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["pinn-siren", *line.split()])
    with pytest.raises(SystemExit) as ended:
        entry()
    out, err = capsys.readouterr()
    assert ended.value.code == 2, err
    assert err.startswith("pinn-siren: ") and err.count("\n") == 1, err
    assert [word for word in says if word not in err] == [], err
    assert out == ""
    assert everything(folder) == before


@pytest.mark.parametrize("name", FILES)
def test_a_problem_file(tmp_path, monkeypatch, capsys, name):
    text, *says = FILES[name]
    (tmp_path / "mine.py").write_text(text)
    refused(tmp_path, monkeypatch, capsys, SOLVE, ["mine.py", *says])


@pytest.mark.parametrize("name", LINES)
def test_a_command_line(tmp_path, monkeypatch, capsys, name):
    for file, text in {
        "mine.py": OWN,
        "own.py": FUNCTION,
        "fit.py": FIT,
        "odd.py": ODD,
        "notes.txt": "",
        "kept/solution.h5": "",
    }.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    (tmp_path / "empty").mkdir()
    line, *says = LINES[name]
    refused(tmp_path, monkeypatch, capsys, line, says)


@pytest.mark.parametrize("name", DAMAGED)
def test_files_of_a_solve(tmp_path, results, monkeypatch, capsys, name):
    damage, line, *says = DAMAGED[name]
    shutil.copytree(results, tmp_path / "kept")
    (tmp_path / "mine.py").write_text(OWN)
    damage(tmp_path / "kept")
    refused(tmp_path, monkeypatch, capsys, line, says)
