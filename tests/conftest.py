import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch

from pinn_siren import Box, Dirichlet, Poisson

SLOW = (
    "test_eikonal_layers.py::test_layers_to_a_thousandth_and_back_from_what_a_file_keeps",
    "test_compiled.py::test_machine_code_gives_the_same",
    "test_stranger.py::test_a_strangers_problem_is_short_and_solved[heat]",
    "test_stages.py::test_both_stages_on_a_gallery_problem[eikonal_obstacle]",
    "test_gallery.py::test_a_front_from_a_surface_takes_the_right_branch",
    "test_streaming.py::test_the_memory_is_that_of_a_chunk",
    "test_unknowns.py::test_a_nonlinear_problem_is_found_by_least_squares",
    "test_unknowns.py::test_intervals_cover_the_truth_at_the_stated_rate",
    "test_holes.py::test_electrodes_in_a_box_are_met_and_the_estimate_holds",
    "test_gallery.py::test_its_reference_converges[eikonal_two_sources]",
    "test_signals_shape.py::test_a_short_solve_finds_the_sphere",
    "test_resume.py::test_killed_from_outside_then_resumed[9]",
)
"""Tests of many seconds whose subject shorter ones touch too: ``make test-slow`` runs them."""


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the slow tests alone")


def pytest_collection_modifyitems(config, items):
    """Either the slow tests alone, or all others; what is named on the command line runs in any case."""
    if any("::" in name for name in config.args):
        return
    slow = [item for item in items if item.nodeid.endswith(SLOW)]
    rest = [item for item in items if not item.nodeid.endswith(SLOW)]
    items[:], left = (slow, rest) if config.getoption("--slow") else (rest, slow)
    config.hook.pytest_deselected(items=left)


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
