"""The signed distance to a closed triangle surface, by a tree of boxes around its faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .triangulation import Real

Index = NDArray[np.int64]

LEAF = 2
"""How many faces the smallest boxes hold."""

POINTS, PAIRS = 4096, 2**20
"""How many points, and pairs of a point and a box, are looked at together."""


class Nearest:
    """``(n, 3) -> (n,)``: the signed distance to outward faces of a closed surface, negative inside.

    The sign is that of the angle-weighted normal at the nearest point, which is right at edges and vertices too
    (Bærentzen and Aanæs 2005, doi 10.1109/TVCG.2005.49).
    """

    def __init__(self, vertices: Real, faces: Index) -> None:
        self.corners = vertices[faces]
        self.sides = np.roll(self.corners, -1, axis=1) - self.corners
        self.squares = np.einsum("nij,nij->ni", self.sides, self.sides)
        across = np.cross(self.sides[:, 0], self.sides[:, 1])
        self.normals = across / np.linalg.norm(across, axis=1, keepdims=True)
        self.inward = np.cross(self.normals[:, None], self.sides)
        self.pseudonormals = _pseudonormals(vertices, faces, self.sides, self.normals)
        centers = self.corners.mean(axis=1)
        self.centers = cKDTree(centers)
        depth = max(0, int(np.ceil(np.log2(len(faces) / LEAF))))
        leaves = _leaves(centers, np.arange(len(faces)), depth)
        size = max(len(leaf) for leaf in leaves)
        self.leaves = np.array([np.resize(leaf, size) for leaf in leaves])
        low, high = self.corners[self.leaves].min(axis=(1, 2)), self.corners[self.leaves].max(axis=(1, 2))
        self.boxes = [(low, high)]
        for _ in range(depth):
            low, high = low.reshape(-1, 2, 3).min(axis=1), high.reshape(-1, 2, 3).max(axis=1)
            self.boxes.insert(0, (low, high))

    def __call__(self, x: Real) -> Real:
        """The signed distance."""
        return np.concatenate([self._signed(x[i : i + POINTS]) for i in range(0, max(1, len(x)), POINTS)])

    def _signed(self, x: Real) -> Real:
        guess = self.centers.query(x)[1]
        best, feature = self._distance(x, guess)
        face = np.asarray(guess)
        point, box = np.arange(len(x)), np.zeros(len(x), dtype=np.int64)
        for level, (low, high) in enumerate(self.boxes):
            gap = np.maximum(np.maximum(low[box] - x[point], x[point] - high[box]), 0)
            near = np.einsum("ij,ij->i", gap, gap) < best[point] ** 2
            point, box = point[near], box[near]
            if len(point) > PAIRS and len(x) > 1:
                # Points near the middle of a ball are as near to every face.
                half = len(x) // 2
                return np.concatenate([self._signed(x[:half]), self._signed(x[half:])])
            if level < len(self.boxes) - 1:
                point, box = np.repeat(point, 2), (2 * box[:, None] + [0, 1]).reshape(-1)
        point, candidate = np.repeat(point, self.leaves.shape[1]), self.leaves[box].reshape(-1)
        distance, kind = self._distance(x[point], candidate)
        closer = distance < best[point]
        point, candidate, distance, kind = point[closer], candidate[closer], distance[closer], kind[closer]
        order = np.argsort(-distance, kind="stable")
        # Of several values for one point the last one stays: the least distance.
        best[point[order]], face[point[order]], feature[point[order]] = distance[order], candidate[order], kind[order]
        side = np.einsum("ij,ij->i", x - self.corners[face, feature % 3], self.pseudonormals[face, feature])
        return np.where(side < 0, -best, best)

    def _distance(self, x: Real, face: Index) -> tuple[Real, Index]:
        """``(n, 3), (n,) -> (n,), (n,)``: the distance to a face, and what of it is nearest.

        0, 1, 2: a vertex; 3, 4, 5: an edge; 6: the inside.
        """
        relative, side = x[:, None] - self.corners[face], self.sides[face]
        along = np.einsum("nij,nij->ni", relative, side) / self.squares[face]
        offset = relative - along.clip(0, 1)[:, :, None] * side
        distance = np.einsum("nij,nij->ni", offset, offset)
        nearest = distance.argmin(axis=1)
        rows = np.arange(len(x))
        place = along[rows, nearest]
        kind = np.where(place <= 0, nearest, np.where(place >= 1, (nearest + 1) % 3, nearest + 3))
        over = (np.einsum("nij,nij->ni", relative, self.inward[face]) >= 0).all(axis=1)
        height = np.abs(np.einsum("ni,ni->n", relative[:, 0], self.normals[face]))
        return np.where(over, height, np.sqrt(distance[rows, nearest])), np.where(over, 6, kind)


def _leaves(centers: Real, members: Index, depth: int) -> list[Index]:
    if depth == 0:
        return [members]
    axis = int(np.ptp(centers[members], axis=0).argmax())
    half = len(members) // 2
    order = members[np.argpartition(centers[members, axis], half)]
    return _leaves(centers, order[:half], depth - 1) + _leaves(centers, order[half:], depth - 1)


def _pseudonormals(vertices: Real, faces: Index, sides: Real, normals: Real) -> Real:
    """``(k, 7, 3)``: of the vertices, the edges and the inside of every face."""
    back = -np.roll(sides, 1, axis=1)
    cosine = (sides * back).sum(axis=2) / (np.linalg.norm(sides, axis=2) * np.linalg.norm(back, axis=2))
    at_vertex = np.zeros_like(vertices)
    np.add.at(at_vertex, faces, np.arccos(cosine.clip(-1, 1))[:, :, None] * normals[:, None])
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    edge = np.unique(ends, axis=0, return_inverse=True)[1].reshape(-1)
    at_edge = np.zeros((edge.max() + 1, 3))
    np.add.at(at_edge, edge, np.repeat(normals, 3, axis=0))
    return np.concatenate([at_vertex[faces], at_edge[edge].reshape(-1, 3, 3), normals[:, None]], axis=1)
