"""The eikonal statement around obstacles and from surfaces: what tells the right branch, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn_siren import Box, Disk, Eikonal, Points, Polygon, Sampler, Solution, solve, solve_reference
from pinn_siren.bandwidth import Search
from pinn_siren.errors import ProblemError
from pinn_siren.files import load_problem
from pinn_siren.jet import lift
from pinn_siren.problem import record
from pinn_siren.scales import measure_scales

SQUARE = Box(x=(-1, 1), y=(-1, 1))
RADIUS, SOURCE = 0.4, (-0.7, 0.1)
HOLED = SQUARE - Disk(radius=RADIUS)


def straight(p: Points) -> Tensor:
    return (p.space - p.space.new_tensor(SOURCE)).norm(dim=1)


def around(p: Points, source: tuple[float, float] = SOURCE) -> Tensor:
    """Around the disk: straight, or two tangents and an arc."""
    x, s = p.space, p.space.new_tensor(source)
    ray, r, r0 = x - s, p.space.norm(dim=1).clamp(min=RADIUS), s.norm()
    along = (-(ray @ s) / ray.square().sum(1)).clamp(0, 1)
    free = (s + along[:, None] * ray).norm(dim=1) >= RADIUS
    turn = torch.arccos((x @ s / (x.norm(dim=1) * r0)).clamp(-1 + 1e-12, 1 - 1e-12))
    arc = turn - torch.arccos(RADIUS / r0) - torch.arccos(RADIUS / r)
    tangents = (r0**2 - RADIUS**2).sqrt() + (r**2 - RADIUS**2).clamp(min=1e-18).sqrt()
    return torch.where(free, ray.norm(dim=1), tangents + RADIUS * arc.clamp(min=0))


def part(problem: Eikonal, name: str, field, p: Points | None = None) -> tuple[Points, Tensor]:
    """A constraint's first part for one field of travel times, the worst over branches, at its points or given ones."""
    constraint = {c.name: c for c in problem.constraints()}[name]
    points = constraint.sample(400, Sampler(torch.Generator().manual_seed(5)))[0] if p is None else p
    count = len(problem.fields)
    found, _ = record(lambda plan: constraint.residual([points], [(lift(field, points, plan),) * count]), problem)
    parts = torch.stack(found[:count] if isinstance(found, tuple | list) else [found])
    return points, parts.gather(0, parts.abs().argmax(dim=0, keepdim=True))[0]


OBSTACLE = Eikonal(domain=HOLED, velocity=2.0, source=SOURCE)


def test_the_straight_time_solves_the_equation_but_comes_out_of_the_wall():
    _, equation = part(OBSTACLE, "equation", lambda p: straight(p) / 2)
    assert float(equation.abs().max()) < 1e-12
    p, walls = part(OBSTACLE, "walls", lambda p: straight(p) / 2)
    ray = (p.space - torch.tensor(SOURCE)) / straight(p)[:, None]
    assert torch.allclose(walls, (ray * p.normal).sum(dim=1).clamp(max=0.0), atol=1e-12)
    assert float(walls.min()) < -0.9
    _, times = part(OBSTACLE, "times", lambda p: straight(p) / 2)
    assert float(times.min()) < -0.01


def test_the_time_around_meets_every_constraint():
    _, equation = part(OBSTACLE, "equation", lambda p: around(p) / 2)
    assert float(equation.abs().max()) < 1e-9
    p, _ = part(OBSTACLE, "walls", lambda p: around(p))
    # A step off the circle, on which the slope of the tangents is that of a square root.
    p = Points(p.axes, p.coordinates - 1e-9 * p.normal, p.normal)
    assert float(part(OBSTACLE, "walls", lambda p: around(p) / 2, p)[1].min()) > -1e-3
    _, times = part(OBSTACLE, "times", lambda p: around(p) / 2)
    # Beside the kink a few points of the map are the other side's.
    assert float(times.abs().quantile(0.98)) < 1e-4
    assert float(times.max()) < 1e-4  # no path is faster than the first arrival, but for chords of the circle


def test_the_map_takes_the_velocity_along():
    """In a layered medium the times of the map are those of the reference, but for the looseness."""
    problem = Eikonal(domain=HOLED, velocity=lambda p: 1.5 + p.y, source=[SOURCE, (0.7, -0.6)])
    bounds = problem._map
    for row, source in zip(bounds.times, problem.source, strict=True):
        one = Eikonal(domain=HOLED, velocity=problem.velocity, source=source)
        grid = one.finite_differences({"x": 80, "y": 80})
        near = np.rint((bounds.points.numpy() + 1) * 40).astype(int)
        known = grid.values["u"][near[:, 0], near[:, 1]]
        place = torch.from_numpy(np.stack([near[:, 0], near[:, 1]], axis=1) / 40 - 1)
        slack = (place - bounds.points).norm(dim=1).numpy() / 0.5 + 0.01
        ok = np.isfinite(known)
        assert (known - row.numpy() <= slack)[ok].all()
        assert ((1 - bounds.loose) * row.numpy() - known <= slack)[ok].all()
        assert np.median(np.abs(known - row.numpy())[ok] / known[ok]) < 0.03


def test_a_box_needs_neither_walls_nor_bounds():
    assert [c.name for c in Eikonal(domain=SQUARE, velocity=1.0, source=SOURCE).constraints()] == ["equation"]
    two = Eikonal(domain=HOLED, velocity=1.0, source=[SOURCE, (0.7, 0.7)])
    assert [c.name for c in two.constraints()] == ["equation", "walls", "times"]


def test_two_sources_around_a_disk_to_a_thousandth():
    """A field a source and side, all of them smooth but at the wall; against taut strings."""
    sources = [SOURCE, (0.5, -0.7)]
    problem = Eikonal(domain=HOLED, velocity=1.0, source=sources)
    assert len(problem.fields) == 4
    search = Search(problem, measure_scales(problem), tolerance=1e-3, seed=3, deadline=math.inf)
    model = search.attempt(240, {"x": 10.0, "y": 10.0}).model
    p = HOLED.interior(2000, Sampler(torch.Generator().manual_seed(5)))
    truth = torch.minimum(*(around(p, source) for source in sources))
    with torch.no_grad():
        found = problem.observe(model(p))[:, 0]
    assert float((found - truth).norm() / truth.norm()) < 1e-3


@pytest.mark.parametrize("surface", [Disk(radius=0.4), Polygon([(-0.5, -0.4), (0.6, -0.3), (0.1, 0.55)])])
def test_a_shape_is_a_surface_in_the_factored_form(surface):
    """In a constant velocity the factor is one: the start is the solution, kinks included."""
    problem = Eikonal(domain=SQUARE, velocity=2.0, surface=surface)
    assert [c.name for c in problem.constraints()] == ["equation"]  # T = 0 on the surface is built in
    solution = solve(problem, points=300, steps=1, device="cpu", progress=False)
    x = SQUARE.interior(500, Sampler(torch.Generator().manual_seed(5))).coordinates
    assert torch.allclose(solution(x), surface.level(x).abs() / 2, atol=1e-9)
    weights = {name: w.numpy() for name, w in solution.model.state_dict().items()}
    loaded = Solution.rebuild(solution.configuration(), weights, solution.provenance, {})
    assert torch.equal(loaded(x), solution(x))


def test_a_surface_around_an_obstacle_lets_rays_out():
    problem = Eikonal(domain=HOLED, velocity=2.0, surface=Disk(radius=RADIUS))
    _, walls = part(problem, "walls", lambda p: (p.space.norm(dim=1) - RADIUS) / 2)
    assert float(walls.abs().max()) == 0.0
    _, bounds = part(problem, "bounds", lambda p: (p.space.norm(dim=1) - RADIUS) / 2)
    assert float(bounds.abs().max()) < 5e-3


def test_the_boundary_of_a_set_operation_is_a_surface_of_points():
    problem = Eikonal(domain=SQUARE, velocity=2.0, surface=Disk(radius=0.4) + Disk(center=(0.4, 0), radius=0.4))
    p, value = part(problem, "surface", lambda p: p.x)
    assert len(p) == 400 and torch.equal(value, p.x)
    edge = torch.minimum(p.space.norm(dim=1), (p.space - p.space.new_tensor((0.4, 0))).norm(dim=1))
    assert float((edge - 0.4).abs().max()) < 1e-12  # nothing of the seam inside


def test_the_block_of_the_gallery_to_eight_digits_and_its_reference_beside_it():
    problem = load_problem(Path(__file__).parent.parent / "problems" / "eikonal_3d.py")
    solution = solve(problem, method="least-squares", tolerance=1e-8, seed=3, device="cpu", progress=False)
    p = problem.domain.interior(2000, Sampler(torch.Generator().manual_seed(5)))
    exact = problem.exact(p)
    assert float((solution(p) - exact).norm() / exact.norm()) < 1e-8
    reference = solve_reference(problem)
    nodes = Points(problem.domain.axes, torch.from_numpy(reference.finest.nodes()))
    off = reference.finest.values["u"].ravel() - problem.exact(nodes).numpy()
    assert np.linalg.norm(off) / float(problem.exact(nodes).norm()) < reference.error


def nowhere(p: Points) -> Tensor:
    return p.x * torch.nan


RING = Disk(radius=0.6) - Disk(radius=0.3)
REFUSED = [
    ({"source": (0.1, 0.0)}, r"source \(0.1, 0.0\) lies outside .*obstacle"),
    ({"source": (0.1, 3.0)}, r"source \(0.1, 3.0\) lies outside"),
    ({"source": "a"}, r"source must be points with the coordinates \(x, y\), got 'a'"),
    ({"source": [(0, 0), (1,)]}, "source must be points"),
    ({"source": []}, "source must be points"),
    ({"source": (0, 0, 0)}, "source must be points"),
    ({"source": (float("nan"), 0)}, "lies outside"),
    ({"surface": 3.0}, "surface must be points"),
    ({"surface": [(0.7, 0.7), (2.0, 0.0)]}, r"surface \(2.0, 0.0\) lies outside"),
    ({"surface": Disk(center=(5, 5))}, "The boundary of surface .* lies outside"),
    ({"surface": Disk(radius=0.2)}, "The boundary of surface .* lies outside"),
    ({"surface": Disk(axes=("x", "z"))}, "surface must have the axes of the domain, x, y"),
    ({"source": SOURCE, "velocity": 0.0}, "velocity must be positive"),
    ({"source": SOURCE, "velocity": -1.0}, "velocity must be positive"),
    ({"source": SOURCE, "velocity": float("nan")}, "velocity must be finite"),
    ({"source": SOURCE, "velocity": nowhere}, "velocity.* NaN"),
    ({"source": SOURCE, "velocity": "fast"}, "velocity must be a number or a function"),
    ({"source": SOURCE, "velocity": 0.0, "ansatz": lambda p, u: u}, "velocity must be positive"),
    ({"source": SOURCE, "surface": Disk(radius=0.5)}, "one of them"),
    ({}, "needs source= .* or surface="),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_messages(fields, message):
    with pytest.raises(ProblemError, match=message):
        Eikonal(**({"domain": HOLED, "velocity": 1.0} | fields))


def test_a_part_that_no_path_leads_to():
    with pytest.raises(ProblemError, match=r"No path in .* leads from the source"):
        Eikonal(domain=SQUARE - RING, velocity=1.0, source=(-0.8, 0.0)).constraints()
