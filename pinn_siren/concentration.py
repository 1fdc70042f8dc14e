"""Points where a problem's sources are: evenly drawn ones miss a source that is a small part of the domain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .conditions import Constraint
from .conditions.base import Fields, Parts
from .domains import Domain, Sampler
from .points import TIME, Points, join
from .problem import Problem
from .scales import Scales, at_zero, everywhere

NARROW = 0.02
"""Sources that fill less than this part of the domain are narrow."""
POOL, AROUND, AGAIN, CENTERS = 2**15, 2**12, 3, 32
"""Points that sources are looked for at, then around what was found, how often, and centers kept."""
SHARE = 0.5
"""The part of the points around the centers; the rest is even."""
FARTHEST = 0.7
"""The largest distance, of the domain's half-widths."""
ACCEPTANCE = 2**13
"""Points at which the part of the density inside the domain is measured; half as many carry smoothed sources."""
ROWS = 2**11


@dataclass(eq=False)
class Concentration:
    """A density of points: half of them even, half around ``centers``, at distances of every order of magnitude.

    In coordinates ``z`` of half-widths it is ``(1 - s) / |Omega| + s / A mean_j K(z - z_j)``,

        K(z) = 1 / log(far / near) int_near^far N(z; 0, h^2) dh / h,

    Gaussians whose widths ``h`` are log-uniform: near a narrow source fields vary over the distance to it, so each
    octave of distances gets as many points. ``A`` is the part of ``K`` that is inside the domain. Each point comes with
    its weight ``attached``, 1 over density times ``|Omega|``, so that weighted means are means over the domain, as
    before (importance sampling: Kahn and Marshall 1953, doi 10.1287/opre.1.5.263).

    ``sharpen(blur)`` smooths the sources ``r_0``, the residual of the zero field, by a Gaussian: the residual becomes
    ``r - r_0 + G_blur * r_0``, the convolution a sum over points of this density. A network finds the field of a wide
    source from any start, and follows it as the source is narrowed. With ``far`` the mean square residual is that of
    weight ``w^2``: where the residual changes sign from one ``1 / density`` to the next, as what is left of it does, it
    adds as much to the field far away.

    ``constraint``: the equation, or what holds at the first time, where ``Omega`` is space alone.
    """

    problem: Problem
    constraint: Constraint
    centers: Tensor
    near: float
    share: float = SHARE
    driven: bool = True
    """Whether the sources are the constraint's own."""
    blur: float = field(default=0.0, init=False)
    far: bool = field(default=False, init=False)
    _inside: float = field(default=1.0, init=False)
    _sources: tuple[Tensor, Tensor] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        trial = Sampler(torch.Generator().manual_seed(5))
        kept = self.domain.contains(self._around(ACCEPTANCE, trial)).double().mean()
        self._inside = max(float(kept), 1 / ACCEPTANCE)

    @property
    def domain(self) -> Domain:
        """Where the points are."""
        return self.problem.domain

    @property
    def columns(self) -> list[int]:
        """The axes that the points differ in."""
        axes = self.domain.space_axes if _first(self.constraint) else self.domain.axes
        return [self.domain.axes.index(a) for a in axes]

    @property
    def measure(self) -> float:
        """Of ``Omega``."""
        if not _first(self.constraint):
            return self.domain.measure
        start, end = self.domain.bounds[TIME]
        return self.domain.measure / (end - start)

    def blurs(self, widest: float) -> list[float]:
        """Widths to smooth the sources by, one after the other, each half of the one before."""
        count = max(1, math.ceil(math.log2(widest / self.near)))
        return [widest / 2**i for i in range(count)]

    def sharpen(self, blur: float, far: bool = False) -> None:
        """Smooth the sources by this width in half-widths of the domain, 0: as they are; how their residual counts."""
        self.blur, self.far = blur, far and self.driven and not _first(self.constraint)

    def squares(self) -> list[float]:
        """The mean square over the domain of the sources, as smooth as they are now, a part each."""
        points = self.even_handed(ACCEPTANCE // 2, Sampler(torch.Generator().manual_seed(6)))
        weight = self.weight(points)
        weight = weight.square() if self.far else weight
        return [float((weight * part.abs().square()).mean()) for part in self._now(points).T]

    def _now(self, points: Points) -> Tensor:
        """``(n, parts)`` complex: the sources at points, as smooth as they are now."""
        return self._smoothed(points) if self.blur else at_zero(self.problem, self.constraint, [points])

    def _smoothed(self, points: Points) -> Tensor:
        if self._sources is None:
            drawn = self.even_handed(ACCEPTANCE // 2, Sampler(torch.Generator().manual_seed(7)))
            mass = self.weight(drawn)[:, None] * at_zero(self.problem, self.constraint, [drawn]) / len(drawn)
            self._sources = drawn.coordinates, mass * self.measure
        half = self._half(points.coordinates.device)
        at, mass = self._sources
        d = len(half)
        factor = (2 * math.pi * self.blur**2) ** (-d / 2) / float(half.prod())
        pieces = [
            torch.exp(
                -torch.cdist(x[:, self.columns] / half, at[:, self.columns] / half).square() / (2 * self.blur**2)
            ).to(mass)
            @ mass
            for x in points.coordinates.split(ROWS)
        ]
        return factor * torch.cat(pieces)

    def draw(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside the domain, with their weights and what smoothing adds to the residual's parts."""
        points = self.even_handed(n, sampler)
        if not self.blur or points.attached is None:
            return points
        plain = Points(points.axes, points.coordinates.cpu().double())
        added = torch.view_as_real(self._now(plain) - at_zero(self.problem, self.constraint, [plain])).flatten(1)
        return replace(points, attached=torch.cat([points.attached, added.to(points.attached)], dim=1))

    def even_handed(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside the domain, with their weights."""
        around = round(n * self.share)
        parts, count = [self.constraint.sample(n - around, sampler)[0]], 0
        while count < around:
            drawn = self._around(math.ceil(1.2 * (around - count) / self._inside) + 8, sampler)
            kept = drawn[self.domain.contains(drawn)][: around - count]
            count += len(kept)
            parts.append(Points(self.domain.axes, kept.to(parts[0].coordinates)))
        points = join(parts)
        weight = (1 / self.density(points.coordinates)).to(points.coordinates)
        return replace(points, attached=weight[:, None])

    def density(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: the density, in units of the even one."""
        half = self._half(coordinates.device)
        z = coordinates[:, self.columns].double() / half
        d = z.shape[1]
        square = (
            (z[:, None] - self.centers.to(z)[:, self.columns] / half)
            .square()
            .sum(-1)
            .clamp(min=(1e-3 * self.near) ** 2)
        )
        a = torch.tensor(d / 2, dtype=torch.float64, device=z.device)
        between = torch.special.gammainc(a, square / (2 * self.near**2)) - torch.special.gammainc(
            a, square / (2 * FARTHEST**2)
        )
        factor = math.gamma(d / 2) / (2 * math.pi ** (d / 2) * math.log(FARTHEST / self.near))
        kernel = factor * (between / square ** (d / 2)).mean(1)
        volume = self.measure / float(half.prod())
        return 1 - self.share + self.share * volume / self._inside * kernel

    def _around(self, n: int, sampler: Sampler) -> Tensor:
        """``(n, d)``: points around the centers, in the domain or not."""
        unit = sampler.even(n, len(self.columns) + 2)
        which = (unit[:, 0] * len(self.centers)).long().clamp(max=len(self.centers) - 1)
        width = self.near * (FARTHEST / self.near) ** unit[:, 1]
        normal = math.sqrt(2) * torch.special.erfinv(2 * unit[:, 2:] - 1)
        found = self.centers.to(unit)[which]
        found[:, self.columns] += width[:, None] * normal * self._half(unit.device)
        return found

    @staticmethod
    def weight(points: Points) -> Tensor:
        """``(n,)``: the weights of points drawn here."""
        assert points.attached is not None
        return points.attached[:, 0]

    def _half(self, device: torch.device) -> Tensor:
        sides = [(high - low) / 2 for low, high in self.domain.bounds.values()]
        return torch.tensor([sides[i] for i in self.columns], dtype=torch.float64, device=device)

    def placed(self, c: Constraint) -> Constraint:
        """The same constraint on these points, its residual times the root of their weights."""

        def residual(points: list[Points], fields: list[Fields]) -> Parts:
            came: Any = c.residual(points, fields)
            attached = points[0].attached
            if attached is None:
                return came
            factor = attached[:, 0].sqrt() if c.norm == 2 and not self.far else attached[:, 0]
            parts = list(came) if isinstance(came, tuple | list) else [came]
            if attached.shape[1] > 1:
                parts = [
                    part + (torch.complex(real, imaginary) if part.is_complex() else real)
                    for part, real, imaginary in zip(parts, attached.T[1::2], attached.T[2::2], strict=True)
                ]
            return tuple(factor * part for part in parts)

        return replace(c, sample=lambda n, sampler: [self.draw(n, sampler)], residual=residual)


def concentrations(problem: Problem, scales: Scales, seed: int = 0) -> dict[str, Concentration]:
    """By constraint where its points go for the problem's narrow sources and initial data, as the residual of the zero
    field shows them; nothing where these fill ``NARROW`` of the domain or more, or there are none.

    Of a constraint at the first time the others have the same density, and the equation, where it has no narrow source
    of its own, one around the same places in space and time.
    """
    if problem.is_signal:
        return {}
    near = 1 / max(scales.wavenumber[a] * scales.half_width[a] for a in problem.domain.axes)
    if near >= FARTHEST / 2:
        return {}
    equations = [c for c in problem.constraints() if everywhere(c)]
    first = [c for c in problem.constraints() if _first(c)] if problem.domain.space_axes else []
    found = {c.name: made for c in [*equations, *first] if (made := _around_data(problem, c, near, seed)) is not None}
    start = next((found[c.name] for c in first if c.name in found), None)
    for c in [*equations, *first] if start is not None else []:
        if c.name not in found:
            assert start is not None
            found[c.name] = Concentration(problem, c, start.centers, near, driven=False)
    return found


def _around_data(problem: Problem, c: Constraint, near: float, seed: int) -> Concentration | None:
    sampler = Sampler(torch.Generator().manual_seed(2000 + seed))
    points = c.sample(POOL, sampler)[0]
    weight = torch.ones(len(points), dtype=torch.float64)
    found: Concentration | None = None
    for _ in range(1 + AGAIN):
        size = at_zero(problem, c, [points]).abs().square().sum(1).sqrt().double()
        size = torch.nan_to_num(size, 0.0, 0.0, 0.0)
        filled = float((weight * size).mean().square() / (weight * size.square()).mean().clamp(min=1e-300))
        if not 0 < filled < NARROW:
            return None
        # By size alone, not its square: narrow parts and wide ones of one source each get their points.
        chosen = torch.multinomial(weight * size, CENTERS, replacement=True, generator=sampler.generator)
        found = Concentration(problem, c, points.coordinates[chosen], near)
        points = found.draw(AROUND, sampler)
        weight = found.weight(points)
    return found


def _first(c: Constraint) -> bool:
    return c.place is not None and c.place.kind == "start"


__all__ = ["Concentration", "concentrations"]
