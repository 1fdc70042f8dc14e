"""Tensor products of Chebyshev axes, and the elimination of every element's inner nodes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import scipy.sparse as sparse
from scipy.linalg import lu_factor, lu_solve

from ..errors import NoReferenceError
from .chebyshev import Axis, unit_derivative
from .factors import lu
from .lines import Field, Index, Real

Apply = Callable[[Field], Field]


@dataclass(frozen=True, eq=False)
class Elements:
    """A box cut into a tensor product of elements; fields are ``(N,)``, the last axis fastest."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Nodes an axis."""
        return tuple(a.size for a in self.axes)

    @property
    def size(self) -> int:
        """N, the number of nodes."""
        return math.prod(self.shape)

    @property
    def count(self) -> int:
        """How many elements."""
        return math.prod(a.elements for a in self.axes)

    @cached_property
    def coordinates(self) -> Real:
        """(N, d)."""
        return np.stack([m.ravel() for m in np.meshgrid(*(a.nodes for a in self.axes), indexing="ij")], axis=1)

    @cached_property
    def depth(self) -> Index:
        """(N, d): along each axis 0 inside an element, 1 between two, 2 at an end."""
        return np.stack([m.ravel() for m in np.meshgrid(*(a.depth for a in self.axes), indexing="ij")], axis=1)

    @cached_property
    def members(self) -> Index:
        """(elements, (n + 1)^d): the nodes of each element."""
        found = []
        for which in itertools.product(*(range(a.elements) for a in self.axes)):
            lines = [a.members[e] for a, e in zip(self.axes, which, strict=True)]
            found.append(np.ravel_multi_index(np.ix_(*lines), self.shape).ravel())
        return np.stack(found)

    @cached_property
    def widths(self) -> Real:
        """(elements, d)."""
        lines = [np.diff(a.breaks) for a in self.axes]
        return np.stack([m.ravel() for m in np.meshgrid(*lines, indexing="ij")], axis=1)

    @cached_property
    def inner(self) -> Index:
        """Which of an element's nodes lie inside it."""
        ends = [np.isin(np.arange(a.degree + 1), (0, a.degree)) for a in self.axes]
        mesh = np.meshgrid(*ends, indexing="ij")
        return np.flatnonzero(~np.any([m.ravel() for m in mesh], axis=0))

    @cached_property
    def inside(self) -> Index:
        """The inner nodes of all elements, element by element."""
        return self.members[:, self.inner].ravel()

    def derivative(self, key: str, u: Field) -> Field:
        """The derivative named by axis letters, ``""`` for the value, at all nodes."""
        u = u.reshape(self.shape)
        for i, axis in enumerate(self.axes):
            if order := key.count(axis.name):
                u = np.moveaxis(self._along(axis.derivative(order), u, i), 0, i)
        return u.ravel()

    @staticmethod
    def _along(matrix: sparse.csr_array, u: Field, i: int) -> Field:
        moved = np.moveaxis(u, i, 0)
        return np.asarray(matrix @ moved.reshape(moved.shape[0], -1)).reshape(-1, *moved.shape[1:])

    def rows(self, key: str, nodes: Index) -> sparse.csr_array:
        """(len(nodes), N): the derivative at some nodes, as a matrix."""
        return self._product([a.derivative(key.count(a.name)) for a in self.axes], nodes)

    def jumps(self, axis: int, nodes: Index) -> sparse.csr_array:
        """(len(nodes), N): the jump of the slope along an axis, at nodes between elements."""
        factors = [a.jump() if i == axis else a.derivative(0) for i, a in enumerate(self.axes)]
        return self._product(factors, nodes)

    def _product(self, factors: list[sparse.csr_array], nodes: Index) -> sparse.csr_array:
        """Rows of the Kronecker product of one matrix an axis."""
        places = np.unravel_index(nodes, self.shape)
        rows, columns, entries = np.arange(len(nodes)), np.zeros(len(nodes), dtype=np.intp), np.ones(len(nodes))
        for factor, place, size in zip(factors, places, self.shape, strict=True):
            here = factor[place[rows]]
            counts = np.diff(here.indptr)
            rows, entries = np.repeat(rows, counts), np.repeat(entries, counts) * here.data
            columns = np.repeat(columns, counts) * size + here.indices
        return sparse.csr_array((entries, (rows, columns)), shape=(len(nodes), self.size))

    def interpolate(self, u: Field, at: list[Real]) -> Field:
        """The field on the tensor product of coordinates, ``(len(at[0]), ...)``."""
        u = u.reshape(self.shape)
        for i, (axis, line) in enumerate(zip(self.axes, at, strict=True)):
            u = np.moveaxis(self._along(axis.interpolation(line), u, i), 0, i)
        return u


class Condensed:
    """``A u = r`` with the inner nodes of each element eliminated first: what is left couples element faces alone.

    ``coefficients``: derivative to ``(len(inside),)``, the equation's linearization at the inner nodes; ``skeleton``:
    ``(S, N)`` rows of all other nodes, in their order. Static condensation (Guyan 1965, doi 10.2514/3.2874). Raises
    ``NoReferenceError`` where a system is singular.
    """

    def __init__(self, elements: Elements, coefficients: Mapping[str, Field], skeleton: sparse.csr_array) -> None:
        self.elements, inner = elements, elements.inner
        everything = np.arange(elements.members.shape[1])
        self.outer = np.setdiff1d(everything, inner)
        self.outside = np.setdiff1d(np.arange(elements.size), elements.inside)
        unit = {key: self._unit(key) for key in coefficients}
        kind = np.result_type(*coefficients.values(), np.float64)
        values = {key: c.reshape(elements.count, len(inner)) for key, c in coefficients.items()}
        self.factors, blocks = [], []
        for e, widths in enumerate(elements.widths):
            scale = dict(zip((a.name for a in elements.axes), 2 / widths, strict=True))
            operator = np.zeros((len(inner), len(everything)), dtype=kind)
            for key, (rows, columns, entries) in unit.items():
                operator[rows, columns] += math.prod(scale[a] for a in key) * values[key][e][rows] * entries
            factor = lu_factor(operator[:, inner], check_finite=False)
            if not np.isfinite(factor[0]).all() or not np.diagonal(factor[0]).all():
                raise NoReferenceError("The collocation equations of an element are singular.")
            self.factors.append(factor)
            blocks.append(-lu_solve(factor, operator[:, self.outer], check_finite=False))
        self.spread = self._scattered(np.stack(blocks))
        self.beside = sparse.csr_array(skeleton[:, elements.inside])
        reduced = sparse.csr_array(skeleton[:, self.outside] + self.beside @ self.spread)
        self.scale = 1 / abs(reduced).max(axis=1).toarray().ravel()
        self._solve = lu(sparse.csc_matrix(sparse.diags_array(self.scale) @ reduced))

    def solve(self, r: Field) -> Field:
        """``(N,)``: the field for right sides at all nodes."""
        elements = self.elements
        at = r[elements.inside].reshape(elements.count, -1)
        own = np.concatenate([lu_solve(f, b, check_finite=False) for f, b in zip(self.factors, at, strict=True)])
        faces = self._solve(self.scale * (r[self.outside] - self.beside @ own))
        u = np.zeros(elements.size, dtype=faces.dtype)
        u[self.outside] = faces
        u[elements.inside] = own + self.spread @ faces
        return u

    def _unit(self, key: str) -> tuple[Index, Index, Real]:
        """Rows (inner nodes), columns and entries of a derivative on the unit element: most of it is zero."""
        factors = [unit_derivative(a.degree, key.count(a.name)) for a in self.elements.axes]
        whole = reduce(lambda a, b: np.asarray(np.kron(a, b)), factors)[self.elements.inner]
        rows, columns = np.nonzero(whole)
        return rows, columns, whole[rows, columns]

    def _scattered(self, blocks: Field) -> sparse.csr_array:
        """(inside, outside): from the values on the faces to those inside."""
        elements = self.elements
        number = np.full(elements.size, -1)
        number[self.outside] = np.arange(len(self.outside))
        count, rows = blocks.shape[:2]
        targets = number[elements.members[:, self.outer]]
        entries = (
            np.broadcast_to(np.arange(count * rows).reshape(count, rows, 1), blocks.shape).ravel(),
            np.broadcast_to(targets[:, None, :], blocks.shape).ravel(),
        )
        return sparse.csr_array((blocks.ravel(), entries), shape=(count * rows, len(self.outside)))
