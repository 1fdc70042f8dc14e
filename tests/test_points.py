"""Points: named coordinates, space and normals."""

import copy
import pickle

import pytest
import torch

from pinn_siren import Points
from pinn_siren.coefficients import values
from pinn_siren.errors import ProblemError
from pinn_siren.points import join


@pytest.fixture
def p() -> Points:
    return Points(("x", "t", "y"), torch.arange(12, dtype=torch.float64).reshape(4, 3), torch.eye(4, 2))


def test_coordinates_have_names(p):
    assert len(p) == 4
    assert p.x.tolist() == [0, 3, 6, 9] and p.t.tolist() == [1, 4, 7, 10] and p.y.tolist() == [2, 5, 8, 11]
    assert p.space_axes == ("x", "y")
    assert torch.equal(p.space, torch.stack([p.x, p.y], 1))
    assert p.normal.shape == (4, 2)


def test_indexing_keeps_names_and_normals(p):
    for index in (slice(1, 3), torch.tensor([1, 2]), torch.tensor([False, True, True, False])):
        part = p[index]
        assert part.axes == p.axes and part.t.tolist() == [4, 7]
        assert torch.equal(part.normal, p.normal[1:3])
    assert p[:0].x.shape == (0,)
    assert Points(p.axes, p.coordinates)[:2].outward is None


def test_replace_keeps_names_and_normals(p):
    moved = p.replace(p.coordinates + 1)
    assert moved.x.tolist() == [1, 4, 7, 10] and torch.equal(moved.normal, p.normal)


def test_join_keeps_the_normals_that_all_have(p):
    both = join([p, p[:2]])
    assert len(both) == 6 and torch.equal(both.normal, torch.cat([p.normal, p.normal[:2]]))
    assert join([p, Points(p.axes, p.coordinates)]).outward is None


@pytest.mark.parametrize(("name", "says"), [("z", "axes x, t, y; there is no p.z"), ("tt", "Did you mean 't'")])
def test_an_unknown_axis_is_named(p, name, says):
    with pytest.raises(ProblemError, match=says):
        getattr(p, name)


def test_no_normal_away_from_boundaries(p):
    with pytest.raises(ProblemError, match="on a boundary only"):
        _ = Points(p.axes, p.coordinates).normal


@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 3, 1), ()])
def test_another_shape_is_refused(shape):
    with pytest.raises(ProblemError, match=r"shape \(n, 3\)"):
        Points(("x", "y", "t"), torch.zeros(shape))


def test_points_are_frozen_and_copy(p):
    with pytest.raises(AttributeError):
        p.axes = ("x",)
    for twin in (copy.copy(p), copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert twin.axes == p.axes and torch.equal(twin.coordinates, p.coordinates)


# --- coefficients: a number, or a function of points ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("coefficient", "expected"),
    [
        (2, [2, 2]), (0.5, [0.5, 0.5]), (lambda p: 3, [3, 3]), (lambda p: torch.tensor(3.0), [3, 3]),
        (lambda p: p.x, [0, 1]), (lambda p: (p.x > 0), [0, 1]), (lambda p: p.x.long(), [0, 1]),
        (1j, [1j, 1j]), (lambda p: 1j * p.x, [0, 1j]), (lambda p: 1 + 2j, [1 + 2j, 1 + 2j]),
    ],
)  # fmt: skip
def test_values_follow_the_points(coefficient, expected, dtype):
    came = values(coefficient, Points(("x",), torch.tensor([[0.0], [1.0]], dtype=dtype)), "a")
    assert came.tolist() == expected
    assert came.dtype == (dtype.to_complex() if isinstance(expected[1], complex) else dtype)


@pytest.mark.parametrize(
    ("coefficient", "says"),
    [
        ("2", "a must be a number or a function of points, got str"),
        (None, "got NoneType"),
        (lambda p: "2", "must return a tensor"),
        (lambda p: p.x[:, None], r"must return shape \(2,\) for 2 points, got \(2, 1\).*trailing axis"),
        (lambda p: torch.zeros(3), r"got \(3,\)"),
        (lambda p: 1 / p.x, r"NaN or infinite, for example at \{'x': 0.0\}"),
        (lambda p: torch.log(p.x - 0.5), "NaN or infinite"),
    ],
)
def test_values_refuse(coefficient, says):
    with pytest.raises(ProblemError, match=says):
        values(coefficient, Points(("x",), torch.tensor([[0.0], [1.0]])), "a")
