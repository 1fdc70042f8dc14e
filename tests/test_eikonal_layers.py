"""Travel times where the velocity jumps: direct, head and transmitted waves by Fermat's principle, a field each."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from pinn_siren import Ball, Box, Disk, Eikonal, Points, Sampler, Solution, Trainer
from pinn_siren.bandwidth import Search
from pinn_siren.equations.layers import passing
from pinn_siren.errors import ProblemError
from pinn_siren.files import load_problem
from pinn_siren.scales import measure_scales

LAYERS = load_problem(Path(__file__).parent.parent / "problems" / "eikonal_layers.py")
DISK = Disk(center=(0.1, 0.0), radius=0.4)
FAST = Eikonal(
    domain=Box(x=(-1, 1), y=(-1, 1)),
    velocity=lambda p: torch.where(DISK.level(p.coordinates) < 0, 2.0, 1.0),
    source=(-0.7, 0.1),
    jumps=[DISK],
)


def fermat(x, z):
    """The least time over the places where a path enters and leaves the lower layer."""
    sx, sz = LAYERS.source
    down = 1.0 - sz
    if z > 1:
        times = lambda q: math.hypot(q - sx, down) + math.hypot(x - q, z - 1) / 2  # noqa: E731
        return minimize_scalar(times, bounds=sorted((sx, x)), method="bounded", options={"xatol": 1e-12}).fun
    enter = sx + math.copysign(down / math.sqrt(3), x - sx)
    leave = x - math.copysign((1 - z) / math.sqrt(3), x - sx)
    head = math.hypot(enter - sx, down) + abs(leave - enter) / 2 + math.hypot(x - leave, 1 - z)
    direct = math.hypot(x - sx, z - sz)
    return min(direct, head) if (leave - enter) * (x - sx) > 0 else direct


def test_the_times_of_the_gallery_are_fermats():
    rng = np.random.default_rng(7)
    x = rng.uniform([0, 0], [3, 2], (200, 2))
    exact = LAYERS.exact(Points(("x", "z"), torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(exact, [fermat(*at) for at in x], atol=1e-9)


def test_each_sequence_of_layers_has_its_times():
    start = torch.tensor(LAYERS.source, dtype=torch.float64)
    direct, head, through = passing(LAYERS.domain, LAYERS.velocity, start, LAYERS.jumps, LAYERS._size)
    assert (direct.part, head.part, through.part) == (0, 0, 1)
    for branch in (direct, head, through):
        exact = LAYERS.exact(Points(("x", "z"), torch.from_numpy(branch.points))).numpy()
        late = branch.times - exact
        assert late.min() > -1e-9 and np.quantile(late, 0.5) < 1e-4
    off, z = np.abs(head.points[:, 0] - start[0].item()), head.points[:, 1]
    beyond = off > (1.4 - z) / math.sqrt(3)
    late = np.abs(head.times - (1.4 - z) * math.sqrt(0.75) - off / 2)[beyond]
    # Beside the jump the distance to its points shows.
    assert beyond.sum() > 100 and np.quantile(late, 0.98) < 5e-4 and late.max() < 2e-3


def test_layers_to_a_thousandth_and_back_from_what_a_file_keeps():
    search = Search(LAYERS, measure_scales(LAYERS), tolerance=1e-3, seed=3, deadline=math.inf)
    model = search.attempt(150, {"x": 11.0, "z": 9.0}).model
    p = LAYERS.domain.interior(2000, Sampler(torch.Generator().manual_seed(5)))
    exact = LAYERS.exact(p)
    with torch.no_grad():
        found = LAYERS.observe(model(p))[:, 0]
    assert float((found - exact).norm() / exact.norm()) < 1e-3
    made = Trainer(LAYERS, points=400, seed=3, progress=False, device="cpu").solution().provenance
    solution = Solution(LAYERS, model, made, {})
    weights = {name: w.numpy() for name, w in model.state_dict().items()}
    loaded = Solution.rebuild(solution.configuration(), weights, made, {})
    assert torch.equal(loaded(p), found)


def test_through_a_fast_disk():
    """Behind it the way through is first: a chord at twice the speed, along the axis."""
    assert len(FAST.fields) == 3
    branches = passing(FAST.domain, FAST.velocity, torch.tensor([-0.7, 0.0]).double(), FAST.jumps, FAST._size)
    behind = [(b.points, b.times) for b in branches if b.part == 0]
    points, times = (np.concatenate(both) for both in zip(*behind, strict=True))
    near = (np.abs(points[:, 1]) < 0.04) & (points[:, 0] > 0.6)
    assert near.sum() > 2
    np.testing.assert_allclose(times[near], points[near, 0] + 0.7 - 0.4, atol=4e-3)


BOX, SOURCE = Box(x=(-1, 1), y=(-1, 1)), (-0.7, 0.1)
REFUSED = [
    ({"velocity": lambda p: 1 + 0.1 * p.x}, "constant between the jumps; between them it runs from"),
    ({"jumps": DISK}, "jumps must be a list of domains"),
    ({"jumps": [3]}, "jumps must be a list of domains"),
    ({"jumps": [Disk(axes=("x", "z"))]}, "jumps must have the axes of the domain, x, y"),
    ({"domain": BOX - Disk(radius=0.1)}, "jumps= covers plane boxes with point sources"),
    ({"source": None, "surface": Disk(radius=0.2)}, "jumps= covers plane boxes with point sources"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_jumps_that_are_not_covered(fields, message):
    velocity = lambda p: torch.where(DISK.level(p.coordinates) < 0, 2.0, 1.0)  # noqa: E731
    with pytest.raises(ProblemError, match=message):
        Eikonal(**({"domain": BOX, "velocity": velocity, "source": SOURCE, "jumps": [DISK]} | fields))


def test_jumps_in_space_are_not_covered():
    with pytest.raises(ProblemError, match="plane boxes"):
        Eikonal(domain=Box(x=(0, 1), y=(0, 1), z=(0, 1)), velocity=1.0, source=(0.5, 0.5, 0.5), jumps=[Ball()])
