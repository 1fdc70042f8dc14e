"""Box: samples inside and on its sides, normals, masks, schemes and messages."""

import math

import pytest
import torch

from pinn_siren import Box, Sampler
from pinn_siren.domains.sampling import allot, shifted
from pinn_siren.errors import ProblemError, UsageError

BOXES = [
    Box(x=(-1, 2)),
    Box(x=(0, 3), y=(-1, 0)),
    Box(x=(0.1, 0.7), t=(0, 5)),
    Box(t=(-1, 1), y=(0, 1), x=(2, 4)),
    Box(x=(0, 1), y=(0, 2), z=(0, 4)),
    Box(x=(0, 1e-3), y=(-1e3, 1e3), z=(0, 1), t=(0, 1)),
    Box(a=(0, 1), b=(0, 1), c=(0, 1), d=(0, 1)),
]
SCHEMES = ["uniform", "sobol", "chebyshev"]
DTYPES = [torch.float32, torch.float64]


def sampler(seed=5, dtype=torch.float64, scheme="sobol") -> Sampler:
    return Sampler(torch.Generator().manual_seed(seed), dtype, scheme)


def corners(box: Box, dtype):
    bounds = torch.tensor(list(box.bounds.values()), dtype=dtype)
    return bounds[:, 0], bounds[:, 1]


@pytest.mark.parametrize("box", BOXES, ids=repr)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_samples_are_inside_and_on_the_faces(box, scheme, dtype):
    draw = sampler(7, dtype, scheme)
    low, high = corners(box, dtype)
    inside = box.interior(1000, draw)
    assert len(inside) == 1000 and inside.axes == box.axes and inside.outward is None
    assert inside.coordinates.dtype == dtype
    assert bool(((inside.coordinates >= low) & (inside.coordinates <= high)).all())

    p = box.boundary(500, draw)
    assert bool(((p.coordinates >= low) & (p.coordinates <= high)).all())
    assert p.normal.shape == (len(p), len(box.space_axes)) and p.normal.dtype == dtype
    assert torch.equal(p.normal.norm(dim=1), torch.ones(len(p), dtype=dtype))
    space = [box.axes.index(a) for a in box.space_axes]
    ends = torch.where(p.normal > 0, high[space], low[space])
    assert torch.equal(p.space[p.normal != 0], ends[p.normal != 0])  # on the face, to the last bit

    # Half a box further along the normal there is nothing of the domain: the normal is outward.
    step = torch.zeros_like(p.coordinates)
    step[:, space] = p.normal * (high - low)[space] / 2
    assert not bool(box.contains(p.coordinates + step).any())
    assert bool(box.contains(p.coordinates - step).all())


@pytest.mark.parametrize("scheme", ["sobol", "chebyshev"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_interior_points_are_off_the_boundary(scheme, dtype):
    for seed in (3, 5, 7):
        p = Box(x=(0, 1), y=(-1, 1)).interior(2**15, sampler(seed, dtype, scheme))
        low, high = corners(Box(x=(0, 1), y=(-1, 1)), dtype)
        assert bool((p.coordinates > low).all()) and bool((p.coordinates < high).all())


@pytest.mark.parametrize("box", [b for b in BOXES if len(b.axes) > 1], ids=repr)
def test_boundary_counts_go_by_measure(box):
    n = 997
    p = box.boundary(n, sampler())
    total = sum(2 * box.measure / (high - low) for a, (low, high) in box.bounds.items() if a != "t")
    sides = 2 * len(box.space_axes)
    assert n <= len(p) <= n + sides
    for i, axis in enumerate(box.space_axes):
        low, high = box.bounds[axis]
        share = n * box.measure / (high - low) / total
        for sign in (-1, 1):
            assert abs(int((p.normal[:, i] == sign).sum()) - share) <= 1


@pytest.mark.parametrize("name", ["left", "right", "bottom", "top", "front", "back"])
def test_sides_are_named_by_the_order_of_the_space_axes(name):
    box = Box(z=(0, 1), t=(0, 1), x=(2, 3), y=(4, 5))
    number = ["left", "right", "bottom", "top", "front", "back"].index(name)
    axis, end = "zxy"[number // 2], number % 2
    assert box.side(name) == (axis, end)
    p = box.boundary(50, sampler(), name)
    assert len(p) == 50
    assert torch.equal(getattr(p, axis), torch.full((50,), box.bounds[axis][end], dtype=torch.float64))
    assert torch.equal(p.normal[:, number // 2], torch.full((50,), 2.0 * end - 1, dtype=torch.float64))
    assert float(p.t.min()) < 0.1 and float(p.t.max()) > 0.9


def test_side_names():
    assert Box(x=(0, 1), t=(0, 1)).side_names() == ("left", "right")
    assert Box(x=(0, 1), y=(0, 1)).side_names() == ("left", "right", "bottom", "top")
    assert Box(t=(0, 1)).side_names() == ()


def test_one_space_axis_has_two_boundary_points():
    p = Box(x=(0, 2)).boundary(100, sampler())
    assert p.x.tolist() == [0, 2] and p.normal[:, 0].tolist() == [-1, 1]
    assert len(Box(x=(0, 2)).boundary(100, sampler(), "right")) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_start_is_at_the_first_time(dtype):
    p = Box(x=(-1, 1), t=(0.3, 2), y=(0, 1)).start(64, sampler(dtype=dtype))
    assert len(p) == 64 and p.outward is None
    assert torch.equal(p.t, torch.full((64,), 0.3, dtype=dtype))
    assert float(p.x.min()) < -0.9 and float(p.x.max()) > 0.9


def test_time_alone():
    box = Box(t=(1, 3))
    assert box.start(50, sampler()).t.tolist() == [1.0]
    assert box.interior(50, sampler()).t.shape == (50,)
    assert box.space_axes == () and box.has_time and box.measure == 2
    with pytest.raises(ProblemError, match="no space axis, so it has no boundary; use Initial"):
        box.boundary(10, sampler())


@pytest.mark.parametrize("box", [b for b in BOXES if len(b.axes) > 1], ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
def test_faces_are_matched(box, dtype):
    for axis in box.space_axes:
        low, high = box.faces(axis, 30, sampler(dtype=dtype))
        i, column = box.space_axes.index(axis), box.axes.index(axis)
        assert len(low) == len(high) == 30
        assert torch.equal(high.normal, -low.normal)
        assert bool((low.normal[:, i] == -1).all())
        others = [j for j in range(len(box.axes)) if j != column]
        assert torch.equal(low.coordinates[:, others], high.coordinates[:, others])
        bounds = torch.tensor(box.bounds[axis], dtype=dtype)
        assert bool(
            (low.coordinates[:, column] == bounds[0]).all() and (high.coordinates[:, column] == bounds[1]).all()
        )
    assert [len(f) for f in Box(x=(0, 1)).faces("x", 30, sampler())] == [1, 1]


# --- where on the boundary ---


def test_a_mask_keeps_its_share_of_every_side():
    """Of x < 1.5 on a 3 by 1 box: the left side, of length 1, and halves of bottom and top, 1.5 each."""
    box = Box(x=(0, 3), y=(0, 1))
    p = box.boundary(4000, sampler(), lambda p: p.x < 1.5)
    assert len(p) == 4000 and bool((p.x < 1.5).all())
    left = float((p.normal[:, 0] == -1).double().mean())
    bottom, top = (float((p.normal[:, 1] == s).double().mean()) for s in (-1, 1))
    assert (left, bottom, top) == pytest.approx((0.25, 0.375, 0.375), abs=0.02)
    assert int((p.normal[:, 0] == 1).sum()) == 0


def test_a_mask_of_everything_keeps_every_side():
    """More points match than are wanted: the cut must not drop the sides that come last."""
    p = Box(x=(0, 3), y=(0, 1)).boundary(2000, sampler(), lambda p: p.x >= 0)
    shares = [float((p.normal[:, i] == sign).double().mean()) for i in (0, 1) for sign in (-1, 1)]
    assert len(p) == 2000 and shares == pytest.approx([1 / 8, 1 / 8, 3 / 8, 3 / 8], abs=0.03)


@pytest.mark.parametrize("n", [1, 10, 200])
def test_a_narrow_mask_is_filled(n):
    p = Box(x=(0, 1), y=(0, 1)).boundary(n, sampler(), lambda p: (p.y > 1 - 1e-9) & (p.x < 0.01))
    assert len(p) == n and bool((p.y == 1).all())
    assert torch.equal(p.normal, torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(n, 2))


def test_a_mask_may_use_the_normal_and_time():
    box = Box(x=(0, 1), t=(0, 4))
    p = box.boundary(100, sampler(), lambda p: (p.normal[:, 0] > 0) & (p.t > 3))
    assert len(p) == 100 and bool((p.x == 1).all()) and float(p.t.min()) > 3


def test_a_mask_that_matches_nothing():
    with pytest.raises(ProblemError, match=r"matches none of .* boundary points.*tolerance"):
        Box(x=(0, 1), y=(0, 1)).boundary(4, sampler(), lambda p: p.x > 2)


@pytest.mark.parametrize(
    ("on", "says"),
    [
        ("middle", "names no side of .* use left, right, bottom, top, or a function"),
        ("front", "names no side"),
        ("interior", "names no side"),
        (lambda p: p.x, r"bool tensor of shape \(\d+,\).*got torch.float64"),
        (lambda p: (p.x > 0)[:, None], r"got torch.bool \(\d+, 1\)"),
        (lambda p: True, "got bool"),
        (5, "a side's name, a function of points to a bool mask, or None, got 5"),
        (["left", "right"], "a condition each"),
    ],
)
def test_what_on_cannot_be(on, says):
    with pytest.raises(ProblemError, match=says):
        Box(x=(0, 1), y=(0, 1)).boundary(8, sampler(), on)


# --- schemes ---


@pytest.mark.parametrize(
    ("scheme", "cumulative", "cap"),
    [
        ("uniform", lambda u: u, 0.05),
        ("sobol", lambda u: u, 0.005),
        ("chebyshev", lambda u: 2 / math.pi * torch.asin(torch.sqrt(u)), 0.005),
    ],
)
def test_schemes_have_their_density(scheme, cumulative, cap):
    p = Box(x=(-1, 1), y=(0, 3)).interior(2048, sampler(scheme=scheme))
    for unit in ((p.x + 1) / 2, p.y / 3):
        ordered, _ = cumulative(unit).sort()
        steps = (torch.arange(2048, dtype=torch.float64) + 0.5) / 2048
        assert float((ordered - steps).abs().max()) <= cap


@pytest.mark.parametrize("scheme", SCHEMES)
def test_seeds_decide_the_points(scheme):
    box = Box(x=(0, 1), y=(0, 1))
    draws = [box.interior(32, sampler(seed, scheme=scheme)).coordinates for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    one = sampler(3, scheme=scheme)
    assert not torch.equal(box.interior(32, one).coordinates, box.interior(32, one).coordinates)


def test_an_unknown_scheme():
    with pytest.raises(UsageError, match="one of uniform, sobol, chebyshev; got 'halton'"):
        sampler(scheme="halton")


@pytest.mark.parametrize(
    ("n", "measures", "counts"),
    [
        (10, [1, 1], [5, 5]), (10, [3, 1, 1], [6, 2, 2]), (7, [1, 1], [4, 3]), (3, [1000, 1], [2, 1]),
        (1, [1, 1, 1], [1, 1, 1]), (10, [1, 1, 1], [4, 3, 3]),
    ],
)  # fmt: skip
def test_allot(n, measures, counts):
    assert allot(n, measures) == counts


# --- the box itself ---


def test_size_and_shape():
    box = Box(x=(0, 3), t=(1, 2), y=(-1, 1))
    assert box.measure == 6 and box.axes == ("x", "t", "y") and box.space_axes == ("x", "y")
    assert box.bounds == {"x": (0, 3), "t": (1, 2), "y": (-1, 1)}
    assert repr(box) == "Box(x=(0, 3), t=(1, 2), y=(-1, 1))"
    box.bounds["x"] = (5, 6)
    assert box.bounds["x"] == (0, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_contains(dtype):
    box = Box(x=(0, 0.1), y=(-1, 1))
    at = torch.tensor([[0.05, 0.0], [0.1, 1.0], [0.0, -1.0], [0.1001, 0.0], [0.05, 1.001], [-1.0, 0.0]], dtype=dtype)
    assert box.contains(at).tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ({}, "at least one axis"),
        ({"X": (0, 1)}, "one lowercase letter"),
        ({"xx": (0, 1)}, "one lowercase letter.*'xx'"),
        ({"é": (0, 1)}, "one lowercase letter"),
        ({"x": 5}, "needs two numbers"),
        ({"x": (0, 1, 2)}, "needs two numbers"),
        ({"x": (0, "a")}, "needs two numbers"),
        ({"x": (0, None)}, "needs two numbers"),
        ({"x": (1, 0)}, "ascending order"),
        ({"x": (1, 1)}, "ascending order"),
        ({"x": (0, math.inf)}, "finite numbers"),
        ({"x": (math.nan, 1)}, "finite numbers"),
    ],
)
def test_wrong_axes(axes, says):
    with pytest.raises(ProblemError, match=says):
        Box(**axes)


def test_no_first_time_without_time():
    with pytest.raises(ProblemError, match="no time axis t"):
        Box(x=(0, 1)).start(5, sampler())


def test_an_unknown_side():
    with pytest.raises(ProblemError, match=r"'top' is no side of .* its sides are left, right"):
        Box(x=(0, 1)).side("top")


def test_points_of_a_device_are_a_net_that_the_seed_shifts():
    generator = torch.Generator().manual_seed(71)
    one, two = shifted(256, 2, generator), shifted(256, 2, generator)
    assert not torch.equal(one, two) and torch.equal(one, shifted(256, 2, torch.Generator().manual_seed(71)))
    for points in (one, two):
        assert bool(((points > 0) & (points < 1)).all())
        # A (0, 8, 2)-net: every box of 2^-i by 2^-(8-i) holds one point.
        for i in range(9):
            cell = (points[:, 0] * 2**i).long() * 2 ** (8 - i) + (points[:, 1] * 2 ** (8 - i)).long()
            assert len(cell.unique()) == 256
