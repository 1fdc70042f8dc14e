"""Normals at given points: those that sampling gives, several at corners, none off the boundary."""

import pytest
import torch

from pinn_siren import Ball, Box, Disk, Polygon, Sampler

SQUARE = Box(x=(-1, 1), y=(-1, 1))
CUBE = Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
CORNERED = Polygon([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)])
JOINED = Box(x=(0, 2), y=(0, 1)) + Box(x=(0, 1), y=(0, 2))
DOMAINS = [
    SQUARE,
    CUBE,
    Disk((0.3, -0.2), 0.7),
    Ball((0.1, 0.2, 0.3), 0.5),
    CORNERED,
    JOINED,
    SQUARE - Disk((0.2, 0.1), 0.3) - Disk((1, 1), 0.4),
    (Disk() - Box(x=(0, 2), y=(0, 2))) & Disk((0.2, 0), 0.9),
    SQUARE - (Disk(radius=0.8) - Disk(radius=0.4)),
    CUBE - Ball((0, 0, 1), 0.5),
    Disk() * Box(t=(0, 2)),
    SQUARE * Box(t=(0, 2)),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_they_are_those_of_the_sampled_boundary(domain):
    edge = domain.boundary(400, Sampler(torch.Generator().manual_seed(3)))
    index, normal = domain.normals_at(edge.coordinates)
    assert torch.equal(index.sort().values, torch.arange(400))
    assert float((normal - edge.normal[index]).abs().max()) < 1e-9
    inside = domain.interior(200, Sampler(torch.Generator().manual_seed(4))).coordinates
    assert len(domain.normals_at(inside)[0]) == 0


def at(domain, *point):
    index, normal = domain.normals_at(torch.tensor([[9.0] * len(point), point], dtype=torch.float64))
    assert bool((index == 1).all())
    return sorted(tuple(round(c, 9) + 0.0 for c in n) for n in normal.tolist())


def test_a_corner_has_the_normal_of_each_face():
    assert at(SQUARE, 1, 1) == [(0, 1), (1, 0)]
    assert at(CUBE, 1, 1, -1) == [(0, 0, -1), (0, 1, 0), (1, 0, 0)]
    assert at(CORNERED, 2, 0) == [(0, -1), (1, 0)]
    for cornered in (CORNERED, JOINED, Box(x=(0, 2), y=(0, 2)) - Box(x=(1, 3), y=(1, 3))):
        assert at(cornered, 1, 1) == [(0, 1), (1, 0)]


def test_seams_have_none_and_faces_that_coincide_count_once():
    halves = Box(x=(0, 1), y=(0, 1)) + Box(x=(1, 2), y=(0, 1))
    assert at(halves, 1, 0.5) == []
    assert at(halves, 1, 1) == [(0, 1)]
    assert at(SQUARE & Box(x=(-1, 1), y=(-2, 2)), 1, 0.3) == [(1, 0)]
