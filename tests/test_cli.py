"""The command line, as a user meets it: exit codes, messages, files."""

import json
import os
import shutil
import subprocess
import sys
from typing import get_args, get_type_hints

import h5py
import pytest

from pinn_siren.cli import main
from pinn_siren.commands import COMMANDS
from pinn_siren.files import load_problem
from pinn_siren.new import class_name
from pinn_siren.plan import METHODS

TEN_LINES = """
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
    return Poisson(domain=Box(x=(0, length)), source=-charge, conditions=[Dirichlet(0)],
                   exact=lambda p: charge * p.x * (length - p.x) / 2)
"""

QUICK = ["--steps", "40", "--points", "64", "--device", "cpu", "--quiet"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, text, name="mine.py"):
    (folder / name).write_text(text)
    return name


def test_a_new_equation_outside_the_repository(here, capsys):
    assert main(["solve", write(here, TEN_LINES), *QUICK, "--tolerance", "0.1"]) == 0
    kept = {"solution.h5", "reference.h5", "report.json", "figure.png"}
    assert {f.name for f in (here / "results/mine").iterdir()} == kept
    assert "certified" in capsys.readouterr().out
    report = json.loads((here / "results/mine/report.json").read_text())
    assert report["verdict"] == "certified" and report["against"] == "reference"
    assert 1.9 <= report["observed_order"] <= 2.1 and main(["verify", "results/mine"]) == 0


def test_require_certified_is_strict(here):
    assert main(["solve", write(here, TEN_LINES), *QUICK, "--require", "certified"]) == 1


def test_a_function_takes_its_arguments_as_options(here, capsys):
    name = write(here, FUNCTION)
    assert main(["solve", name, *QUICK, "--tolerance", "1e-2", "--charge", "3.0", "--length", "2.0"]) == 0
    with h5py.File(here / "results/mine/solution.h5") as file:
        assert file["x"][-1] == 2.0
        assert abs(file["u"][...]).max() == pytest.approx(1.5, rel=0.02)
    assert {f.name for f in (here / "results/mine").iterdir()} >= {"reference.h5"}
    assert main(["verify", "results/mine"]) == 0
    (here / "results/mine/figure.png").unlink()
    assert main(["plot", "results/mine"]) == 0
    assert (here / "results/mine/figure.png").stat().st_size > 10_000
    assert "certified" in capsys.readouterr().out


def test_an_answer_beyond_the_tolerance_fails(here):
    line = ["solve", write(here, FUNCTION), *QUICK, "--steps", "1", "--method", "adam", "--tolerance", "1e-9"]
    assert main(line) == 1


def test_verify_exits_with_one_and_says_where(here, capsys):
    main(["solve", write(here, FUNCTION), *QUICK, "--tolerance", "1e-2", "--out", "kept"])
    with h5py.File(here / "kept/solution.h5", "r+") as file:
        file["u"][100] += 2e-6 * abs(file["u"][...]).max()
    capsys.readouterr()
    assert main(["verify", "kept"]) == 1
    assert "u at x=" in capsys.readouterr().out


def test_reference_alone(here, capsys):
    assert main(["reference", write(here, FUNCTION), "--resolution", "16"]) == 0
    out = capsys.readouterr().out
    assert "observed order" in out and "65" in out
    assert {f.name for f in (here / "results/mine").iterdir()} == {"reference.h5", "reference.png"}


def test_one_bad_file_does_not_stop_the_others(here, capsys):
    good, bad = write(here, FUNCTION), write(here, "problem = 3\n", "bad.py")
    assert main(["solve", bad, good, *QUICK, "--tolerance", "1e-2"]) == 2
    assert (here / "results/mine/report.json").exists()
    assert "certified" in capsys.readouterr().out


def test_results_that_cannot_be_written_are_said(here, capsys):
    (here / "results").write_text("a file in the way")
    assert main(["solve", write(here, FUNCTION), *QUICK, "--tolerance", "1e-2"]) == 2
    assert "results" in capsys.readouterr().err


def test_as_a_module_and_interrupted(here):
    """Ctrl-C during training still writes what was reached."""
    import signal
    import time

    # The residual says when training is well under way.
    count = """
calls = 0

def counted():
    global calls
    calls += 1
    if calls == 120:
        open("training", "w").close()
    return 1

"""
    name = write(here, count + TEN_LINES.replace("u.value + 1", "u.value + counted()"))
    line = [sys.executable, "-m", "pinn_siren", "solve", name, "--points", "400", "--device", "cpu",
            "--method", "adam",
            "--steps", "10000000", "--tolerance", "1e-14"]  # fmt: skip
    running = subprocess.Popen(
        line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert "solving" in running.stderr.readline()
    deadline = time.monotonic() + 60
    while not (here / "training").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1, err
    assert "interrupted" in out and "Traceback" not in err
    assert (here / "results/mine/solution.h5").exists()


def test_a_new_file_is_checked_and_solved_as_it_is(here, capsys):
    assert main(["new", "my_equation"]) == 0
    assert "pinn-siren solve my_equation.py" in capsys.readouterr().out
    assert main(["check", "my_equation.py"]) == 0
    shown = capsys.readouterr()
    assert "MyEquation" in shown.out and "linear, of order 2 in x, 2 in y" in shown.out
    assert shown.err == ""
    line = [
        "solve",
        "my_equation.py",
        "--device",
        "cpu",
        "--quiet",
        "--tolerance",
        "5e-2",
        "--steps",
        "40",
        "--points",
        "150",
    ]
    assert main(line) == 0
    assert "certified" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("my_equation", "MyEquation"),
        ("allen-cahn", "AllenCahn"),
        ("2d-heat", "Equation2dHeat"),
        ("KdV", "KdV"),
        ("box", "BoxEquation"),
        ("poisson", "PoissonEquation"),
        ("none", "NoneEquation"),
        ("heat.v2", "HeatV2"),
        ("---", "MyEquation"),
        ("wärme", "Wärme"),
    ],
)
def test_a_new_file_of_any_name_is_a_problem(here, stem, name):
    assert class_name(stem) == name
    assert main(["new", f"./{stem}.py"]) == 0
    assert type(load_problem(here / f"{stem}.py")).__name__ == name


UNDERSTOOD = {
    "a function's options": (
        FUNCTION,
        ["--length", "2"],
        ["Box(x=(0, 2))", "101, 201, 401 nodes", "no time"],
    ),
    "no reference": (
        TEN_LINES.replace("[Dirichlet(0)]", "[]"),
        [],
        ["Screened", "u (real)", "none: ", "add one there", "laplacian"],
    ),
    "part of the boundary": (
        TEN_LINES.replace("[Dirichlet(0)]", "[Dirichlet(0, on=lambda p: p.x < 0.5), Dirichlet(1, on='right')]"),
        [],
        ["matches 50% of the boundary", "dirichlet right", "x = 1, y = 0."],
    ),
    "time and a nonlinear equation": (
        TEN_LINES.replace("y=(0, 1)", "t=(0, 3)")
        .replace("u.laplacian - self.mass**2 * u.value + 1", "u.t - u.xx + u.value**3")
        .replace("Dirichlet(0)", "Dirichlet(0), Initial(lambda p: p.x * (1 - p.x))")
        .replace("Dirichlet,", "Dirichlet, Initial,"),
        [],
        ["nonlinear, of order 2 in x, 1 in t", "time t", "t = 0\n", "derivatives: t, xx"],
    ),
}


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_check_says_what_is_understood(here, capsys, case):
    text, options, says = UNDERSTOOD[case]
    assert main(["check", write(here, text), *options]) == 0
    out = capsys.readouterr().out
    assert [word for word in says if word not in out] == [], out
    assert [f.name for f in here.iterdir() if f.name != "__pycache__"] == ["mine.py"]


def test_check_refuses_what_solve_would(here, capsys):
    wrong = TEN_LINES.replace("u.laplacian", "u.laplacian.mean()")
    assert main(["check", write(here, wrong)]) == 2
    assert "pointwise" in capsys.readouterr().err


def test_the_line_knows_every_method():
    assert get_args(get_type_hints(COMMANDS["solve"])["method"]) == METHODS


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_and_files(here, capsys):
    assert main(["completion", "bash"]) == 0
    write(here, capsys.readouterr().out, "complete.sh")
    asked = [["so"], ["solve", "--tol"], ["solve", "--method", "l"], ["completion", "z"], ["solve", "mi"], ["com"]]
    lines = ["source complete.sh"]
    for words in asked:
        quoted = " ".join(["pinn-siren", *words])
        lines += [f'COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _pinn_siren; echo "${{COMPREPLY[*]}}"']
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    # Nothing of its own for a file: bash then completes file names.
    assert done.stdout.splitlines() == ["solve", "--tolerance", "least-squares lbfgs", "zsh", "", "compare completion"]
    assert "complete -o default" in (here / "complete.sh").read_text()


def test_zsh_completion_is_a_completion_function(capsys):
    assert main(["completion", "zsh"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("#compdef pinn-siren") and "_files" in out
