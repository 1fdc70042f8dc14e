"""Singular functions of corners, with all derivatives in closed form, and a SIREN with them, or those of holes, beside
its sines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .errors import UsageError
from .jet import LAPLACIAN, Jet, Plan
from .jet.rules import Derivatives
from .multipoles import Multipoles, MultipolesAt
from .siren import Siren
from .waves import WavesAt

LEAST = 1e-30
"""The least distance from a corner, in units of ``length``: at the corner itself values have their limits."""
ROUNDING = 1e-14


@dataclass(frozen=True)
class Singular:
    """``Re(factor s^power conj(s)^conjugate (log s)^log)``, ``s = zeta / (1 + pole zeta)``,
    ``zeta = exp(-i axis) (z - place) / length``.

    ``place`` is the corner, ``axis`` the direction in which ``zeta`` is positive, in radians: the cut runs the other
    way, outside the domain, on and on where ``pole`` is zero, else to the point where ``zeta = -1 / pole``, as in a
    hole. With ``conjugate = 0`` the function is harmonic: ``r^a sin(a theta)``, or with ``log = 1`` the term
    ``r^m (log r sin m theta + theta cos m theta)`` of a source that resonates.
    """

    x: float
    y: float
    axis: float
    length: float
    power: float
    conjugate: int
    log: int
    real: float
    imag: float
    pole: float = 0.0


@dataclass(frozen=True, eq=False)
class SingularAt:
    """Singular functions at ``n`` points: the logarithm of ``s`` and the monomials ``(n, k)`` without the logarithm.

    ``slopes`` ``(axes, k)``: the derivatives of ``zeta`` along each axis.
    """

    power: Tensor
    conjugate: Tensor
    log: Tensor
    factor: Tensor
    pole: Tensor
    slopes: Tensor
    logarithm: Tensor
    monomial: Tensor

    def channel(self, key: str, axes: tuple[str, ...]) -> Tensor:
        """``(n, k)``: one derivative, by axis letters or ``"laplacian"``."""
        if key == LAPLACIAN:
            terms = [self._expand([i, i]) for i in range(len(axes))]
            total = {m: torch.stack([t[m] for t in terms]).sum(0) for m in terms[0]}
            # The sum of squared slopes vanishes, as zeta is analytic: within rounding it is taken as nothing.
            small = {m: a.abs() <= ROUNDING * self.slopes.abs().square().sum(0) for m, a in total.items()}
            found = {m: torch.where(small[m], 0.0, a) for m, a in total.items()}
        else:
            found = self._expand([axes.index(a) for a in key])
        parts = [self._derivative(m, a * self.factor) for m, a in found.items() if bool(a.any())]
        zero = torch.zeros_like(self.logarithm.real)
        return torch.stack(parts).sum(0) if parts else zero

    def _expand(self, letters: list[int]) -> dict[tuple[int, int], Tensor]:
        """Factors of ``d^m dbar^l``, Wirtinger's derivatives, in a product of derivatives along the axes."""
        found = {(0, 0): torch.ones_like(self.factor)}
        for i in letters:
            grown: dict[tuple[int, int], Tensor] = {}
            for (m, l), a in found.items():
                for to, slope in (((m + 1, l), self.slopes[i]), ((m, l + 1), self.slopes[i].conj())):
                    grown[to] = grown.get(to, 0) + a * slope
            found = grown
        return found

    def _derivative(self, orders: tuple[int, int], factor: Tensor) -> Tensor:
        """``Re(factor d^m dbar^l of s^p conj(s)^q (log s)^j)``, which is a sum of such functions again."""
        analytic = _differentiated(self.power, self.log, 1 - self.log, self.pole, orders[0])
        mirrored = _differentiated(self.conjugate, 0 * self.log, torch.ones_like(self.log), self.pole, orders[1])
        made = torch.zeros_like(self.monomial)
        for m, (with_log, without) in analytic.items():
            for l, (_, other) in mirrored.items():
                term = self.monomial * torch.exp(m * self.logarithm + l * self.logarithm.conj())
                made = made + term * (with_log * self.logarithm + without) * other
        return (made * factor).real

    def channels(self, plan: Plan, weight: Tensor) -> Tensor:
        """``(channels, n, outputs)``: the derivatives of sums of the functions, ``weight`` ``(outputs, k)``."""
        return torch.stack([self.channel(key, plan.axes) @ weight.T for key in plan.keys])

    def rows(self, plan: Plan, coefficients: Tensor) -> Tensor:
        """``(n, k)``: ``sum_c coefficients[:, c] (derivative c of each function)``."""
        total = torch.zeros_like(self.logarithm.real).to(coefficients.dtype)
        for c in torch.nonzero((coefficients != 0).any(dim=0))[:, 0].tolist():
            total = total + coefficients[:, c, None] * self.channel(plan.keys[c], plan.axes)
        return total


@dataclass(frozen=True, eq=False)
class BesideWaves:
    """Singular functions and multipoles and then waves, at ``n`` points."""

    parts: tuple[SingularAt | MultipolesAt | WavesAt, ...]
    columns: tuple[int, ...]

    def channels(self, plan: Plan, weight: Tensor) -> Tensor:
        """``(channels, n, outputs)``: the derivatives of sums of all, ``weight`` ``(outputs, k + width)``."""
        split = weight.split(self.columns, dim=1)
        return torch.stack([part.channels(plan, w) for part, w in zip(self.parts, split, strict=True)]).sum(0)

    def rows(self, plan: Plan, coefficients: Tensor) -> Tensor:
        """``(n, k + width)``: ``sum_c coefficients[:, c] (derivative c of each)``."""
        return torch.cat([part.rows(plan, coefficients) for part in self.parts], dim=1)


class CornerSiren(Siren):
    """A ``Siren`` in the plane whose last layer adds singular functions: ``u = W [s(x), h_depth(x)] + b``.

    ``corners``: those of corners, ``holes``: the multipoles of round holes, after them, in the coordinates
    ``stretch x`` that look the same in all directions. They stay as they are; their coefficients, the first columns of
    the last layer, are trained with it and start at zero (Fox, Henrici and Moler 1967, doi:10.1137/0704008).
    ``series``: fields that are made of multipoles alone. Raises
    ``UsageError`` for other than two inputs.
    """

    terms: Tensor
    stretch: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 128,
        depth: int = 3,
        omega: float | Sequence[float] = 30.0,
        *,
        corners: Sequence[Singular | Sequence[float]] = (),
        holes: Sequence[Multipoles | Sequence[float]] = (),
        stretch: Sequence[float] = (1.0, 1.0),
        series: Sequence[int] = (),
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(inputs, outputs, width, depth, omega, dtype=dtype, generator=generator)
        if inputs != 2 or len(stretch) != 2:
            raise UsageError(f"CornerSiren needs two inputs, the plane's coordinates; got {inputs=}, {stretch=}.")
        self.corners = tuple(c if isinstance(c, Singular) else Singular(*c) for c in corners)  # type: ignore[arg-type]
        self.holes = tuple(h if isinstance(h, Multipoles) else Multipoles(*h) for h in holes)  # type: ignore[arg-type]
        self.series = tuple(series)
        self.register_buffer("stretch", torch.tensor(stretch, dtype=dtype))
        rows = [[float(v) for v in astuple(c)] for c in self.corners]
        self.register_buffer("terms", torch.tensor(rows, dtype=dtype).reshape(-1, 10).T)
        plain, beside = self.layers[-1], len(rows) + sum(h.columns for h in self.holes)
        assert isinstance(plain, nn.Linear)
        joint = nn.Linear(beside + width, outputs, dtype=dtype)
        with torch.no_grad():
            joint.weight.zero_()
            joint.weight[:, beside:] = plain.weight
            joint.bias.copy_(plain.bias)
        self.layers[-1] = joint

    def resized(self, width: int, generator: torch.Generator | None = None) -> CornerSiren:
        """A new network of another width with the same corners and holes."""
        return CornerSiren(
            self.inputs, self.outputs, width, self.depth, self.omegas, corners=self.corners, holes=self.holes,
            stretch=self.stretch.tolist(), series=self.series, dtype=self.stretch.dtype, generator=generator,
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        """``(n, 2) -> (n, outputs)``; jets of inputs give jets of outputs."""
        h = x
        for layer, omega in zip(self.layers[:-1], self.omegas, strict=True):
            h = torch.sin(omega * layer(h))
        return self.layers[-1](torch.cat([self.singular(x), h], dim=-1))

    def singular(self, x: Any) -> Any:
        """``(n, 2) -> (n, k)``: the singular functions; of jets by their rules."""
        if not isinstance(x, Jet):
            at = self._parts_at(self.stretch * x, torch.ones_like(self.stretch))
            return torch.cat([part.channel("", ()) for part in at], dim=-1)
        parts: list[Any] = [self._of_corners(x)] if self.corners else []
        scaled = [x[:, i : i + 1] * self.stretch[i] for i in range(2)]
        parts += [hole.jets(*scaled) for hole in self.holes]
        return torch.cat(parts, dim=-1)

    def _of_corners(self, x: Jet) -> Jet:
        px, py, _, _, p, q, log, re, im, pole = self.terms
        turn, ones = self._turn(), torch.ones_like(px)[:, None]
        x0 = (x[:, 0:1] * self.stretch[0])._linear(ones, -px)
        x1 = (x[:, 1:2] * self.stretch[1])._linear(ones, -py)
        zeta = x0._like(x0.channels * turn + x1.channels * (1j * turn))
        mirrored = x0._like(x0.channels * turn.conj() - x1.channels * (1j * turn.conj()))

        def derivatives(power: Tensor, with_log: Tensor) -> Derivatives:
            def at(z: Tensor, order: int) -> list[Tensor]:
                s = _apart(z) / (1 + pole * _apart(z))
                logarithm = torch.log(s)
                sums = [_differentiated(power, with_log, 1 - with_log, pole, m) for m in range(order + 1)]
                return [
                    torch.stack([torch.exp((power + k) * logarithm) * (a * logarithm + b) for k, (a, b) in one.items()]
                    ).sum(0) for one in sums
                ]  # fmt: skip

            return at

        product = zeta.apply(derivatives(p, log)) * mirrored.apply(derivatives(q, 0 * log)) * torch.complex(re, im)
        return product._like(product.channels.real)

    def beside(self, plane: Tensor, ratio: Tensor, waves: WavesAt) -> BesideWaves:
        """What the last layer combines where there is one other: see ``singular_at``."""
        columns = [len(self.corners)] * bool(self.corners) + [hole.columns for hole in self.holes]
        return BesideWaves((*self._parts_at(plane, ratio), waves), (*columns, self.width))

    def _parts_at(self, plane: Tensor, ratio: Tensor) -> list[SingularAt | MultipolesAt]:
        corners = [self.singular_at(plane, ratio)] if self.corners else []
        return [*corners, *(hole.at(plane, ratio) for hole in self.holes)]

    def singular_at(self, plane: Tensor, ratio: Tensor) -> SingularAt:
        """The corners' functions at points of the plane, ``stretch`` times the inputs.

        ``ratio`` ``(2,)``: the derivatives of these coordinates along those that are differentiated by.
        """
        px, py, _, _, p, q, log, re, im, pole = self.terms
        turn = self._turn()
        x, y = plane[:, 0:1] - px, plane[:, 1:2] - py
        zeta = _apart((x + 1j * y) * turn)
        logarithm = torch.log(zeta / (1 + pole * zeta))
        slopes = torch.stack([ratio[0] * turn, 1j * ratio[1] * turn])
        monomial = torch.exp(p * logarithm + q * logarithm.conj())
        return SingularAt(p, q, log, torch.complex(re, im), pole, slopes, logarithm, monomial)

    def _turn(self) -> Tensor:
        """``exp(-i axis) / length``."""
        return torch.polar(1 / self.terms[3], -self.terms[2])

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this network: the arguments of the constructor."""
        more = {
            "corners": [list(astuple(c)) for c in self.corners], "holes": [list(astuple(h)) for h in self.holes],
            "stretch": self.stretch.tolist(), "series": list(self.series),
        }  # fmt: skip
        return super().configuration() | {"network": "corner siren"} | more


def _differentiated(
    power: Tensor, with_log: Tensor, without: Tensor, pole: Tensor, order: int
) -> dict[int, tuple[Tensor, Tensor]]:
    """``d^order/dzeta^order of s^p (a log s + b)`` as ``{m: (a_m, b_m)}``, the sum of ``s^(p + m) (a_m log s + b_m)``.

    ``ds/dzeta = (1 - pole s)^2``, so that only powers of s come up.
    """
    found = {0: (with_log, without)}
    passing = ((-1, torch.ones_like(pole)), (0, -2 * pole), (1, pole.square()))
    for _ in range(order):
        grown: dict[int, tuple[Tensor, Tensor]] = {}
        for m, (a, b) in found.items():
            for step, share in passing:
                if bool(share.any()):
                    old = grown.get(m + step, (0, 0))
                    slope = ((power + m) * a, (power + m) * b + a)
                    grown[m + step] = (old[0] + share * slope[0], old[1] + share * slope[1])
        found = grown
    return found


def _apart(z: Tensor) -> Tensor:
    return torch.where(z.abs() < LEAST, torch.full_like(z, LEAST), z)


__all__ = ["BesideWaves", "CornerSiren", "Singular", "SingularAt"]
