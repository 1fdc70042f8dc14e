"""Several processes on one problem: the answer of one process, whatever their number.

Run as a script this file imports everything once and forks the processes of each run.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pinn_siren import (
    LBFGS,
    Adam,
    Box,
    Data,
    Dirichlet,
    GaussNewton,
    Helmholtz,
    Initial,
    Integral,
    Poisson,
    Problem,
    Sampler,
    Trainer,
    Unknown,
    Wave,
    loop,
    solve,
    trainer,
)
from pinn_siren.ansatz.derive import BuiltIn
from pinn_siren.build import build_model
from pinn_siren.checkpoint import read_checkpoint
from pinn_siren.cli import main
from pinn_siren.errors import UsageError
from pinn_siren.files import load_problem
from pinn_siren.memory import Chunks
from pinn_siren.optimizers.features import sine_features
from pinn_siren.optimizers.least_squares import LastLayer, collocation
from pinn_siren.parallel import Ranks, joined, local_device, world
from pinn_siren.scales import measure_scales
from pinn_siren.system import System

SIZES = (1, 2, 4)
OPTIONS = {"points": 101, "device": "cpu", "progress": False}
PROBLEM = """
import torch
from pinn_siren import Box, Dirichlet, Problem

class Bratu(Problem):
    def residual(self, p, u):
        return u.laplacian + u.value.exp()

problem = Bratu(domain=Box(x=(0, 1)), conditions=[Dirichlet(0)])
"""


def problems():

    box = Box(x=(0, 1), y=(0, 1))

    class Decay(Problem):
        rate: object = 1.0

        def residual(self, p, u):
            return u.t + self.rate * u.value

    return {
        "poisson": Poisson(
            domain=box, source=lambda p: torch.sin(3 * p.x) * p.y,
            conditions=[Dirichlet(0), Integral(lambda p, u: u.value, 0.1, on="boundary")],
        ),
        "helmholtz": Helmholtz(
            domain=box, wavenumber=4.0, source=lambda p: torch.exp(-10 * (p.x - 0.4) ** 2) * (1 + 0.5j),
            conditions=[Dirichlet(0)],
        ),
        "wave": Wave(
            domain=Box(x=(0, 1), t=(0, 1)), speed=1.0,
            conditions=[Dirichlet(0), Initial(lambda p: torch.sin(torch.pi * p.x), rate=0.0)],
        ),
        "decay": Decay(
            domain=Box(t=(0, 1)), conditions=[Initial(1.0), Data([[0.2], [0.5], [0.9]], [0.8, 0.5, 0.3], noise=0.05)],
            rate=Unknown(2.0, bounds=(0.1, 9.0), prior=(1.0, 0.2)),
        ),
    }  # fmt: skip


def gradient(name, **options):

    trainer = Trainer(problems()[name], seed=7, conditions="soft", **OPTIONS, **options)
    trainer.objective.resample()
    trainer.objective.backward()
    return torch.cat([p.grad.reshape(-1) for p in trainer.objective.parameters()]).tolist()


def losses(name, stage, **options):

    trainer = Trainer(problems()[name], seed=7, conditions="soft", **OPTIONS, **options)
    outcome = trainer.run(stage)
    return [*trainer.history["loss"], outcome.estimate]


def searched(name, **options):

    found = solve(problems()[name], method="least-squares", tolerance=1e-4, device="cpu", progress=False, **options)
    grid = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    return torch.as_tensor(found(torch.cartesian_prod(grid, grid))).tolist()


def continued(folder, size):
    """A checkpoint at step 20 on 2 processes (``size`` 0), and from there to 60 on ``size``."""

    path = Path(folder) / "from-two.pt"
    stage = Adam(steps=60)
    run = Trainer(problems()["poisson"], seed=7, checkpoint=path, **OPTIONS)
    if size == 0:
        loop.SAVE_SECONDS, write = 0.0, trainer.write_checkpoint
        trainer.write_checkpoint = lambda at, state: write(at, state) if state["steps"] == 20 else None
        run.run(stage)
        return run.steps
    run.resume([stage])
    first = run.steps
    run.run(stage)
    return [first, torch.cat([p.detach().reshape(-1) for p in run.model.parameters()]).tolist()]


def last_layer():
    """One solve of few features, each number of which the rows determine; held, streamed, and by Gram matrices."""

    found = []
    for name, gram, chunks in (
        ("helmholtz", False, None), ("poisson", False, None), ("helmholtz", False, Chunks("points", 30)),
        ("poisson", True, Chunks("points", 30)),
    ):  # fmt: skip
        problem = problems()[name]
        network = sine_features(40, {"x": 9.0, "y": 9.0}, 1 + problem.complex_valued, torch.Generator().manual_seed(3))
        model = build_model(problem, measure_scales(problem), network, torch.float64, 0, BuiltIn(None))
        system = System(problem, ranks=world())
        solver = LastLayer(
            system, model, collocation(system, 40, torch.Generator().manual_seed(5)), gram=gram, chunks=chunks
        )
        solver.step()
        found += [solver.residual, *solver.scales, *model(problem.domain.interior(50, sampler())).abs()[:, 0].tolist()]
    return found


def sampler():

    return Sampler(torch.Generator().manual_seed(9))


def work():

    return {
        "gradient": [gradient("poisson"), gradient("helmholtz"), gradient("wave", causal=True), gradient("decay")],
        "adam": losses("poisson", Adam(steps=100)),
        "options": losses("wave", Adam(steps=20), causal=True, balance="gradients", resampling="rad"),
        "lbfgs": losses("helmholtz", LBFGS(steps=20)),
        "gauss-newton": losses("poisson", GaussNewton(steps=4, density=0.3), folded=True),
        "last layer": last_layer(),
        "search": searched("wave"),
    }


def fork(size, job):
    """``job()`` in so many processes; what the first one returns."""

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as told:
        children = []
        for rank in range(size):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
                    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
                    with joined():
                        found = job()
                    Path(told, str(rank)).write_text(json.dumps(found))
                    code = 0
                except BaseException:
                    import traceback

                    traceback.print_exc()
                finally:
                    os._exit(code)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert codes == [0] * size, codes
        return [json.loads(Path(told, str(rank)).read_text()) for rank in range(size)]


def told(folder):
    """What the command line prints and writes on this process."""
    import contextlib
    import io

    path = Path(folder, "mine.py")
    path.write_text(PROBLEM)
    out = io.StringIO()
    line = ["solve", str(path), "--out", str(Path(folder, "out")), "--method", "adam", "--steps", "20", "--quiet"]
    with contextlib.redirect_stdout(out):
        code = main([*line, "--points", "64", "--device", "cpu", "--tolerance", "0.5"])
    return {"code": code, "out": out.getvalue(), "files": sorted(p.name for p in Path(folder, "out").iterdir())}


@pytest.fixture(scope="module")
def runs():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("size", ["2", "4"])
class TestTheSameAnswer:
    def test_gradients_at_the_first_step(self, runs, size):
        """Of means, integrals, periodic data, complex fields, causal weights and priors."""
        for one, other in zip(runs["1"]["gradient"], runs[size]["gradient"], strict=True):
            assert np.abs(np.subtract(one, other)).max() <= 1e-12 * np.abs(one).max()

    @pytest.mark.parametrize("name", ["adam", "options", "lbfgs", "gauss-newton"])
    def test_losses_and_the_error_estimate(self, runs, size, name):
        one, other = runs["1"][name], runs[size][name]
        assert len(one) == len(other) > 2
        assert one[-2] < 0.9 * one[0]
        assert other == pytest.approx(one, rel=1e-8)

    def test_residuals_scales_and_fields_of_a_solve(self, runs, size):
        assert runs[size]["last layer"] == pytest.approx(runs["1"]["last layer"], rel=1e-9)

    def test_a_search_for_features(self, runs, size):
        """Its decisions may turn on rounding where that is all that is left; the field is the same."""
        assert runs[size]["search"] == pytest.approx(runs["1"]["search"], abs=1e-9)

    def test_a_checkpoint_of_two_goes_on(self, runs, size):
        (first, one), (again, other) = runs["1"]["continued"], runs[size]["continued"]
        assert first == again == 20
        assert other == pytest.approx(one, abs=1e-12)


def test_only_the_first_process_prints_and_writes(runs):
    first, second = runs["told"]
    assert second["code"] == 0
    assert "mine" in first["out"]
    assert second["out"] == ""
    assert "solution.h5" in first["files"]


SLOW = """
import os, sys, pathlib
from pinn_siren import cli, loop
loop.SAVE_SECONDS = 0.0
pathlib.Path(f"pid{os.environ['RANK']}").write_text(str(os.getpid()))
sys.exit(cli.main())
"""


def test_a_killed_process_ends_the_run_and_it_resumes(tmp_path, capfd):
    """Under torchrun on two processes; resumed on one."""
    (tmp_path / "mine.py").write_text(PROBLEM)
    (tmp_path / "run.py").write_text(SLOW)
    line = ["solve", "mine.py", "--method", "adam", "--points", "64", "--device", "cpu", "--tolerance", "1e-9"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "run.py"]
    checkpoint = tmp_path / "results" / "mine" / "checkpoint.pt"
    with subprocess.Popen([*launch, *line], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as run:
        until = time.monotonic() + 120
        while not checkpoint.exists() and run.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(int((tmp_path / "pid1").read_text()), signal.SIGKILL)
        said = run.communicate(timeout=60)[1]
    assert run.returncode != 0
    assert "Another process of this run has ended" in said or "interrupted" in said, said
    before = read_checkpoint(checkpoint)["steps"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        resumed = Trainer(load_problem(Path("mine.py")), points=64, device="cpu", checkpoint=checkpoint, progress=False)
        resumed.resume([Adam(steps=5000)])
        assert resumed.steps == before >= 10
        assert resumed.run(Adam(steps=5000), budget=0.01).end == "budget"


def test_more_processes_than_gpus_is_said(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=r"2 GPU.*--nproc-per-node 2"):
        local_device()


def test_other_commands_refuse_several_processes(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main(["plot", "results/poisson"]) == 2
    assert "only solve runs on several processes" in capsys.readouterr().err


def test_shares_are_all_of_it():
    for n, size in ((10, 4), (4, 4), (101, 3)):
        cuts = [Ranks(r, size).cut(n) for r in range(size)]
        assert [i for c in cuts for i in range(n)[c]] == list(range(n))


if __name__ == "__main__":
    torch.set_num_threads(1)
    # What is imported late is imported once.
    losses("poisson", Adam(steps=1))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            every = fork(size, work)
            assert all(one == every[0] for one in every), "the processes differ"
            found[size] = every[0]
        fork(2, lambda: continued(folder, 0))
        kept = Path(folder, "from-two.pt").read_bytes()
        for size in SIZES:
            Path(folder, "from-two.pt").write_bytes(kept)
            found[size]["continued"] = fork(size, lambda size=size: continued(folder, size))[0]
        found["told"] = fork(2, lambda: told(folder))
    print(json.dumps(found))
