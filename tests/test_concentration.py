"""Points around narrow sources: their density, their weights, smoothed sources, and what training makes of them."""

import math

import numpy as np
import pytest
import torch
from scipy.special import exp1

from pinn_siren import PML, Box, Dirichlet, Disk, GaussNewton, Helmholtz, Points, Poisson, Sampler, Siren, Trainer
from pinn_siren.concentration import NARROW, Concentration, concentrations
from pinn_siren.errors import UsageError
from pinn_siren.plan import make_stages, sharpened
from pinn_siren.scales import at_zero, measure_scales

WIDTH = 0.02


def bump(p, x=0.0, y=0.0, width=WIDTH):
    return torch.exp(-((p.x - x) ** 2 + (p.y - y) ** 2) / (2 * width**2)) / (2 * math.pi * width**2)


def outside(p):
    """The field of a unit source at the origin, where its width is not seen."""
    return -torch.log(p.x**2 + p.y**2) / (4 * math.pi)


def point_source(domain=None, source=bump):
    return Poisson(
        domain=domain or Box(x=(-1, 1), y=(-1, 1)), source=lambda p: -source(p), conditions=[Dirichlet(outside)]
    )


def found(problem, seed=0):
    return concentrations(problem, measure_scales(problem), seed).get("equation")


def sampler(seed=3):
    return Sampler(torch.Generator().manual_seed(seed))


def test_weights_make_means_over_points_integrals_over_the_domain():
    narrow = found(point_source())
    assert isinstance(narrow, Concentration)
    p = narrow.draw(8000, sampler())
    weight = narrow.weight(p)
    assert len(p) == 8000 and bool((p.coordinates.abs() < 1).all())
    assert float(weight.mean()) == pytest.approx(1, abs=0.02)
    assert 4 * float((weight * bump(p)).mean()) == pytest.approx(1, abs=0.03)
    assert 4 * float((weight * p.x**2).mean()) == pytest.approx(4 / 3, rel=0.03)
    # As many points in each octave of distances, of which half an even density has next to none.
    r = p.space.norm(dim=1)
    octaves = [float(((r > a) & (r < 2 * a)).double().mean()) for a in (0.02, 0.04, 0.08)]
    assert min(octaves) > 0.03 and max(octaves) < 3 * min(octaves)
    assert float((r < 2 * WIDTH).double().mean()) > 30 * math.pi * (2 * WIDTH) ** 2 / 4


def test_the_density_is_that_of_the_points():
    narrow = found(point_source())
    p = narrow.draw(40_000, sampler())
    near = (p.space.norm(dim=1) < 0.1).double().mean()
    even = sampler(9).unit_cube(40_000, 2) * 0.2 - 0.1
    inside = even.norm(dim=1) < 0.1
    share = float(narrow.density(even[inside]).mean()) * math.pi * 0.1**2 / 4
    assert float(near) == pytest.approx(share, rel=0.03)


def test_only_narrow_sources_concentrate_points():
    wide = point_source(source=lambda p: bump(p, width=0.4))
    assert found(wide) is None
    assert found(Poisson(domain=Box(x=(-1, 1), y=(-1, 1)), source=0.0, conditions=[Dirichlet(1)])) is None
    assert math.pi * WIDTH**2 < NARROW < math.pi * 0.4**2


def test_several_sources_and_holes():
    two = point_source(Disk(radius=1) - Disk((0.0, 0.5), 0.2), lambda p: bump(p, -0.4, 0.1) + bump(p, 0.5, -0.2))
    narrow = found(two)
    assert narrow is not None
    places = torch.tensor([[-0.4, 0.1], [0.5, -0.2]], dtype=torch.float64)
    apart = torch.cdist(narrow.centers, places)
    assert float(apart.min(1).values.max()) < 6 * WIDTH and set(apart.argmin(1).tolist()) == {0, 1}
    p = narrow.draw(3000, sampler())
    assert bool(two.domain.contains(p.coordinates).all())
    assert float((narrow.weight(p) * (bump(p, -0.4, 0.1))).mean()) * two.domain.measure == pytest.approx(1, abs=0.1)


def test_smoothed_sources_are_wider_gaussians():
    problem = Helmholtz(domain=Box(x=(-1, 1), y=(-1, 1)), wavenumber=8.0, source=bump, conditions=[PML(thickness=0.4)])
    narrow = found(problem)
    narrow.sharpen(0.06)
    p = narrow.draw(2000, sampler())
    added = torch.view_as_complex(p.attached[:, 1:].contiguous())
    came = at_zero(problem, narrow.constraint, [p])[:, 0] + added
    wanted = bump(p, width=math.hypot(0.06, WIDTH))
    assert float((came - wanted).abs().max()) < 0.04 * float(wanted.max())
    # The mean square of a Gaussian of variance v is 1 / (4 pi v) over the area.
    assert narrow.squares()[0] == pytest.approx(1 / (16 * math.pi * (0.06**2 + WIDTH**2)), rel=0.08)
    narrow.sharpen(0)
    assert narrow.squares()[0] == pytest.approx(1 / (16 * math.pi * WIDTH**2), rel=0.08)


def test_what_is_added_reaches_the_residual():
    network = Siren(2, 1, width=8, depth=1, omega=4.0)
    trainer = Trainer(point_source(), network, points=2000, progress=False, device="cpu", seed=1)
    narrow, objective = trainer.objective.narrow["equation"], trainer.objective
    with torch.no_grad():
        for w in trainer.model.network.parameters():
            w.zero_()
    for blur in (0.0, 0.1):
        narrow.sharpen(blur)
        objective.resample()
        loss = float(objective.means()["equation"].detach())
        assert loss == pytest.approx(objective.zero_loss(), rel=0.1)


def test_stages_smooth_narrow_sources_and_sharpen_them():
    plan = make_stages("gauss-newton")
    stages = sharpened(plan, [0.1, 0.05]).stages
    assert [s.blur for s in stages[:3]] == [0.1, 0.05, 0.0] and len(stages) == len(plan.stages) + 2
    assert [s.far for s in stages[:3]] == [False, False, True]
    assert sharpened(make_stages("adam"), [0.1]) == make_stages("adam")
    with pytest.raises(UsageError, match="blur"):
        GaussNewton(blur=-1.0)


def test_training_finds_the_field_of_a_narrow_source():
    trainer = Trainer(point_source(), progress=False, device="cpu", folded=True)
    for blur in (0.2, 0.08, 0.0):
        trainer.run(GaussNewton(steps=8, density=3.0, blur=blur, far=not blur))
    p = trainer.problem.domain.interior(2000, sampler())
    r = np.linalg.norm(p.coordinates.numpy(), axis=1)
    # u' = -(1 - exp(-r^2 / 2 w^2)) / (2 pi r), and zero on the unit circle.
    exact = -np.log(r) / (2 * math.pi) - exp1(r**2 / (2 * WIDTH**2)) / (4 * math.pi)
    u = trainer.solution()(Points(("x", "y"), p.coordinates)).numpy()
    assert np.linalg.norm(u - exact) < 0.2 * np.linalg.norm(exact)
