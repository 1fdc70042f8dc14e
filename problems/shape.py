"""A surface from a point cloud, as the zero level of its signed distance: |grad u| = 1, u = 0 and grad u = n on it.

The loss is that of Sitzmann et al. 2020 (arXiv 2006.09661, section 4.2), with its authors' weights. ``--input`` takes a
cloud (.xyz, .npz, .ply, .obj, with normals or without) or a mesh (.ply, .obj); without it the surface is one whose
distance is known, ``--shape``. Lengths are in the cloud's own unit. ``--loss squares --method lbfgs --dtype float64``
comes closest to the distance where that is smooth.
"""

import numpy as np

from pinn_siren.errors import ProblemError, suggest
from pinn_siren.signals.cloud import Cloud, read_cloud
from pinn_siren.signals.distance import distance_problem

SPHERE, TORUS, BOX = 0.5, (0.5, 0.2), (0.5, 0.4, 0.3)  # radius; radii of ring and tube; half sides


def sphere(count, random):
    normals = random.standard_normal((count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return SPHERE * normals, normals


def distance_to_sphere(x):
    return np.linalg.norm(x, axis=1) - SPHERE


def torus(count, random):
    ring, tube = TORUS
    around, along = 2 * np.pi * random.random((2, 4 * count))
    # The outer side has more area than the inner one.
    kept = random.random(4 * count) * (ring + tube) < ring + tube * np.cos(along)
    around, along = around[kept][:count], along[kept][:count]
    across = np.stack([np.cos(around), np.sin(around), 0 * around], axis=1)
    normals = np.cos(along)[:, None] * across + np.sin(along)[:, None] * [0, 0, 1]
    return ring * across + tube * normals, normals


def distance_to_torus(x):
    return np.hypot(np.hypot(x[:, 0], x[:, 1]) - TORUS[0], x[:, 2]) - TORUS[1]


def box(count, random):
    half = np.array(BOX)
    areas = np.repeat(half.prod() / half, 2)
    side = random.choice(6, size=count, p=areas / areas.sum())
    normals = np.eye(3)[side // 2] * (1 - 2 * (side % 2))[:, None]
    points = half * (2 * random.random((count, 3)) - 1)
    return np.where(normals == 0, points, half * normals), normals


def distance_to_box(x):
    beyond = np.abs(x) - np.array(BOX)
    return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)


SHAPES = {"sphere": (sphere, distance_to_sphere), "torus": (torus, distance_to_torus), "box": (box, distance_to_box)}


# Mean squares for L-BFGS and Gauss-Newton, in float64: the surface weighs more than the equation, and holds exactly.
LOSSES = {
    "paper": {},
    "squares": {"eikonal": 1.0, "value": 100.0, "normal": 10.0, "off": 0.0, "walls": 1.0, "rays": 100.0, "norm": 2},
}


def problem(
    input: str = "", shape: str = "torus", count: int = 50_000, normals: bool = True, resolution: int = 128,
    loss: str = "paper",
):  # fmt: skip
    if loss not in LOSSES:
        raise ProblemError(f"loss is one of {', '.join(LOSSES)}; got {loss!r}.{suggest(loss, LOSSES)}")
    if input:
        cloud, distance = read_cloud(input, count), None
    else:
        if shape not in SHAPES:
            raise ProblemError(f"shape is one of {', '.join(SHAPES)}; got {shape!r}.{suggest(shape, SHAPES)}")
        draw, distance = SHAPES[shape]
        cloud = Cloud(*draw(count, np.random.default_rng(0)))
    if not normals:
        cloud = Cloud(cloud.points, None, cloud.mesh)
    return distance_problem(cloud, distance, resolution, **LOSSES[loss])
