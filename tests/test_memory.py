"""Memory: what is free, chunks that fit it, and halving where it runs out."""

import os
import subprocess
import sys

import pytest
import torch

from pinn_siren import memory
from pinn_siren.errors import OutOfMemoryError
from pinn_siren.memory import Chunks, free_bytes, ran_out, rows_within

FAKES = {
    "torch": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"),
    "python": MemoryError,
    "allocator": lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    "cublas": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}


def test_the_rows_take_the_share_that_is_said(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    assert rows_within("cpu", 10) == 50 and rows_within("cpu", 10, share=0.1) == 10
    assert rows_within("cpu", 10_000) == 1


def test_free_memory_is_no_more_than_there_is():
    assert 2**20 < free_bytes("cpu") <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_containers_limit_counts(tmp_path):
    for name, text in (
        ("memory.max", "3000\n"),
        ("memory.current", "2500\n"),
        ("memory.stat", "anon 1\ninactive_file 200\n"),
    ):
        (tmp_path / name).write_text(text)
    assert memory._container(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._container(tmp_path) == sys.maxsize


@pytest.mark.parametrize("name", FAKES)
def test_out_of_memory_halves_the_chunk_and_goes_on(name, capsys):
    seen, failures = [], 2

    def work(rows):
        nonlocal failures
        seen.append(rows.stop - rows.start)
        if failures:
            failures -= 1
            raise FAKES[name]()
        return list(range(rows.start, rows.stop))

    chunks = Chunks("points", 8)
    found = [i for part in chunks.over(13, work) for i in part]
    assert found == list(range(13)) and seen == [8, 4, 2, 2, 2, 2, 2, 2, 1]
    assert chunks.rows == 2 and chunks.halvings == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Out of memory with 8 points at once: going on with 4.",
                     "Out of memory with 4 points at once: going on with 2."]  # fmt: skip


def test_where_one_row_does_not_fit_it_says_what_to_do():
    def work(rows):
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="one of the rows at a time"):
        list(Chunks("rows", 5).over(5, work))


def test_other_errors_pass():
    def work(rows):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Chunks("rows", 5).over(5, work))
    assert not ran_out(ValueError("out of memory"))


REAL = """
import resource, torch
from pinn_siren.memory import Chunks
torch.set_num_threads(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
chunks = Chunks("rows", 2**13)
total = sum(float(part) for part in chunks.over(2**13, lambda rows: torch.ones(rows.stop - rows.start, 2**14).sum()))
assert total == 2**27 and chunks.halvings >= 1, (total, chunks.halvings)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space by /proc and setrlimit")
def test_a_real_limit_is_survived():
    """512 MB of rows where 256 MB of addresses are left for everything."""
    run = subprocess.run([sys.executable, "-c", REAL], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "Out of memory with 8192 rows at once" in run.stderr
