"""Travel times through a table of depth and speed: against the ray integrals of its layers, and what tables can be."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from scipy.integrate import quad

from pinn_siren import Points, solve
from pinn_siren.bandwidth import Search
from pinn_siren.cli import main
from pinn_siren.errors import ProblemError
from pinn_siren.files import load_problem
from pinn_siren.scales import measure_scales

FILE = Path(__file__).parent.parent / "problems" / "eikonal_earth.py"
DEPTHS, SPEEDS = np.array([0.0, 40.0, 120.0, 300.0]), np.array([5.0, 6.0, 7.2, 9.0])


def table(folder, lines):
    path = folder / "table.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rays():
    """``(n, 2), (n,)``: places on rays that go down, and their times: where the speed is ``v1`` at the top of a layer
    and ``v2`` below, of gradient g, a ray of parameter p goes ``(cos a1 - cos a2) / (g p)`` in ``log(tan(a2 / 2) /
    tan(a1 / 2)) / g``, with ``sin a = p v`` (Aki and Richards 2002, section 9)."""
    places, times = [], []
    for depth in (30.0, 100.0, 200.0, 300.0):
        knots = np.append(DEPTHS[depth > DEPTHS], depth)
        speeds = np.interp(knots, DEPTHS, SPEEDS)
        for p in np.linspace(0.01, 0.98, 40) / speeds[-1]:
            angle, gradient = np.arcsin(p * speeds), np.diff(speeds) / np.diff(knots)
            x = -(np.diff(np.cos(angle)) / (gradient * p)).sum()
            if x <= 400:
                places.append((x, depth))
                times.append((np.diff(np.log(np.tan(angle / 2))) / gradient).sum())
    return torch.tensor(places), torch.tensor(times)


def test_times_are_the_ray_integrals_of_the_layers(tmp_path):
    path = table(tmp_path, [f"{z} {v}" for z, v in zip(DEPTHS, SPEEDS, strict=True)])
    problem = load_problem(FILE)(table=str(path), smooth=0.0, across=400.0)
    search = Search(problem, measure_scales(problem), tolerance=1e-3, seed=3, deadline=math.inf)
    model = search.attempt(300, {"x": 5.0, "z": 15.0}).model
    places, times = rays()
    with torch.no_grad():
        found = model(Points(("x", "z"), places))[:, 0]
    assert float((found - times).norm() / times.norm()) < 2e-4


def test_speeds_are_averaged_over_a_length(tmp_path):
    path = table(tmp_path, ["# depth, speed", "0, 5", "20 6  # above a jump", "", "20 8", "300 9"])
    problem = load_problem(FILE)(table=str(path), smooth=30.0)
    depth = torch.tensor([0.0, 10.0, 20.0, 34.0, 100.0, 300.0], dtype=torch.float64)
    found = problem.velocity(Points(("x", "z"), torch.stack([0 * depth, depth], dim=1)))

    def speed(z):
        return np.interp(z, [0, 20], [5, 6]) if z < 20 else np.interp(z, [20, 300], [8, 9])

    for z, v in zip(depth.tolist(), found.tolist(), strict=True):
        edges = [e for e in (0.0, 20.0, 300.0) if z - 15 < e < z + 15]
        assert v == pytest.approx(quad(speed, z - 15, z + 15, points=edges or None)[0] / 30, rel=1e-8)


BAD = [
    (["0 5", "10 fast"], r"table.txt, line 2: expected a depth \(km\) and a positive speed \(km/s\), got '10 fast'"),
    (["0 5", "10 -6"], "line 2: expected a depth .* positive speed"),
    (["0 5 2.7"], "line 1: expected"),
    (["0 5", "20 6", "10 7"], "line 3: depths must grow, got 10 below 20"),
    (["# nothing"], r"0 line\(s\)"),
    (["5 5", "5 6"], "expected two depths or more"),
]


@pytest.mark.parametrize(("lines", "message"), BAD)
def test_a_bad_table_is_one_message(tmp_path, capsys, lines, message):
    assert main(["check", str(FILE), "--table", str(table(tmp_path, lines))]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said) and len(said.strip().splitlines()) == 1


def test_no_table(tmp_path, capsys):
    assert main(["check", str(FILE), "--table", str(tmp_path / "none.txt")]) == 2
    assert "No table of depth and speed can be read from" in capsys.readouterr().err


def test_depth_and_units_are_kept_with_a_solution(tmp_path):
    problem = load_problem(FILE)(across=200.0, deep=100.0)
    solution = solve(problem, points=300, steps=1, device="cpu", progress=False)
    solution.save(tmp_path / "earth")
    with xarray.open_dataset(tmp_path / "earth" / "solution.h5", engine="h5netcdf") as kept:
        assert kept.z.attrs["positive"] == "down" and "positive" not in kept.x.attrs
        units = [kept[name].attrs["units"] for name in ("x", "z", "u", "u_reference", "error")]
    assert units == ["km", "km", "s", "s", "s"]


WRONG = [
    ({"units": {"y": "km"}}, r"units names 'y'; the axes and outputs are x, z, u"),
    ({"units": "km"}, "units must be texts by name"),
    ({"units": {"x": 1.0}}, "units must be texts by name"),
    ({"downward": "z"}, r"downward must be a list of axes, as in \[\"z\"\]; got 'z'"),
    ({"downward": ["u"]}, "downward names 'u'; the space axes are x, z"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG)
def test_labels_of_what_is_not_there(fields, message):
    with pytest.raises(ProblemError, match=message):
        replace(load_problem(FILE)(), **fields)
