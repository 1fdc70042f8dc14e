"""Data: values at points, fits without an equation, minibatches that are deterministic and survive a checkpoint."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import cos, exp, pi, sin

import pinn_siren.loop as loop_module
from pinn_siren import (
    LBFGS,
    Adam,
    Box,
    Data,
    Dirichlet,
    Disk,
    Neumann,
    Periodic,
    Points,
    Poisson,
    Problem,
    Sampler,
    Siren,
    Solution,
    Trainer,
    solve,
)
from pinn_siren.check import StatementWarning
from pinn_siren.errors import ProblemError
from pinn_siren.jet import lift, make_plan
from pinn_siren.problem import record
from pinn_siren.scales import measure_scales
from pinn_siren.spectra import of_points
from pinn_siren.system import checked

SQUARE = Box(x=(-1, 1), y=(-1, 1))
LINE = Box(x=(0, 2))


class Field(Problem):
    """A complex field without an equation."""

    complex_valued = True


class Pair(Problem):
    outputs = ("u", "v")


def scattered(n, domain=SQUARE, seed=11):
    return domain.interior(n, Sampler(torch.Generator().manual_seed(seed), scheme="uniform"))


def smooth(p):
    return sin(3 * p.x) * cos(2 * p.y) + p.x


def curve(p):
    return sin(3 * p.x) + p.x


def of_function(f, p, of):
    """Exact values, gradients or Laplacians by nested autograd."""
    plan = make_plan(p.axes, frozenset({*p.space_axes, "laplacian"}))
    return getattr(lift(f, p, plan), of)


def residual(problem, *fields, n=10_000, number=0):
    constraint = problem.constraints()[number]
    points = constraint.sample(n, Sampler(torch.Generator().manual_seed(5)))
    parts = record(
        lambda plan: checked(constraint, points, [tuple(lift(f, p, plan) for f in fields) for p in points]), problem
    )[0]
    return torch.stack(parts)


@pytest.mark.parametrize(("of", "count"), [("value", 1), ("grad", 2), ("laplacian", 1)])
@pytest.mark.parametrize("given", ["tensor", "array", "list", "points"])
def test_the_residual_is_the_difference_to_what_was_measured(of, count, given):
    p = scattered(60)
    values = of_function(smooth, p, of)
    as_given = {"tensor": p.coordinates, "array": p.coordinates.numpy(), "list": p.coordinates.tolist(), "points": p}
    values = {"tensor": values, "array": values.numpy(), "list": values.tolist(), "points": values}[given]
    problem = Problem(domain=SQUARE, conditions=[Data(as_given[given], values, of=of)])
    found = residual(problem, smooth)
    assert found.shape == (count, 60)
    assert float(found.abs().max()) <= 1e-13
    assert float(residual(problem, lambda p: smooth(p) + p.x**2 + p.y**2).abs().max()) > 0.1


def test_complex_values_and_named_outputs():
    p = scattered(30)
    wave = lambda p: exp(1j * (3 * p.x - p.y))  # noqa: E731
    problem = Field(domain=SQUARE, conditions=[Data(p, wave(p)), Data(p, wave(p).real)])
    assert float(residual(problem, wave).abs().max()) <= 1e-14
    assert float((residual(problem, wave, number=1) - 1j * wave(p).imag).abs().max()) <= 1e-14
    pair = Pair(domain=SQUARE, conditions=[Data(p, smooth(p), output="v"), Data(p, p.x, output="u", weight=3.0)])
    assert [c.name for c in pair.constraints()] == ["data v", "data u"]
    assert pair.constraints()[1].weight == 3.0
    assert float(residual(pair, lambda p: p.x * 1, smooth).abs().max()) <= 1e-14
    with pytest.raises(ProblemError, match="Data needs output=, one of u, v"):
        residual(Pair(domain=SQUARE, conditions=[Data(p, p.x)]), smooth, smooth)


@pytest.mark.parametrize("of", ["value", "grad", "laplacian"])
def test_all_outputs_at_once_are_those_of_each_alone(of):
    p, second = scattered(50), lambda p: exp(p.x) * p.y
    values = torch.stack([of_function(smooth, p, of), of_function(second, p, of)], 1)
    together = Pair(domain=SQUARE, conditions=[Data(p, values, of=of)])
    assert together.free_constant == (of != "value")
    assert residual(together, smooth, second).shape == (4 if of == "grad" else 2, 50)
    assert float(residual(together, smooth, second).abs().max()) <= 1e-13
    apart = Pair(domain=SQUARE, conditions=[Data(p, values[:, k], of=of, output="uv"[k]) for k in (0, 1)])
    wrong = [lambda p: p.x**2 + 0 * p.y, lambda p: p.x * p.y**2]
    each = torch.cat([residual(apart, *wrong, number=k) for k in (0, 1)])
    assert torch.allclose(residual(together, *wrong), each, atol=1e-13)
    with pytest.raises(ProblemError, match=r"shape \(n, 2.*all of u, v.*got \(50, 3"):
        Pair(domain=SQUARE, conditions=[Data(p, torch.cat([values, values[:, :1]], 1), of=of)]).constraints()


def test_a_small_draw_of_very_many_is_taken_on_the_device_with_its_own_values():
    p = scattered(5000)
    constraint = Problem(domain=SQUARE, conditions=[Data(p, smooth(p))]).constraints()[0]
    (part,) = constraint.sample(100, Sampler(torch.Generator().manual_seed(7)))
    assert len(part) == 100 and len(torch.unique(part.x)) > 90
    assert torch.allclose(part.attached[:, 0], smooth(part))


def test_a_draw_is_a_random_part_with_its_own_values():
    p = scattered(500)
    constraint = Problem(domain=SQUARE, conditions=[Data(p, smooth(p))]).constraints()[0]

    def draw(sampler):
        return constraint.sample(64, sampler)[0]

    one, same = (draw(Sampler(torch.Generator().manual_seed(7))) for _ in range(2))
    assert torch.equal(one.coordinates, same.coordinates) and torch.equal(one.attached, same.attached)
    sampler = Sampler(torch.Generator().manual_seed(7), dtype=torch.float32)
    first, second = draw(sampler), draw(sampler)
    assert not torch.equal(first.coordinates, second.coordinates)
    assert first.coordinates.dtype == first.attached.dtype == torch.float32
    for part in (one, first, second, one[torch.tensor([5, 3])]):
        assert len({tuple(row) for row in part.coordinates.tolist()}) == len(part)
        assert torch.allclose(part.attached[:, 0], smooth(part), atol=1e-6)
    (every,) = constraint.sample(500, sampler)
    assert torch.equal(every.coordinates, p.coordinates.float())


def test_every_point_is_drawn_equally_often():
    p = scattered(40)
    constraint = Problem(domain=SQUARE, conditions=[Data(p, torch.arange(40.0))]).constraints()[0]
    sampler = Sampler(torch.Generator().manual_seed(3))
    drawn = torch.cat([constraint.sample(10, sampler)[0].attached[:, 0] for _ in range(800)]).long()
    counts = torch.bincount(drawn, minlength=40)
    # Binomial, 800 draws of share 1/4: 200 with a standard deviation of 12.
    assert int(counts.min()) > 150 and int(counts.max()) < 250


P = [[0.0, 0.5], [0.1, 0.2], [0.3, -0.4]]
WRONG = {
    "lengths": (lambda: Data(P, [1, 2]), "3 points and 2 values"),
    "shape of values": (lambda: Data(P, [[1], [2], [3]]), r"values of value must have shape \(n,\), got \(3, 1\)"),
    "nothing": (lambda: Data(np.zeros((0, 2)), []), "no points"),
    "a number": (lambda: Data(P, 3.0), r"an array with a row for each point|shape"),
    "words": (lambda: Data(P, ["a", "b", "c"]), "must be numbers"),
    "ragged": (lambda: Data([[0, 1], [2]], [1, 2]), "must be numbers"),
    "NaN": (lambda: Data(P, [1, math.nan, math.inf]), r"NaN or infinite at 2 of 3 points, first at number 1, \[0.1"),
    "NaN point": (lambda: Data([[0, math.nan]], [1]), "Data points are NaN"),
    "of": (lambda: Data(P, [1, 2, 3], of="gradient"), "must be one of value, grad, laplacian.*Did you mean 'grad'"),
    "contradiction": (lambda: Data([*P, P[1]], [1, 2, 3, 2.5]), r"the point \[0.1, 0.2\] two values, \[2.0\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_data_that_cannot_be_are_refused_at_once(name):
    make, says = WRONG[name]
    with pytest.raises(ProblemError, match=says):
        make()


def fit(data, domain=SQUARE):
    return Problem(domain=domain, conditions=[data])


MISFITS = {
    "dimensions": (lambda: fit(Data([0.1, 0.2], [1, 2])), r"\(n, 2\), a column for each of x, y; got \(2, 1\)"),
    "outside": (
        lambda: fit(Data([[0, 0], [3, 0], [0, 9]], [1, 2, 3])),
        "2 of 3 Data points lie outside .*first number 1, {'x': 3",
    ),
    "outside a disk": (lambda: fit(Data([[0.9, 0.9]], [1]), Disk()), "1 of 1 Data points lie outside Disk"),
    "complex": (lambda: fit(Data(P, [1, 2j, 3])), "set complex_valued = True"),
    "axes": (lambda: fit(Data(scattered(3, Box(x=(0, 1), t=(0, 1))), [1, 2, 3])), r"axes \('x', 't'\)"),
    "grad of other dims": (lambda: fit(Data(P, np.ones((3, 3)), of="grad")), r"shape \(n, 2\), .* x, y; got \(3, 3\)"),
    "grad of time": (lambda: fit(Data([0.5], [1], of="grad"), Box(t=(0, 1))), "time alone"),
    "no data, no residual": (
        lambda: solve(Problem(domain=SQUARE, conditions=[Dirichlet(0)]), progress=False),
        "no residual: define residual",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_data_that_do_not_fit_the_problem_are_refused(name):
    make, says = MISFITS[name]
    with pytest.raises(ProblemError, match=says):
        make().constraints()


def test_equal_values_at_one_point_and_float32_ends_are_fine():
    Data([*P, P[1]], [1, 2, 3, 2])
    ends = torch.tensor([0.0, math.pi], dtype=torch.float32)
    assert float(ends[1]) > math.pi
    assert len(fit(Data(ends, [1, 2]), Box(x=(0, math.pi))).constraints()) == 1


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_a_grid_has_the_wavenumber_of_its_spectrum(scale):
    x, y = torch.meshgrid(torch.linspace(-1, 1, 65).double(), torch.linspace(0, 3, 40).double(), indexing="ij")
    shuffled = torch.randperm(x.numel(), generator=torch.Generator().manual_seed(3))
    at = scale * torch.stack([x.reshape(-1), y.reshape(-1)], 1)[shuffled]
    values = (sin(12 * x) + 3 * cos(5 * y)).reshape(-1)[shuffled]
    kx, ky = of_points(at, values[:, None])
    # A bin is pi along x and 2 pi / 3 along y.
    assert kx * scale == pytest.approx(12, abs=1.5 * pi)
    assert ky * scale == pytest.approx(5, abs=2.5)


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_scattered_data_have_about_the_wavenumber_of_their_gradients(kind):
    p = scattered(3000)
    values = sin(12 * p.x) * cos(4 * p.y) if kind == "real" else exp(1j * (12 * p.x + 4 * p.y))
    kx, ky = of_points(p.coordinates, values[:, None])
    # Twice the root mean square one, less what a spacing of 0.04 blurs.
    assert 1.5 * 12 <= kx <= 2.2 * 12
    assert 1.5 * 4 <= ky <= 2.6 * 4


def test_what_has_no_wavenumber_and_what_has_too_high_a_one():
    p = scattered(400)
    constant = 3 + 1e-15 * torch.randn(400, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert of_points(p.coordinates, constant) == [0.0, 0.0]
    assert of_points(p.coordinates[:4], p.coordinates[:4]) == [0.0, 0.0]
    noise = torch.randn(400, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    # Twenty points an axis of length 2: half a wavelength is at least a tenth.
    assert max(of_points(p.coordinates, noise)) <= 10.1 * pi
    flat = torch.stack([p.x, 0 * p.x + 0.5], 1)
    assert of_points(flat, sin(5 * p.x)[:, None])[1] == 0.0


def test_scales_of_a_fit():
    p = scattered(2000)
    scales = measure_scales(fit(Data(p, 1e6 * sin(9 * p.x) * sin(9 * p.y))))
    for axis in "xy":
        assert 9 <= scales.wavenumber[axis] <= 20
    assert 0.5e6 <= scales.amplitude <= 2e6
    assert scales.residual == scales.response == {"data": (1.0,)}
    # By parts: a gradient's components have the size of their own wavenumbers.
    tall = Box(x=(0, 1), y=(0, 100))
    q = scattered(500, tall)
    by_part = measure_scales(fit(Data(q, torch.stack([q.x, q.y], 1), of="grad"), tall))
    (sizes,), k = by_part.residual.values(), by_part.wavenumber
    assert sizes == pytest.approx((k["x"], k["y"]))
    assert sizes[0] > 20 * sizes[1]


def small(problem, **changes):
    network = Siren(
        1, 1 + problem.complex_valued, width=20, depth=2, omega=3.0, generator=torch.Generator().manual_seed(5)
    ).double()
    return Trainer(problem, network, points=256, seed=3, progress=False, device="cpu", **changes)


def of_curve(n, of="value"):
    p = scattered(n, LINE)
    return Data(p, of_function(curve, p, of), of=of)


FITS = {
    "value": [of_curve(200)],
    "minibatches": [of_curve(5000)],
    "grad": [of_curve(200, "grad"), Data([1.0], [math.sin(3) + 1])],
    "laplacian": [of_curve(200, "laplacian"), Dirichlet(curve)],
}  # fmt: skip


@pytest.mark.parametrize("name", FITS)
def test_a_known_function_is_found_from_its_data(name):
    trainer = small(Problem(domain=LINE, conditions=FITS[name], exact=curve))
    trainer.run(LBFGS(steps=250, resample=0))
    solution = trainer.solution(tolerance=1e-3)
    x = np.linspace(0, 2, 333)[:, None]
    assert np.abs(solution(x) - (np.sin(3 * x[:, 0]) + x[:, 0])).max() < 8e-3
    assert solution.report.verdict == "certified" and "A fit has no equation" in solution.report.no_reference
    # The estimate has the error's size.
    assert solution.report.relative_l2 / 30 < trainer.objective.estimate() < 30 * solution.report.relative_l2


def test_gradients_alone_leave_the_constant_free():
    p = scattered(200, LINE)
    problem = Problem(domain=LINE, conditions=[Data(p, of_function(curve, p, "grad"), of="grad")], exact=curve)
    assert problem.free_constant
    assert not Problem(domain=LINE, conditions=[*problem.conditions, Data([1.0], [3.0])]).free_constant
    assert Poisson(domain=LINE, source=0, conditions=[Neumann(0), *problem.conditions]).free_constant
    with pytest.warns(StatementWarning, match="zero mean"):
        trainer = small(problem)
    trainer.run(LBFGS(steps=150, resample=0))
    x, w = np.polynomial.legendre.leggauss(60)
    assert float(w @ trainer.solution()(x[:, None] + 1)) == pytest.approx(0, abs=1e-9)
    assert trainer.solution(tolerance=2e-3).report.verdict == "certified"


def test_statements_of_fits_that_are_doubtful_or_fine():
    p = scattered(40, LINE)
    with pytest.warns(StatementWarning, match="harmonic"):
        small(Problem(domain=LINE, conditions=[Data(p, p.x, of="laplacian")]))
    with pytest.warns(StatementWarning, match="exact does not satisfy the data"):
        small(Problem(domain=LINE, conditions=[Data(p, -curve(p))], exact=curve))
    noise = 0.1 * torch.randn(40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(Problem(domain=LINE, conditions=[Data(p, curve(p) + noise)], exact=curve))
        small(Problem(domain=LINE, conditions=[Data(p, cos(pi * p.x)), Periodic("x")]))


def test_the_estimate_of_a_fit_is_its_misfit():
    p = scattered(100, LINE)
    trainer = small(Problem(domain=LINE, conditions=[Data(p, curve(p))]))
    found = torch.from_numpy(trainer.solution()(p.coordinates.numpy()))
    misfit = float((found - curve(p)).norm() / found.norm())
    assert trainer.objective.estimate() == pytest.approx(misfit, rel=1e-9)


def test_a_fit_without_exact_is_unverified_and_is_kept(tmp_path):
    p = scattered(100, LINE)
    trainer = small(Field(domain=LINE, conditions=[Data(p, exp(3j * p.x))]))
    trainer.run(Adam(steps=5))
    solution = trainer.solution()
    assert solution.report.verdict == "unverified" and solution.report.against == "none"
    solution.save(tmp_path / "kept")
    x = np.linspace(0, 2, 9)[:, None]
    assert np.array_equal(Solution.load(tmp_path / "kept")(x), solution(x))


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kill_at", [1, 3, 6])
def test_a_killed_fit_goes_on_bit_for_bit(tmp_path, monkeypatch, kill_at):
    p = scattered(2000, LINE)
    stages = (Adam(steps=30, resample=7), LBFGS(steps=40, resample=15))
    problem = Problem(domain=LINE, conditions=[Data(p, curve(p))])

    def made(**changes):
        return small(problem, **changes)

    whole = made()
    for stage in stages:
        whole.run(stage)
    monkeypatch.setattr(loop_module, "SAVE_SECONDS", 0.0)
    path, saves, real = tmp_path / "checkpoint.pt", [], Trainer._state

    def save_and_die(self, loop, elapsed):
        if len(saves) == kill_at:
            raise KilledError
        saves.append(1)
        return real(self, loop, elapsed)

    monkeypatch.setattr(Trainer, "_state", save_and_die)
    killed = made(checkpoint=path)
    with pytest.raises(KilledError):
        for stage in stages:
            killed.run(stage)
    monkeypatch.undo()
    resumed = made(checkpoint=path)
    for stage in stages[resumed.resume(stages) :]:
        resumed.run(stage)
    vectors = [torch.nn.utils.parameters_to_vector(t.model.parameters()) for t in (resumed, whole)]
    assert torch.equal(*vectors)
    assert resumed.history["loss"] == whole.history["loss"]


def test_data_stand_beside_an_equation():
    p = scattered(50, LINE)
    problem = Poisson(domain=LINE, source=0.0, conditions=[Dirichlet(0, on="left"), Data(p, 2 * p.x)])
    assert not problem.is_fit
    assert [c.name for c in problem.constraints()] == ["equation", "dirichlet left", "data"]
    trainer = small(problem)
    trainer.run(LBFGS(steps=60, resample=0))
    assert trainer.solution()([[0.7]]) == pytest.approx(1.4, abs=5e-3)
    assert "does not cover Data" in trainer.solution().report.no_reference
    assert Points(("x",), p.coordinates).attached is None
