"""What the solvers' tests share: errors against an exact solution over refined grids, and the order they show."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pinn_siren.points import Points
from pinn_siren.reference import GridSolution

Exact = Callable[[Points], Tensor]


def relative_l2(solution: GridSolution, exact: Exact) -> float:
    p = Points(tuple(solution.coordinates), torch.from_numpy(solution.nodes()))
    truth = exact(p).numpy().reshape(solution.shape)
    weights = solution.quadrature()
    error = (weights * np.abs(solution.values["u"] - truth) ** 2).sum()
    return float(np.sqrt(error / (weights * np.abs(truth) ** 2).sum()))


def assert_order(
    solve_on: Callable[[dict[str, int]], GridSolution],
    exact: Exact,
    cells: dict[str, int],
    *,
    band: tuple[float, float] = (1.9, 2.1),
    cap: float,
    squared: str = "",
) -> None:
    """Over grids of 1, 2 and 4 times the cells: last order in the band, error under the cap.

    The axes ``squared`` get 1, 4 and 16 times: leapfrog's second order in time is then fourth order in h.
    """
    grids = [{a: n * factor ** (2 if a in squared else 1) for a, n in cells.items()} for factor in (1, 2, 4)]
    errors = [relative_l2(solve_on(g), exact) for g in grids]
    order = np.log2(errors[-2] / errors[-1])
    assert band[0] <= order <= band[1], (order, errors)
    assert errors[-1] <= cap, errors


def gradient(u: Exact, p: Points) -> Tensor:
    """(n, d) by automatic differentiation; complex where u is."""
    coordinates = p.coordinates.clone().requires_grad_(True)
    value = u(p.replace(coordinates))
    parts = [value.real, value.imag] if value.is_complex() else [value]
    grads = [torch.autograd.grad(part.sum(), coordinates, retain_graph=True)[0] for part in parts]
    return torch.complex(*grads) if value.is_complex() else grads[0]


def normal_derivative(u: Exact) -> Exact:
    """du/dn at points with normals, space axes only."""

    def along(p: Points) -> Tensor:
        space = [i for i, axis in enumerate(p.axes) if axis != "t"]
        return (gradient(u, p)[:, space] * p.normal).sum(dim=1)

    return along


def divergence(flux: Callable[[Points], Tensor], p: Points) -> Tensor:
    """(n,) divergence of a field (n, d) over all axes."""
    coordinates = p.coordinates.clone().requires_grad_(True)
    field = flux(p.replace(coordinates))
    parts = [
        torch.autograd.grad(field[:, i].sum(), coordinates, retain_graph=True)[0][:, i] for i in range(len(p.axes))
    ]
    return torch.stack(parts).sum(dim=0)


def derivatives(u: Exact, p: Points) -> Tensor:
    """(n, d) second derivatives along each axis."""
    coordinates = p.coordinates.clone().requires_grad_(True)
    first = torch.autograd.grad(u(p.replace(coordinates)).sum(), coordinates, create_graph=True)[0]
    seconds = [
        torch.autograd.grad(first[:, i].sum(), coordinates, retain_graph=True)[0][:, i] for i in range(len(p.axes))
    ]
    return torch.stack(seconds, dim=1)
