"""Mesh: closed surfaces from files and arrays, against trimesh and the winding number."""

import json
import sys

import numpy as np
import pytest
import torch
import trimesh
from test_shapes import assert_even, assert_sound, monte_carlo, sampler

from pinn_siren import Ball, Box, Mesh
from pinn_siren.domains import from_configuration
from pinn_siren.domains.surface import winding_number
from pinn_siren.errors import ProblemError

CUBE = trimesh.creation.box(extents=(2, 2, 2))
SPHERE = trimesh.creation.icosphere(2)
TORUS = trimesh.creation.torus(1, 0.3, 24, 12)
PIPE = trimesh.creation.annulus(0.3, 1, 2, sections=24)
SOLIDS = {"cube": CUBE, "sphere": SPHERE, "torus": TORUS, "pipe": PIPE}


def hollow():
    return trimesh.util.concatenate([SPHERE, trimesh.creation.icosphere(1, radius=0.5)])


def around(mesh, n, seed=13):
    low, high = mesh.bounds
    return np.random.default_rng(seed).uniform(low - 0.2, high + 0.2, (n, 3))


@pytest.mark.parametrize("name", SOLIDS)
def test_it_samples_inside_and_surface(name):
    mesh = Mesh(SOLIDS[name])
    assert_sound(mesh, 400, sampler(), step=1e-7)
    estimate, deviation = monte_carlo(mesh, 5000)
    assert abs(mesh.measure - estimate) < 4 * deviation
    assert mesh.measure == pytest.approx(SOLIDS[name].volume, rel=1e-9)
    assert sum(piece.measure for piece in mesh.pieces()) == pytest.approx(SOLIDS[name].area, rel=1e-9)


@pytest.mark.parametrize("name", SOLIDS)
def test_the_level_is_the_signed_distance(name):
    """The sign by the winding number, the distance by every face in turn."""
    solid = SOLIDS[name]
    x = around(solid, 150)
    inside = winding_number(x, solid.triangles) > 0.5
    each = [
        np.linalg.norm(trimesh.triangles.closest_point(solid.triangles, np.tile(p, (len(solid.faces), 1))) - p, axis=1)
        for p in x
    ]
    wanted = np.where(inside, -1, 1) * np.min(each, axis=1)
    np.testing.assert_allclose(Mesh(solid).level(torch.from_numpy(x)).numpy(), wanted, rtol=0, atol=1e-12)


def test_the_level_of_a_cube_has_its_closed_form():
    x = torch.from_numpy(around(CUBE, 2000))
    wanted = Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)).level(x)
    torch.testing.assert_close(Mesh(CUBE).level(x), wanted, rtol=0, atol=1e-14)
    # As near to every face: no box of the search can be left out.
    middle = Mesh(SPHERE).level(torch.zeros(300, 3, dtype=torch.float64))
    assert float(middle.std()) < 1e-15 and -1 < float(middle[0]) < -0.9


def test_the_sign_beside_a_spike_knows_the_angles_of_its_faces():
    """Thirty thin faces on one flank must not outweigh the three on the others."""
    flank = [(0.1, y, 0) for y in np.linspace(-0.1, 0.1, 31)]
    ring = [*flank, (-0.1, 0.1, 0), (-0.1, -0.1, 0)]
    around_it = [(i, (i + 1) % len(ring)) for i in range(len(ring))]
    tip, foot = len(ring), len(ring) + 1
    faces = [(i, j, tip) for i, j in around_it] + [(j, i, foot) for i, j in around_it]
    spike = Mesh(([*ring, (0, 0, 1), (0, 0, 0)], faces))
    beside = torch.tensor([[-1, 0, 1.2], [1, 0, 1.2], [0, 1, 1.2], [0, 0, 0.9]], dtype=torch.float64)
    beyond = (beside[:3] - torch.tensor([0.0, 0.0, 1.0])).norm(dim=1)
    torch.testing.assert_close(spike.level(beside)[:3], beyond)
    assert float(spike.level(beside)[3]) < 0


def test_surfaces_are_even_in_area():
    edge = Mesh(CUBE).boundary(1200, sampler())
    faces = torch.tensor([[0, 0, 1], [0, 0, -1], [0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0]], dtype=torch.float64)
    counts = torch.stack([((edge.normal - normal).norm(dim=1) < 1e-12).sum() for normal in faces])
    assert_even(counts, torch.full((6,), 1 / 6), 1200)
    top = edge[edge.normal[:, 2] > 0.5]
    quadrants = (2 * (top.x > 0) + (top.y > 0)).bincount(minlength=4)
    assert_even(quadrants, torch.full((4,), 0.25), len(top))


def test_faces_are_turned_outward():
    faces = SPHERE.faces.copy()
    faces[::3] = faces[::3, ::-1]
    for given_as in (faces, SPHERE.faces[:, ::-1]):
        mixed = Mesh((SPHERE.vertices, given_as))
        assert mixed.measure == pytest.approx(SPHERE.volume)
        out = (mixed.boundary(200, sampler()).normal * mixed.boundary(200, sampler()).space).sum(dim=1)
        assert float(out.min()) > 0


def test_a_shell_inside_another_is_a_cavity():
    shell = Mesh(hollow())
    assert shell.measure == pytest.approx(SPHERE.volume - trimesh.creation.icosphere(1, radius=0.5).volume)
    assert_sound(shell, 300, sampler(), step=1e-7)
    beside = Mesh(trimesh.util.concatenate([SPHERE, SPHERE.copy().apply_translation((3, 0, 0))]))
    assert beside.measure == pytest.approx(2 * SPHERE.volume)


@pytest.mark.parametrize("ending", ["stl", "obj", "ply"])
def test_files(tmp_path, ending):
    path = tmp_path / f"torus.{ending}"
    TORUS.export(path)
    assert Mesh(path).measure == pytest.approx(TORUS.volume, rel=1e-5)
    assert len(Mesh(str(path)).faces) == len(TORUS.faces)


def test_loose_triangles_are_welded():
    corners = TORUS.triangles.reshape(-1, 3)
    assert Mesh((corners, np.arange(len(corners)).reshape(-1, 3))).measure == pytest.approx(TORUS.volume)


def test_set_operations_and_time():
    bitten = Mesh(CUBE) - Ball((1, 1, 1), 0.9)
    same = Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)) - Ball((1, 1, 1), 0.9)
    assert bitten.measure == pytest.approx(same.measure, rel=2e-3)
    moving = bitten * Box(t=(0, 2))
    assert_sound(moving, 200, sampler(), step=1e-7)
    assert len(moving.boundary(50, sampler(), on=Ball((1, 1, 1), 0.9))) == 50
    cut = Mesh(CUBE) & Mesh(trimesh.creation.icosphere(0, radius=1.2))
    assert_sound(cut, 200, sampler(), step=1e-7)


def test_results_are_read_without_trimesh(monkeypatch, tmp_path):
    path = tmp_path / "cube.stl"
    CUBE.export(path)
    described = json.dumps(Mesh(path).configuration())
    monkeypatch.setitem(sys.modules, "trimesh", None)
    again = from_configuration(json.loads(described))
    assert again.measure == pytest.approx(8) and again.bounds["z"] == (-1, 1)
    with pytest.raises(ProblemError, match=r"needs trimesh: pip install 'pinn-siren\[shapes\]'"):
        Mesh(path)


def test_single_precision():
    assert_sound(Mesh(TORUS), 1000, sampler(dtype=torch.float32), step=1e-5)


def crossing():
    return trimesh.util.concatenate([SPHERE, SPHERE.copy().apply_translation((0.7, 0, 0))])


def band(twists):
    """A closed strip around the z axis, its two ends joined after half turns, and doubled into a tube of no width."""
    k = 12
    grid = np.arange(k * k).reshape(k, k)
    down, right = np.roll(grid, -1, axis=0), np.roll(grid, -1, axis=1)
    if twists:
        down[-1] = grid[0, ::-1]
    both = np.roll(down, -1, axis=1)
    faces = np.concatenate([np.stack([grid, right, both], 2), np.stack([grid, both, down], 2)]).reshape(-1, 3)
    u, v = np.meshgrid(*[2 * np.pi * np.arange(k) / k] * 2, indexing="ij")
    ring = 2 + np.cos(v)
    return np.stack([ring * np.cos(u), ring * np.sin(u), np.sin(v)], 2).reshape(-1, 3), faces


def test_a_torus_by_hand_is_closed():
    assert_sound(Mesh(band(0)), 100, sampler(), step=1e-7)


@pytest.mark.parametrize(
    "surface, words",
    [
        ((SPHERE.vertices, SPHERE.faces[3:]), r"closed surface.* 9 have one face|closed surface.* \d have one face"),
        ((CUBE.vertices, [*CUBE.faces, CUBE.faces[0]]), "3 more than two"),
        (([(0, 0, 0)] * 3, [(0, 1, 2)]), "closed surface"),
        (band(1), "two sides"),
        (crossing(), "shells of a Mesh must not cross"),
        (([(0, 0, 0), (1, 0, 0), (2, 0, 0), (1, 1, 1)], [(0, 1, 2), (0, 1, 3), (1, 2, 3), (0, 2, 3)]), "with an area"),
        ((CUBE.vertices, CUBE.faces + 1), "from 1 to 8"),
        ((CUBE.vertices, CUBE.faces + 0.5), "whole numbers"),
        ((CUBE.vertices * np.nan, CUBE.faces), "finite"),
        ((CUBE.vertices, []), "one face or more"),
        (3, "got int"),
        ("nowhere.stl", "finds no file nowhere.stl"),
    ],
)
def test_what_cannot_be_meant_is_refused(surface, words):
    with pytest.raises(ProblemError, match=words):
        Mesh(surface)


@pytest.mark.parametrize("name, words", [("empty.stl", "holds no faces"), ("cube.txt", "cannot read")])
def test_files_that_hold_no_surface(tmp_path, name, words):
    (tmp_path / name).write_text("hello")
    with pytest.raises(ProblemError, match=words):
        Mesh(tmp_path / name)
