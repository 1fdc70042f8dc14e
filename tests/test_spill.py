"""Arrays that outgrow memory: the same values from a file, which takes no memory but for what is being read."""

import errno
import json
import subprocess
import sys
from typing import IO

import numpy as np
import pytest
import torch

from pinn_siren import spill
from pinn_siren.errors import OutOfMemoryError


def test_rows_from_a_file_are_those_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [np.random.default_rng(k).normal(size=(k, 5)) for k in (3, 0, 40, 7)]
    for most in (1 << 20, 100):
        monkeypatch.setattr(spill, "MOST", most)
        rows = spill.Rows([5])
        for part in parts:
            rows.append(part)
        made = rows.array()
        assert np.array_equal(made, np.concatenate(parts))
        assert spill.in_file(made) == spill.in_file(torch.from_numpy(made)[7:]) == (most == 100)
        made[2] = 8.0
        spill.release(made)
        assert made[2].tolist() == [8.0] * 5
    assert spill.in_file(spill.zeros(30, 5, torch.float64)) and not spill.in_file(spill.zeros(1, 5, torch.float64))
    assert not spill.in_file(parts[2]) and not bool(spill.zeros(30, 5, torch.float64).any())


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> IO[bytes]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill, "_temporary", full)
    with pytest.raises(OutOfMemoryError, match=r"No space left.*TMPDIR"):
        spill.Rows([2], most=0).append(np.ones((1, 2)))


MARCH = """
import json, resource, sys, torch
from pinn_siren import Box, Dirichlet, Initial, Wave, spill
from pinn_siren.scales import measure_scales
from pinn_siren.slabs import Cut, March, Size, read
from pinn_siren.slabs.search import Trail

spill.MOST, spill.CHUNK = 2**18, 2**16

def peak(end):
    problem = Wave(domain=Box(x=(-1, 1), t=(0, end)), speed=1.0,
                   conditions=[Dirichlet(0), Initial(lambda p: torch.exp(-80 * p.x**2), 0)])
    trail = Trail(March(read(problem), Cut((4,), Size(300, 12.0, 30)), 3, 1e-6), 1.0)
    for slab in trail.march:
        trail.add(slab)
    network = trail.network(problem, measure_scales(problem))
    with torch.no_grad():
        for part in (2 * torch.rand(4000, 2, dtype=torch.float64) - 1).split(2000):
            network(part)
    spill_sum = sum(float(block.sum()) for _, block in spill.blocks(network.weight.detach().numpy()))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, network.weight.nbytes

print(json.dumps([peak(end) for end in (5.0, 80.0)]))
"""


def test_peak_memory_of_a_march_does_not_grow_with_the_final_time() -> None:
    done = subprocess.run([sys.executable, "-c", MARCH], capture_output=True, text=True, check=True)
    (first, least), (last, most) = json.loads(done.stdout)
    assert most > 10 * least
    assert last - first < 0.3 * (most - least)


def test_a_number_lies_in_no_file_while_others_do():
    rows = spill.Rows((2,), most=8)
    rows.append(np.ones((3, 2)))
    held = rows.array()
    assert spill.in_file(held) and spill.in_file(torch.from_numpy(held)[1:])
    assert not spill.in_file(np.float64(1.0)) and not spill.in_file(np.ones(3))
