"""Obstacles in open space: outgoing waves against the series of a disk and of a sphere, and other exact fields."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, hankel1, j0, j1, spherical_jn, spherical_yn, y0, y1

from pinn_siren import (
    Adam,
    Ball,
    Box,
    Dirichlet,
    Disk,
    Helmholtz,
    Neumann,
    Points,
    Poisson,
    Polygon,
    Radiating,
    Robin,
    Sampler,
    Solution,
    Trainer,
    solve,
)  # fmt: skip
from pinn_siren.errors import NoReferenceError, ProblemError, UsageError
from pinn_siren.exterior import Outgoing
from pinn_siren.files import load_problem
from pinn_siren.jet import Jet, make_plan
from pinn_siren.outgoing import OutgoingWaves
from pinn_siren.scales import measure_scales

PLAIN = {"device": "cpu", "progress": False}
DISK = load_problem(Path(__file__).parent.parent / "problems" / "helmholtz_scattering.py")
ROOM = Box(x=(-1.0, 2.0), y=(-1.0, 1.0))


def points_of(domain, n=400):
    return domain.interior(n, Sampler(torch.Generator().manual_seed(7)))


def distance(solution, problem):
    p = points_of(problem.domain)
    found, exact = torch.as_tensor(solution(p.coordinates)).reshape(-1), problem.exact(p)
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize(("wall", "wavenumber"), [("hard", 5.0), ("soft", 5.0), ("hard", 20.0)])
def test_a_disk_scatters_as_its_series_says(wall, wavenumber):
    problem = DISK(wall, wavenumber)
    solution = solve(problem, tolerance=1e-8, **PLAIN)
    error = distance(solution, problem)
    assert error < 1e-8 and error < solution.provenance.estimate <= 1e-8
    assert "outgoing waves" in solution.provenance.stages


def test_the_series_never_steers_the_solve():
    problem = DISK("hard")
    bare = Helmholtz(domain=problem.domain, wavenumber=5.0, source=0, conditions=problem.conditions)
    p = points_of(problem.domain)
    one, two = (solve(stated, tolerance=1e-6, **PLAIN)(p.coordinates) for stated in (problem, bare))
    assert np.array_equal(one, two)


def test_a_sphere_scatters_as_its_series_says():
    k, radius = 3.0, 0.5

    def series(p):
        r = p.coordinates.norm(dim=1).numpy()
        cosine = p.z.numpy() / r
        total = np.zeros(len(r), dtype=complex)
        for m in range(25):
            there = spherical_jn(m, k * r) + 1j * spherical_yn(m, k * r)
            ratio = spherical_jn(m, k * radius) / (spherical_jn(m, k * radius) + 1j * spherical_yn(m, k * radius))
            total -= (2 * m + 1) * 1j**m * ratio * there * eval_legendre(m, cosine)
        return torch.from_numpy(total)

    problem = Helmholtz(
        domain=Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)) - Ball(radius=radius), wavenumber=k, source=0, exact=series,
        conditions=[Dirichlet(lambda p: -torch.exp(1j * k * p.z), on=Ball(radius=radius)), Radiating()],
    )  # fmt: skip
    solution = solve(problem, tolerance=1e-5, **PLAIN)
    assert distance(solution, problem) < solution.provenance.estimate <= 1e-5


def test_two_disks_with_conditions_of_their_own():
    """The exact field is that of a point source in each."""
    k, one, two = 6.0, Disk(center=(0.0, 0.0), radius=0.4), Disk(center=(1.2, 0.2), radius=0.3)

    def wave(p, x, y):
        return torch.hypot(p.x - x, p.y - y)

    def exact(p):
        return torch.from_numpy(
            hankel1(0, k * wave(p, 0.05, 0).numpy()) - 2j * hankel1(0, k * wave(p, 1.2, 0.25).numpy())
        )

    def slope(p):
        total = 0
        for strength, x, y in ((1, 0.05, 0), (-2j, 1.2, 0.25)):
            r = wave(p, x, y)
            along = ((p.x - x) * p.normal[:, 0] + (p.y - y) * p.normal[:, 1]) / r
            total = total - strength * k * torch.from_numpy(hankel1(1, k * r.numpy())) * along
        return total

    problem = Helmholtz(
        domain=ROOM - one - two, wavenumber=k, source=0, exact=exact,
        conditions=[
            Robin(2.0, 1.0, lambda p: 2 * exact(p) + slope(p), on=one), Dirichlet(exact, on=two), Radiating(on=ROOM),
        ],
    )  # fmt: skip
    solution = solve(problem, tolerance=1e-8, **PLAIN)
    assert distance(solution, problem) < solution.provenance.estimate <= 1e-8
    state = {name: w.detach().numpy() for name, w in solution.model.state_dict().items()}
    again = Solution.rebuild(solution.configuration(), state, solution.provenance, solution.history)
    at = points_of(problem.domain).coordinates
    assert np.array_equal(again(at), solution(at))


@pytest.mark.parametrize("dipoles", [0, 3])
@pytest.mark.parametrize("inputs", [2, 3])
def test_every_wave_satisfies_the_equation_and_leaves(inputs, dipoles):
    k, generator = 4.0, torch.Generator().manual_seed(3)
    places = (torch.rand(5, inputs, generator=generator, dtype=torch.float64) - 0.5).tolist()
    network = OutgoingWaves(places, k, [2.0] * inputs, places[:dipoles], dtype=torch.float64)
    network.put(torch.complex(*torch.randn(2, network.count, generator=generator, dtype=torch.float64)))
    axes = ("x", "y", "z")[:inputs]
    plan = make_plan(axes, frozenset({2 * a for a in axes}))
    x = torch.randn(20, inputs, generator=generator, dtype=torch.float64) + 2
    channels = torch.zeros(len(plan.keys), 20, inputs, dtype=torch.float64)
    channels[0] = x
    for i, a in enumerate(axes):
        channels[plan.index[a], :, i] = 1
    u = network(Jet(channels, plan, Points(axes, x)))
    laplacian = sum(u.channel(2 * a) for a in axes)
    # The network's own coordinates are half as large.
    assert torch.allclose(laplacian, -((2 * k) ** 2) * u.value, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        assert torch.allclose(network(x), u.value)
        # Far away u grows by exp(i k dr) along a ray, and decays.
        ray = torch.zeros(2, inputs, dtype=torch.float64)
        ray[:, 0] = torch.tensor([1e4, 1e4 + math.pi / (4 * k)])
        first, second = (torch.complex(*part) for part in network(ray))
    assert abs(second / first - np.exp(1j * math.pi / 2)) < 1e-3


def test_a_wave_is_the_hankel_function():
    network = OutgoingWaves([[0.1, -0.2]], 7.0, dtype=torch.float64)
    network.put(torch.tensor([2.0 - 1j], dtype=torch.complex128))
    x = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3
    with torch.no_grad():
        found = torch.complex(*network(x).T).numpy()
    r = np.hypot(x[:, 0].numpy() - 0.1, x[:, 1].numpy() + 0.2)
    assert np.allclose(found, (2 - 1j) * hankel1(0, 7 * r), rtol=1e-12)


WAY = np.array([math.cos(0.3), math.sin(0.3)])


def struck(obstacle, k, wall):
    """A plane wave along ``WAY`` on an obstacle."""
    room = Box(x=(-1.5, 1.5), y=(-1.5, 1.5))

    def incident(p):
        return torch.exp(1j * k * (WAY[0] * p.x + WAY[1] * p.y))

    def slope(p):
        return -1j * k * (p.normal @ torch.from_numpy(WAY)) * incident(p)

    met = Neumann(slope, on=obstacle) if wall == "hard" else Dirichlet(lambda p: -incident(p), on=obstacle)
    return Helmholtz(domain=room - obstacle, wavenumber=k, source=0, conditions=[met, Radiating(on=room)])


def polygon_scatters(vertices, k, wall, at, levels=24, order=8):
    """The scattered field by boundary integrals of the second kind (Colton and Kress 2013, chapter 3).

    Panels halve toward the corners. On straight sides the double layer of a side at itself is zero, so that no kernel
    is singular. ``k^2`` must be no eigenvalue of the inside.
    """
    x, w = np.polynomial.legendre.leggauss(order)
    ends = np.concatenate([[0], 0.5 ** np.arange(levels, 0, -1)])
    middles, halves = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
    shares, weights = (middles[:, None] + halves[:, None] * x).ravel(), (halves[:, None] * w).ravel()
    parts = []
    for a, b in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        side, length = b - a, np.hypot(*(b - a))
        normal = np.array([side[1], -side[0]]) / length
        for corner, along in ((a, side), (b, -side)):
            same = (np.tile(v, (len(shares), 1)) for v in (corner, normal))
            parts.append((*same, shares[:, None] * along, weights * length))
    corner, normal, off, by = (np.concatenate(part) for part in zip(*parts, strict=True))
    # x - y from the corners, which is exact beside them.
    away = (corner[:, None] - corner[None]) + (off[:, None] - off[None])
    r = np.hypot(away[..., 0], away[..., 1])
    np.fill_diagonal(r, 1.0)
    along = (away * (normal[None] if wall == "hard" else normal[:, None])).sum(-1)
    kernel = 0.25j * k * (j1(k * r) + 1j * y1(k * r)) / r * np.where(np.abs(along) > 1e-13 * r, along, 0.0) * by
    incident, here = np.exp(1j * k * (corner + off) @ WAY), at[:, None] - (corner + off)[None]
    far = np.hypot(here[..., 0], here[..., 1])
    if wall == "hard":
        whole = np.linalg.solve(np.eye(len(by)) / 2 - kernel, incident)
        layer = 0.25j * k * (j1(k * far) + 1j * y1(k * far)) / far * (here * normal).sum(-1)
        return layer @ (by * whole)
    slope = np.linalg.solve(np.eye(len(by)) / 2 - kernel, 1j * k * (normal @ WAY) * incident)
    return -0.25j * (j0(k * far) + 1j * y0(k * far)) @ (by * slope)


@pytest.mark.parametrize("wall", ["soft", "hard"])
def test_a_square_scatters_as_boundary_integrals_say(wall):
    k, half = 5.0, 0.5
    square = Box(x=(-half, half), y=(-half, half))
    solution = solve(struck(square, k, wall), tolerance=1e-6, **PLAIN)
    at = points_of(Box(x=(-1.5, 1.5), y=(-1.5, 1.5)) - Box(x=(-0.6, 0.6), y=(-0.6, 0.6)), 200).coordinates.numpy()
    corners = half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    exact = polygon_scatters(corners, k, wall, at)
    error = np.linalg.norm(solution(at).reshape(-1) - exact) / np.linalg.norm(exact)
    # The integrals themselves are good to 7e-8: 34 levels of order 10 say so.
    assert error < solution.provenance.estimate + 1e-7 and solution.provenance.estimate <= 1e-6


def test_a_rough_corner_is_named():
    vertices = [(0.0, -0.4), (0.6, 0.3), (-0.5, 0.2)]
    problem = struck(Polygon(vertices), 4.0, "hard")
    found = Outgoing(problem, measure_scales(problem), 1e-8, 0, deadline=0.0).run()
    named = [f"roughest at the corner ({x:.4g}, {y:.4g})" in found.reason for x, y in vertices]
    assert sum(named) == 1 and found.end == "budget"


def test_what_does_not_radiate_is_said():
    hole = Disk(radius=0.3)
    outside, wall = ROOM - hole, Dirichlet(1.0, on=hole)
    given = {"domain": outside, "conditions": [wall, Radiating(on=ROOM)], "wavenumber": 4.0}
    with pytest.raises(UsageError, match="outgoing waves alone"):
        solve(Helmholtz(source=0, **given), method="lbfgs", **PLAIN)
    with pytest.raises(UsageError, match="no network is trained"):
        Trainer(Helmholtz(source=0, **given), **PLAIN).run(Adam(steps=1))
    with pytest.raises(ProblemError, match="without a source"):
        solve(Helmholtz(source=1.0, **given), **PLAIN)
    with pytest.raises(ProblemError, match="time-harmonic"):
        solve(Poisson(domain=outside, source=0, conditions=[wall, Radiating(on=ROOM)]), **PLAIN)
    with pytest.raises(ProblemError, match="needs a condition on an obstacle"):
        solve(Helmholtz(domain=ROOM, wavenumber=4.0, source=0, conditions=[Radiating()]), **PLAIN)
    with pytest.raises(NoReferenceError, match="open space"):
        Helmholtz(source=0, **given).finite_differences({"x": 20, "y": 20})
    with pytest.raises(UsageError, match="2 or 3"):
        OutgoingWaves([[0.0]], 1.0)


def test_slopes_of_no_obstacle_are_refused():
    closed = Helmholtz(domain=ROOM, wavenumber=4.0, source=0, conditions=[Neumann(1.0, on="left"), Radiating()])
    with pytest.raises(ProblemError, match="no obstacle"):
        solve(closed, **PLAIN)
