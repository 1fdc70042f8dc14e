"""Precision: no shorter products than the dtype says, whatever is set around a solve; and the report says so."""

import pytest
import torch

from pinn_siren import Adam, Solution, Trainer
from pinn_siren.precision import ieee

CUDA, CPU = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul


@pytest.fixture(autouse=True)
def restored():
    before = CUDA.fp32_precision, CPU.fp32_precision
    yield
    torch.set_float32_matmul_precision("highest")
    CUDA.fp32_precision, CPU.fp32_precision = before


SETTINGS = {
    "as torch starts": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "allowed on CUDA": lambda: setattr(CUDA, "allow_tf32", True),
    "each backend": lambda: setattr(CUDA, "fp32_precision", "tf32"),
}


def seen():
    return CUDA.fp32_precision, CPU.fp32_precision


@pytest.mark.parametrize("setting", SETTINGS)
def test_products_are_exact_inside_and_as_set_afterwards(setting):
    SETTINGS[setting]()
    before = seen()
    with ieee():
        assert seen() == ("ieee", "ieee") and torch.get_float32_matmul_precision() == "highest"
    assert seen() == before
    with pytest.raises(ZeroDivisionError), ieee():
        raise ZeroDivisionError
    assert seen() == before


def test_autocast_ends_inside():
    one = torch.ones(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (one @ one).dtype == torch.bfloat16
        with ieee():
            assert (one @ one).dtype == torch.float32
        assert (one @ one).dtype == torch.bfloat16


def test_training_takes_no_shorter_products_and_the_report_says_so(poisson, tmp_path):
    found = []
    torch.set_float32_matmul_precision("medium")
    trainer = Trainer(poisson, points=64, dtype=torch.float32, progress=False, watch=lambda *_: found.append(seen()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trainer.run(Adam(steps=10))
    assert found == [("ieee", "ieee")] and torch.get_float32_matmul_precision() == "medium"
    solution = trainer.solution(tolerance=10.0)
    assert solution.report.products == "ieee" and "float32 (ieee)" in str(solution.report)
    solution.save(tmp_path)
    assert Solution.load(tmp_path).provenance.products == "ieee"
