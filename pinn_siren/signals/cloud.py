"""Point clouds: points on a surface with its outward normals, from a file or from a surface that is known."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains.extra import extra
from ..domains.mesh import Mesh
from ..errors import ProblemError

Real = NDArray[np.float64]

FORMATS = (".xyz", ".ply", ".obj", ".npz")
UNIT = 1e-3
"""How far from 1 the length of a normal may be without a word."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """``points`` ``(n, 3)`` on a surface, in the user's unit of length, and its outward unit ``normals`` ``(n, 3)``.

    ``normals`` of other lengths are normalized, with a warning. ``mesh``: the closed surface itself, where it is known.
    Raises ``ProblemError`` for numbers that are not finite, normals of length zero, and fewer than four points.
    """

    points: Real
    normals: Real | None = None
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        points = _table(self.points, "points")
        if len(points) < 4:
            raise ProblemError(f"A cloud needs at least 4 points, got {len(points)}.")
        if (np.ptp(points, axis=0) == 0).all():
            raise ProblemError(f"All {len(points)} points of the cloud are the same point, {points[0].tolist()}.")
        object.__setattr__(self, "points", points)
        if self.normals is not None:
            object.__setattr__(self, "normals", _unit(_table(self.normals, "normals"), len(points)))

    @property
    def diagonal(self) -> float:
        """The length of the bounding box's diagonal."""
        return float(np.linalg.norm(np.ptp(self.points, axis=0)))

    def bounds(self, margin: float) -> dict[str, tuple[float, float]]:
        """The bounding box, wider on every side by ``margin`` times its longest side."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        room = margin * float((high - low).max())
        return {a: (float(low[i] - room), float(high[i] + room)) for i, a in enumerate("xyz")}

    def part(self, n: int, seed: int = 0) -> Cloud:
        """``n`` of the points, drawn at random; all where there are not more."""
        if n >= len(self.points):
            return self
        chosen = np.random.default_rng(seed).permutation(len(self.points))[:n]
        return Cloud(self.points[chosen], None if self.normals is None else self.normals[chosen], self.mesh)


def read_cloud(path: str | Path, count: int = 50_000) -> Cloud:
    """The cloud in a file: .xyz (three columns, or six with normals), .npz (``points`` or ``vertices``, ``normals``),
    .ply or .obj (vertices with normals, or faces, on which ``count`` points are drawn evenly).

    Raises ``ProblemError`` for a file that is missing, of another kind, or unreadable, and what ``Cloud`` raises.
    """
    path = Path(path)
    if not path.is_file():
        raise ProblemError(f"There is no point cloud {path}: name a file that ends in {', '.join(FORMATS)}.")
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ProblemError(f"{path} is no point cloud that can be read: its name must end in {', '.join(FORMATS)}.")
    try:
        return _READERS[kind](path, count)
    except ProblemError as error:
        raise ProblemError(f"{path}: {error}") from None
    except Exception as error:  # Every format has its own reader, each with its own errors.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ProblemError(f"{path} cannot be read as {kind}: {reason}.") from None


def from_surface(surface: Mesh | Any, count: int = 50_000) -> Cloud:
    """Points drawn evenly on a triangle surface (``Mesh``, or a trimesh.Trimesh that need not be closed), with the
    normals of its faces."""
    corners = surface.vertices[surface.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = np.linalg.norm(across, axis=1)
    if not twice.sum() > 0:
        raise ProblemError("The faces have no area: there is no surface to draw points on.")
    random = np.random.default_rng(0)
    which = random.choice(len(corners), size=count, p=twice / twice.sum())
    root, v = np.sqrt(random.random(count)), random.random(count)
    weights = np.stack([1 - root, root * (1 - v), root * v], axis=1)
    points = np.einsum("ni,nij->nj", weights, corners[which])
    return Cloud(points, across[which] / twice[which, None], surface if isinstance(surface, Mesh) else None)


def _xyz(path: Path, count: int) -> Cloud:
    table = np.loadtxt(path, ndmin=2)
    if table.shape[1] not in (3, 6):
        raise ProblemError(f"expected 3 columns (x y z) or 6 (x y z nx ny nz), got {table.shape[1]}.")
    return Cloud(table[:, :3], table[:, 3:] if table.shape[1] == 6 else None)


def _npz(path: Path, count: int) -> Cloud:
    with np.load(path, allow_pickle=False) as arrays:
        name = next((n for n in ("points", "vertices") if n in arrays), None)
        if name is None:
            raise ProblemError(f"expected the arrays points and normals, found {', '.join(arrays) or 'none'}.")
        return Cloud(arrays[name], arrays.get("normals"))


def _mesh_file(path: Path, count: int) -> Cloud:
    read = extra("trimesh", "A point cloud in a .ply or .obj file").load(path, process=False)
    if hasattr(read, "dump"):
        read = read.to_mesh()
    if hasattr(read, "faces") and len(read.faces):
        try:
            return from_surface(Mesh(read), count)
        except ProblemError:
            # Not closed: a surface to draw points on, without an inside.
            return from_surface(read, count)
    if path.suffix.lower() == ".obj":
        normals = [line.split()[1:4] for line in path.read_text().splitlines() if line.startswith("vn ")]
        return Cloud(read.vertices, np.array(normals, dtype=float) if normals else None)
    data = read.metadata["_ply_raw"]["vertex"]["data"]
    names = data.dtype.names if hasattr(data, "dtype") else tuple(data)
    oriented = all(n in names for n in ("nx", "ny", "nz"))
    columns = [np.asarray(data[n], dtype=float).ravel() for n in ("nx", "ny", "nz")] if oriented else []
    return Cloud(read.vertices, np.stack(columns, axis=1) if oriented else None)


_READERS = {".xyz": _xyz, ".npz": _npz, ".ply": _mesh_file, ".obj": _mesh_file}


def _table(came: Any, name: str) -> Real:
    table = np.array(came, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 3:
        raise ProblemError(f"The {name} of a cloud must have shape (n, 3), got {table.shape}.")
    wrong = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(wrong):
        raise ProblemError(
            f"{len(wrong)} of {len(table)} {name} of the cloud are NaN or infinite, first number {wrong[0]}: leave "
            "them out."
        )
    return table


def _unit(normals: Real, count: int) -> Real:
    if len(normals) != count:
        raise ProblemError(f"The cloud has {count} points and {len(normals)} normals: give one for each point.")
    lengths = np.linalg.norm(normals, axis=1)
    zero = np.flatnonzero(lengths == 0)
    if len(zero):
        raise ProblemError(
            f"{len(zero)} of {count} normals of the cloud have length zero, first number {zero[0]}: leave these points "
            "out, or give the cloud without normals."
        )
    if np.abs(lengths - 1).max() > UNIT:
        warnings.warn(
            f"The normals of the cloud have lengths from {lengths.min():.3g} to {lengths.max():.3g}: they are "
            "normalized.",
            stacklevel=4,
        )
    return np.asarray(normals / lengths[:, None])
