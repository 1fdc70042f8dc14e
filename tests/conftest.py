import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch

from pinn_siren import Box, Dirichlet, Poisson


@pytest.fixture(autouse=True)
def one_thread():
    """Small tests run fastest, and give the same bits everywhere, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sine(p):
    return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)


@pytest.fixture
def poisson():
    """A Poisson problem that a small network solves in a second."""
    return Poisson(
        domain=Box(x=(0, 1), y=(0, 1)),
        source=lambda p: -2 * torch.pi**2 * sine(p),
        conditions=[Dirichlet(0)],
        exact=sine,
    )
