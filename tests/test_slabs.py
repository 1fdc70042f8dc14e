"""Waves by slabs: standing waves, d'Alembert, the radial pulse of free space, media, sides, files, memory."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import j0

from pinn_siren import (
    Absorbing,
    Box,
    Dirichlet,
    Initial,
    Neumann,
    Periodic,
    Points,
    Sampler,
    Solution,
    Trainer,
    Wave,
    solve,
    spill,
)
from pinn_siren.ansatz.derive import BuiltIn
from pinn_siren.build import build_model
from pinn_siren.errors import UsageError
from pinn_siren.reference.wave_spectral import spectral_wave
from pinn_siren.scales import measure_scales
from pinn_siren.slabs import Cut, March, Size, read, search_slabs
from pinn_siren.slabs.basis import make_basis
from pinn_siren.slabs.search import Trail
from pinn_siren.slabs.statement import NotCoveredError
from pinn_siren.slabwork import Slabwork
from pinn_siren.verify import verify

SMALL = Size(150, 8.0, 20)
STATE = Initial(lambda p: torch.exp(-80 * p.x**2), 0)


def line(end: float = 0.5, **given: object) -> Wave:
    stated = {"speed": 1.0, "conditions": [Dirichlet(0), STATE]} | given
    return Wave(domain=Box(x=(-1, 1), t=(0, end)), **stated)


def last(march: March, x: torch.Tensor) -> torch.Tensor:
    """The field at the last slab's end, from its weights alone."""
    slab = list(march)[-1]
    patches = march.patches
    count = torch.tensor(patches.count)
    place = ((x - patches.bounds[:, 0]) / (2 * patches.half)).long().minimum(count - 1)
    number = place[:, 0] if len(count) == 1 else place[:, 0] * count[1] + place[:, 1]
    waves, phases = march.basis.layer()
    found = torch.zeros(len(x), dtype=x.dtype)
    for row, patch in enumerate(slab.active.tolist()):
        here = number == patch
        local = (x[here] - patches.centers[patch]) / patches.half
        z = torch.cat([local, torch.ones(len(local), 1, dtype=x.dtype)], dim=1)
        found[here] = torch.sin(z @ waves.T + phases) @ slab.weights[row]
    return found


def relative(u: torch.Tensor, exact: torch.Tensor) -> float:
    return float((u - exact).norm() / exact.norm())


@pytest.mark.parametrize(("side", "shape"), [(Dirichlet, torch.sin), (Neumann, torch.cos)])
def test_a_string_still_stands_after_ten_crossings(
    side: Callable[..., object], shape: Callable[..., torch.Tensor]
) -> None:
    problem = Wave(
        domain=Box(x=(0, 1), t=(0, 10)), speed=1.0,
        conditions=[side(0), Initial(lambda p: shape(3 * torch.pi * p.x), rate=0)],
    )  # fmt: skip
    march = March(read(problem), Cut((4,), Size(60, 12.0, 40)), 3, 1e-8)
    x = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    assert relative(last(march, x), shape(3 * torch.pi * x[:, 0])) < 1e-7


def test_a_membrane_of_two_kinds_of_sides() -> None:
    def u(p: Points) -> torch.Tensor:
        return torch.cos(2 * torch.pi * p.x) * torch.sin(torch.pi * p.y)

    problem = Wave(
        domain=Box(x=(0, 1), y=(0, 1), t=(0, 1.5)), speed=2.0,
        conditions=[Periodic("x"), Dirichlet(0, on="bottom"), Dirichlet(0, on="top"), Initial(0, u)],
    )  # fmt: skip
    turn = 2 * math.pi * math.sqrt(5)
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    exact = u(Points(("x", "y"), x)) * math.sin(1.5 * turn) / turn
    assert relative(last(March(read(problem), Cut((3, 2), SMALL), 3, 1e-8), x), exact) < 1e-6


def test_a_pulse_on_a_line_leaves_through_absorbing_sides() -> None:
    """d'Alembert: half of it to either side, and after it has left, nothing."""
    problem = line(0.7, conditions=[Absorbing(), STATE])
    x = torch.linspace(-1, 1, 201, dtype=torch.float64)[:, None]
    exact = sum(torch.exp(-80 * (x[:, 0] + s * 0.7) ** 2) for s in (1, -1)) / 2
    cut = Cut((10,), Size(60, 12.0, 40))
    assert relative(last(March(read(problem), cut, 3, 1e-8), x), exact) < 1e-6
    gone = last(March(read(line(2.0, conditions=[Absorbing(), STATE])), cut, 3, 1e-8), x)
    assert float(gone.abs().max()) < 1e-6


def test_a_radial_pulse_in_free_space() -> None:
    """Against the Hankel integral of the Gaussian's spectrum: no grid, no series in common."""
    width, end = 0.1, 0.3
    problem = Wave(
        domain=Box(x=(-1, 1), y=(-1, 1), t=(0, end)), speed=1.0,
        conditions=[Absorbing(), Initial(lambda p: torch.exp(-(p.x**2 + p.y**2) / (2 * width**2)), 0)],
    )  # fmt: skip
    solution = solve(problem, method="least-squares", tolerance=1e-5, progress=False)
    assert isinstance(solution.model.network, Slabwork)
    assert "slabs" in solution.provenance.stages
    k, w = np.polynomial.legendre.leggauss(400)
    k, w = 30 * (k + 1) / width / 5, 30 * w / width / 5
    r = np.linspace(0, 0.95, 40)
    exact = (w * k * width**2 * np.exp(-((k * width) ** 2) / 2) * np.cos(k * end) * j0(k * r[:, None])).sum(1)
    for angle in (0.0, 0.4, 0.785):
        found = solution(np.stack([r * math.cos(angle), r * math.sin(angle), np.full_like(r, end)], axis=1))
        assert np.linalg.norm(found - exact) / np.linalg.norm(exact) < 2e-5
    assert solution.provenance.estimate < 1e-5


def test_a_medium_that_varies_against_spectral_elements() -> None:
    def speed(p: Points) -> torch.Tensor:
        return 1 + 0.4 * torch.exp(-8 * p.x**2)

    conditions = [
        Absorbing(on="left"),
        Dirichlet(0, on="right"),
        Initial(lambda p: torch.exp(-100 * (p.x + 0.3) ** 2), 0),
    ]
    problem = line(1.5, speed=speed, conditions=conditions)
    cells = {"x": 120, "t": 4}
    reference = spectral_wave(problem.domain, speed=speed, source=0.0, conditions=conditions, cells=cells)
    exact = torch.from_numpy(reference.finest.values["u"][:, -1])
    x = torch.from_numpy(reference.finest.coordinates["x"])[:, None]
    march = March(read(problem), Cut((12,), Size(60, 8.0, 36, levels=8, inner=30)), 3, 1e-8)
    assert relative(last(march, x), exact) < 2e-6
    assert reference.bar < 2e-7


def test_a_pulse_meets_a_jump_of_the_speed() -> None:
    """d'Alembert: a third comes back, four thirds go on, twice as fast and wide."""
    state = Initial(lambda p: torch.exp(-200 * (p.x + 0.5) ** 2), 0)
    jump, end = 0.2, 1.0
    problem = line(
        end, speed=lambda p: torch.where(p.x < jump, 1.0, 2.0).to(p.x.dtype), conditions=[Absorbing(), state]
    )
    solution = solve(problem, method="least-squares", tolerance=1e-6, seed=3, progress=False)
    network = solution.model.network
    assert isinstance(network, Slabwork) and "tolerance" in solution.provenance.stages
    assert any(abs(float(e) - jump) < 1e-9 for e in network.lines[0])
    x = torch.linspace(-0.99, 0.99, 400, dtype=torch.float64)

    def half(s: torch.Tensor) -> torch.Tensor:
        return torch.exp(-200 * (s + 0.5) ** 2) / 2

    before = half(x - end) + half(x + end) + half(2 * jump - x - end) / 3
    exact = torch.where(x < jump, before, 4 / 3 * half(jump + (x - jump) / 2 - end))
    values = solution(torch.stack([x, torch.full_like(x, end)], dim=1).numpy())
    assert relative(torch.as_tensor(values), exact) < 1e-6


def through_layers(x: torch.Tensor, t: float, ends: list[float], speeds: list[float]) -> torch.Tensor:
    """d'Alembert: every wave that meets an end goes on as two, which the field's and its slope's continuity sizes."""
    bounds, first = [-math.inf, *ends, math.inf], speeds[0]
    out, waves = torch.zeros_like(x), [(0, 1, 1.0, 0.0), (0, -1, 1.0, 0.0)]
    while waves:
        layer, way, size, shift = waves.pop()
        inside = (x >= bounds[layer]) & (x < bounds[layer + 1])
        phase = way * x * first / speeds[layer] + shift - first * t
        # The wave that runs to the left from the start on meets no end.
        center = 0.5 if way < 0 and layer == 0 and shift == 0 else -0.5
        out += inside * size * torch.exp(-200 * (phase - center) ** 2) / 2
        end = bounds[layer + (way > 0)]
        if not math.isfinite(end) or abs(size) < 1e-12:
            continue
        beyond = speeds[layer + way]
        back = (beyond - speeds[layer]) / (beyond + speeds[layer])
        turned = way * end * first * (1 / speeds[layer] - 1 / beyond)
        waves.insert(0, (layer + way, way, size * (1 + back), shift + turned))
        waves.insert(0, (layer, -way, size * back, shift + 2 * way * end * first / speeds[layer]))
    return out


@pytest.mark.parametrize(
    ("ends", "speeds"), [([0.2137], [1.0, 5.0]), ([0.1, 0.13], [1.0, 3.0, 1.0]), ([-0.1, 0.95], [1.0, 0.5, 2.0])]
)
def test_layers_of_any_contrast_and_thickness(ends: list[float], speeds: list[float]) -> None:
    def speed(p: Points) -> torch.Tensor:
        return torch.tensor(speeds, dtype=p.x.dtype)[torch.bucketize(p.x.contiguous(), torch.tensor(ends).double())]

    problem = line(0.8, speed=speed, conditions=[Absorbing(), Initial(lambda p: torch.exp(-200 * (p.x + 0.5) ** 2), 0)])
    scales = measure_scales(problem)
    found = search_slabs(problem, scales, 1e-6, 3, math.inf)
    assert found is not None and found.estimate < 1e-6
    x = torch.linspace(-0.99, 0.99, 400, dtype=torch.float64)
    p = Points(("x", "t"), torch.stack([x, torch.full_like(x, 0.8)], dim=1))
    values = build_model(problem, scales, found.network, torch.float64, 3, BuiltIn(None))(p)[:, 0]
    assert relative(values.detach(), through_layers(x, 0.8, ends, speeds)) < 1e-6


def test_a_slanted_beam_is_refracted_at_a_line() -> None:
    """Plane waves of one ky and many kx, each with its reflected and its refracted (or evanescent) one by Snell."""
    fast, jump, across, end = 2.0, 0.07, 2 * math.pi / 0.4, 0.25
    k = torch.linspace(5, 65, 101, dtype=torch.float64)
    size = torch.exp(-(((k - 35) / 9) ** 2) + 1j * k * 0.2) * 0.04
    turn = (k**2 + across**2).sqrt()
    beyond = torch.sqrt((turn / fast) ** 2 - across**2 + 0j)
    back = (k - beyond) / (k + beyond)

    def field(p: Points, t: float, rate: bool = False) -> torch.Tensor:
        x, number = (p.x - jump).unique(return_inverse=True)
        x = x[:, None]
        wave = torch.where(
            x < 0, torch.exp(1j * k * x) + back * torch.exp(-1j * k * x), (1 + back) * torch.exp(1j * beyond * x.abs())
        )
        along = (wave * size * torch.exp(-1j * turn * t) * (-1j * turn if rate else 1)).sum(1)
        return (along[number] * torch.exp(1j * across * p.y)).real

    problem = Wave(
        domain=Box(x=(-0.65, 0.85), y=(-0.2, 0.2), t=(0, end)),
        speed=lambda p: torch.where(p.x < jump, 1.0, fast).to(p.x.dtype),
        conditions=[
            Absorbing(on="left"), Absorbing(on="right"), Periodic("y"),
            Initial(lambda p: field(p, 0.0), lambda p: field(p, 0.0, rate=True)),
        ],
    )  # fmt: skip
    statement = read(problem)
    assert statement.kind == "pieces" and [len(line) for line in statement.jumps] == [1, 0]
    scales = measure_scales(problem)
    trail = Trail(March(statement, Cut((12, 3), Size(220, 9.0, 30, reach=1.45, cut=1e-9)), 3, 1e-5), scales.amplitude)
    for slab in trail.march:
        trail.add(slab)
    x = torch.rand(1000, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 0.5
    # Where nothing comes from the sides, which reflect slanted waves.
    x = x * torch.tensor([0.7, 0.4, 0.0]) + torch.tensor([0.0, 0.0, end])
    p = Points(("x", "y", "t"), x)
    model = build_model(problem, scales, trail.network(problem, scales), torch.float64, 3, BuiltIn(None))
    error = relative(model(p)[:, 0].detach(), field(p, end))
    assert error < 1e-3 and error < trail.misfit


def test_a_curved_jump_is_no_line() -> None:
    disc = Wave(
        domain=Box(x=(-1, 1), y=(-1, 1), t=(0, 1)),
        speed=lambda p: torch.where(p.x**2 + p.y**2 < 0.09, 2.0, 1.0).to(p.x.dtype), conditions=[Absorbing(), STATE],
    )  # fmt: skip
    assert read(disc).kind == "varies" and read(disc).curved and not any(map(len, read(disc).jumps))


def test_functions_of_a_parity_are_those_of_the_whole_patch() -> None:
    basis = make_basis(SMALL, torch.ones(2, dtype=torch.float64), 0.4, torch.ones(1, dtype=torch.float64), False, 3)
    g = torch.Generator().manual_seed(8)
    u = torch.randn(SMALL.nodes**2, 3, generator=g, dtype=torch.float64)
    assert torch.allclose(basis.values.T @ basis.values, torch.eye(basis.rank, dtype=torch.float64), atol=1e-12)
    assert relative(basis.project(u), basis.values.T @ u) < 1e-13
    a = torch.randn(basis.rank, 3, generator=g, dtype=torch.float64)
    assert relative(basis.raw(a), basis.transform @ a) < 1e-13


def test_even_and_odd_functions_satisfy_the_equation() -> None:
    """By automatic derivatives of the travelling sines: u_tt = u_xx + u_yy in the patch's own units."""
    stretch = torch.tensor([1.0, 0.5], dtype=torch.float64)
    basis = make_basis(SMALL, stretch, 0.4, torch.ones(1, dtype=torch.float64), False, 3)
    even, odd = torch.randn(2, basis.rank, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    weights = basis.travelling(even, odd)[0]
    waves, phases = basis.layer()
    square = waves.square()
    # Time runs from -1 to 1 over the duration.
    symbol = square[:, 2] / 0.2**2 - square[:, 0] - square[:, 1] * 0.25
    assert float(symbol.abs().max()) < 1e-9 * float(square.sum(1).max())
    x = 2 * torch.rand(50, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64) - 1
    t = 0.2 * (x[:, 2] + 1)
    direct = basis.even(x[:, :2], t) @ even + basis.even(x[:, :2], t, rates=-1) @ odd
    travelling = torch.sin(x @ waves.T + phases) @ weights
    # Weights of functions at the cut are 1e10 times larger than the field, and rounded as that.
    assert relative(travelling, direct[:, 0]) < 1e-5


def test_memory_does_not_grow_with_the_final_time() -> None:
    march = March(read(line(20.0)), Cut((6,), Size(60, 12.0, 40)), 3, 1e-6)
    sizes = {slab.weights.shape[1] for slab in march}
    assert sizes == {240}
    assert len(march._fits) == 1


def test_slabs_from_a_file_are_those_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searched, evaluated, saved, loaded and verified with weights that memory may not hold."""
    problem = line(0.4)
    trainer = Trainer(problem, progress=False)
    held = search_slabs(problem, trainer.scales, 1e-6, 3, math.inf)
    monkeypatch.setattr(spill, "MOST", 1000)
    found = search_slabs(problem, trainer.scales, 1e-6, 3, math.inf)
    assert held is not None and found is not None and found.end == "tolerance"
    assert spill.in_file(found.network.weight.detach()) and not spill.in_file(held.network.weight.detach())
    assert torch.equal(found.network.weight, held.network.weight)
    trainer.adopt(found)
    solution = trainer.solution(tolerance=1e-5)
    solution.save(tmp_path)
    assert solution.report.verdict == "certified" and solution.report.reference_error < 1e-10
    assert verify(tmp_path)[1] == []
    again = Solution.load(tmp_path)
    assert isinstance(again.model.network, Slabwork) and spill.in_file(again.model.network.weight.detach())
    points = problem.domain.interior(200, Sampler(torch.Generator().manual_seed(6)))
    assert torch.equal(again(points), solution(points))
    u = again.jet(points)
    assert float((u.tt - u.xx).abs().max()) < 1e-8 * float(u.tt.abs().max())
    monkeypatch.undo()
    inside = Solution.load(tmp_path)
    assert not spill.in_file(inside.model.network.weight.detach())
    assert torch.equal(inside(points), solution(points))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": 1.0}, "without a source"),
        ({"speed": lambda p: 1 + p.t}, "depend on time"),
        ({"conditions": [Dirichlet(1), STATE]}, "Dirichlet"),
        ({"conditions": [Dirichlet(0, on="left"), STATE]}, "every side"),
    ],
)
def test_what_slabs_do_not_cover_is_said(given: dict[str, object], message: str) -> None:
    with pytest.raises(NotCoveredError, match=message):
        read(line(**given))


def test_slabwork_refuses_cells_that_do_not_ascend() -> None:
    with pytest.raises(UsageError, match="ascending"):
        Slabwork([[0.0, 0.0]], 3, 1)


def test_slabwork_is_silent_where_nothing_is_stored() -> None:
    network = Slabwork([[-1.0, 0.0, 1.0], [-1.0, 1.0]], 1, 1, dtype=torch.float64)
    network.row[1] = 0
    with torch.no_grad():
        network.waves.copy_(torch.tensor([[1.0, 2.0]]))
        network.weight.fill_(3.0)
    x = torch.tensor([[-0.5, 0.3], [0.75, 0.3]], dtype=torch.float64)
    assert network(x)[:, 0].tolist() == pytest.approx([0.0, 3 * math.sin(0.5 + 0.6)])


def test_where_nothing_sounds_the_field_is_zero():
    network = Slabwork([[-1.0, 0.0, 1.0], [-1.0, 1.0]], 2, 1, dtype=torch.float64)
    network.row[0] = 0
    silent = torch.tensor([[0.5, 0.0], [0.7, -0.2]], dtype=torch.float64)
    assert network(silent).shape == (2, 1) and not bool(network(silent).any())
