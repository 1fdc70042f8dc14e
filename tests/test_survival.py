"""Killed at twenty moments in one run, by kill -9, and resumed each time: the weights of the undisturbed run.

Run as a script this file is the parent of the runs: it imports everything once, forks a child for every life of the
run, hears from it when it writes, and kills it a seeded random time later.
"""

import functools
import itertools
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROBLEM = """
import torch
from pinn_siren import Box, Dirichlet, Problem

class Bratu(Problem):
    def residual(self, p, u):
        return u.laplacian + u.value.exp()

problem = Bratu(domain=Box(x=(0, 1)), conditions=[Dirichlet(0)])
"""
WARM, MAIN = 200, 200
SLOW_DISK = 0.005  # seconds more for a write, so that kills meet it on any machine
LINE = ["solve", "mine.py", "--points", "64", "--device", "cpu", "--tolerance", "1e-12", "--steps", str(MAIN)]
TEMPORARY = re.compile(r"\.\w+\.[0-9a-f]{8}\.\w+")


def moments(gap, write):
    """Twenty kills, a SIGTERM and a SIGINT: (event, step, signal, seconds after it), in the order of the run."""
    rng = random.Random(20)
    spread = {"start": 0.1, "writing": write, "wrote": gap, "saving": 0.1}
    steps = sorted(rng.sample(range(10, WARM, 10), 8) + rng.sample(range(WARM, WARM + MAIN - 60, 10), 10))
    events = ["writing" if k % 3 == 0 else "wrote" for k in range(len(steps))]
    ends = [signal.SIGKILL] * len(steps)
    ends[4], ends[12] = signal.SIGTERM, signal.SIGINT
    kills = [("start", 0, signal.SIGKILL), *zip(events, steps, ends, strict=True)]
    kills += [("start", 0, signal.SIGKILL), ("saving", 0, signal.SIGKILL), ("saving", 0, signal.SIGKILL)]
    return [(event, step, end, spread[event] * rng.random()) for event, step, end in kills]


def live(folder, told):
    """A child's whole life: the command line, telling when it writes."""
    from pinn_siren import cli, loop, plan, solution, trainer

    def slowly(old, new, replace=os.replace):
        time.sleep(SLOW_DISK)
        replace(old, new)

    def telling(before, write, after):
        def wrapped(path, content):
            step = content["steps"] if before == "writing" else 0
            os.write(told, f"{before} {step}\n".encode())
            write(path, content)
            os.write(told, f"{after} {step}\n".encode())

        return wrapped

    os.replace = slowly
    loop.SAVE_SECONDS = 0.0
    plan.LBFGS = functools.partial(plan.LBFGS, resample=70)  # several sets of points in a short run
    trainer.write_checkpoint = telling("writing", trainer.write_checkpoint, "wrote")
    solution.write_solution = telling("saving", solution.write_solution, "saved")
    with open("output.txt", "ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os._exit(cli.main([*LINE, "--quiet", "--resume", "--out", folder]))


def run(folder, moment=None):
    """One life: (exit status, the events with their times). Ended at the moment, or left alone."""
    event, step, end, delay = moment or ("", 0, 0, 0.0)
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(heard)
            live(folder, told)
        finally:
            os._exit(99)
    os.close(told)
    events = []
    if event == "start":
        time.sleep(delay)
        os.kill(child, end)
        event = ""
    with open(heard) as lines:
        for line in lines:
            name, number = line.split()
            events.append((name, int(number), time.perf_counter()))
            if name == event and int(number) >= step:
                time.sleep(delay)
                os.kill(child, end)
                event = ""
    return os.waitpid(child, 0)[1], events


def chain():
    """The undisturbed run, then the one that is killed all along; what happened to each goes to lives.json."""
    from pinn_siren.checkpoint import read_checkpoint
    from pinn_siren.cli import main
    from pinn_siren.storage import read_solution

    signal.signal(signal.SIGINT, signal.default_int_handler)
    main([*LINE, "--steps", "1", "--quiet", "--out", "first"])  # what is imported late is imported now
    status, events = run("whole")
    assert os.WIFEXITED(status)
    times = {(name, step): at for name, step, at in events}
    written = [step for name, step, _ in events if name == "wrote"]
    write = statistics.median(times["wrote", s] - times["writing", s] for s in written)
    gap = statistics.median(times["writing", b] - times["wrote", a] for a, b in itertools.pairwise(written))
    lives = []
    for moment in moments(gap, write):
        status, events = run("cut", moment)
        state = read_checkpoint(Path("cut/checkpoint.pt"))
        left = os.listdir("cut") if Path("cut").exists() else []
        stored = read_solution("cut/solution.h5") if "solution.h5" in left else None
        lives.append(
            {
                "event": moment[0],
                "end": moment[2],
                "killed_by": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
                "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                "last": events[-1][0] if events else "start",
                "kept": 0 if state is None else state["steps"],
                "temporaries": [name for name in left if TEMPORARY.fullmatch(name)],
                "interrupted": None if stored is None else stored.attributes["interrupted"],
            }
        )
    run("cut")
    Path("lives.json").write_text(json.dumps(lives))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks its runs")
def test_twenty_kills_in_one_run_leave_the_weights_as_they_would_have_been(tmp_path):
    import numpy as np

    from pinn_siren.storage import read_solution
    from pinn_siren.verify import verify

    (tmp_path / "mine.py").write_text(PROBLEM)
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    line = [sys.executable, __file__]
    done = subprocess.run(line, cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said, lives = (tmp_path / "output.txt").read_text(), json.loads((tmp_path / "lives.json").read_text())

    killed = [life for life in lives if life["end"] == signal.SIGKILL]
    assert len(killed) == 20 and all(life["killed_by"] == signal.SIGKILL for life in killed)
    assert sum(0 < life["kept"] < WARM for life in killed) >= 5
    assert sum(WARM <= life["kept"] < WARM + MAIN for life in killed) >= 5
    assert all(life["last"] in ("saving", "saved") for life in lives[-2:])
    assert any(".checkpoint." in name for life in lives for name in life["temporaries"]), "no kill hit a write"
    kept = [life["kept"] for life in lives]
    assert kept == sorted(kept), "a checkpoint went back"
    for life in lives:
        if life["end"] != signal.SIGKILL:
            assert life["code"] == 1 and life["interrupted"] == 1 and life["kept"] > 0 and not life["temporaries"]

    assert "Traceback" not in said
    whole, cut = (read_solution(tmp_path / folder / "solution.h5") for folder in ("whole", "cut"))
    assert whole.attributes["interrupted"] == cut.attributes["interrupted"] == 0
    assert list(whole.network) == list(cut.network)
    for name, value in whole.network.items():
        np.testing.assert_array_equal(value, cut.network[name], strict=True)
    for name in whole.history.keys() - {"seconds"}:
        np.testing.assert_array_equal(whole.history[name], cut.history[name], strict=True)
    assert len(whole.history["step"]) == (WARM + MAIN) // 10
    assert np.all(np.diff(cut.history["seconds"]) > 0)
    assert verify(tmp_path / "cut")[1] == []
    assert sorted(os.listdir(tmp_path / "cut")) == sorted(os.listdir(tmp_path / "whole"))


def test_a_run_is_not_continued_by_another_method(poisson, tmp_path, monkeypatch):
    from pinn_siren import LBFGS, Adam, Trainer, loop
    from pinn_siren.errors import UsageError

    def trainer():
        return Trainer(poisson, points=64, progress=False, device="cpu", checkpoint=tmp_path / "checkpoint.pt")

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    killed = trainer()
    for stage in (Adam(steps=10), LBFGS(steps=10)):
        killed.run(stage)
    for other in ([LBFGS(steps=10)], [Adam(steps=20), LBFGS(steps=10)], [Adam(steps=10)]):
        with pytest.raises(UsageError, match=r"stage [12]: \w+\(steps=10"):
            trainer().resume(other)
    assert trainer().resume([Adam(steps=10), LBFGS(steps=10), LBFGS(steps=30)]) == 1


def test_a_checkpoint_cut_short_or_with_a_changed_byte_is_said(poisson, tmp_path, monkeypatch):
    import torch

    from pinn_siren import Adam, Trainer, loop
    from pinn_siren.checkpoint import read_checkpoint
    from pinn_siren.errors import StorageError

    def trainer():
        return Trainer(poisson, points=64, progress=False, device="cpu", checkpoint=path)

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    path = tmp_path / "checkpoint.pt"
    trainer().run(Adam(steps=10))
    whole, good = path.read_bytes(), read_checkpoint(path)
    rng = random.Random(3)
    for length in [0, 1, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(10))]:
        path.write_bytes(whole[:length])
        with pytest.raises(StorageError, match="remove it, or start anew"):
            read_checkpoint(path)
    said = 0
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(path)
        except StorageError:
            said += 1
            continue
        # The byte was one of the padding: nothing else may have come through.
        assert all(torch.equal(found["weights"][name], w) for name, w in good["weights"].items())
        assert {k: v for k, v in found.items() if k in ("made", "ends", "history")} == {
            k: v for k, v in good.items() if k in ("made", "ends", "history")
        }
    assert said > 80


if __name__ == "__main__":
    chain()
