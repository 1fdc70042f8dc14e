"""Round holes: what is found of them, the derivatives of their multipoles, and what sums with them reach."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch

from pinn_siren import Box, Dirichlet, Disk, Poisson, Polygon, Sampler, solve
from pinn_siren.domains.holes import holes_of
from pinn_siren.files import load_problem
from pinn_siren.frozen import corners_of
from pinn_siren.jet import Jet, make_plan
from pinn_siren.model import Model
from pinn_siren.multipoles import Multipoles
from pinn_siren.networks import describe, rebuild
from pinn_siren.points import Points
from pinn_siren.scales import measure_scales
from pinn_siren.singular import CornerSiren
from pinn_siren.solution import Solution

PROBLEMS = Path(__file__).parent.parent / "problems"
BOX = Box(x=(-1, 1), y=(-1, 1))
KINDS = {
    "harmonic": Multipoles(0.2, -0.1, 0.3, 6),
    "waves": Multipoles(0.2, -0.1, 0.3, 6, 9.0),
    "decaying": Multipoles(0.2, -0.1, 0.3, 6, -4.0),
}


def network(holes, depth=1):
    generator = torch.Generator().manual_seed(5)
    made = CornerSiren(2, 1, 6, depth, 1.0, holes=holes, stretch=(2.0, 0.5), dtype=torch.float64)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return made


def around(hole, n=12):
    """Points around a hole, in the coordinates of the model below."""
    unit = torch.rand(n, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    r, angle = hole.radius * (1 + 2 * unit[:, 0]), 2 * math.pi * unit[:, 1]
    x = torch.stack([hole.x + 0.1 + r * torch.cos(angle), hole.y + 0.2 + r * torch.sin(angle)], dim=1)
    return Points(("x", "y"), x)


def model_of(made):
    kinds = {"dtype": torch.float64}
    center, scale = torch.tensor([0.1, 0.2], **kinds), torch.tensor([2.0, 0.5], **kinds)
    return Model(made, ("x", "y"), ("u",), False, center, scale, torch.ones(1, **kinds))


def inside(domain, n=500):
    return domain.interior(n, Sampler(torch.Generator().manual_seed(99)))


def relative(solution, exact, n=500):
    p = inside(solution.shape.domain, n)
    u = torch.as_tensor(exact(p))
    return float((torch.as_tensor(solution(p)) - u).norm() / u.norm())


@pytest.mark.parametrize("name", KINDS)
def test_values_are_those_of_the_formula(name):
    hole, p = KINDS[name], around(KINDS[name])
    z = (p.x.numpy() - 0.1 - hole.x) + 1j * (p.y.numpy() - 0.2 - hole.y)
    r, k, m = np.abs(z)[:, None], math.sqrt(abs(hole.square)), np.arange(7)
    with np.errstate(divide="ignore"):
        radial, size = {
            "harmonic": (np.where(m, (r / hole.radius) ** -m, np.log(r / hole.radius)), 1.0),
            "waves": (scipy.special.yv(m, k * r), abs(scipy.special.hankel1(m, k * hole.radius))),
            "decaying": (scipy.special.kv(m, k * r), scipy.special.kv(m, k * hole.radius)),
        }[name]
    turn = m * np.angle(z)[:, None]
    expected = np.concatenate([radial / size * np.cos(turn), (radial / size * np.sin(turn))[:, 1:]], axis=1)
    model = model_of(network((hole,)))
    found = model.network.singular((p.coordinates - model.center) / model.scale)
    assert found.detach().numpy() == pytest.approx(expected, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("name", KINDS)
def test_closed_forms_the_rules_of_jets_and_autograd_agree(name):
    hole = KINDS[name]
    model, p = model_of(network((hole, Multipoles(2.5, 1.7, 0.4, 3, hole.square)))), around(hole)
    plan = make_plan(("x", "y"), frozenset({"xx", "xy", "yy", "xxxx", "xxyy"}))
    with torch.no_grad():
        closed = model.raw_fields(p, plan)[0].channels
        ruled = model.network(Jet(model._inputs(p, plan), plan, p)).channels[..., 0]
    size = closed.abs().amax(1, keepdim=True)
    assert float(((closed - ruled) / size).abs().max()) < 1e-11

    def value(x):
        return model.network((x[None] - model.center) / model.scale)[0, 0]

    curved = torch.stack([torch.autograd.functional.hessian(value, x) for x in p.coordinates]).detach()
    for key, (i, j) in {"xx": (0, 0), "xy": (0, 1), "yy": (1, 1)}.items():
        assert closed[plan.index[key]].numpy() == pytest.approx(curved[:, i, j].numpy(), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", KINDS)
def test_they_satisfy_their_equation(name):
    hole, p = KINDS[name], around(KINDS[name])
    center = torch.tensor([0.1, 0.2], dtype=torch.float64)
    at = hole.at(p.coordinates - center, torch.ones(2, dtype=torch.float64))
    bent, value = at.channel("laplacian", ("x", "y")), at.channel("", ("x", "y"))
    assert float((bent + hole.square * value).abs().max()) <= 1e-12 * float(at.channel("xx", ("x", "y")).abs().max())
    assert hole.square or not bool(bent.any())


def test_a_description_and_the_weights_make_the_same_network():
    made = network(tuple(KINDS.values()), depth=2)
    x = around(KINDS["waves"]).coordinates
    other = rebuild(json.loads(json.dumps(describe(made))), torch.float64)
    other.load_state_dict(made.state_dict())
    assert isinstance(other, CornerSiren) and torch.equal(other(x), made(x))
    assert describe(other) == describe(made)


def test_holes_are_the_disks_that_are_left_out_whole():
    left, right = Disk((-0.4, 0.0), 0.2), Disk((0.4, 0.0), 0.3)
    one, two = holes_of(BOX - (left + right))
    assert (one.center, one.radius) == ((-0.4, 0.0), 0.2) and two.radius == 0.3
    assert one.room == pytest.approx(0.5, rel=0.03) and two.room == pytest.approx(0.6, rel=0.03)
    assert holes_of(BOX) == holes_of(BOX & left) == holes_of(BOX - Disk((1.0, 0.0), 0.2)) == []
    assert holes_of((BOX - left) - Disk((-0.5, 0.0), 0.2)) == []
    assert len(holes_of(Disk(radius=1) - left)) == 1


def test_without_round_holes_nothing_stands_beside_the_sines_at_once():
    square = Polygon([(-0.3, -0.3), (0.3, -0.3), (0.3, 0.3), (-0.3, 0.3)])
    for domain in (BOX, BOX - square):
        problem = Poisson(domain=domain, source=1.0, conditions=[Dirichlet(0)])
        found = corners_of(problem, measure_scales(problem))
        assert found.holes == () and (found.needed is None) == (domain is BOX)


def test_circles_of_unlike_centers_are_met_to_nine_digits():
    # Both circles are level lines of a dipole of line charges at a and 1 / a.
    center, radius = 0.3, 0.25
    both = (1 + center**2 - radius**2) / center
    a = (both - math.sqrt(both**2 - 4)) / 2

    def exact(p):
        z = torch.complex(p.x, p.y)
        return ((z - a) / (1 - a * z)).abs().log()

    held = math.log(abs((center + radius - a) / (1 - a * (center + radius))))
    outer, hole = Disk(radius=1), Disk((center, 0.0), radius)
    problem = Poisson(domain=outer - hole, source=0, conditions=[Dirichlet(0, on=outer), Dirichlet(held, on=hole)])
    found = solve(problem, method="least-squares", tolerance=1e-9, progress=False, device="cpu")
    error = relative(found, exact)
    assert error < 1e-9 and error < found.provenance.estimate < 1e-7


ELECTRODES = ((-0.45, 0.35, 0.25, 1.0), (0.5, 0.4, 0.2, -1.0), (0.1, -0.45, 0.3, 0.5))
"""Center, radius and voltage."""


def test_electrodes_in_a_box_are_met_and_the_estimate_holds(tmp_path):
    def basis(x, y):
        z = x + 1j * y
        columns = [np.ones_like(x)]
        for a, b, radius, _ in ELECTRODES:
            s = radius / (z - (a + 1j * b))
            powers = [s**n for n in range(1, 30)]
            columns += [np.log(np.abs(s)), *(p.real for p in powers), *(p.imag for p in powers)]
        # Charges on a square around the box.
        turn = np.exp(2j * np.pi * np.arange(200) / 200)
        around = 1.6 * turn / np.maximum(np.abs(turn.real), np.abs(turn.imag))
        return np.stack([*columns, *(np.log(np.abs(z - c)) for c in around)], axis=1)

    def boundary(n):
        s, one = np.cos(np.pi * (np.arange(n) + 0.5) / n), np.ones(n)
        t = 2 * np.pi * (np.arange(n) + 0.3) / n
        rings = [(a + r * np.cos(t), b + r * np.sin(t), v * one) for a, b, r, v in ELECTRODES]
        sides = [(s, one, 0 * s), (s, -one, 0 * s), (one, s, 0 * s), (-one, s, 0 * s)]
        return (np.concatenate(part) for part in zip(*sides, *rings, strict=True))

    x, y, held = boundary(200)
    weights = np.linalg.lstsq(basis(x, y), held, rcond=1e-14)[0]
    x, y, held = boundary(333)
    # By the maximum principle this is more than the error anywhere inside.
    assert np.abs(basis(x, y) @ weights - held).max() < 1e-10
    found = solve(load_problem(PROBLEMS / "poisson_disks.py"), method="least-squares", progress=False, device="cpu")

    def exact(p):
        return torch.from_numpy(basis(p.x.numpy(), p.y.numpy()) @ weights)

    error = relative(found, exact)
    assert error < 1e-6 and error < found.provenance.estimate < 1e-6
    found.save(tmp_path / "disks.h5")
    other = Solution.load(tmp_path / "disks.h5")
    p = inside(found.shape.domain)
    assert isinstance(other.model.network, CornerSiren)
    assert torch.equal(torch.as_tensor(other(p)), torch.as_tensor(found(p)))


def test_a_wave_around_an_obstacle_is_met_and_the_estimate_holds():
    k, half, radius = 5.0, 1.5, 0.5
    turn = np.exp(2j * np.pi * np.arange(180) / 180)
    outside = 2.4 * turn / np.maximum(np.abs(turn.real), np.abs(turn.imag))
    sources = np.concatenate([0.25 * turn[::3], outside])

    def waves(z):
        return scipy.special.hankel1(0, k * np.abs(z[:, None] - sources))

    def slopes(z, normal):
        away = z[:, None] - sources
        along = (away * normal[:, None].conj()).real / np.abs(away)
        return -k * scipy.special.hankel1(1, k * np.abs(away)) * along

    def rows(n):
        s, ring = half * np.cos(np.pi * (np.arange(n) + 0.5) / n), np.exp(2j * np.pi * (np.arange(n) + 0.3) / n)
        normals = np.repeat([1, 1j, -1, -1j], n)
        sides = normals * (half + 1j * np.tile(s, 4))
        # Into the obstacle, out of the domain.
        soft, data = slopes(radius * ring, -ring), 1j * k * ring.real * np.exp(1j * k * radius * ring.real)
        left = np.concatenate([slopes(sides, normals) - 1j * k * waves(sides), soft])
        return left, np.concatenate([0 * sides, data])

    strengths = np.linalg.lstsq(*rows(200), rcond=1e-14)[0]
    left, right = rows(333)
    assert np.abs(left @ strengths - right).max() < 1e-8
    found = solve(
        load_problem(PROBLEMS / "helmholtz_obstacle.py"), method="least-squares", progress=False, device="cpu"
    )

    def exact(p):
        return torch.from_numpy(waves(p.x.numpy() + 1j * p.y.numpy()) @ strengths)

    error = relative(found, exact)
    assert error < 1e-6 and error < found.provenance.estimate < 1e-6
