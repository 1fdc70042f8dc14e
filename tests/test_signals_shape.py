"""Shapes: clouds from files, surfaces by marching cubes, and a signed distance that a short solve finds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from pinn_siren import Adam, Box, Condition, Data, Points, Problem, Solution, Trainer, solve_reference
from pinn_siren.cli import main
from pinn_siren.errors import NoReferenceError, ProblemError
from pinn_siren.files import call_problem, load_problem
from pinn_siren.signals import surface
from pinn_siren.signals.cloud import Cloud, from_surface, read_cloud
from pinn_siren.signals.distance import compared, distance_conditions, distance_problem, nearest
from pinn_siren.signals.rays import along_normals
from pinn_siren.signals.surface import as_trimesh, extract, write_mesh

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("skimage")

FILE = Path(__file__).parent.parent / "problems" / "shape.py"
NORMALS = np.random.default_rng(3).standard_normal((400, 3))
NORMALS /= np.linalg.norm(NORMALS, axis=1, keepdims=True)
SPHERE = Cloud([1.0, 2.0, 3.0] + 0.5 * NORMALS, NORMALS)


def gallery(**options):
    return call_problem(load_problem(FILE), FILE, options)


def balls(grid):
    x, y, z = np.meshgrid(*grid.values(), indexing="ij")
    return np.minimum(np.sqrt(x**2 + y**2 + z**2) - 0.5, np.sqrt((x - 0.9) ** 2 + y**2 + z**2) - 0.3)


def written(tmp_path, name):
    path = tmp_path / name
    both = np.hstack([SPHERE.points, SPHERE.normals])
    if name.endswith(".xyz"):
        np.savetxt(path, both)
    elif name.endswith(".npz"):
        np.savez(path, points=SPHERE.points, normals=SPHERE.normals)
    elif name.endswith(".obj"):
        lines = [f"v {' '.join(map(str, row[:3]))}\nvn {' '.join(map(str, row[3:]))}" for row in both]
        path.write_text("\n".join(lines))
    else:
        named = "".join(f"property double {n}\n" for n in ("x", "y", "z", "nx", "ny", "nz"))
        rows = "\n".join(" ".join(map(str, row)) for row in both)
        path.write_text(f"ply\nformat ascii 1.0\nelement vertex {len(both)}\n{named}end_header\n{rows}\n")
    return path


@pytest.mark.parametrize("name", ["a.xyz", "a.npz", "a.obj", "a.ply"])
def test_every_format_gives_the_same_cloud(tmp_path, name):
    cloud = read_cloud(written(tmp_path, name))
    assert np.allclose(cloud.points, SPHERE.points) and np.allclose(cloud.normals, SPHERE.normals)


@pytest.mark.parametrize("name", ["m.ply", "m.obj"])
def test_a_closed_mesh_gives_points_normals_and_the_exact_distance(tmp_path, name):
    trimesh.creation.box((2, 1, 1)).export(tmp_path / name)
    cloud = read_cloud(tmp_path / name, 500)
    assert len(cloud.points) == 500 and cloud.mesh is not None
    assert np.abs(np.abs(cloud.points / [1, 0.5, 0.5]).max(1) - 1).max() <= 1e-12
    assert (np.einsum("ij,ij->i", cloud.points, cloud.normals) > 0).all()
    problem = distance_problem(cloud)
    assert problem.distance(np.array([[0.0, 0, 0], [2, 0, 0]])) == pytest.approx([-0.5, 1.0])


def test_an_open_mesh_is_a_surface_without_an_inside(tmp_path):
    mesh = trimesh.creation.icosphere(2)
    mesh.update_faces(np.arange(len(mesh.faces)) > 5)
    mesh.export(tmp_path / "open.ply")
    cloud = read_cloud(tmp_path / "open.ply", 100)
    assert cloud.mesh is None and cloud.normals is not None and distance_problem(cloud).exact is None


def broken(tmp_path, kind):
    path = tmp_path / "cloud.xyz"
    both = np.hstack([SPHERE.points, SPHERE.normals])
    if kind == "nan":
        both[7, 1] = np.nan
    elif kind == "zero normal":
        both[7, 3:] = 0
    elif kind == "few":
        both = both[:2]
    elif kind == "columns":
        both = both[:, :5]
    elif kind == "one point":
        both[:] = both[0]
    np.savetxt(path, both)
    if kind == "text":
        path.write_text("no numbers here\n")
    return {"missing": tmp_path / "none.xyz", "kind": Path(__file__)}.get(kind, path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "NaN or infinite, first number 7"),
        ("zero normal", "length zero, first number 7"),
        ("few", "at least 4 points, got 2"),
        ("columns", "expected 3 columns"),
        ("one point", "the same point"),
        ("text", "cannot be read as .xyz"),
        ("missing", "There is no point cloud"),
        ("kind", "must end in .xyz, .ply, .obj, .npz"),
    ],
)
def test_a_wrong_cloud_is_one_message_and_exit_code_2(tmp_path, capsys, kind, message):
    assert main(["solve", str(FILE), "--input", str(broken(tmp_path, kind)), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_normals_of_other_lengths_are_normalized_with_a_warning():
    with pytest.warns(UserWarning, match="lengths from 2 to 2"):
        assert np.allclose(Cloud(SPHERE.points, 2 * NORMALS).normals, NORMALS)


def test_a_surface_is_the_same_in_slabs_and_closed(monkeypatch):
    bounds = {"x": (-0.7, 1.4), "y": (-0.7, 0.7), "z": (-0.7, 0.7)}
    whole = as_trimesh(*extract(balls, bounds, 40))
    monkeypatch.setattr(surface, "NODES", 2000)
    slabs = as_trimesh(*extract(balls, bounds, 40))
    for mesh in (whole, slabs):
        assert mesh.is_watertight and mesh.is_winding_consistent
    assert len(slabs.vertices) == len(whole.vertices) and len(slabs.faces) == len(whole.faces)
    # Two balls less the lens that they share.
    d, R, r = 0.9, 0.5, 0.3
    lens = np.pi * (R + r - d) ** 2 * (d**2 + 2 * d * (R + r) - 3 * (R - r) ** 2) / (12 * d) if d < R + r else 0
    assert slabs.volume == pytest.approx(4 / 3 * np.pi * (R**3 + r**3) - lens, rel=0.02)
    assert np.abs(balls_at(slabs.vertices)).max() <= 2e-3


def balls_at(x):
    return np.minimum(np.linalg.norm(x, axis=1) - 0.5, np.linalg.norm(x - [0.9, 0, 0], axis=1) - 0.3)


@pytest.mark.parametrize("shape", ["sphere", "torus", "box"])
def test_distances_along_normals_are_exact_up_to_where_another_part_is_nearer(shape):
    problem = gallery(shape=shape, count=2000)
    x, t = along_normals(problem.cloud, problem.domain.bounds)
    assert len(x) > 1000 and t.min() < 0 < t.max() and problem.domain.contains(torch.from_numpy(x)).all()
    # Close to an edge another side may be nearer between the cloud's points.
    error, spacing = np.abs(problem.distance(x) - t), cKDTree(problem.cloud.points).query(problem.cloud.points, 5)[0]
    assert np.mean(error <= 1e-12) >= 0.97 and error.max() <= spacing[:, -1].max()


def test_a_mesh_is_written_and_a_field_of_one_sign_has_none(tmp_path):
    vertices, faces = extract(balls, {"x": (-0.7, 1.4), "y": (-0.7, 0.7), "z": (-0.7, 0.7)}, 20)
    write_mesh(tmp_path / "m.ply", vertices, faces)
    assert len(trimesh.load_mesh(tmp_path / "m.ply").faces) == len(faces)
    with pytest.raises(ProblemError, match="one sign everywhere"):
        extract(lambda grid: balls(grid) + 9, {"x": (-1, 1), "y": (-1, 1), "z": (-1, 1)}, 8)


def test_distances_between_spheres_are_the_difference_of_their_radii():
    mesh = trimesh.creation.icosphere(5, radius=0.6)
    inner = from_surface(trimesh.creation.icosphere(5, radius=0.5), 20_000)
    found = compared(mesh.vertices, mesh.faces, inner)
    assert found["Chamfer distance"] == pytest.approx(0.1, rel=0.02)
    assert found["Hausdorff distance"] == pytest.approx(0.1, rel=0.05)


def test_the_reference_is_the_signed_distance_to_the_cloud():
    problem = gallery(shape="sphere", count=20_000)
    x = problem.domain.interior(500, _sampler()).coordinates.numpy()
    assert np.abs(nearest(problem.cloud, x) - problem.distance(x)).max() <= 0.02
    reference = solve_reference(problem, 10)
    assert reference.error is not None and 0 < reference.error < 0.1
    with pytest.raises(NoReferenceError, match="which side"):
        gallery(shape="sphere", normals=False).finite_differences({"x": 4, "y": 4, "z": 4})


def _sampler():
    from pinn_siren import Sampler

    return Sampler(torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", ["sphere", "torus", "box"])
def test_the_points_lie_on_the_surface_and_the_normals_are_its_gradient(shape):
    problem = gallery(shape=shape, count=2000)
    points, normals = problem.cloud.points, problem.cloud.normals
    step = 1e-6
    assert np.abs(problem.distance(points)).max() <= 1e-12
    slope = (problem.distance(points + step * normals) - problem.distance(points - step * normals)) / (2 * step)
    assert np.abs(slope - 1).max() <= 1e-6


def test_the_loss_is_that_of_the_paper():
    """On u = s |x - c| - r the four terms are known in closed form or by Monte Carlo of their own."""
    problem = distance_problem(SPHERE)
    assert [c.norm for c in problem.constraints()] == [1] * 5
    assert [c.weight for c in problem.constraints()] == [3000, 50, 100, 50, 100]
    trainer = Trainer(problem, points=400, device="cpu", progress=False, conditions="soft")
    objective = trainer.objective
    objective.resample()
    terms = {name: float(term.detach()) for name, term in objective.terms().items()}
    half = problem.half
    with torch.no_grad():
        u = trainer.model(objective.points["data"][0])[:, 0].abs().mean()
        inside = trainer.model(objective.points["condition interior 2"][0])[:, 0].abs()
    assert terms["data"] == pytest.approx(3000 * float(u) / half)
    assert terms["condition interior 2"] == pytest.approx(100 * float(torch.exp(-100 * inside / half).mean()))
    p = objective.points["condition points"][0]
    x = p.coordinates.clone().requires_grad_()
    (grad,) = torch.autograd.grad(trainer.model(Points(p.axes, x)).sum(), x)
    cosine = (grad * p.outward).sum(1) / grad.norm(dim=1)
    assert terms["condition points"] == pytest.approx(100 * float((1 - cosine).mean()))


def test_weights_of_zero_and_clouds_without_normals_leave_terms_out():
    plain = Cloud(SPHERE.points)
    assert len(distance_conditions(plain)) == 4
    assert len(distance_conditions(SPHERE, off=0, walls=0)) == 3
    assert len(distance_conditions(SPHERE, rays=1)) == 6 and len(distance_conditions(plain, rays=1)) == 4
    squares = distance_conditions(SPHERE, norm=2)
    assert [c.of for c in squares if isinstance(c, Data)] == ["value", "grad"]


def test_conditions_at_points_and_norms_say_what_they_need():
    points = Points(("x", "y"), torch.tensor([[0.5, 0.5], [2.0, 0.5]], dtype=torch.float64))
    square = Box(x=(0, 1), y=(0, 1))
    condition = Condition(lambda p, u: u.value, on=points)
    with pytest.raises(ProblemError, match="1 of 2 points lie outside"):
        condition.constraints(Problem(domain=square))
    with pytest.raises(ProblemError, match="norm is 2"):
        Condition(lambda p, u: u.value, norm=3)
    with pytest.raises(ProblemError, match="size must be a positive number"):
        Data([[0.5, 0.5]], [1.0], size=0)


def test_a_short_solve_finds_the_sphere(tmp_path):
    problem = gallery(shape="sphere", count=3000, resolution=24)
    trainer = Trainer(problem, points=500, device="cpu", dtype=torch.float32, progress=False)
    trainer.run(Adam(steps=200, lr=2e-3))
    solution = trainer.solution(tolerance=0.5)
    found = solution.report.metrics
    assert 1e-4 <= found["mean distance error near the surface"] <= 2e-2
    assert found["sign agreement"] >= 0.8
    assert found["Chamfer distance, % of the diagonal"] <= 2
    solution.save(tmp_path)
    assert trimesh.load_mesh(tmp_path / "mesh.ply").is_watertight
    assert {"mesh.ply", "shape.png", "reference.h5"} <= {f.name for f in tmp_path.iterdir()}
    assert Solution.load(tmp_path).report.metrics == found
