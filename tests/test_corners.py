"""Corners of a problem: the singular functions that are found for it, and what they reach."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch

from benchmarks.classical.corner import l_shape_reference
from pinn_siren import (
    Box,
    Dirichlet,
    Disk,
    GaussNewton,
    Helmholtz,
    Neumann,
    Poisson,
    Polygon,
    Problem,
    Sampler,
    Trainer,
    solve,
)
from pinn_siren.bandwidth import Search
from pinn_siren.check import check
from pinn_siren.errors import ProblemError
from pinn_siren.files import load_problem
from pinn_siren.frozen import corners_of
from pinn_siren.scales import measure_scales
from pinn_siren.singular import CornerSiren

PROBLEMS = Path(__file__).parent.parent / "problems"
L = Polygon([(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)])


def inside(domain, n=500):
    return domain.interior(n, Sampler(torch.Generator().manual_seed(99)))


def corners(problem):
    return corners_of(problem, measure_scales(problem))


def frozen(problem, tolerance=1e-8, **options):
    return solve(problem, method="least-squares", tolerance=tolerance, progress=False, device="cpu", **options)


def relative(solution, exact, n=500):
    p = inside(solution.shape.domain, n)
    u = torch.as_tensor(exact(p))
    return float((torch.as_tensor(solution(p)) - u).norm() / u.norm())


def angle(p):
    return torch.remainder(torch.atan2(p.y, p.x) - math.pi / 2, 2 * math.pi)


def test_the_l_shape_reaches_eight_digits_and_says_so():
    found = frozen(Poisson(domain=L, source=-1.0, conditions=[Dirichlet(0)]))
    error = relative(found, lambda p: l_shape_reference()(p.coordinates.numpy()))
    assert error < 1e-8
    assert 0.3 < found.provenance.estimate / error < 30


def test_motz_finds_the_known_coefficient():
    problem = load_problem(PROBLEMS / "motz.py")
    found = frozen(problem, 1e-9)
    model = found.model
    first = next(i for i, f in enumerate(model.network.corners) if f.power == 0.5)
    f = model.network.corners[first]
    weight = float(model.network.layers[-1].weight[0, first].detach()) * float(model.amplitude)
    assert weight * math.hypot(f.real, f.imag) / math.sqrt(f.length) == pytest.approx(401.1624537452, rel=1e-9)
    # The series about the origin, its coefficients fitted to the other three sides.
    s = np.linspace(-1, 1, 200)
    half = (s + 1) / 2

    def terms(x, y):
        z = x + 1j * y
        powers = np.arange(40) + 0.5
        # Of a potential a z^p the slope along x is Re(a p z^(p-1)), along y its -Im.
        return (z[:, None] / 2) ** powers, powers / 2 * (z[:, None] / 2) ** (powers - 1)

    right, top, left = terms(1 + 0 * s, half), terms(s, 1 + 0 * s), terms(-1 + 0 * s, half + 1e-15)
    rows = np.concatenate([right[0].real, -top[1].imag, left[1].real])
    known = np.linalg.lstsq(rows, np.concatenate([500 + 0 * s, 0 * s, 0 * s]), rcond=None)[0]
    p = inside(problem.domain)
    expected = terms(p.x.numpy(), p.y.numpy())[0].real @ known
    assert torch.as_tensor(found(p)).numpy() == pytest.approx(expected, abs=1e-5)


def test_a_harmonic_exact_solution_is_no_wrong_one():
    def exact(p):
        return p.coordinates.norm(dim=1) ** (2 / 3) * torch.sin(2 / 3 * angle(p))

    problem = Poisson(domain=L, source=0.0, conditions=[Dirichlet(exact)], exact=exact)
    check(problem)
    search = Search(problem, measure_scales(problem), 1e-8, 1, math.inf, corners=corners(problem))
    model, p = search.attempt(60, {"x": 3.0, "y": 3.0}).model, inside(L)
    with torch.no_grad():
        assert float((model(p)[:, 0] - exact(p)).norm() / exact(p).norm()) < 1e-11
    wrong = Poisson(domain=L, source=1.0, conditions=[Dirichlet(exact)], exact=exact)
    with pytest.raises(ProblemError, match="does not satisfy"):
        check(wrong)


def test_a_wave_at_the_inner_corner_is_found_to_eight_digits():
    def exact(p):
        radial = scipy.special.jv(2 / 3, 3.0 * p.coordinates.detach().norm(dim=1).numpy())
        return (torch.from_numpy(radial) * torch.sin(2 / 3 * angle(p))).to(torch.complex128)

    problem = Helmholtz(domain=L, wavenumber=3.0, source=0.0, conditions=[Dirichlet(exact)])
    found = corners(problem)
    assert found.order == "constant"
    search = Search(problem, measure_scales(problem), 1e-8, 1, math.inf, corners=found)
    model, p = search.attempt(200, {"x": 6.0, "y": 6.0}).model, inside(L)
    with torch.no_grad():
        assert float((model(p)[:, 0] - exact(p)).norm() / exact(p).norm()) < 1e-8


def test_convex_corners_are_taken_up_only_where_sines_do_not_do():
    box = Box(x=(-1, 1), y=(-1, 1))
    torsion = Poisson(domain=box, source=1.0, conditions=[Dirichlet(0)])

    def series(p):
        total = (p.y**2 - 1) / 2
        for m in range(1, 400, 2):
            a = m * math.pi / 2
            decay = torch.exp(a * (p.x.abs() - 1)) * (1 + torch.exp(-2 * a * p.x.abs())) / (1 + math.exp(-2 * a))
            total = total + 16 / math.pi**3 * math.sin(a) / m**3 * torch.cos(a * p.y) * decay
        return total

    assert not corners(torsion).rough
    found = frozen(torsion)
    assert isinstance(found.model.network, CornerSiren)
    assert relative(found, series) < 1e-8

    def smooth(p):
        return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)

    plain = Poisson(domain=box, source=lambda p: -2 * math.pi**2 * smooth(p), conditions=[Dirichlet(0)])
    found = frozen(plain)
    assert not isinstance(found.model.network, CornerSiren)
    assert relative(found, smooth) < 1e-8


def test_values_that_jump_at_a_corner_are_met():
    box = Box(x=(0, 1), y=(0, 1))
    sides = [Dirichlet(0.0, on=side) for side in ("left", "right", "bottom")]
    problem = Poisson(domain=box, source=0.0, conditions=[*sides, Dirichlet(1.0, on="top")])
    assert sum(c.jump for c in corners(problem).found) == 2

    def series(p):
        odd = range(1, 200, 2)
        return sum(
            4 / (m * math.pi) * torch.sin(m * math.pi * p.x) * torch.sinh(m * math.pi * p.y) / math.sinh(m * math.pi)
            for m in odd
        )

    found = frozen(problem)
    p = box.interior(500, Sampler(torch.Generator().manual_seed(7)))
    low = p[p.y < 0.8]
    assert torch.as_tensor(found(low)).numpy() == pytest.approx(series(low).numpy(), abs=1e-8)


def test_a_hole_with_corners_is_solved():
    problem = Poisson(domain=Box(x=(0, 3), y=(0, 3)) - Box(x=(1, 2), y=(1, 2)), source=-1.0, conditions=[Dirichlet(0)])
    found = corners(problem)
    assert sum(math.isfinite(c.cut) for c in found.found) == 4
    search = Search(problem, measure_scales(problem), 1e-12, 1, math.inf, corners=found)
    coarse, fine = (search.attempt(width, {"x": r, "y": r}) for width, r in ((150, 3.0), (400, 5.0)))
    difference = float((coarse.values - fine.values).norm() / fine.values.norm())
    assert fine.misfit < 1e-5 < coarse.misfit < 1e-3 and difference < 1e-4
    p = inside(problem.domain)
    mirrored = type(p)(p.axes, 3 - p.coordinates.flip(1))
    with torch.no_grad():
        assert fine.model(p).numpy() == pytest.approx(fine.model(mirrored).numpy(), abs=1e-6)


def test_the_order_of_the_equation_is_read_off():
    held = [Dirichlet(0)]
    assert corners(Poisson(domain=L, source=-1.0, conditions=held)).order == "harmonic"
    assert corners(Poisson(domain=L, source=-1.0, reaction=2.0, conditions=held)).order == "constant"
    varying = Poisson(domain=L, source=-1.0, diffusion=lambda p: 1 + 0.2 * p.x, conditions=held)
    assert corners(varying).order == "variable"


def test_exponents_follow_the_angle_and_the_conditions():
    def first(conditions):
        found = corners(Poisson(domain=L, source=-1.0, conditions=conditions))
        inner = next(c for c in found.found if c.wedge.angle > math.pi)
        return list(inner.exponents(2.1))

    right, above = (lambda p: (p.x > -1e-9) & (p.y > 1e-9)), (lambda p: (p.y > -1e-9) & (p.y < 1e-9))
    rest = Dirichlet(0, on=lambda p: ~(((p.x > -1e-9) & (p.y > 1e-9)) | ((p.y > -1e-9) & (p.y < 1e-9))))
    assert first([Dirichlet(0)]) == pytest.approx([2 / 3, 4 / 3, 2])
    assert first([rest, Neumann(0, on=right), Neumann(0, on=above)]) == pytest.approx([2 / 3, 4 / 3, 2])
    assert first([rest, Dirichlet(0, on=right), Neumann(0, on=above)]) == pytest.approx([1 / 3, 1, 5 / 3])


class Anisotropic(Problem):
    """``u_xx + 2 u_yy = 1``."""

    def residual(self, p, u):
        return u.xx + 2 * u.yy - 1


def test_where_expansions_are_not_known_there_are_none():
    held = [Dirichlet(0)]
    assert corners(Anisotropic(domain=L, conditions=held)) is None
    assert corners(Poisson(domain=Disk((0, 0), 1), source=1.0, conditions=held)) is None
    assert corners(Poisson(domain=Box(x=(0, 1), y=(0, 1), z=(0, 1)), source=1.0, conditions=held)) is None
    assert corners(load_problem(PROBLEMS / "wave.py")) is None
    assert corners(load_problem(PROBLEMS / "elasticity.py")) is None


def test_all_layers_are_trained_with_the_coefficients():
    problem = Poisson(domain=L, source=-1.0, conditions=[Dirichlet(0)])
    scales = measure_scales(problem)
    search = Search(problem, scales, 1e-8, 1, math.inf, corners=corners(problem))
    start = search.attempt(16, {"x": 3.0, "y": 3.0}).model.network
    trainer = Trainer(problem, start, progress=False, device="cpu", conditions="soft", points=300)

    def error():
        return relative(trainer.solution(), lambda p: l_shape_reference()(p.coordinates.numpy()))

    before = error()
    trainer.run(GaussNewton(steps=4, density=0))
    assert error() < 0.5 * before < 0.1
    wider = GaussNewton(steps=1, density=0, wider=2)
    trainer.run(wider)
    assert trainer.model.network.width == 18 and len(trainer.model.network.corners) == len(start.corners)
    assert error() < 0.5 * before
