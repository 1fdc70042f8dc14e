"""The command line, as a user meets it: exit codes, messages, files."""

import json
import os
import subprocess
import sys

import h5py
import pytest

from pinn_siren.cli import main

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


BAD_FILES = {
    "no python": ("this is no python", "line 1"),
    "binary": ("\x00\x01", "no"),
    "sets nothing": ("x = 1\n", "sets no `problem`"),
    "wrong kind": ("problem = 3\n", "int"),
    "raises": ("import torch\n\nproblem = 1 / 0\n", "line 3: ZeroDivisionError"),
    "raises in the residual": (TEN_LINES.replace("self.mass**2", "self.weight**2"), "line 8: AttributeError"),
    "wrong letter": (TEN_LINES.replace("u.laplacian", "u.xq"), "axes x, y"),
    "wrong shape": (TEN_LINES.replace("u.value + 1", "u.value[:, None] + 1"), "trailing axis"),
    "wrong argument": (TEN_LINES.replace("mass=2.0", "mess=2.0"), "mess"),
    "no condition list": (TEN_LINES.replace("[Dirichlet(0)]", "Dirichlet(0)"), "conditions=[...]"),
    "exits": ("raise SystemExit(0)\n", "__main__"),
    "method hides a field": (
        TEN_LINES.replace("    mass: float", "    def exact(self, p): return p.x\n    mass: float"),
        "exact",
    ),
    "function returns nothing": ("def problem():\n    pass\n", "must return a Problem"),
    "function needs an argument": ("def problem(k):\n    pass\n", "default"),
    "wave without a rate": (
        "from pinn_siren import *\nproblem = Wave(domain=Box(x=(0, 1), t=(0, 1)), speed=1.0,"
        " conditions=[Dirichlet(0), Initial(0)])\n",
        "rate",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_exits_with_two_and_one_message(here, capsys, case):
    text, says = BAD_FILES[case]
    assert main(["solve", write(here, text), *QUICK]) == 2
    err = capsys.readouterr().err
    assert says in err and "Traceback" not in err
    assert "mine.py" in err
    assert not (here / "results").exists()


BAD_LINES = [
    (["solve", "missing.py"], "no file missing.py"),
    (["solve", "."], "folder"),
    (["solve", "mine.py", "--method", "magic"], "magic"),
    (["solve", "mine.py", "--tolerance", "0"], "tolerance"),
    (["solve", "mine.py", "--steps", "0"], "steps"),
    (["solve", "mine.py", "--budget", "-1"], "budget"),
    (["solve", "mine.py", "--device", "abacus"], "abacus"),
    (["solve", "mine.py", "--nonsense"], "nonsense"),
    (["solve"], ""),
    (["solve", "mine.py", "mine.py"], "Two files"),
    (["verify", "nowhere"], "report.json"),
    (["plot", "nowhere"], "solution.h5"),
    (["reference", "mine.py", "--resolution", "2"], "resolution"),
    (["nonsense"], "subcommand"),
]


@pytest.mark.parametrize(("line", "says"), BAD_LINES, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_a_bad_command_line_exits_with_two(here, capsys, line, says):
    write(here, FUNCTION)
    try:
        code = main(line)
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    assert code == 2
    assert says in captured.err + captured.out and "Traceback" not in captured.err
    assert not (here / "results").exists()


def test_results_that_cannot_be_written_are_said(here, capsys):
    (here / "results").write_text("a file in the way")
    assert main(["solve", write(here, FUNCTION), *QUICK, "--tolerance", "1e-2"]) == 2
    assert "results" in capsys.readouterr().err


def test_as_a_module_and_interrupted(here):
    """Ctrl-C during training still writes what was reached."""
    import signal
    import time

    name = write(here, TEN_LINES)
    line = [sys.executable, "-m", "pinn_siren", "solve", name, "--points", "4000", "--device", "cpu",
            "--method", "adam",
            "--steps", "10000000", "--tolerance", "1e-14"]  # fmt: skip
    running = subprocess.Popen(
        line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert "solving" in running.stderr.readline()
    time.sleep(4)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1, err
    assert "interrupted" in out and "Traceback" not in err
    assert (here / "results/mine/solution.h5").exists()
