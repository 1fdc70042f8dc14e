"""One axis of Chebyshev elements: nodes, differentiation, jumps of the slope, interpolation and tails."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import scipy.sparse as sparse
from scipy.fft import dct

from .lines import Field, Index, Real


@dataclass(frozen=True, eq=False)
class Axis:
    """An axis cut at ``breaks`` (m + 1,) into elements of ``degree`` n, neighbours sharing the node between them.

    Chebyshev-Gauss-Lobatto nodes in each element; a periodic axis' last node is its first. Trefethen (2000), "Spectral
    Methods in MATLAB", doi 10.1137/1.9780898719598; Berrut and Trefethen (2004), doi 10.1137/S0036144502417715.
    """

    name: str
    breaks: Real
    degree: int
    periodic: bool = False

    @property
    def elements(self) -> int:
        """How many elements."""
        return len(self.breaks) - 1

    @property
    def size(self) -> int:
        """How many nodes hold unknowns."""
        return self.elements * self.degree + (not self.periodic)

    @cached_property
    def members(self) -> Index:
        """(m, n + 1): the numbers of each element's nodes."""
        return (self.degree * np.arange(self.elements)[:, None] + np.arange(self.degree + 1)) % self.size

    @cached_property
    def places(self) -> Real:
        """(m, n + 1): their coordinates."""
        low, high = self.breaks[:-1, None], self.breaks[1:, None]
        return low + (high - low) * (1 + unit_nodes(self.degree)) / 2

    @cached_property
    def nodes(self) -> Real:
        """(size,): the coordinates of the unknowns."""
        found = np.zeros(self.size)
        found[self.members[:, :-1]] = self.places[:, :-1]
        if not self.periodic:
            found[-1] = self.breaks[-1]
        return found

    @cached_property
    def depth(self) -> Index:
        """(size,): 0 inside an element, 1 between two, 2 at an end of the axis."""
        kind = np.zeros(self.size, dtype=np.intp)
        kind[self.degree * np.arange(self.elements + (not self.periodic))] = 1
        if not self.periodic:
            kind[[0, -1]] = 2
        return kind

    def local(self, element: int, order: int) -> Real:
        """(n + 1, n + 1): the derivative of an order within one element."""
        width = self.breaks[element + 1] - self.breaks[element]
        return unit_derivative(self.degree, order) * (2 / width) ** order

    def derivative(self, order: int) -> sparse.csr_array:
        """(size, size): the derivative at every node, between elements the mean of both sides."""
        if order == 0:
            return sparse.csr_array(sparse.eye_array(self.size))
        shares = np.bincount(self.members.ravel(), minlength=self.size)
        return self._assemble([self.local(e, order) / shares[self.members[e], None] for e in range(self.elements)])

    def jump(self) -> sparse.csr_array:
        """(size, size): the slope on the right minus that on the left between elements, zero rows elsewhere."""
        blocks = []
        for e in range(self.elements):
            slope, sign = self.local(e, 1), np.zeros(self.degree + 1)
            sign[0] = float(self.periodic or e > 0)
            sign[-1] = -float(self.periodic or e < self.elements - 1)
            blocks.append(sign[:, None] * slope)
        return self._assemble(blocks)

    def _assemble(self, blocks: list[Real]) -> sparse.csr_array:
        rows = np.repeat(self.members, self.degree + 1, axis=1).ravel()
        columns = np.tile(self.members, (1, self.degree + 1)).ravel()
        entries = np.concatenate([b.ravel() for b in blocks])
        return sparse.csr_array((entries, (rows, columns)), shape=(self.size, self.size))

    def interpolation(self, at: Real) -> sparse.csr_array:
        """(len(at), size): barycentric interpolation to points of the axis."""
        element = np.clip(np.searchsorted(self.breaks, at, side="right") - 1, 0, self.elements - 1)
        weights = (-1.0) ** np.arange(self.degree + 1)
        weights[[0, -1]] /= 2
        gaps = at[:, None] - self.places[element]
        hit = np.abs(gaps) <= 1e-14 * (self.breaks[-1] - self.breaks[0])
        shares = weights / np.where(hit, 1.0, gaps)
        shares = np.where(hit.any(axis=1, keepdims=True), hit, shares)
        shares = shares / shares.sum(axis=1, keepdims=True)
        rows = np.repeat(np.arange(len(at)), self.degree + 1)
        entries = (shares.ravel(), (rows, self.members[element].ravel()))
        return sparse.csr_array(entries, shape=(len(at), self.size))


@lru_cache(maxsize=64)
def unit_nodes(degree: int) -> Real:
    """(n + 1,): the ascending Chebyshev-Gauss-Lobatto points of [-1, 1]."""
    return np.asarray(np.sin(np.pi * (2 * np.arange(degree + 1) - degree) / (2 * degree)))


@lru_cache(maxsize=64)
def unit_derivative(degree: int, order: int) -> Real:
    """(n + 1, n + 1): the derivative of an order at those points; rows sum to zero to the last bit."""
    if order == 0:
        return np.eye(degree + 1)
    j = np.arange(degree + 1)
    # Differences of sines, as products: no cancellation.
    gaps = (
        2 * np.cos(np.pi * (j[:, None] + j - degree) / (2 * degree)) * np.sin(np.pi * (j[:, None] - j) / (2 * degree))
    )
    weights = (-1.0) ** j
    weights[[0, -1]] /= 2
    np.fill_diagonal(gaps, 1.0)
    ratio = weights / weights[:, None] / gaps
    np.fill_diagonal(ratio, 0.0)
    found = np.eye(degree + 1)
    # Welfert's recurrence (1997, doi 10.1137/S0036142993295545).
    for m in range(1, order + 1):
        found = m * (weights / weights[:, None] * np.diagonal(found)[:, None] - found) / gaps
        np.fill_diagonal(found, 0.0)
        np.fill_diagonal(found, -found.sum(axis=1))
    return found


def tails(values: Field, axis: int) -> Real:
    """The larger of the last two Chebyshev coefficients along an axis of nodal values; the other axes stay."""
    degree = values.shape[axis] - 1
    parts = [values.real, values.imag] if np.iscomplexobj(values) else [values]
    last = [np.take(dct(part, type=1, axis=axis), [degree - 1, degree], axis=axis) for part in parts]
    return np.asarray(np.abs(last).max(axis=(0, axis + 1)) / degree)
