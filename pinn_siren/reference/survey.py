"""A survey: time-harmonic waves of several sources at several receivers, with their derivative by the medium."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import NDArray

from ..errors import UsageError

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
STAGGERED = {-1: 1 / 24, 0: -27 / 24, 1: 27 / 24, 2: -1 / 24}
"""The fourth-order first difference between nodes (Levander 1988, doi 10.1190/1.1442422), in units of 1 / spacing."""
STENCIL = 6
"""Nodes an axis from which a receiver's value is interpolated."""


@dataclass(frozen=True, eq=False)
class Survey:
    """``laplacian u_s + wavenumber^2 m u_s = -g_s`` on the square ``[-half, half]^2``, read at the receivers.

    ``m`` is the squared slowness, nondimensional: 1 outside of ``[-unknown, unknown]^2`` and given at the nodes inside
    it; ``g_s`` a Gaussian of unit integral and standard deviation ``width`` at source ``s``. An absorbing layer of
    thickness ``layer`` lies inside the square, stretched by ``1 + i strength (d / layer)^2``; the time factor is
    ``exp(-i omega t)``. ``sources`` ``(S, 2)``, ``receivers`` ``(R, 2)``. Staggered differences of fourth order on
    ``cells`` cells an axis; one sparse LU serves all sources and, transposed, all receivers (adjoint states: Plessix
    2006, doi 10.1111/j.1365-246X.2006.02978.x).

    Raises ``UsageError`` where the unknown square reaches into the layer or to a receiver's far side.
    """

    wavenumber: float
    sources: Real
    receivers: Real
    cells: int = 80
    half: float = 1.0
    layer: float = 0.5
    strength: float = 5.0
    unknown: float = 0.4
    width: float = 0.03

    def __post_init__(self) -> None:
        if not 0 < self.unknown <= self.half - self.layer:
            raise UsageError(
                f"The unknown square, |x| < {self.unknown}, must lie inside the layer, |x| < {self.half - self.layer}."
            )

    @cached_property
    def nodes(self) -> Real:
        """``(N, 2)``: the nodes at which the medium is unknown."""
        return self._grid[self._inside]

    def waves(self, m: Real) -> Waves:
        """The waves for the squared slowness ``(N,)`` at the unknown nodes."""
        everywhere = np.ones(len(self._grid))
        everywhere[self._inside] = m
        matrix = (self._laplacian + sp.diags(self.wavenumber**2 * everywhere)).tocsc()
        lu = sla.splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01, options={"SymmetricMode": True}
        )  # fmt: skip
        u = lu.solve(-self._emission)
        return Waves(self, lu, u, self._reading @ u)

    def data(self, m: Real) -> Complex:
        """``(R, S)``: what the receivers read for the squared slowness ``(N,)`` at the unknown nodes."""
        return self.waves(m).data

    @cached_property
    def _axis(self) -> Real:
        return np.linspace(-self.half, self.half, self.cells + 1)[1:-1]

    @cached_property
    def _grid(self) -> Real:
        return np.stack([g.ravel() for g in np.meshgrid(self._axis, self._axis, indexing="ij")], axis=1)

    @cached_property
    def _inside(self) -> NDArray[np.bool_]:
        return np.asarray((np.abs(self._grid) < self.unknown).all(1))

    @cached_property
    def _emission(self) -> Complex:
        squares = ((self._grid[:, None] - self.sources) ** 2).sum(2)
        return (np.exp(-squares / (2 * self.width**2)) / (2 * np.pi * self.width**2)).astype(np.complex128)

    @cached_property
    def _laplacian(self) -> sp.csc_matrix:
        n = self.cells + 1
        whole = np.linspace(-self.half, self.half, n)
        up = sum(sp.eye(n - 1, n, k=k) * c for k, c in STAGGERED.items())
        # From the places between nodes back to nodes, the same coefficients one place lower.
        down = sum(sp.eye(n, n - 1, k=k - 1) * c for k, c in STAGGERED.items())
        between = (whole[1:] + whole[:-1]) / 2
        spacing = whole[1] - whole[0]
        line = sp.diags(1 / self._stretch(whole)) @ down @ sp.diags(1 / self._stretch(between)) @ up / spacing**2
        line = line.tocsr()[1:-1, 1:-1]
        one = sp.identity(n - 2)
        return (sp.kron(line, one) + sp.kron(one, line)).tocsc()

    def _stretch(self, x: Real) -> Complex:
        depth = np.clip(np.abs(x) - (self.half - self.layer), 0, None) / self.layer
        return (1 + 1j * self.strength * depth**2).astype(np.complex128)

    @cached_property
    def _reading(self) -> sp.csr_matrix:
        """``(R, nodes)``: Lagrange interpolation in six nodes an axis."""
        x, n = self._axis, len(self._axis)
        reading = sp.lil_matrix((len(self.receivers), n * n))
        for row, place in enumerate(self.receivers):
            (i, along), (j, across) = (_lagrange(x, p) for p in place)
            for a, one in enumerate(along):
                for b, other in enumerate(across):
                    reading[row, (i + a) * n + j + b] = one * other
        return reading.tocsr()


@dataclass(frozen=True, eq=False)
class Waves:
    """The waves ``u`` of a survey in one medium, and ``data`` ``(R, S)``, what the receivers read of them."""

    survey: Survey
    lu: sla.SuperLU
    u: Complex
    data: Complex

    def slopes(self) -> Complex:
        """``(R, S, N)``: the data's derivatives by the squared slowness at the unknown nodes."""
        inside = self.survey._inside
        adjoint = self.lu.solve(self.survey._reading.T.toarray().astype(np.complex128), trans="T")
        return np.asarray(-(self.survey.wavenumber**2) * np.einsum("nr,ns->rsn", adjoint[inside], self.u[inside]))


def _lagrange(x: Real, place: float) -> tuple[int, Real]:
    """The first of six equidistant nodes around a place, and their weights."""
    first = int(np.clip(np.floor((place - x[0]) / (x[1] - x[0])) - STENCIL // 2 + 1, 0, len(x) - STENCIL))
    nodes = x[first : first + STENCIL]
    gaps = nodes[:, None] - nodes + np.eye(STENCIL)
    others = np.where(np.eye(STENCIL, dtype=bool), 1.0, (place - nodes)[None, :] / gaps)
    return first, others.prod(1)


__all__ = ["Survey", "Waves"]
