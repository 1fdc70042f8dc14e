"""Interfaces: exact fields of layers, disks and charges across jumps of the diffusion; what is refused and kept."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import scipy.interpolate
import torch

from pinn_siren import (
    Box,
    Condition,
    Dirichlet,
    Disk,
    Eikonal,
    GaussNewton,
    Interface,
    Neumann,
    Poisson,
    Polygon,
    Sampler,
    Siren,
    Solution,
    Trainer,
    solve,
)
from pinn_siren.check import StatementWarning, doubts
from pinn_siren.cli import main
from pinn_siren.conditions import own
from pinn_siren.domains import Sides
from pinn_siren.errors import NoReferenceError, ProblemError
from pinn_siren.jet import Jet, make_plan
from pinn_siren.multipoles import Multipoles
from pinn_siren.points import Points

SQUARE = Box(x=(-1, 1), y=(-1, 1))


def relative(solution, exact, n=2000):
    domain = solution.problem.domain
    p = domain.interior(n, Sampler(torch.Generator().manual_seed(77)))
    truth, found = exact(p), solution(p)
    return float((found - truth).norm() / truth.norm())


def in_uniform_field(ratio, disk, slope=(0.6, 0.8)):
    """A round inclusion in a uniform field: the field of a dipole around it, a uniform one inside."""
    share = (ratio - 1) / (ratio + 1)

    def exact(p):
        x, y = p.x - disk.center[0], p.y - disk.center[1]
        along = slope[0] * x + slope[1] * y
        square = x**2 + y**2
        return torch.where(square < disk.radius**2, 2 / (1 + ratio), 1 - share * disk.radius**2 / square) * along

    return exact


def beside_a_charge(ratio, disk, place=(1.8, 1.2)):
    """A line charge outside the domain and its images in the cylinder."""
    share, (x0, y0) = (ratio - 1) / (ratio + 1), place
    inverse = disk.radius**2 / (x0**2 + y0**2)

    def log(p, x, y):
        return ((p.x - x) ** 2 + (p.y - y) ** 2).log() / 2

    def exact(p):
        outer = log(p, x0, y0) + share * (log(p, 0, 0) - log(p, x0 * inverse, y0 * inverse))
        # The images' sum is constant on the circle but for log r.
        level = share * math.log(math.hypot(x0, y0))
        return torch.where(p.x**2 + p.y**2 < disk.radius**2, (1 - share) * log(p, x0, y0) + level, outer)

    return exact


def with_disk(exact, disk, ratio, conditions=()):
    def diffusion(p):
        return torch.where((p.x - disk.center[0]) ** 2 + (p.y - disk.center[1]) ** 2 < disk.radius**2, ratio, 1.0)

    stated = [Dirichlet(exact), Interface(on=disk), *conditions]
    return Poisson(domain=SQUARE, diffusion=diffusion, source=0.0, conditions=stated, exact=exact)


def layered(ratio=1000.0, jump=0.0, flux=0.0, a=0.37):
    """A rod of two materials, heated by 1 everywhere: ``a u'' = 1`` on either side, u = 0 at both ends."""
    # u = x^2 / 2 + b x on the left, ((x - 1)^2 / 2 + c (x - 1)) / ratio on the right.
    matrix = np.array([[-a, (a - 1) / ratio], [-1.0, 1.0]])
    right = np.array([jump + a**2 / 2 - (a - 1) ** 2 / 2 / ratio, flux + a - (a - 1)])
    b, c = np.linalg.solve(matrix, right)

    def exact(p):
        left = p.x**2 / 2 + b * p.x
        return torch.where(p.x < a, left, ((p.x - 1) ** 2 / 2 + c * (p.x - 1)) / ratio)

    return Poisson(
        domain=Box(x=(0, 1)), source=1.0, diffusion=lambda p: torch.where(p.x < a, 1.0, ratio), exact=exact,
        conditions=[Dirichlet(0), Interface(on=Box(x=(0, a)), jump=jump, flux=flux)],
    )  # fmt: skip


def strips():
    """A straight interface, the diffusion varying beside it, values and fluxes that jump, a reaction."""

    def side(p):
        return p.y < 0.2

    def exact(p):
        return torch.where(side(p), torch.sin(2 * p.x) * (p.y + 1), torch.cos(p.x + p.y))

    def jump(p):
        return torch.cos(p.x + p.y) - torch.sin(2 * p.x) * (p.y + 1)

    def flux(p):
        return -10 * torch.sin(p.x + p.y) - (1 + p.x**2) * torch.sin(2 * p.x)

    def source(p):
        # div((1 + x^2) grad u) below, 10 laplacian u above, minus u.
        below = torch.sin(2 * p.x) * (p.y + 1)
        left = (1 + p.x**2) * -4 * below + 2 * p.x * 2 * torch.cos(2 * p.x) * (p.y + 1) - below
        return torch.where(side(p), left, -21 * torch.cos(p.x + p.y))

    return Poisson(
        domain=SQUARE, diffusion=lambda p: torch.where(side(p), 1 + p.x**2, 10.0), reaction=1.0, source=source,
        exact=exact,
        conditions=[Dirichlet(exact), Interface(on=Box(x=(-1, 1), y=(-1, 0.2)), jump=jump, flux=flux)],
    )  # fmt: skip


def shells(inner=0.3, outer=0.6, conductivities=(20.0, 0.1, 1.0)):
    """A coated cylinder in a uniform field: ``(A r + B / r) cos theta`` in each of three materials."""
    k, m, n = conductivities
    rows = [
        [inner, -inner, -1 / inner, 0], [k, -m, m / inner**2, 0],
        [0, outer, 1 / outer, -1 / outer], [0, m, -m / outer**2, n / outer**2],
    ]  # fmt: skip
    a, b, c, d = np.linalg.solve(np.array(rows), np.array([0, 0, outer, n]))

    def exact(p):
        r2 = p.x**2 + p.y**2
        return p.x * torch.where(r2 < inner**2, a, torch.where(r2 < outer**2, b + c / r2, 1 + d / r2))

    def diffusion(p):
        r2 = p.x**2 + p.y**2
        return torch.where(r2 < inner**2, k, torch.where(r2 < outer**2, m, n))

    curves = [Interface(on=Disk(center=(0, 0), radius=r)) for r in (inner, outer)]
    return Poisson(domain=SQUARE, diffusion=diffusion, source=0.0, conditions=[Dirichlet(exact), *curves], exact=exact)


LONE, ASIDE = Disk(center=(0, 0), radius=0.5), Disk(center=(0.3, -0.2), radius=0.4)
EXACT = {
    "rod": (lambda: layered(), 1e-10),
    "rod, value and flux jump": (lambda: layered(2.0, 0.3, -1.5), 1e-10),
    "strips": (strips, 1e-8),
    "disk 0.1": (lambda: with_disk(in_uniform_field(0.1, ASIDE), ASIDE, 0.1), 1e-9),
    "disk 10": (lambda: with_disk(in_uniform_field(10.0, ASIDE), ASIDE, 10.0), 1e-9),
    "disk 1000": (lambda: with_disk(in_uniform_field(1000.0, ASIDE), ASIDE, 1000.0), 1e-9),
    "charge": (lambda: with_disk(beside_a_charge(10.0, LONE), LONE, 10.0), 1e-8),
    "shells": (shells, 1e-9),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_fields_are_found_across_jumps(name):
    make, bound = EXACT[name]
    problem = make()
    assert list(doubts(problem, trial=False)) == []
    solution = solve(problem, tolerance=1e-8, progress=False)
    assert relative(solution, problem.exact) <= bound


@pytest.mark.parametrize("name", ["rod, value and flux jump", "strips", "disk 1000", "charge", "shells"])
def test_matched_cut_cells_are_of_second_order_at_any_contrast(name):
    problem = EXACT[name][0]()
    errors = []
    for n in (24, 48, 96):
        grid = problem.finite_differences(dict.fromkeys(problem.domain.axes, n))
        p = Points(problem.domain.axes, torch.from_numpy(grid.nodes()))
        truth = problem.exact(p).numpy().reshape(grid.shape)
        # Nodes on a curve have the values of the side outside of it.
        errors.append(np.linalg.norm(grid.values["u"] - truth) / np.linalg.norm(truth))
    assert errors[-1] <= 3e-4
    # The rod's field is quadratic: its differences are exact.
    assert errors[-1] <= 1e-10 or 1.7 <= math.log2(errors[0] / errors[-1]) / 2 <= 3


def test_neumann_sides_leave_a_constant_free_across_an_interface_too():
    problem = dataclasses.replace(
        layered(10.0), exact=None, source=lambda p: torch.where(p.x < 0.37, 1.0, -0.37 / 0.63),
        conditions=[Neumann(0), Interface(on=Box(x=(0, 0.37)))],
    )  # fmt: skip
    assert problem.free_constant
    with pytest.warns(StatementWarning, match="leave a constant free"):
        solution = solve(problem, tolerance=1e-8, progress=False)
    x = np.linspace(0, 1, 2001)
    u = solution(x[:, None])
    assert abs(np.trapezoid(u, x)) <= 1e-3 * abs(u).max()
    grid = problem.finite_differences({"x": 200})
    found = solution(grid.coordinates["x"][:, None])
    assert float(np.std(found - grid.values["u"])) <= 1e-3 * float(np.std(found))


def test_training_meets_the_conditions_of_an_interface():
    problem = layered(5.0)
    network = Siren(1, 2, width=12, depth=1, omega=3.0, generator=torch.Generator().manual_seed(8))
    trainer = Trainer(problem, network, points=60, progress=False, device="cpu", conditions="soft")
    trainer.run(GaussNewton(steps=8))
    assert relative(trainer.solution(), problem.exact) <= 3e-3


def test_a_file_keeps_the_sides(tmp_path):
    problem = dataclasses.replace(shells(), reference=lambda cells: (_ for _ in ()).throw(NoReferenceError("none")))
    solution = solve(problem, tolerance=1e-6, progress=False)
    solution.save(tmp_path)
    back = Solution.load(tmp_path)
    x = np.random.default_rng(3).uniform(-1, 1, (500, 2))
    assert np.array_equal(back(x), solution(x))
    slope = back.jet(x, ["x"]).x.numpy()
    moved = [solution(x + shift) for shift in ([1e-6, 0], [-1e-6, 0])]
    assert np.median(np.abs(slope - (moved[0] - moved[1]) / 2e-6)) <= 1e-6


def test_a_jump_without_an_interface_is_refused(tmp_path, capsys):
    exact = in_uniform_field(10.0, ASIDE)
    lone = dataclasses.replace(with_disk(exact, ASIDE, 10.0), conditions=[Dirichlet(exact)])
    with pytest.raises(ProblemError, match=r"diffusion jumps from 1 to 10 .*Interface\(on="):
        list(doubts(lone))
    small = Disk(center=(0.31, 0.52), radius=0.02)
    with pytest.raises(ProblemError, match="diffusion jumps"):
        list(doubts(dataclasses.replace(with_disk(exact, small, 10.0), conditions=[Dirichlet(exact)])))
    elsewhere = [Dirichlet(exact), Interface(on=LONE)]
    with pytest.raises(ProblemError, match="where no Interface of the problem is"):
        list(doubts(dataclasses.replace(lone, conditions=elsewhere)))
    file = tmp_path / "jump.py"
    file.write_text(
        "import torch\nfrom pinn_siren import Box, Dirichlet, Poisson\n"
        "problem = Poisson(domain=Box(x=(0, 1)), source=1.0, conditions=[Dirichlet(0)],\n"
        "                  diffusion=lambda p: torch.where(p.x < 0.5, 1.0, 2.0))\n"
    )
    assert main(["solve", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "Interface(on=" in capsys.readouterr().err


def test_an_exact_solution_that_breaks_the_flux_is_told():
    problem = dataclasses.replace(layered(2.0), conditions=[Dirichlet(0), Interface(on=Box(x=(0, 0.37)), flux=1.0)])
    (said,) = doubts(problem, trial=False)
    assert "exact does not satisfy the interface" in said


WRONG = {
    "no domain": (lambda: Interface(on="left"), "takes a domain in space"),
    "nothing": (lambda: Interface(on=[]), "has no curve"),
    "other axes": (lambda: Sides(SQUARE, [Box(x=(0, 1))]), "must have the space axes of the domain"),
    "far away": (lambda: Sides(SQUARE, [Disk(center=(3, 0), radius=1)]), "no part of its boundary lies inside"),
    "travel times": (
        lambda: Eikonal(domain=SQUARE, velocity=1.0, source=(0, 0), conditions=[Interface(on=LONE)]).constraints(),
        "Eikonal takes no Interface",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_interface_is_refused(name):
    make, says = WRONG[name]
    with pytest.raises(ProblemError, match=says):
        make()


def test_sides_are_found_and_sampled_apart():
    two = Disk(center=(-0.5, 0), radius=0.3) + Disk(center=(0.5, 0), radius=0.3)
    interface = Interface(on=[two, Disk(center=(0.5, 0), radius=0.1), Box(x=(-2, 2), y=(0.8, 3))])
    assert len(interface.shapes) == 4
    sides = Sides(SQUARE, interface.shapes)
    at = torch.tensor([[0.0, 0.0], [-0.5, 0.1], [0.7, 0.0], [0.5, 0.05], [0.3, 0.9]], dtype=torch.float64)
    assert sides.of(at).unique().numel() == len(sides) == 5
    assert int(sides.of(at)[0]) == 0
    for k in range(len(sides)):
        p = sides.interior(k, 200, Sampler(torch.Generator().manual_seed(5)))
        assert bool((sides.of(p.coordinates) == k).all())
    for number, shape in enumerate(sides.shapes):
        p = sides.on_curve(number, 50, Sampler(torch.Generator().manual_seed(6)))
        behind, before = sides.beside(p)
        assert bool((behind != before).all())
        assert bool((shape.level(sides.moved(p, -1).coordinates) < 0).all())


def test_conditions_take_the_side_that_each_point_is_on():
    problem = strips()
    p = SQUARE.boundary(64, Sampler(torch.Generator().manual_seed(4)))
    plan = make_plan(SQUARE.axes, frozenset())
    fields = tuple(Jet(torch.full((1, len(p)), float(k), dtype=torch.float64), plan, p) for k in (1, 2))
    (u,) = own(fields, problem.sides.of(p.coordinates), 2)
    # Side 0 is what is around the shape.
    assert torch.equal(u.value, torch.where(p.y < 0.2, 2.0, 1.0).double())
    below = Condition(lambda p, u: u.value - 2, on=lambda p: p.y < 0.1)
    stated = dataclasses.replace(problem, conditions=[*problem.conditions, below], exact=None).constraints()[-1]
    at = stated.sample(20, Sampler(torch.Generator().manual_seed(4)))
    more = tuple(Jet(torch.full((1, len(at[0])), float(k), dtype=torch.float64), plan, at[0]) for k in (1, 2))
    assert not bool(stated.residual(at, [more]).any())


def test_curves_on_grid_lines_are_differences_in_flux_form_and_right_at_corners():
    square = Polygon([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    problem = Poisson(
        domain=SQUARE, source=lambda p: torch.where(square.level(p.coordinates) < 0, 3.0, 0.0),
        diffusion=lambda p: torch.where(square.level(p.coordinates) < 0, 5.0, 1.0),
        conditions=[Dirichlet(lambda p: p.x), Interface(on=square)],
    )  # fmt: skip
    on_lines = [problem.finite_differences({"x": n, "y": n}).values["u"] for n in (32, 64, 128)]
    gaps = [np.linalg.norm(fine[::2, ::2] - coarse) for coarse, fine in itertools.pairwise(on_lines)]
    # Fields grow like r^0.78 from such corners.
    assert 1.2 <= math.log2(gaps[0] / gaps[1] * 2) <= 2.1
    between = problem.finite_differences({"x": 61, "y": 61})
    there = scipy.interpolate.RegularGridInterpolator([np.linspace(-1, 1, 129)] * 2, on_lines[-1])(between.nodes())
    assert np.linalg.norm(between.values["u"].ravel() - there) <= 0.02 * np.linalg.norm(there)


def test_harmonics_of_a_disk_have_the_derivatives_of_autograd():
    made = Multipoles(0.2, -0.1, 0.3, 6, inner=True)
    at = torch.tensor([[0.25, -0.2], [0.1, 0.0], [0.2, -0.1]], dtype=torch.float64, requires_grad=True)
    closed = made.at(at.detach(), torch.ones(2, dtype=torch.float64))
    z = torch.complex((at[:, 0] - 0.2) / 0.3, (at[:, 1] + 0.1) / 0.3)
    powers = torch.stack([z**m for m in range(7)], dim=1)
    values = torch.cat([powers.real, powers.imag[:, 1:]], dim=1)
    assert torch.allclose(closed.channel("", ("x", "y")), values.detach())
    for column in range(13):
        (slope,) = torch.autograd.grad(values[:, column].sum(), at, create_graph=True)
        assert torch.allclose(closed.channel("x", ("x", "y"))[:, column], slope[:, 0].detach())
        assert torch.allclose(closed.channel("y", ("x", "y"))[:, column], slope[:, 1].detach())
        if slope.requires_grad:
            (second,) = torch.autograd.grad(slope[:, 0].sum(), at, retain_graph=True)
            assert torch.allclose(closed.channel("xy", ("x", "y"))[:, column], second[:, 1])
    assert float(closed.channel("laplacian", ("x", "y")).abs().max()) <= 1e-9
    outside = made.at(torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    assert float(outside.channel("", ("x", "y")).abs().max()) <= 1.001
