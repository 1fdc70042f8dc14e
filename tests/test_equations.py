"""The built-in equations: the residual of a known exact solution vanishes in float64, and not with another sign."""

import dataclasses
import math
import runpy
from pathlib import Path

import pytest
import torch
from scipy.special import hankel1
from torch import Tensor, cos, exp, pi, sin

from pinn_siren import PML, Box, Dirichlet, Eikonal, Helmholtz, Initial, Poisson, Problem, Sampler, Wave
from pinn_siren.ansatz import build_in
from pinn_siren.jet import Jet, lift, make_plan
from pinn_siren.points import Points
from pinn_siren.problem import record
from pinn_siren.system import checked

PROBLEMS = Path(__file__).parents[1] / "problems"
PLANE, SPACE = Box(x=(0.2, 1.5), y=(-1, 1)), Box(x=(0.5, 1.5), y=(0.4, 1), z=(-0.3, 1))


def residual(problem: Problem, *fields, number: int = 0, n: int = 150) -> list[Tensor]:
    """The parts of one constraint, on fields given as functions and lifted to jets by nested autograd."""
    constraint = problem.constraints()[number]
    points = constraint.sample(n, Sampler(torch.Generator().manual_seed(5)))

    def evaluate(plan):
        return checked(constraint, points, [tuple(lift(f, p, plan) for f in fields) for p in points])

    return list(record(evaluate, problem)[0])


def largest(problem: Problem, *fields, number: int = 0) -> float:
    return max(float(part.abs().max()) for part in residual(problem, *fields, number=number))


# --- manufactured sources: div(a grad u) and u_tt by nested autograd, nothing of the package ---


def grad(value: Tensor, column: Tensor) -> Tensor:
    if value.is_complex():
        return torch.complex(grad(value.real, column), grad(value.imag, column))
    if not value.requires_grad:
        return torch.zeros_like(value)
    (slope,) = torch.autograd.grad(value.sum(), column, create_graph=True, allow_unused=True)
    return torch.zeros_like(value) if slope is None else slope


def manufacture(p: Points, u, diffusion=None) -> dict[str, Tensor]:
    """``div(diffusion grad u)`` over space, ``u_tt`` where there is time, and ``u``."""
    columns = {a: c.clone().requires_grad_() for a, c in zip(p.axes, p.coordinates.unbind(1), strict=True)}
    moved = Points(p.axes, torch.stack(list(columns.values()), 1))
    value = u(moved)
    a = 1.0 if diffusion is None else diffusion(moved)
    found = {"u": value, "div": sum(grad(a * grad(value, columns[x]), columns[x]) for x in p.space_axes)}
    if "t" in columns:
        found["tt"] = grad(grad(value, columns["t"]), columns["t"])
    return {k: v.detach() for k, v in found.items()}


def smooth(p):
    return sin(2 * p.x + 1) * exp(p.y / 2) + p.x**3 * p.y


def rough_medium(p):
    return 1.5 + sin(3 * p.x) * cos(2 * p.y)


def poisson_source(diffusion, reaction, u):
    def source(p):
        found = manufacture(p, u, diffusion)
        return found["div"] - (reaction(p) if callable(reaction) else reaction) * found["u"]

    return source


def poisson(diffusion=None, reaction=0.0, domain=PLANE, u=smooth) -> tuple[Problem, object]:
    stated = {} if diffusion is None else {"diffusion": diffusion}
    problem = Poisson(domain=domain, source=poisson_source(diffusion, reaction, u), reaction=reaction, **stated)
    return problem, u


# --- Helmholtz ---


def plane_wave(k, angle=0.6):
    return lambda p: exp(1j * k * (math.cos(angle) * p.x + math.sin(angle) * p.y))


def spherical(k):
    """exp(i k r) / (4 pi r): the outgoing wave of a point source at the origin, in three dimensions."""

    def u(p):
        r = p.space.square().sum(1).sqrt()
        return exp(1j * k * r) / (4 * pi * r)

    return u


def hankel(z: Tensor) -> Tensor:
    """H0^(1)(z) = 4 / pi exp(i z) int_0^inf exp(-z v^2) / sqrt(2 i - v^2) dv, differentiable, for 0.5 < z < 25.

    The trapezoidal rule converges geometrically on this analytic, even, decaying integrand.
    """
    h = 0.1
    v = torch.arange(0, 8.0 / math.sqrt(0.5), h, dtype=torch.float64)
    weights = torch.full_like(v, h)
    weights[0] = h / 2
    kernel = weights / torch.sqrt(2j - v**2)
    return 4 / pi * exp(1j * z) * (exp(-z[:, None] * v**2) * kernel).sum(1)


def cylindrical(k):
    return lambda p: 0.25j * hankel(k * p.space.square().sum(1).sqrt())


def helmholtz_source(k, speed, u):
    return lambda p: -(manufacture(p, u)["div"] + (k / speed(p)) ** 2 * manufacture(p, u)["u"])


def complex_field(p):
    return smooth(p) + 1j * p.x * cos(4 * p.y)


# --- wave ---


def moving(p):
    return sin(2 * p.x - 3 * p.t) * exp(-p.t) + p.x**2 * p.t


def moving2(p):
    return moving(p) * cos(p.y + p.t)


def wave_source(speed, u):
    return lambda p: manufacture(p, u)["tt"] - speed(p) ** 2 * manufacture(p, u)["div"]


STRIP, BLOCK = Box(x=(0, 1), t=(0, 2)), Box(t=(0, 1), x=(0, 1), y=(-1, 1))


# --- eikonal ---

AT, SURFACE_VELOCITY, SLOPE = (0.8, 0.3), 2.0, 0.7
LAYERS = Box(x=(0, 2), z=(0, 1))


def linear_velocity(p):
    return SURFACE_VELOCITY + SLOPE * p.z


def travel_time(source=AT):
    """In a velocity linear with depth rays are circles (Slotnick 1959): T = arccosh(1 + g^2 r^2 / (2 v0 v)) / g."""

    def time(p):
        squared = (p.x - source[0]) ** 2 + (p.z - source[1]) ** 2
        at_source = SURFACE_VELOCITY + SLOPE * source[1]
        return torch.acosh(1 + SLOPE**2 * squared / (2 * at_source * linear_velocity(p))) / SLOPE

    return time


def factor(source=AT):
    """What the factored form leaves to the network: T = T0 (1 + u), T0 the distance over the source's velocity."""

    def u(p):
        distance = ((p.x - source[0]) ** 2 + (p.z - source[1]) ** 2).sqrt()
        return travel_time(source)(p) * (SURFACE_VELOCITY + SLOPE * source[1]) / distance - 1

    return u


def from_the_surface(p):
    return torch.log(1 + SLOPE * p.z / SURFACE_VELOCITY) / SLOPE


EIKONAL = Eikonal(domain=LAYERS, velocity=linear_velocity, source=AT)
RESTING = Eikonal(domain=LAYERS, velocity=linear_velocity, surface=[(x / 10, 0.0) for x in range(21)])

# problem, exact fields, tolerance
CASES = {
    "poisson": (*poisson(), 1e-12),
    "poisson, constant coefficients": (
        Poisson(
            domain=PLANE, diffusion=2.5, reaction=0.7,
            source=lambda p: 2.5 * manufacture(p, smooth)["div"] - 0.7 * smooth(p),
        ),
        smooth, 1e-12,
    ),
    "poisson, variable diffusion": (*poisson(rough_medium), 1e-12),
    "poisson, variable reaction": (*poisson(None, lambda p: 1 + p.x**2), 1e-12),
    "poisson, both": (*poisson(rough_medium, lambda p: exp(p.y)), 1e-12),
    "poisson, a line": (*poisson(lambda p: 1 + p.x**2, 2.0, Box(x=(0, 1)), lambda p: sin(5 * p.x)), 1e-12),
    "poisson, three dimensions": (
        *poisson(lambda p: 2 + p.z * p.x, 1.0, SPACE, lambda p: smooth(p) * cos(p.z) + p.z**2), 1e-12,
    ),
    "poisson, a coefficient that is a number from a function": (
        Poisson(domain=PLANE, diffusion=lambda p: 2.0, source=lambda p: 2 * manufacture(p, smooth)["div"]),
        smooth, 1e-12,
    ),
    "helmholtz, plane wave": (Helmholtz(domain=PLANE, wavenumber=7.0, source=0), plane_wave(7), 1e-11),
    "helmholtz, plane wave in a slower medium": (
        Helmholtz(domain=PLANE, wavenumber=7.0, speed=0.5, source=0), plane_wave(14), 1e-11,
    ),
    "helmholtz, line": (
        Helmholtz(domain=Box(x=(0, 1)), wavenumber=3.0, source=0), lambda p: exp(-3j * p.x), 1e-12,
    ),
    "helmholtz, outgoing, two dimensions": (Helmholtz(domain=PLANE, wavenumber=6.0, source=0), cylindrical(6), 1e-10),
    "helmholtz, outgoing, three dimensions": (
        Helmholtz(domain=SPACE, wavenumber=8.0, speed=2.0, source=0), spherical(4), 1e-11,
    ),
    "helmholtz, variable speed": (
        Helmholtz(
            domain=PLANE, wavenumber=5.0, speed=rough_medium, source=helmholtz_source(5.0, rough_medium, complex_field)
        ),
        complex_field, 1e-9,
    ),
    "wave, 1+1": (
        Wave(domain=STRIP, speed=lambda p: 1 + p.x**2, source=wave_source(lambda p: 1 + p.x**2, moving)), moving, 1e-12,
    ),
    "wave, 1+1, d'Alembert": (
        Wave(domain=STRIP, speed=2.0), lambda p: exp(-((p.x - 2 * p.t) ** 2)) + sin(p.x + 2 * p.t), 1e-12,
    ),
    "wave, 2+1": (
        Wave(domain=BLOCK, speed=rough_medium, source=wave_source(rough_medium, moving2)), moving2, 1e-11,
    ),
    "eikonal, linear velocity": (EIKONAL, travel_time(), 1e-12),
    "eikonal, constant velocity in three dimensions": (
        Eikonal(domain=SPACE, velocity=3.0, source=(0.6, 0.5, 0.0)),
        lambda p: (p.space - torch.tensor([0.6, 0.5, 0.0], dtype=torch.float64)).norm(dim=1) / 3, 1e-12,
    ),
    "eikonal, a surface": (RESTING, from_the_surface, 1e-12),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_exact_solution_has_no_residual(name):
    problem, exact, tolerance = CASES[name]
    assert largest(problem, exact) <= tolerance
    wrong = lambda p: exact(p) * (1 + 0.1 * p.x)  # noqa: E731
    assert largest(problem, wrong) >= 1e-2


# --- signs ---


@pytest.mark.parametrize("name", [n for n, (p, _, _) in CASES.items() if callable(getattr(p, "source", None))])
def test_the_sign_of_the_source(name):
    """With -source the residual is twice the source, up to its sign."""
    problem, exact, _ = CASES[name]
    source = problem.source
    flipped = dataclasses.replace(problem, source=lambda p: -source(p))
    (p,) = problem.constraints()[0].sample(150, Sampler(torch.Generator().manual_seed(5)))
    sign = -1 if isinstance(problem, Helmholtz) else 1
    (part,) = residual(flipped, exact)
    size = float(source(p).abs().max())
    assert float((part - 2 * sign * source(p)).abs().max()) <= 1e-9 * size
    assert float(part.abs().max()) > 0.1


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Poisson(domain=PLANE, source=-2.0), 2.0), (Poisson(domain=PLANE, source=0, reaction=3.0), -3.0),
        (Helmholtz(domain=PLANE, wavenumber=2.0, source=0), 4.0),
        (Helmholtz(domain=PLANE, wavenumber=1.0, source=5), 6.0),
        (Wave(domain=STRIP, speed=1.0, source=4.0), -4.0),
    ],
)  # fmt: skip
def test_signs_on_the_field_one(problem, expected):
    """div(a grad u) - c u = f; laplacian u + k^2 u = -f; u_tt - c^2 laplacian u = f."""
    one = (lambda p: 0 * p.x + 1 + 0j) if problem.complex_valued else (lambda p: 0 * p.x + 1)
    (part,) = residual(problem, one)
    assert torch.allclose(part, torch.full_like(part, expected))


def test_the_reaction_and_the_diffusion_count():
    """Leaving grad(diffusion) . grad(u) out would show."""
    problem, exact = poisson(rough_medium)
    frozen = dataclasses.replace(problem, diffusion=2.0)
    assert largest(problem, exact) <= 1e-12 and largest(frozen, exact) > 0.1


# --- Helmholtz: the outgoing wave and the layer ---


def test_the_differentiable_hankel_function():
    z = torch.linspace(0.5, 25, 60, dtype=torch.float64)
    assert float((hankel(z) - torch.from_numpy(hankel1(0, z.numpy()))).abs().max()) <= 1e-13


def test_outgoing_waves_carry_energy_outward():
    """Im(conj(u) du/dr) > 0 with the time factor exp(-i omega t): for both, and for neither's conjugate."""
    for domain, u in ((PLANE, cylindrical(6)), (SPACE, spherical(4))):
        p = domain.interior(50, Sampler(torch.Generator().manual_seed(3)))
        plan = make_plan(domain.axes, frozenset(domain.axes))
        jet = lift(u, p, plan)
        radial = (jet.grad * p.space).sum(1)
        assert bool(((jet.value.conj() * radial).imag > 0).all())


def stretched(x: Tensor, low: float, high: float, layer: PML, k: float) -> Tensor:
    """exp(i k |X|): X the layer's complex coordinate, integrated by hand: i s L / (m + 1) (d / L)^(m + 1) more."""
    strength = 5.0 if layer.strength is None else layer.strength
    order = 2 if layer.order is None else layer.order
    thickness = layer.thickness
    growth = lambda depth: (depth / thickness).clamp(min=0) ** (order + 1)  # noqa: E731
    extra = strength * thickness / (order + 1) * (growth(x - high + thickness) - growth(low + thickness - x))
    return torch.complex(x, extra) * k


@pytest.mark.parametrize(
    "layer",
    [PML(0.3), PML(0.5, strength=2.0, order=3), PML(0.2, strength=20.0), PML(0.4, order=1)],
    ids=lambda c: f"{c.thickness}-{c.strength}-{c.order}",
)
@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5])
def test_the_outgoing_wave_leaves_through_the_layer(layer, angle):
    """exp(i k . X) of stretched coordinates has no residual anywhere, corners too, and decays towards the sides."""
    box, k = Box(x=(-1, 1), y=(-0.8, 1.2)), 9.0

    def u(p):
        x = stretched(p.x, -1, 1, layer, k * math.cos(angle))
        y = stretched(p.y, -0.8, 1.2, layer, k * math.sin(angle))
        return exp(1j * (x + y))

    problem = Helmholtz(domain=box, wavenumber=k, source=0, conditions=[layer])
    constraint = problem.constraints()[0]
    # The wave grows in the layer it comes from: look where it leaves.
    kept = lambda p: p[(p.x * math.cos(angle) >= -0.4) & ((p.y - 0.2) * math.sin(angle) >= -0.4)]  # noqa: E731
    p = kept(box.interior(1500, Sampler(torch.Generator().manual_seed(5))))
    deep = (p.x.abs() > 1 - layer.thickness) | ((p.y - 0.2).abs() > 1 - layer.thickness)
    assert len(p) > 200 and int(deep.sum()) > 50

    def evaluate(plan):
        return checked(constraint, [p], [(lift(u, p, plan),)])

    (part,) = record(evaluate, problem)[0]
    assert float(part.abs().max()) <= 1e-10 * k**2
    bare = dataclasses.replace(problem, conditions=[])
    (unstretched,) = residual(bare, u)
    assert float(unstretched.abs().max()) > 1

    # |u| falls along the way out, from 1 in the physical region to exp(-k s L / (m + 1)) behind a normal incidence.
    if angle == 0.0:
        strength, order = layer.strength or 5.0, layer.order or 2
        line = torch.linspace(0, 1, 201, dtype=torch.float64)
        size = u(Points(("x", "y"), torch.stack([line, torch.zeros_like(line)], 1))).abs()
        inside = line <= 1 - layer.thickness
        assert torch.allclose(size[inside], torch.ones_like(size[inside]))
        assert bool((size.diff()[line[1:] > 1 - layer.thickness + 0.01] < 0).all())
        expected = math.exp(-k * strength * layer.thickness / (order + 1))
        assert float(size[-1]) == pytest.approx(expected, rel=1e-9)


def test_the_layer_on_one_side_only():
    layer, k = PML(0.3, on="right"), 6.0
    problem = Helmholtz(domain=Box(x=(-1, 1)), wavenumber=k, source=0, conditions=[layer])

    def u(p):
        depth = ((p.x - 0.7) / 0.3).clamp(min=0)
        return exp(1j * k * torch.complex(p.x, 5 * 0.3 / 3 * depth**3))

    assert largest(problem, u) <= 1e-11 * k**2
    assert largest(problem, lambda p: u(p).conj()) > 1  # an incoming wave is no solution in the layer


def test_a_layer_of_another_sign_is_another_equation():
    """The wave of the layer with the sign of i flipped leaves a residual: the time factor is exp(-i omega t)."""
    layer, k = PML(0.3, on="right"), 6.0
    problem = Helmholtz(domain=Box(x=(-1, 1)), wavenumber=k, source=0, conditions=[layer])

    def amplified(p):
        depth = ((p.x - 0.7) / 0.3).clamp(min=0)
        return exp(1j * k * torch.complex(p.x, -5 * 0.3 / 3 * depth**3))

    assert largest(problem, amplified) > 1


# --- eikonal: the factored form, several sources, a surface ---


def through_the_ansatz(problem: Problem, *factors, p: Points | None = None) -> tuple[list[Tensor], list[Jet]]:
    constraint = problem.constraints()[0]
    p = p if p is not None else constraint.sample(150, Sampler(torch.Generator().manual_seed(5)))[0]
    kept = []

    def evaluate(plan):
        kept[:] = build_in(problem.ansatz, p, plan, tuple(lift(f, p, plan) for f in factors))
        return checked(constraint, [p], [tuple(kept)])

    return list(record(evaluate, problem)[0]), kept


def test_the_factored_form():
    parts, (time,) = through_the_ansatz(EIKONAL, factor())
    assert float(parts[0].abs().max()) <= 1e-11
    assert torch.allclose(time.value, travel_time()(time.points), rtol=1e-12)
    (homogeneous,), _ = through_the_ansatz(EIKONAL, lambda p: 0 * p.x)
    assert float(homogeneous.abs().max()) > 0.05
    uniform = Eikonal(domain=LAYERS, velocity=1.7, source=AT)
    (none,), _ = through_the_ansatz(uniform, lambda p: 0 * p.x)
    assert float(none.abs().max()) <= 1e-13  # T0 itself solves it


def test_the_travel_time_at_the_source_is_zero():
    p = Points(("x", "z"), torch.tensor([AT], dtype=torch.float64))
    plan = make_plan(p.axes, frozenset())
    (time,) = build_in(EIKONAL.ansatz, p, plan, (lift(lambda p: p.x, p, plan),))
    assert time.value.tolist() == [0.0]


def test_several_sources():
    places = [AT, (1.7, 0.9), (0.1, 0.1)]
    problem = Eikonal(domain=LAYERS, velocity=linear_velocity, source=places)
    assert problem.fields == ("u1", "u2", "u3") and problem.outputs == ("u",)
    parts, times = through_the_ansatz(problem, *(factor(s) for s in places))
    assert len(parts) == 3 and max(float(part.abs().max()) for part in parts) <= 1e-11
    earliest = problem.observe(torch.stack([t.value for t in times], 1))
    exact = torch.stack([travel_time(s)(times[0].points) for s in places], 1)
    assert earliest.shape == (150, 1) and torch.allclose(earliest[:, 0], exact.amin(1), rtol=1e-12)
    assert set(exact.argmin(1).tolist()) == {0, 1, 2}
    one = Eikonal(domain=LAYERS, velocity=linear_velocity, source=[AT])
    assert one.fields == ("u",)
    (mixed, *_), _ = through_the_ansatz(problem, factor(places[1]), factor(places[0]), factor(places[2]))
    assert float(mixed.abs().max()) > 0.01


def test_a_surface():
    names = [c.name for c in RESTING.constraints()]
    assert names == ["equation", "surface"]
    assert largest(RESTING, from_the_surface, number=1) <= 1e-15
    assert len(residual(RESTING, from_the_surface, number=1)[0]) == 21
    # A negative time solves the equation too, and is kept out by the second part.
    slowness, negative = residual(RESTING, lambda p: -from_the_surface(p))
    assert float(slowness.abs().max()) <= 1e-12 and float(negative.min()) < -0.05
    assert largest(RESTING, lambda p: from_the_surface(p) + 0.3, number=1) == pytest.approx(0.3)


# --- every problem file with an exact solution ---


def gallery() -> dict[str, Problem]:
    found = {}
    for path in sorted(PROBLEMS.glob("*.py")):
        stated = runpy.run_path(str(path)).get("problem")
        problem = stated if isinstance(stated, Problem) else stated() if callable(stated) else None
        # Where outputs are made of other fields, the exact solution does not say what those are; the distance to a
        # surface and a series of Hankel functions are found by numpy, which has no derivatives.
        known = problem is not None and problem.exact is not None and problem.fields == problem.outputs
        if known and path.stem not in ("shape", "helmholtz_scattering"):
            found[path.stem] = problem
    return found


GALLERY = gallery()


def test_the_gallery_is_there():
    assert {"poisson", "wave", "eikonal", "allen_cahn"} <= set(GALLERY)


@pytest.mark.parametrize("name", GALLERY)
def test_exact_solutions_of_the_gallery(name):
    problem = GALLERY[name]
    count = len(problem.outputs)

    def field(i):
        return lambda p: problem.exact(p) if count == 1 else problem.exact(p)[i]

    fields = [field(i) for i in range(count)]
    wrong = [lambda p, f=f: 1.1 * f(p) + 0.1 for f in fields]
    constraints = problem.constraints()
    for number in range(len(constraints)):
        # Relative to the residual of a wrong field, which has the size of the constraint's terms.
        size = max(largest(problem, *wrong, number=number), 1.0)
        assert largest(problem, *fields, number=number) <= 1e-11 * size, constraints[number].name
    assert max(largest(problem, *wrong, number=i) for i in range(len(constraints))) > 1e-2


def test_conditions_of_the_equations_meet():
    """A wave, stated in full: every constraint vanishes on the exact solution."""
    u = lambda p: sin(pi * p.x) * cos(2 * pi * p.t)  # noqa: E731
    problem = Wave(
        domain=Box(x=(0, 1), t=(0, 1)), speed=2.0, conditions=[Dirichlet(0), Initial(lambda p: sin(pi * p.x), rate=0)]
    )
    assert [largest(problem, u, number=i) for i in range(4)] == pytest.approx([0] * 4, abs=1e-11)
