"""A space of functions: the network against a plain SIREN, what it may look at, and a short solve in its band."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pinn_siren import Box, Problem, Sampler, Siren, Solution, solve
from pinn_siren.conditions import Raster
from pinn_siren.errors import ProblemError, UsageError
from pinn_siren.files import load_problem
from pinn_siren.hyper import INNER, HyperSiren
from pinn_siren.images.space import image_space
from pinn_siren.jet import Jet, coordinate, make_plan
from pinn_siren.points import Points
from pinn_siren.verify import verify

FILE = Path(__file__).parent.parent.parent / "problems" / "function_space.py"
MEMBERS, NODES = 5, 9


def network(width=12, depth=3):
    torch.manual_seed(3)
    found = HyperSiren(2, 1, MEMBERS, 3, NODES, width=width, depth=depth, code=6, hidden=8, dtype=torch.float64)
    source, given = torch.tensor([0, 0, 1, 2, 2]), torch.ones(MEMBERS, NODES)
    given[torch.arange(MEMBERS), torch.arange(MEMBERS)] = 0
    found.hold(2 * torch.rand(NODES, 2) - 1, torch.rand(3, NODES, 1), source, given)
    return found


def inputs(n=40):
    member = torch.randint(MEMBERS, (n,))
    where = 2 * torch.rand(n, 2, dtype=torch.float64) - 1
    return member, torch.cat([where, (2.0 * member / (MEMBERS - 1) - 1)[:, None]], dim=1)


@pytest.mark.parametrize("depth", [1, 3])
def test_each_member_is_a_siren_of_the_weights_that_its_context_makes(depth):
    space = network(depth=depth)
    member, x = inputs()
    with torch.no_grad():
        found = space(x)
        for m in range(MEMBERS):
            z = space.encode(torch.tensor([m]))
            shares = space.weights(torch.relu(space.hyper(z)))[0]
            theta = space.unit * shares
            plain, start = Siren(2, 1, 12, depth, [10.0] + [INNER] * (depth - 1), dtype=torch.float64), 0
            for layer in plain.layers:
                for parameter in (layer.weight.T, layer.bias):
                    parameter.copy_(theta[start : start + parameter.numel()].view(parameter.shape))
                    start += parameter.numel()
            assert start == len(theta)
            own = member == m
            assert torch.allclose(found[own, :1], plain(x[own, :2]), atol=1e-12)
            assert torch.allclose(found[own, 1], z.norm() / z.numel() ** 0.5)
            assert torch.allclose(found[own, 2], shares.norm() / len(shares) ** 0.5)


def test_its_derivatives_are_those_of_autograd():
    space = network()
    _, x = inputs(15)
    p = Points(("x", "y", "n"), x)
    plan = make_plan(p.axes, frozenset({"x", "xy", "laplacian"}))
    jets = space(Jet(torch.stack([coordinate(p, plan, a).channels for a in p.axes], dim=-1), plan, p))
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(space(x)[:, 0].sum(), x, create_graph=True)
    (along,) = torch.autograd.grad(slope[:, 0].sum(), x, retain_graph=True)
    assert torch.allclose(jets.channels[plan.index["x"]][:, 0], slope[:, 0], atol=1e-10)
    assert torch.allclose(jets.channels[plan.index["xy"]][:, 0], along[:, 1], atol=1e-9)
    assert not jets.channels[1:, :, 1:].any()


def test_a_member_is_made_of_its_context_alone():
    space = network()
    before = space.encode(torch.arange(MEMBERS))
    space.values[2, 3] += 1.0  # Member 3 is not given this node of its function, member 4 is.
    after = space.encode(torch.arange(MEMBERS))
    same = (before == after).all(1)
    assert same.tolist() == [True, True, True, True, False]


def test_a_raster_draws_whole_slices():
    nodes = {"x": np.arange(4.0), "y": np.arange(3.0), "n": np.arange(7.0)}
    problem = Problem(
        domain=Box(x=(0, 3), y=(0, 2), n=(0, 6)), conditions=[Raster(nodes, np.zeros((4, 3, 7)), whole="n")]
    )
    p = problem.constraints()[0].sample(40, Sampler(torch.Generator().manual_seed(2)))[0]
    numbers, counts = p.n.unique(return_counts=True)
    assert len(p) == 36 and set((counts // 12).tolist()) <= {1, 2, 3} and not (counts % 12).any()
    own = p.coordinates[p.n == numbers[0], :2].unique(dim=0)
    assert len(own) == 12


def test_a_short_solve_beats_the_mean_image_at_unseen_ones(tmp_path):
    pytest.importorskip("skimage")
    problem = load_problem(FILE)(contexts=(50, 625), draws=2, width=32)
    solution = solve(problem, steps=60, points=3000, seed=3, progress=False, device="cpu")
    found = solution.report.metrics
    assert found["PSNR, mean image, 50 pixels (dB)"] == pytest.approx(14.2, abs=0.1)
    assert 14.9 < found["PSNR, 625 pixels (dB)"] < 16.5, found
    assert set(solution.history) >= {"data", "small code", "small weights"}
    solution.save(tmp_path)
    assert (tmp_path / "space.png").stat().st_size > 10_000
    x = np.random.default_rng(1).random((50, 3)) * [24, 24, 0] + [0, 0, len(problem.source) - 1]
    assert np.allclose(Solution.load(tmp_path)(x), solution(x))
    assert not verify(tmp_path)[1]


def test_what_does_not_fit_is_said():
    images = np.random.default_rng(1).random((8, 8, 5))
    for wrong in ({"unseen": 5}, {"unseen": 0}, {"contexts": (65,)}, {"contexts": ()}, {"draws": 0}):
        with pytest.raises(ProblemError, match="Of 5 images of 64 pixels"):
            image_space(images, **{"unseen": 1, "contexts": (4,), "draws": 1, "code": 0.1, "weights": 0.1} | wrong)
    with pytest.raises(UsageError, match="positive whole sizes"):
        HyperSiren(2, 1, 0, 3, 4)
    space = network()
    with pytest.raises(UsageError, match="places must have shape"):
        space.hold(torch.zeros(3, 2), space.values, space.source, space.given)
    with pytest.raises(UsageError, match="context is empty"):
        space.hold(space.places, space.values, space.source, 0 * space.given)
    with pytest.raises(ProblemError, match="one of its axes, x"):
        Raster({"x": np.arange(3.0)}, np.zeros(3), whole="n")
