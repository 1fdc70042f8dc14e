"""The benchmark of a training step: the same loss by nested autograd, and tables at small size."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import gpu
import step


def test_nested_autograd_and_jets_take_the_same_step():
    trainer = step.paper_trainer("cpu", 200, 12, dtype=torch.float64)
    objective = trainer.objective
    nested = step.nested_loss(objective)
    wanted = torch.autograd.grad(nested, list(objective.parameters()))
    loss = objective.backward()
    assert float(loss) == pytest.approx(float(nested.detach()), rel=1e-11)
    for w, g in zip(objective.parameters(), wanted, strict=True):
        assert float((w.grad - g).norm()) <= 1e-10 * float(g.norm())


def test_the_arithmetic_is_that_of_the_matrix_products():
    objective = step.paper_trainer("cpu", 64, 8).objective
    # 5 channels at 64 points, the value at 16 of the boundary; 2-8-8-8-2, forward and backward.
    products = 2 * 16 + 3 * (64 + 64 + 16)
    assert step.arithmetic(objective) == 2 * (5 * 64 + 16) * products


def test_every_part_is_measured_at_small_size(tmp_path):
    found = gpu.run("cpu", gpu.SIZES["small"], ["step", "sweep"], tmp_path / "found.md")
    assert "failed" not in found and "| jets | " in found and "CPU" in found
    assert (tmp_path / "found.png").stat().st_size > 1000
    assert found in (tmp_path / "found.md").read_text()


def test_what_fails_is_said_in_its_place(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no device")

    monkeypatch.setitem(gpu.PARTS, "step", fails)
    found = gpu.run("cpu", gpu.SIZES["small"], ["step"], tmp_path / "found.md")
    assert "step failed: RuntimeError: no device" in found


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_compiled_steps_are_replayed_on_a_device():
    trainer = step.paper_trainer("cuda", 2_000, 32, compile=True)
    advance = step.by_jets(trainer.objective)
    for _ in range(4):
        advance()
    compiled = trainer.objective.compiled
    assert not compiled.refused and len(compiled.graphs) == 2
