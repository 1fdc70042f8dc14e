"""The cosine series beside a SIREN: its terms, its derivatives, and the long waves of an image from its slopes."""

import itertools

import numpy as np
import pytest
import torch
from scipy import fft

from pinn_siren import MLP, Adam, Box, Data, Neumann, Problem, Siren, Solution, Trainer, solve
from pinn_siren.errors import UsageError
from pinn_siren.networks import describe, rebuild
from pinn_siren.optimizers import LongWaves
from pinn_siren.series import SeriesSiren


def test_its_terms_are_products_of_cosines_beside_the_siren():
    torch.manual_seed(3)
    siren, reach, waves = Siren(3, 2, 8, 2, 4.0, dtype=torch.float64), (1.0, 0.7, 0.4), 3
    wider = SeriesSiren.beside(siren, reach, waves)
    x = (2 * torch.rand(30, 3, dtype=torch.float64) - 1) * torch.tensor(reach)
    assert torch.allclose(wider(x), siren(x), atol=1e-12)
    with torch.no_grad():
        wider.output.weight[:, 8:].normal_()
    modes = list(itertools.product(range(waves), repeat=3))[1:]
    turned = (x + torch.tensor(reach)) / (2 * torch.tensor(reach)) * torch.pi
    terms = torch.stack([torch.cos(turned * torch.tensor(k)).prod(1) for k in modes], dim=1)
    assert torch.allclose(wider(x) - siren(x), terms @ wider.output.weight[:, 8:].T, atol=1e-5)
    again = rebuild(describe(wider), torch.float64)
    again.load_state_dict(wider.state_dict())
    assert torch.equal(again(x), wider(x))


def bumps(x, y):
    return torch.exp(-((x - 3) ** 2 + (y - 9) ** 2) / 40) + 0.3 * torch.cos(0.9 * x) * torch.cos(0.7 * y)


def from_slopes(of):
    """A field of long and short waves, known by its slopes or its Laplacian at the nodes of a grid."""
    axis = torch.arange(0, 45, dtype=torch.float64) / 3
    grid = torch.stack([g.reshape(-1) for g in torch.meshgrid(axis, axis, indexing="ij")], dim=1).requires_grad_()
    (slope,) = torch.autograd.grad(bumps(grid[:, 0], grid[:, 1]).sum(), grid, create_graph=True)
    second = [torch.autograd.grad(slope[:, i].sum(), grid, retain_graph=True)[0][:, i] for i in (0, 1)]
    values = slope if of == "grad" else sum(second)
    top = float(axis[-1])
    edges = [] if of == "grad" else [Neumann(lambda p: _edge(p))]
    return Problem(domain=Box(x=(0, top), y=(0, top)), conditions=[Data(grid.detach(), values.detach(), of=of), *edges])


def _edge(p):
    with torch.enable_grad():
        x = p.coordinates.detach().requires_grad_()
        (slope,) = torch.autograd.grad(bumps(x[:, 0], x[:, 1]).sum(), x)
    return (slope * p.normal).sum(1)


def error(solution):
    x = np.random.default_rng(1).random((400, 2)) * 14
    found, truth = solution(x), bumps(*torch.from_numpy(x).T).numpy()
    wrong = found - truth
    return np.std(wrong) / np.std(truth)


@pytest.mark.filterwarnings("ignore:The conditions leave a constant free")
@pytest.mark.parametrize("of", ["grad", "laplacian"])
def test_long_waves_come_out_right(of, tmp_path):
    arguments = {"seed": 3, "dtype": torch.float32, "progress": False, "device": "cpu", "points": 500}
    trainer = Trainer(from_slopes(of), Siren(2, 1, 32, 3, [8.0, 30.0, 30.0], dtype=torch.float32), **arguments)
    trainer.run(Adam(steps=60))
    before = error(trainer.solution())
    outcome = trainer.run(LongWaves(waves=10))
    solution = trainer.solution()
    assert outcome.end in ("converged", "steps") and outcome.steps == 1
    assert error(solution) < min(0.05, before / 5), (before, error(solution))
    solution.save(tmp_path)
    x = np.random.default_rng(2).random((20, 2)) * 14
    assert np.allclose(Solution.load(tmp_path)(x), solution(x))


@pytest.mark.filterwarnings("ignore:The conditions leave a constant free")
def test_a_fit_of_slopes_ends_with_them_whatever_the_budget():
    problem = from_slopes("grad")
    solution = solve(problem, steps=20, budget=60.0, progress=False, device="cpu")
    assert solution.provenance.method == "Adam 20 + LongWaves 1"
    assert isinstance(solution.model.network, SeriesSiren)
    cut = solve(problem, budget=0.5, progress=False, device="cpu")
    assert cut.provenance.method.endswith("+ LongWaves 1")


@pytest.mark.filterwarnings("ignore:The conditions leave a constant free")
def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="waves of 2 or more"):
        SeriesSiren(Siren(2, 1, 8, 2).configuration(), (1.0, 1.0), 1)
    trainer = Trainer(from_slopes("grad"), MLP(2, 1, 8, 2), progress=False, device="cpu")
    with pytest.raises(UsageError, match="needs a Siren"):
        trainer.run(LongWaves())


@pytest.mark.filterwarnings("ignore:The conditions leave a constant free")
def test_a_laplacian_on_a_whole_grid_gives_the_long_waves_in_the_weak_form() -> None:
    nodes, size = 33, 2.0
    line = np.linspace(0, size, nodes)
    x, y = np.meshgrid(line, line, indexing="ij")
    waves = {(1, 0): 0.7, (0, 2): -0.4, (3, 5): 0.2, (12, 9): 0.1}

    def wave(m, n):
        return np.cos(m * np.pi * x / size) * np.cos(n * np.pi * y / size)

    curvature = sum(-a * (m * m + n * n) * (np.pi / size) ** 2 * wave(m, n) for (m, n), a in waves.items())
    at = np.stack([x.reshape(-1), y.reshape(-1)], axis=1)
    problem = Problem(
        domain=Box(x=(0, size), y=(0, size)),
        conditions=[Data(at, curvature.reshape(-1), of="laplacian"), Neumann(0)],
    )
    trainer = Trainer(problem, dtype=torch.float32, progress=False)
    trainer.run(Adam(steps=3))
    trainer.run(LongWaves(waves=8))
    # Whatever the network is, its long waves and the series together are those of the field; shorter ones are its own.
    u = trainer.solution()(at).reshape(nodes, nodes)
    found = fft.dctn(u, type=1) / (nodes - 1) ** 2
    for (m, n), a in waves.items():
        if max(m, n) < 8:
            assert found[m, n] * (0.5 if m == 0 else 1) * (0.5 if n == 0 else 1) == pytest.approx(a, abs=1e-12)
    assert abs(found[2, 2]) < 1e-12 < abs(found[12, 9] - 0.1)
