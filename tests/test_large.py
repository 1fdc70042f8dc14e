"""The benchmark of large least squares, at a small size."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from large import WAYS, measure, table


def test_all_ways_leave_the_same_residual() -> None:
    found = [measure(way, 200, 600, "cpu", chunk=50) for way in WAYS]
    assert [m.way for m in found] == ["held", "qr", "gram"]
    for m in found:
        assert m.residual == pytest.approx(found[0].residual, rel=0.02) and m.error < 0.1
    assert table(found).count("| 1.000 |") >= 2
