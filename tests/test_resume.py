"""Runs that survive: a killed run goes on bit for bit, a folder has one run at a time."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import pinn_siren.loop as loop_module
from pinn_siren import LBFGS, Adam, Box, Dirichlet, Initial, Problem, Trainer
from pinn_siren.checkpoint import read_checkpoint
from pinn_siren.cli import main
from pinn_siren.errors import StorageError, UsageError
from pinn_siren.resampling import ResidualDensity
from pinn_siren.storage import locked

STAGES = (Adam(steps=40, resample=7), LBFGS(steps=60, resample=25))


def weights(trainer):
    return torch.nn.utils.parameters_to_vector(trainer.model.parameters()).detach()


def trainer(problem, path=None, **options):
    return Trainer(problem, points=100, seed=9, progress=False, device="cpu", checkpoint=path, **options)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kill_at", [1, 3, 4, 5, 7, 9])
def test_a_killed_run_goes_on_bit_for_bit(poisson, tmp_path, monkeypatch, kill_at):
    kill_and_resume(poisson, tmp_path / "checkpoint.pt", monkeypatch, kill_at)


class Heat(Problem):
    def residual(self, p, u):
        return u.t - u.xx


EVERYTHING = {"balance": "gradients", "causal": True, "resampling": "r3"}
OPTIONS = [*({name: value} for name, value in EVERYTHING.items()), {"resampling": "rad"}, EVERYTHING]


@pytest.mark.parametrize("kill_at", [3, 8])
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_options_go_on_bit_for_bit(tmp_path, monkeypatch, options, kill_at):
    monkeypatch.setattr(ResidualDensity, "every", 14)
    problem = Heat(
        domain=Box(x=(0, 1), t=(0, 1)), conditions=[Dirichlet(0), Initial(lambda p: torch.sin(torch.pi * p.x))]
    )
    kill_and_resume(problem, tmp_path / "checkpoint.pt", monkeypatch, kill_at, **options)


def kill_and_resume(problem, path, monkeypatch, kill_at, **options):
    """A run that is killed at a checkpoint and resumed has the bits of one that is not."""
    whole = trainer(problem, **options)
    for stage in STAGES:
        whole.run(stage)

    killed, saves = trainer(problem, path, **options), []

    def save_and_die(self, loop, elapsed, real=Trainer._state):
        if len(saves) == kill_at:
            raise KilledError
        saves.append(1)
        return real(self, loop, elapsed)

    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "SAVE_SECONDS", 0.0)
        patch.setattr(Trainer, "_state", save_and_die)
        with pytest.raises(KilledError):
            for stage in STAGES:
                killed.run(stage)

    resumed = trainer(problem, path, **options)
    for stage in STAGES[resumed.resume(STAGES) :]:
        resumed.run(stage)
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.history["loss"] == whole.history["loss"]
    assert resumed.history["step"] == whole.history["step"]
    assert [o.end for _, o in resumed.outcomes] == ["steps", "steps"]


def test_no_checkpoint_starts_anew(poisson, tmp_path):
    assert trainer(poisson, tmp_path / "none.pt").resume(STAGES) == 0


def test_other_arguments_are_refused(poisson, tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "SAVE_SECONDS", 0.0)
    path = tmp_path / "checkpoint.pt"
    trainer(poisson, path).run(Adam(steps=10))
    other = Trainer(poisson, points=100, seed=10, progress=False, device="cpu", checkpoint=path)
    with pytest.raises(UsageError, match="seed: 9 there, 10 here"):
        other.resume(STAGES)
    balanced = Trainer(poisson, points=100, seed=9, progress=False, device="cpu", checkpoint=path, balance="gradients")
    with pytest.raises(UsageError, match="balance: None there, gradients here"):
        balanced.resume(STAGES)


def test_a_damaged_checkpoint_is_said(poisson, tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(StorageError, match=r"checkpoint\.pt"):
        read_checkpoint(path)
    torch.save({"else": 1}, path)
    with pytest.raises(StorageError, match="something else"):
        read_checkpoint(path)


def test_a_second_run_in_a_folder_is_refused(tmp_path):
    folder = tmp_path / "results"
    with locked(folder), pytest.raises(StorageError, match="Another run"), locked(folder):
        pass
    assert not folder.exists()


PROBLEM = """
import os, time
import torch
from pinn_siren import Box, Dirichlet, Problem
torch.set_num_threads(1)
import pinn_siren.loop
pinn_siren.loop.SAVE_SECONDS = 0.0
from pinn_siren import Adam
advance = torch.optim.Adam.step
def slow(self, *args, **kwargs):
    time.sleep(float(os.environ.get("PAUSE", "0")))
    return advance(self, *args, **kwargs)
torch.optim.Adam.step = slow

class Screened(Problem):
    def residual(self, p, u):
        return u.laplacian - u.value + 1

problem = Screened(domain=Box(x=(0, 1)), conditions=[Dirichlet(0)])
"""
LINE = ["solve", "mine.py", "--points", "64", "--device", "cpu", "--quiet", "--tolerance", "1e-12", "--steps", "60"]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_killed_from_outside_then_resumed(tmp_path, monkeypatch, ending):
    import h5py

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PROBLEM)
    assert main([*LINE, "--out", "whole"]) == 1  # Its tolerance is out of reach, which the reference shows.

    line = [sys.executable, "-m", "pinn_siren", *LINE, "--out", "cut"]
    running = subprocess.Popen(line, env=os.environ | {"PAUSE": "0.1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "cut/checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    running.send_signal(ending)
    _, err = running.communicate(timeout=60)
    assert b"Traceback" not in err
    assert (tmp_path / "cut/checkpoint.pt").exists()
    assert (tmp_path / "cut/solution.h5").exists() == (ending == signal.SIGTERM)

    assert main([*LINE, "--out", "cut", "--resume"]) == 1
    assert not (tmp_path / "cut/checkpoint.pt").exists()
    with h5py.File("whole/solution.h5") as one, h5py.File("cut/solution.h5") as other:
        for name in one["network"]:
            if name.startswith("network"):
                np.testing.assert_array_equal(one["network"][name][...], other["network"][name][...])
