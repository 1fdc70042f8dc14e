"""A line of spectral elements: Gauss-Lobatto-Legendre nodes, whose quadrature makes the mass matrix diagonal."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.sparse as sparse
from numpy.polynomial import legendre

from ..domains import Box
from .lines import Field, Grid, Line, Real


class SpectralLine(Line):
    """A line whose nodes are those of equal elements of ``degree``; neighbours share the node between them.

    Masses and stiffness are the Galerkin ones with nodal quadrature: exact up to degree 2 n - 1 (Patera 1984,
    doi 10.1016/0021-9991(84)90128-1; Komatitsch and Vilotte 1998, doi 10.1785/BSSA0880020368).
    """

    @property
    def degree(self) -> int:
        """Of the elements."""
        return self.order

    @property
    def masses(self) -> Field:
        """(size,): the quadrature weights, added up where elements meet."""
        return self._added(np.tile(_rule(self.degree)[1], self._elements) * self._width / 2)

    def stiffness(self) -> sparse.csr_array:
        """(size, size): the integrals of the products of slopes; symmetric."""
        x, w = _rule(self.degree)
        slope = _slopes(x)
        block = slope.T @ (w[:, None] * slope) * 2 / self._width
        members = self._members
        rows, columns = np.repeat(members, len(x), axis=1).ravel(), np.tile(members, (1, len(x))).ravel()
        entries = np.tile(block.ravel(), self._elements)
        return sparse.csr_array((entries, (rows, columns)), shape=(self.size, self.size))

    def interpolation(self, at: Real) -> sparse.csr_array:
        """(len(at), size): the elements' polynomials at points of the line."""
        x, _ = _rule(self.degree)
        low = self.nodes[0]
        element = np.clip(((at - low) / self._width).astype(int), 0, self._elements - 1)
        local = 2 * (at - low - element * self._width) / self._width - 1
        shares = legendre.legvander(local, self.degree) @ np.linalg.inv(legendre.legvander(x, self.degree))
        entries = (shares.ravel(), (np.repeat(np.arange(len(at)), len(x)), self._members[element].ravel()))
        return sparse.csr_array(entries, shape=(len(at), self.size))

    @property
    def _elements(self) -> int:
        return (len(self.nodes) - 1) // self.degree

    @property
    def _width(self) -> float:
        return float(self.nodes[-1] - self.nodes[0]) / self._elements

    @property
    def _members(self) -> np.ndarray:
        return (self.degree * np.arange(self._elements)[:, None] + np.arange(self.degree + 1)) % self.size

    def _added(self, parts: Real) -> Real:
        return np.asarray(np.bincount(self._members.ravel(), parts, self.size), dtype=np.float64)


def spectral_grid(domain: Box, elements: dict[str, int], degree: int, periodic: frozenset[str]) -> Grid:
    """The grid of a box with so many equal elements along each space axis."""
    x, _ = _rule(degree)
    lines = []
    for axis in domain.space_axes:
        ends = np.linspace(*domain.bounds[axis], elements[axis] + 1)
        inner = ends[:-1, None] + np.diff(ends)[:, None] * (1 + x[:-1]) / 2
        nodes = np.append(inner.ravel(), ends[-1])
        lines.append(SpectralLine(axis, nodes, np.ones(len(nodes) - 1), axis in periodic, degree))
    return Grid(domain.axes, tuple(lines))


@lru_cache(maxsize=32)
def _rule(degree: int) -> tuple[Real, Real]:
    """Nodes and weights on [-1, 1]: both ends and the roots of the derivative of the Legendre polynomial."""
    top = legendre.Legendre.basis(degree)
    inner = np.sort(top.deriv().roots().real)
    for _ in range(2):
        inner = inner - top.deriv()(inner) / top.deriv(2)(inner)
    x = np.concatenate([[-1.0], (inner - inner[::-1]) / 2, [1.0]])
    return x, 2 / (degree * (degree + 1) * top(x) ** 2)


def _slopes(x: Real) -> Real:
    """(n + 1, n + 1): the derivative at the nodes of the polynomial through values there."""
    degree = len(x) - 1
    basis = np.stack([legendre.Legendre.basis(k).deriv()(x) for k in range(degree + 1)], axis=1)
    return np.asarray(basis @ np.linalg.inv(legendre.legvander(x, degree)))
