"""Patches: the reference square, symmetries, merging, the solver against exact solutions, the search and solve()."""

import math
import time

import numpy as np
import pytest
import torch
from scipy.special import hankel1

from pinn_siren import (
    PML,
    Absorbing,
    Box,
    Condition,
    Dirichlet,
    Disk,
    Helmholtz,
    Neumann,
    Periodic,
    Poisson,
    Problem,
    Robin,
    Solution,
    solve,
)
from pinn_siren.errors import ProblemError, UsageError
from pinn_siren.jet import Jet, make_plan
from pinn_siren.patches import (
    Decomposition,
    NotCoveredError,
    Patches,
    as_network,
    needs_patches,
    search_patches,
    search_patches_many,
    solve_patches,
)
from pinn_siren.patches.choose import choose
from pinn_siren.patches.classes import Symmetries, classify, seen
from pinn_siren.patches.operator import read_operator
from pinn_siren.patches.search import Search
from pinn_siren.patches.square import reference_square, size_of
from pinn_siren.patchwork import Patchwork
from pinn_siren.points import Points
from pinn_siren.scales import measure_scales

SQUARE, OBLONG = Box(x=(-1, 1), y=(-1, 1)), Box(x=(0, 2), y=(-0.5, 0.5))
PLAIN = {"progress": False, "device": "cpu"}


def gauss(x, width):
    return lambda p: torch.exp(-((p.x - x) ** 2 + p.y**2) / (2 * width**2)) / (2 * torch.pi * width**2)


def wave(p):
    """A smooth field with no symmetry."""
    return torch.sin(3 * p.x + 0.3) * torch.cos(2 * p.y - 0.1) + 0.2 * p.x * p.y


def of_wave(p):
    """The derivatives of ``wave``: value, x, y, xx, xy, yy."""
    s, c = torch.sin(3 * p.x + 0.3), torch.cos(3 * p.x + 0.3)
    t, d = torch.cos(2 * p.y - 0.1), -torch.sin(2 * p.y - 0.1)
    x, y = p.x, p.y
    return s * t + 0.2 * x * y, 3 * c * t + 0.2 * y, 2 * s * d + 0.2 * x, -9 * s * t, 6 * c * d + 0.2, -4 * s * t


class Advected(Problem):
    """Every coefficient of a second-order operator, none constant."""

    def operator(self, p, value, x, y, xx, xy, yy):
        return (1 + 0.3 * p.x) * xx + 0.4 * xy + (1.2 - 0.2 * p.y) * yy + p.y * x - 2 * y - (1 + p.x**2) * value

    def residual(self, p, u):
        return self.operator(p, u.value, u.x, u.y, u.xx, u.xy, u.yy) - self.operator(p, *of_wave(p))


def sloped(p):
    """The outward slope of ``wave``."""
    _, x, y, *_ = of_wave(p)
    return x * p.normal[:, 0] + y * p.normal[:, 1]


def robin(p):
    return 2 * wave(p) + sloped(p)


def plane(p):
    return torch.exp(1j * 6 * (0.6 * p.x + 0.8 * p.y)) + 0.5 * p.x


def plane_slope(p):
    front = torch.exp(1j * 6 * (0.6 * p.x + 0.8 * p.y))
    return (3.6j * front + 0.5) * p.normal[:, 0] + 4.8j * front * p.normal[:, 1]


EXACT = {
    "poisson": (
        Poisson(domain=OBLONG, source=lambda p: of_wave(p)[3] + of_wave(p)[5], conditions=[Dirichlet(wave)]), wave
    ),
    "negative poisson with slopes": (
        Poisson(
            domain=OBLONG, diffusion=-1.0, reaction=-4.0, conditions=[Dirichlet(wave, on="left"),
            Neumann(sloped, on="right"), Robin(2.0, 1.0, robin, on=lambda p: p.normal[:, 1] != 0)],
            source=lambda p: -of_wave(p)[3] - of_wave(p)[5] + 4 * wave(p),
        ), wave
    ),
    "advected": (Advected(domain=OBLONG, conditions=[Dirichlet(wave)]), wave),
    "real waves": (
        Poisson(
            domain=OBLONG, reaction=-30.0, source=lambda p: of_wave(p)[3] + of_wave(p)[5] + 30 * wave(p),
            conditions=[Dirichlet(wave)],
        ), wave
    ),
    "helmholtz": (
        Helmholtz(
            domain=OBLONG, wavenumber=6.0, source=lambda p: -18 * p.x + 0j,
            conditions=[Dirichlet(plane, on="left"), Neumann(plane_slope, on="right"),
            Condition(lambda p, u: u.normal_derivative - 6j * u.value - plane_slope(p) + 6j * plane(p), on="top"),
            Dirichlet(plane, on="bottom")],
        ), plane
    ),
}  # fmt: skip


def points_of(box, count=41):
    lines = [torch.linspace(*box.bounds[a], count, dtype=torch.float64) for a in box.axes]
    return Points(box.axes, torch.cartesian_prod(*lines))


def evaluate(solved, problem, p, source=0):
    bounds = torch.tensor([problem.domain.bounds[a] for a in problem.domain.axes], dtype=torch.float64)
    scaled = (2 * p.coordinates - bounds.sum(1)) / bounds.diff(dim=1)[:, 0]
    with torch.no_grad():
        values = as_network(solved, problem, source=source)(scaled)
    return torch.complex(values[:, 0], values[:, 1]) if values.shape[1] == 2 else values[:, 0]


def distance(a, b):
    return float((a - b).abs().square().sum().sqrt() / b.abs().square().sum().sqrt())


@pytest.mark.parametrize("size", ["S", "chebyshev 14"])
@pytest.mark.parametrize("name", EXACT)
def test_patches_meet_exact_solutions(name, size):
    problem, exact = EXACT[name]
    # Uneven patches, an odd number of them: blocks without a neighbour are carried up.
    decomposition = Decomposition(
        {
            "x": (
                0.0,
                0.3,
                0.8,
                1.5,
                2.0,
            ),
            "y": (-0.5, -0.1, 0.1, 0.5),
        }
    )
    p = points_of(OBLONG)
    assert distance(evaluate(solve_patches(problem, decomposition, size, seed=3), problem, p), exact(p)) < 2e-9


def test_errors_fall_with_size_and_with_the_patches():
    problem, exact = EXACT["helmholtz"]
    p = points_of(OBLONG)
    coarse, fine = Decomposition.uniform(OBLONG, 1), Decomposition.uniform(OBLONG, {"x": 3, "y": 2})

    def error(decomposition, size):
        return distance(evaluate(solve_patches(problem, decomposition, size, seed=3), problem, p), exact(p))

    assert 10 * error(coarse, "L") < error(coarse, "S") < 1e-4
    assert error(fine, "S") < error(coarse, "S") / 100


def test_open_space_around_a_source_in_a_layer():
    """The convolution of i/4 H0(k r) with a Gaussian is, away from it, that wave times exp(-k^2 width^2 / 2)."""
    k, width = 10.0, 0.04
    problem = Helmholtz(domain=SQUARE, wavenumber=k, source=gauss(0.0, width), conditions=[PML(0.4, strength=8.0)])
    p = points_of(Box(x=(-0.6, 0.6), y=(-0.6, 0.6)), 51)
    p = p[p.space.norm(dim=1) > 0.35]
    exact = 0.25j * hankel1(0, k * p.space.norm(dim=1).numpy()) * math.exp(-((k * width) ** 2) / 2)
    found = evaluate(solve_patches(problem, choose(problem, 1e-8).decomposition, "M", seed=3), problem, p)
    assert distance(found, torch.from_numpy(exact)) < 2e-8


def test_the_paper_problem_is_solved_alike_by_sines_and_polynomials():
    from pathlib import Path

    from pinn_siren.files import load_problem

    problem = load_problem(Path(__file__).parent.parent / "problems" / "helmholtz_paper.py")()
    chosen = choose(problem, 1e-8)
    # The source's narrow patches lie between wide ones, symmetric, and the layer's edge is an end of patches.
    assert 12 <= chosen.decomposition.shape[0] <= 20
    ends = np.array(chosen.decomposition.breaks["x"])
    assert np.allclose(ends, -ends[::-1], rtol=0, atol=1e-12)
    assert {-0.5, 0.5} <= set(ends)
    solved = solve_patches(problem, chosen.decomposition, chosen.size, seed=3)
    assert solved.classes <= len(ends) ** 2 / 6
    p = points_of(Box(x=(-0.5, 0.5), y=(-0.5, 0.5)), 61)
    classical = evaluate(solve_patches(problem, chosen.decomposition, "chebyshev 16"), problem, p)
    assert distance(evaluate(solved, problem, p), classical) < 1e-8


def test_a_conjugate_problem_has_the_conjugate_solution():
    """Waves that leave as exp(-ikx): the impedances must follow the losses, or their traces explode."""

    class Conjugate(Helmholtz):
        def residual(self, p, u):
            e, slope = (
                1 - 4j * (p.x.abs() - 0.6).clamp(min=0) ** 2 / 0.16,
                -8j * (p.x.abs() - 0.6).clamp(min=0) / 0.16,
            )
            return u.xx / e**2 - slope * p.x.sign() / e**3 * u.x + u.yy + 100 * u.value + gauss(0.0, 0.2)(p)

    class Straight(Helmholtz):
        def residual(self, p, u):
            e, slope = (1 + 4j * (p.x.abs() - 0.6).clamp(min=0) ** 2 / 0.16, 8j * (p.x.abs() - 0.6).clamp(min=0) / 0.16)
            return u.xx / e**2 - slope * p.x.sign() / e**3 * u.x + u.yy + 100 * u.value + gauss(0.0, 0.2)(p)

    decomposition = Decomposition({"x": (-1, -0.8, -0.6, -0.2, 0.2, 0.6, 0.8, 1), "y": (-1, -0.6, -0.2, 0.2, 0.6, 1)})
    p = points_of(SQUARE)
    one, two = (
        evaluate(solve_patches(kind(domain=SQUARE, wavenumber=10.0, source=0, conditions=[Dirichlet(0)]), decomposition,
        "M", seed=3), Helmholtz(domain=SQUARE, wavenumber=10.0, source=0), p) for kind in (Straight, Conjugate)
    )  # fmt: skip
    assert distance(one.conj(), two) < 1e-9


def test_several_sources_share_one_factorization():
    def stated(place):
        return Helmholtz(domain=SQUARE, wavenumber=8.0, source=gauss(place, 0.15), conditions=[PML(0.5)])

    decomposition = Decomposition.uniform(SQUARE, 4)
    both = solve_patches([stated(-0.2), stated(0.3)], decomposition, "S", seed=3)
    p = points_of(SQUARE)
    for i, place in enumerate((-0.2, 0.3)):
        alone = evaluate(solve_patches(stated(place), decomposition, "S", seed=3), stated(place), p)
        assert distance(evaluate(both, stated(place), p, source=i), alone) < 1e-10


def test_equal_patches_are_found_through_symmetries():
    problem = Helmholtz(domain=SQUARE, wavenumber=20.0, source=gauss(0.0, 0.1), conditions=[PML(0.5)])
    square = reference_square(size_of("S"), 3)
    symmetries = Symmetries.of(square)
    operator = read_operator([problem], Decomposition.uniform(SQUARE, 8), square)
    classes = classify(operator, symmetries)
    # Along an axis a patch is in the layer's outer half, its inner half, or the physical region.
    assert len(classes.first) == 6
    rows = seen(operator.coefficients, classes.view, symmetries.channel, symmetries.sign, symmetries.node)
    assert float((rows - rows[classes.first[classes.member]]).abs().max()) < 1e-12
    other = Helmholtz(domain=SQUARE, wavenumber=20.0, speed=lambda p: 1 + 0.1 * p.x, source=0, conditions=[PML(0.5)])
    operator = read_operator([other], Decomposition.uniform(SQUARE, 8), square)
    assert len(classify(operator, symmetries).first) == 24


def test_the_network_is_one_function_of_its_points():
    """Jets against autograd through the formula, point by point, and points in any order."""
    generator = torch.Generator().manual_seed(3)
    lines = [(-1, 0, 1), (-1, -0.5, 0.3, 1)]
    for basis, width in (("sine", 30), ("chebyshev", 25)):
        network = Patchwork(lines, 2, width, 4.0, basis, dtype=torch.float64, generator=generator)
        turns = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]], [[-1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
        with torch.no_grad():
            network.weight.copy_(torch.randn(network.weight.shape, generator=generator, dtype=torch.float64))
            network.turn[1:3] = turns

        def formula(at, network=network, basis=basis):
            i, j = (sum(float(z.detach()) >= end for end in line[1:-1]) for z, line in zip(at, lines, strict=True))
            low, high = (torch.tensor([lines[0][i + k], lines[1][j + k]], dtype=torch.float64) for k in (0, 1))
            z = network.turn[3 * i + j] @ ((2 * at - low - high) / (high - low))
            if basis == "sine":
                return network.weight[3 * i + j] @ torch.sin(network.waves @ z + network.phases)
            first, second = (torch.cos(torch.arange(5) * torch.arccos(c)) for c in z)
            return network.weight[3 * i + j] @ torch.outer(first, second).flatten()

        x = 1.98 * torch.rand(40, 2, generator=generator, dtype=torch.float64) - 0.99
        plan = make_plan(("x", "y"), frozenset({"xx", "xy"}))
        channels = torch.zeros(len(plan.keys), 40, 2, dtype=torch.float64)
        channels[0] = x
        channels[plan.index["x"], :, 0] = channels[plan.index["y"], :, 1] = 1
        u = network(Jet(channels, plan, Points(("x", "y"), x)))
        with torch.no_grad():
            assert torch.allclose(network(x.flip(0)).flip(0), u.value)
        for n, at in enumerate(x):
            slope = torch.autograd.functional.jacobian(formula, at)
            second = torch.autograd.functional.hessian(lambda at, f=formula: f(at)[1], at)
            assert torch.allclose(u.value[n], formula(at))
            assert torch.allclose(torch.stack([u.x[n], u.y[n]], dim=1), slope, rtol=1e-9, atol=1e-8)
            assert torch.allclose(torch.stack([u.xx[n, 1], u.xy[n, 1]]), second[0], rtol=1e-9, atol=1e-7)


def test_a_jump_of_the_medium_is_an_end_of_patches():
    def speed(p):
        return 1.0 + ((p.x.abs() < 0.17) & (p.y.abs() < 0.23))

    problem = Helmholtz(domain=SQUARE, wavenumber=8.0, speed=speed, source=gauss(-0.35, 0.1), conditions=[Absorbing()])
    chosen = choose(problem, 1e-6).decomposition
    for axis, place in (("x", 0.17), ("y", 0.23)):
        assert min(abs(end - place) for end in chosen.breaks[axis]) < 1e-12
        assert min(abs(end + place) for end in chosen.breaks[axis]) < 1e-12
    assert math.prod(chosen.shape) < 600


def test_search_meets_the_tolerance_and_knows_its_error():
    def bump(p):
        return torch.exp(-400 * (p.x**2 + (p.y - 0.2) ** 2))

    def source(p):
        return (4 * 400**2 * (p.x**2 + (p.y - 0.2) ** 2) - 1600) * bump(p)

    problem = Poisson(domain=SQUARE, source=source, conditions=[Dirichlet(bump)])
    scales = measure_scales(problem)
    found = search_patches(problem, scales, 1e-7, 3, time.perf_counter() + 60)
    assert found is not None and found.end == "tolerance"
    p = points_of(SQUARE, 81)
    with torch.no_grad():
        values = found.network(p.coordinates)[:, 0] * scales.amplitude
    error = distance(values, bump(p))
    assert error < 1e-7 and error / 20 < found.estimate < 1e-7


def test_solve_picks_patches_and_keeps_them(tmp_path):
    problem = Helmholtz(
        domain=SQUARE, wavenumber=25.0, source=gauss(0.1, 0.05), conditions=[PML(0.4)],
        speed=lambda p: 1 + 0.3 * torch.exp(-20 * (p.x**2 + p.y**2)),
    )  # fmt: skip
    assert needs_patches(problem, measure_scales(problem))
    solution = solve(problem, tolerance=1e-5, **PLAIN)
    assert isinstance(solution.model.network, Patchwork) and "patches" in solution.provenance.stages
    assert solution.provenance.estimate <= 1e-5
    points = [[0.1, 0.2], [-0.6, 0.6], [0.33, -0.2]]
    state = {name: w.detach().numpy() for name, w in solution.model.state_dict().items()}
    again = Solution.rebuild(solution.configuration(), state, solution.provenance, solution.history)
    assert np.array_equal(again(points), solution(points))
    u = solution.jet(points)
    p = Points(("x", "y"), torch.tensor(points, dtype=torch.float64))
    rest = u.laplacian + problem.local_wavenumber(p) ** 2 * u.value + problem.source(p)
    assert float(rest.abs().max()) < 1e-4 * float((u.value.abs() * 625).max())


@pytest.mark.parametrize("method", ["patches", "chebyshev"])
def test_patches_start_as_they_are_stated(method):
    problem, exact = EXACT["helmholtz"]
    stated = Decomposition.uniform(OBLONG, {"x": 4, "y": 2})
    solution = solve(problem, method=method, patches=stated, tolerance=1e-7, **PLAIN)
    network = solution.model.network
    assert network.basis == {"patches": "sine"}.get(method, method)
    assert [len(line) for line in network.lines] == [5, 3]
    p = points_of(OBLONG)
    found = solution(p.coordinates)
    assert distance(torch.as_tensor(found).reshape(-1), exact(p)) < 1e-7
    with pytest.raises(UsageError, match="has no patches"):
        solve(problem, method="lbfgs", patches=stated, **PLAIN)
    with pytest.raises(UsageError, match="basis must be one of"):
        Patches(basis="Chebyshev")


def test_one_search_serves_many_sources():
    problems = [
        Helmholtz(domain=SQUARE, wavenumber=12.0, source=gauss(place, width), conditions=[PML(0.5)])
        for place, width in ((-0.3, 0.2), (0.1, 0.05), (0.35, 0.1))
    ]
    scales = [measure_scales(problem) for problem in problems]
    found = search_patches_many(problems, scales, 1e-6, 3, time.perf_counter() + 60)
    p = points_of(Box(x=(-0.5, 0.5), y=(-0.5, 0.5)), 31)
    # A classical basis of a high degree on the same patches.
    finest = max((one.decomposition for one in found), key=lambda d: math.prod(d.shape))
    classical = solve_patches(problems, finest, "chebyshev 20")
    for number, (one, problem, scale) in enumerate(zip(found, problems, scales, strict=True)):
        truth = evaluate(classical, problem, p, number)
        with torch.no_grad():
            parts = one.network(p.coordinates) * scale.amplitude
        error = distance(torch.complex(parts[:, 0], parts[:, 1]), truth)
        assert error < one.estimate < 1e-6
    other = Helmholtz(domain=SQUARE, wavenumber=12.5, source=0, conditions=[PML(0.5)])
    with pytest.raises(NotCoveredError, match="number 2"):
        search_patches_many([problems[0], other], scales[:2], 1e-6, 3, 0.0)


def test_a_kink_between_the_ends_of_patches_is_told():
    """A cone of the medium: residuals say a hundred times less of the error than where the medium is resolved."""

    def cone(p):
        return 1 + torch.sigmoid((0.1 - torch.sqrt(p.x**2 + p.y**2 + 1e-12)) / 0.02)

    def smooth(p):
        return 1 + 0.5 * torch.exp(-10 * (p.x**2 + p.y**2))

    rough = {
        speed.__name__: choose(
            Helmholtz(domain=SQUARE, wavenumber=20.0, speed=speed, source=gauss(-0.35, 0.05), conditions=[PML(0.5)]),
            1e-8,
        ).rough
        for speed in (cone, smooth)
    }
    assert rough == {"cone": True, "smooth": False}


def test_near_a_resonance_the_estimate_grows_with_it():
    """Residuals are as small as elsewhere, and errors are thousands of times larger."""
    near = math.pi * math.hypot(5, 4) + 1e-4
    problem = Helmholtz(
        domain=Box(x=(0, 1), y=(0, 1)), wavenumber=near, conditions=[Dirichlet(0)],
        source=lambda p: torch.exp(-((p.x - 0.37) ** 2 + (p.y - 0.61) ** 2) / (2 * 0.08**2)),
    )  # fmt: skip
    scales = measure_scales(problem)
    search = Search([problem], [scales], 1e-30, 3, 0.0)
    attempt = search.attempt(Decomposition.uniform(problem.domain, 3), "S")
    estimate, p = search.estimate(0), points_of(Box(x=(0, 1), y=(0, 1)))
    truth = evaluate(solve_patches(problem, Decomposition.uniform(problem.domain, 4), "chebyshev 19"), problem, p)
    assert attempt.solved.amplification > 1000
    error = distance(evaluate(attempt.solved, problem, p), truth)
    assert 10 * attempt.misfit(0) < error < estimate < 1000 * error


class Heat(Problem):
    def residual(self, p, u):
        return u.t - u.xx


class Kerr(Problem):
    def residual(self, p, u):
        return u.laplacian - u.value**3 - 1


class Hyperbolic(Problem):
    def residual(self, p, u):
        return u.xx - u.yy


class Plate(Problem):
    def residual(self, p, u):
        return u.xxxx + u.yyyy - 1


REFUSED = {
    "time": Heat(domain=Box(x=(0, 1), t=(0, 1)), conditions=[Dirichlet(0)]),
    "a disk": Poisson(domain=Disk(), source=1.0, conditions=[Dirichlet(0)]),
    "no linear equation": Kerr(domain=SQUARE, conditions=[Dirichlet(0)]),
    "a wave equation": Hyperbolic(domain=SQUARE, conditions=[Dirichlet(0)]),
    "a fourth order": Plate(domain=SQUARE, conditions=[Dirichlet(0)]),
    "a period": Poisson(domain=SQUARE, source=1.0, conditions=[Periodic("x"), Dirichlet(0, on="top")]),
    "a free constant": Poisson(domain=SQUARE, source=lambda p: p.x, conditions=[Neumann(0)]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_problems_are_left_to_other_methods(name):
    assert search_patches(REFUSED[name], measure_scales(REFUSED[name]), 1e-6, 3, 0.0) is None
    with pytest.raises(NotCoveredError):
        solve_patches(REFUSED[name], Decomposition.uniform(SQUARE, 2))


def test_wrong_arguments_are_said():
    problem = EXACT["poisson"][0]
    with pytest.raises(UsageError, match="do not fill"):
        solve_patches(problem, Decomposition.uniform(SQUARE, 2))
    with pytest.raises(UsageError, match="one of S, M, L"):
        solve_patches(problem, Decomposition.uniform(OBLONG, 2), "m")
    with pytest.raises(UsageError, match="ascending"):
        Decomposition({"x": (0.0, 0.0, 1.0), "y": (0.0, 1.0)})
    bare = Poisson(domain=SQUARE, source=1.0, conditions=[Dirichlet(0, on="left")])
    with pytest.raises(NotCoveredError, match="one condition everywhere"):
        solve_patches(bare, Decomposition.uniform(SQUARE, 2))
    with pytest.raises(UsageError, match="basis must be one of"):
        Patchwork([(0, 1), (0, 1)], 1, basis="cosine")


def test_a_layer_is_chosen_and_its_reflection_is_known():
    k, width = 20.0, 0.05

    def stated(layer):
        return Helmholtz(domain=SQUARE, wavenumber=k, source=gauss(0.0, width), conditions=[layer])

    chosen = stated(PML()).layer
    assert chosen.thickness == pytest.approx(1.5 * 2 * math.pi / k)
    assert 2 * k * chosen.thickness * chosen.strength / 3 == pytest.approx(30)
    # The slowest waves on the sides are the longest, and a layer leaves half of the box.
    faster = Helmholtz(domain=SQUARE, wavenumber=4.0, speed=2.0, source=0, conditions=[PML(on="left")])
    assert faster.layer.thickness == 0.5 and faster.layer.on == "left"
    p = points_of(Box(x=(-0.5, 0.5), y=(-0.5, 0.5)), 51)
    p = p[p.space.norm(dim=1) > 0.4]
    exact = 0.25j * hankel1(0, k * p.space.norm(dim=1).numpy()) * math.exp(-((k * width) ** 2) / 2)
    for layer, least, most in ((PML(), 0.0, 1e-9), (PML(0.2), 1e-6, 1e-5), (PML(0.3, strength=1.0), 1e-3, 1e-1)):
        problem = stated(layer)
        solution = solve(problem, method="patches", tolerance=1e-8, **PLAIN)
        error = distance(torch.as_tensor(solution(p.coordinates)).reshape(-1), torch.from_numpy(exact))
        (echo,) = problem.metrics(solution).values()
        assert least <= echo <= most
        assert error < 3 * echo + 1e-8
    with pytest.raises(ProblemError, match="give thickness="):
        _ = Poisson(domain=SQUARE, source=1.0, conditions=[PML()]).physical_domain
