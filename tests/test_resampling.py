"""Where the interior points go."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from pinn_siren import LBFGS, Adam, Box, Dirichlet, Disk, Points, Poisson, Sampler, Siren, Trainer
from pinn_siren.loss import Objective
from pinn_siren.resampling import POOL, ResidualDensity, Retain, residual_density

CENTER, WIDTH = (0.7, 0.3), 0.05


def bump(p):
    return 50 * torch.exp(-((p.x - CENTER[0]) ** 2 + (p.y - CENTER[1]) ** 2) / (2 * WIDTH**2))


def small(domain=None, **options):
    problem = Poisson(domain=domain or Box(x=(0, 1), y=(0, 1)), source=bump, conditions=[Dirichlet(0)])
    generator = torch.Generator().manual_seed(5)
    network = Siren(2, 1, width=12, depth=2, omega=4.0, dtype=torch.float64, generator=generator)
    # A point a wavelength is too few to solve the bump, and enough to be placed.
    with pytest.warns(UserWarning, match="collocation points"):
        return Trainer(problem, network, points=300, seed=3, progress=False, device="cpu", conditions="soft", **options)


def inside(trainer):
    return trainer.objective.points["equation"][0].coordinates


def size_at(p):
    """A known residual: it doubles its square root three times along x."""
    return 4.0 ** (3 * p.x)


def test_rad_draws_the_density_of_the_formula():
    sampler = Sampler(torch.Generator().manual_seed(7), scheme="uniform")
    box, n, bins = Box(x=(0, 1)), 200, 8

    def draw(count):
        assert count == POOL * n
        return box.interior(count, sampler)

    counts = np.zeros(bins)
    for _ in range(25):
        fresh = box.interior(n, sampler)
        p = ResidualDensity().place(fresh, fresh, draw, size_at, sampler.generator)
        assert len(p) == n and len(torch.unique(p.x)) == n
        counts += np.histogram(p.x.numpy(), bins=bins, range=(0, 1))[0]
    # p(x) = |r| / E|r| + 1, integrated over each bin, over 2: E|r| of 4^(3x) is 63 / (3 log 4).
    edges = np.linspace(0, 1, bins + 1)
    share = (np.diff(4.0 ** (3 * edges)) / 63 + 1 / bins) / 2
    expected, even = counts.sum() * share, counts.sum() / bins
    band = chi2.ppf(0.999, bins - 1)
    assert ((counts - expected) ** 2 / expected).sum() < band
    assert ((counts - even) ** 2 / even).sum() > 10 * band


def test_the_density_has_the_offset_of_the_formula():
    size = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    assert residual_density(size).tolist() == pytest.approx([1 / 6, 1.5 / 6, 3.5 / 6])


def test_r3_keeps_exactly_the_points_above_the_mean_and_fills_up():
    before = Points(("x",), torch.tensor([[0.1], [0.5], [0.6], [0.9]]))
    fresh = Points(("x",), torch.tensor([[0.2], [0.3], [0.4], [0.7], [0.8], [0.85]]))
    sizes = {0.1: 4.0, 0.5: 0.5, 0.6: 2.0, 0.9: 1.5}  # The mean is 2: 0.6 is not above it.

    def size(p):
        return torch.tensor([sizes[round(x, 6)] for x in p.x.tolist()])

    placed = Retain().place(before, fresh, lambda n: fresh, size, torch.Generator())
    assert placed.x.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.7, 0.8])


@torch.no_grad()
def laplacian(model, at, step=1e-3):
    """By the five-point formula."""
    shifts = step * torch.tensor([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)
    around = sum(model(Points(("x", "y"), at + shift)) for shift in shifts)
    return ((around - 4 * model(Points(("x", "y"), at))) / step**2)[:, 0]


def test_r3_in_training_retains_by_the_residual_and_leaves_the_boundary():
    trainer, plain = small(resampling="r3"), small()
    for t in (trainer, plain):
        t.run(Adam(steps=3, resample=0))
    before = inside(trainer)
    residual = (laplacian(trainer.model, before) - bump(Points(("x", "y"), before))).abs()
    retained = before[residual > residual.mean()]
    assert 10 < len(retained) < 200
    for t in (trainer, plain):
        old = t.objective.points
        t.objective.resample()
        t.objective.concentrate(old, due=True)
    assert torch.equal(inside(trainer), torch.cat([retained, inside(plain)[: 300 - len(retained)]]))
    sides = [t.objective.points["dirichlet"][0].coordinates for t in (trainer, plain)]
    assert torch.equal(*sides)


@pytest.mark.parametrize("domain", [Box(x=(0, 1), y=(0, 1)), Disk(center=(0.5, 0.5), radius=0.5)], ids=str)
@pytest.mark.parametrize("resampling", ["rad", "r3"])
def test_a_sharp_bump_gets_more_points(domain, resampling):
    trainer = small(domain, resampling=resampling)
    trainer.objective.resample()

    def share():
        assert len(inside(trainer)) == 300 and bool(domain.contains(inside(trainer)).all())
        away = inside(trainer) - torch.tensor(CENTER, dtype=torch.float64)
        return float((away.norm(dim=1) < 2 * WIDTH).double().mean())

    uniform = share()
    assert uniform == pytest.approx(math.pi * (2 * WIDTH) ** 2 / domain.measure, rel=0.4)
    for _ in range(5):
        before = trainer.objective.points
        trainer.objective.resample()
        trainer.objective.concentrate(before, due=True)
    assert share() > 4 * uniform


def test_rad_moves_interior_points_rarely_and_the_others_as_ever(monkeypatch):
    monkeypatch.setattr(ResidualDensity, "every", 10)
    trainer, seen = small(resampling="rad"), []
    real = Objective.backward

    def watched(self):
        seen.append({name: p[0].coordinates for name, p in self.points.items()})
        return real(self)

    monkeypatch.setattr(Objective, "backward", watched)
    trainer.run(Adam(steps=30, resample=3))
    changes = {name: [i for i in range(1, 30) if not torch.equal(seen[i][name], seen[i - 1][name])] for name in seen[0]}
    assert changes == {"equation": [12, 21], "dirichlet": list(range(3, 30, 3))}


def test_lbfgs_takes_other_points_only_where_it_starts_anew(monkeypatch):
    monkeypatch.setattr(ResidualDensity, "every", 1)
    trainer, seen = small(resampling="rad"), []
    trainer.run(Adam(steps=2))
    uniform = inside(trainer)
    real = LBFGS.begin

    def begin(self, objective):
        seen.append(objective.points["equation"][0].coordinates)
        return real(self, objective)

    monkeypatch.setattr(LBFGS, "begin", begin)
    trainer.run(LBFGS(steps=25, resample=10))
    assert len(seen) == 3
    assert all(not torch.equal(a, b) for a, b in zip([uniform, *seen], seen, strict=False))
    assert torch.equal(inside(trainer), seen[-1])


@pytest.mark.parametrize("resampling", [ResidualDensity(), Retain()])
def test_a_residual_that_is_nan_leaves_fresh_points(resampling):
    sampler = Sampler(torch.Generator().manual_seed(7))
    before, fresh = (Box(x=(0, 1)).interior(20, sampler) for _ in range(2))

    def size(p):
        return torch.where(p.x > 0.5, torch.nan, p.x)

    placed = resampling.place(before, fresh, lambda n: Box(x=(0, 1)).interior(n, sampler), size, sampler.generator)
    assert torch.equal(placed.x, fresh.x)
