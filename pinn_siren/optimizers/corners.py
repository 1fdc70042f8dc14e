"""The singular functions that a problem has at the corners and in the holes of its domain, and points for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..coefficients import values
from ..conditions import Boundary, Constraint, is_zero
from ..domains import Domain, Sampler, Sides, wedges
from ..domains.holes import Hole, disk_of, holes_of
from ..domains.wedges import Edge, Real, Wedge, edges_of, lines_of
from ..jet import LAPLACIAN
from ..model import Model
from ..multipoles import Multipoles
from ..points import Points, join
from ..problem import Problem
from ..singular import CornerSiren, Singular
from ..siren import Siren
from ..system import System
from .design import linearized

Kind = Literal["value", "slope"]
Order = Literal["harmonic", "constant", "variable"]
"""What stands beside the Laplacian: nothing, a constant times the field, or more."""

MOST = 40
"""Straight edges up to which corners are looked for: an outline of more stands for a curve."""
HIGHEST, HIGHEST_LOG, HIGHEST_MIXED, HIGHEST_CUT = 12.0, 8, 4.0, 6.0
"""Powers of the distance up to which functions are taken: without a logarithm, with one, of a variable equation, at a
hole."""
ROUGH = 4.0
"""Below this a power that is not whole is taken for rough, whatever the data are."""
SHARE, STEEP = 0.3, 3.0
"""Graded points, of all of a constraint; at distances ``room u^STEEP`` for even u."""
AROUND, SAME = 12, 0.2
"""Multipoles in a hole of straight edges; cuts that end closer than this part of their length share them."""
NEGLIGIBLE, LEAST_AROUND, MOST_AROUND = 1e-12, 8, 60
"""What the first multipole that is left out of a round hole has of the field, and how many are taken beyond k r."""
LARGEST = 150
"""Decimal digits before the point of a multipole at the hole, before it is scaled."""
WHOLE = 1e-9
SCAN, HALVINGS = 512, 50
CUTS = 17


@dataclass(frozen=True, eq=False)
class Corner:
    """A corner with what holds at its edges, and the direction, in radians, opposite to the functions' cut.

    ``kinds``: at the first and the last edge; ``jump``: two values meet there that differ; ``cut``: how long the cut
    may be, infinite where it stays outside for ever.
    """

    wedge: Wedge
    kinds: tuple[Kind, Kind]
    jump: bool
    axis: float
    cut: float

    def exponents(self, highest: float) -> Iterator[float]:
        """The powers r^a of the harmonic functions that satisfy the homogeneous conditions, ascending."""
        step = math.pi / self.wedge.angle
        first = step if self.kinds[0] == self.kinds[1] else step / 2
        count = 0
        while (a := first + count * step) <= highest:
            yield float(round(a)) if abs(a - round(a)) < WHOLE else a
            count += 1

    @property
    def rough(self) -> bool:
        """Whether solutions are not smooth here for most data."""
        return self.jump or any(a % 1 for a in self.exponents(ROUGH))


@dataclass(frozen=True)
class Around:
    """A round hole of one field's side, -1 of the whole domain; ``square``: the constant beside the Laplacian there, in
    units of it: k^2 of a Helmholtz equation. ``inner``: the side is inside the circle."""

    hole: Hole
    square: float = 0.0
    field: int = -1
    inner: bool = False


@dataclass(frozen=True, eq=False)
class Corners:
    """The corners and the round holes of a problem, and the order of its equation.

    ``series``: the equations' names of the fields that multipoles alone are made for, and these fields.
    """

    domain: Domain
    found: tuple[Corner, ...]
    order: Order
    holes: tuple[Around, ...] = ()
    series: dict[str, int] = field(default_factory=dict)

    @property
    def rough(self) -> bool:
        """Whether one of them is: then no sum of sines comes near."""
        return any(corner.rough for corner in self.found)

    @property
    def needed(self) -> Corners | None:
        """What sums of sines come near no solution without, for most data; None where they do."""
        if self.rough:
            return self
        return replace(self, found=()) if self.holes else None

    @property
    def spare(self) -> Corners | None:
        """All of it, where some is not ``needed``."""
        return self if self.found and not self.rough else None

    @cached_property
    def columns(self) -> int:
        """The number of functions."""
        return len(self.functions(torch.zeros(2))) + sum(h.columns for h in self.multipoles(torch.zeros(2)))

    def functions(self, center: Tensor) -> list[Singular]:
        """All functions, the corners measured from ``center`` ``(2,)``."""
        found = [f for corner in self.found for f in self._functions(corner, center)]
        return found + [f for end in self._ends() for f in self._around(end, center)]

    def multipoles(self, center: Tensor) -> list[Multipoles]:
        """Those of the round holes, whose centers are measured from ``center`` ``(2,)``."""
        found = []
        for around in self.holes:
            hole, square = around.hole, around.square
            x, y = (center.new_tensor(hole.center) - center).tolist()
            count = _count(hole, square)
            found.append(Multipoles(x, y, hole.radius, count, square, around.field, around.inner))
        return found

    def _ends(self) -> list[Real]:
        """The ends of the cuts in holes."""
        found: list[Real] = []
        for corner in self.found:
            if corner.cut < math.inf:
                end = corner.wedge.place - corner.cut * np.array([math.cos(corner.axis), math.sin(corner.axis)])
                if all(math.dist(end, other) > SAME * corner.cut for other in found):
                    found.append(end)
        return found

    def _around(self, end: Real, center: Tensor) -> Iterator[Singular]:
        """``log r`` and ``r^-n cos n theta``, ``r^-n sin n theta``: what is harmonic around a hole and not inside."""
        x, y = (torch.from_numpy(end) - center).tolist()
        near = float(self.domain.level(torch.from_numpy(end)[None]))
        yield Singular(x, y, 0.0, near, 0.0, 0, 1, 1.0, 0.0)
        for n in range(1, AROUND + 1):
            yield Singular(x, y, 0.0, near, -float(n), 0, 0, 1.0, 0.0)
            yield Singular(x, y, 0.0, near, -float(n), 0, 0, 0.0, 1.0)

    def beside(self, network: Siren, model: Model) -> CornerSiren:
        """A network of one layer with the singular functions beside its sines, in the units of a model."""
        stretch = model.scale.tolist()
        functions, holes = self.functions(model.center), self.multipoles(model.center)
        joint = CornerSiren(
            2, network.outputs, network.width, 1, network.omegas, corners=functions, holes=holes,
            stretch=stretch, series=sorted(self.series.values()), dtype=model.center.dtype,
        )  # fmt: skip
        first, source, last = joint.layers[0], network.layers[0], joint.layers[-1]
        assert isinstance(first, nn.Linear) and isinstance(source, nn.Linear) and isinstance(last, nn.Linear)
        with torch.no_grad():
            first.weight.copy_(source.weight)
            first.bias.copy_(source.bias)
            last.weight.zero_()
            last.bias.zero_()
        return joint

    def _functions(self, corner: Corner, center: Tensor) -> Iterator[Singular]:
        wedge = corner.wedge
        x, y = (torch.from_numpy(wedge.place) - center).tolist()
        length = max(math.dist(wedge.place, end) for end in _box(self.domain))
        turn = corner.axis - wedge.start
        one = -1j if corner.kinds[0] == "value" else 1.0

        pole = length / corner.cut

        def function(power: float, conjugate: int, log: int, factor: complex) -> Singular:
            return Singular(x, y, corner.axis, length, power, conjugate, log, factor.real, factor.imag, pole)

        if corner.jump:
            yield function(0.0, 0, 1, -1j)
        for a in corner.exponents(HIGHEST if not pole else HIGHEST_CUT):
            whole = a % 1 == 0
            factor = one * complex(math.cos(a * turn), math.sin(a * turn))
            if whole and a > HIGHEST_LOG:
                continue
            yield function(a, 0, int(whole), factor)
            if self.order == "constant" and not pole:
                for j in range(1, int((HIGHEST - a) / 2) + 1):
                    yield function(a + j, j, int(whole), factor)
            elif self.order != "harmonic":
                pairs = [(i, n - i) for n in range(1, int(HIGHEST_MIXED - a) + 1) for i in range(n + 1)]
                for i, j in pairs:
                    for phase in (factor, 1j * factor):
                        yield function(a + i, j, int(whole), phase)
            elif pole:
                # zeta^a is a power series in s, times s^a.
                for i in range(1, int(HIGHEST_CUT - a) + 1):
                    yield function(a + i, 0, int(whole), factor)

    def graded(self, constraint: Constraint, points: list[Points], generator: torch.Generator) -> list[Points]:
        """Points of a constraint, and more of them toward the corners, where it holds there."""
        place = constraint.place
        if len(points) != 1 or place is None or place.kind not in ("interior", "boundary") or not self.found:
            return points
        sampler = Sampler(generator, points[0].coordinates.dtype)
        # Harmonic functions are seen by the conditions alone.
        many = max(self.columns // len(self.found), int(SHARE * len(points[0]) / len(self.found)))
        more: list[Points] = []
        for wedge in (corner.wedge for corner in self.found):
            if place.kind == "interior":
                more.append(_inside(wedge, many, sampler, points[0].axes))
                continue
            for edge in (wedge.first, wedge.last):
                on = _on(edge, wedge.room, many, sampler, points[0].axes)
                more.append(on[self.domain.lies_on(on, place.on)])
        extra = [m for m in more if len(m)]
        return [join([points[0], *extra])] if extra else points


def _count(hole: Hole, square: float) -> int:
    """How many multipoles of a hole are taken: until they would have no share of the field."""
    waves = math.sqrt(abs(square)) * hole.radius
    count = min(int(waves) + max(math.ceil(math.log(NEGLIGIBLE) / math.log(hole.ratio)), LEAST_AROUND), MOST_AROUND)
    # K_n and Y_n grow as (2 n / e k r)^n.
    while waves and count > 1 and count * math.log10(max(2 * count / (math.e * waves), 1.0)) > LARGEST:
        count -= 1
    return count


def find_corners(problem: Problem, system: System, model: Model) -> Corners | None:
    """The corners and holes whose expansions are known: in the plane, one field, its Laplacian.

    Corners: of straight edges, with values or slopes; holes: round ones, in an equation that is harmonic but for its
    source. ``model``: one whose fields are zero. None where there are none.
    """
    domain = problem.domain
    equations = [c for c in system.constraints if c.on_interior]
    plane = len(domain.axes) == 2 and not domain.has_time and len(problem.outputs) == 1 and problem.ansatz is None
    if plane and problem.sides is not None:
        return _inclusions(problem.sides, equations, system, model)
    if not plane or len(problem.fields) != 1 or len(equations) != 1:
        return None
    found = _corners(problem)
    holes = tuple(holes_of(domain))
    order = _order(system, equations[0], model, domain, found) if found or holes else None
    if order is None:
        return None
    kind, constant = order
    if kind == "variable" or constant.imag:
        holes = ()
    around = tuple(Around(hole, constant.real) for hole in holes)
    return Corners(domain, tuple(found), kind, around) if found or holes else None


def _inclusions(sides: Sides, equations: list[Constraint], system: System, model: Model) -> Corners | None:
    """The disks that sides of interfaces leave out, the field around each being singular inside it; and those that
    sides are, where multipoles are a harmonic field (Laurent's series where there are holes)."""
    holes: list[Around] = []
    series: dict[str, int] = {}
    rooms = {(hole.center, hole.radius): hole.room for region in sides.regions for hole in holes_of(region)}
    for k, (region, equation) in enumerate(zip(sides.regions, equations, strict=False)):
        inner, outer = holes_of(region), disk_of(region)
        order = _order(system, equation, model, region, [], k) if inner or outer else None
        if order is None or order[0] == "variable" or order[1].imag:
            continue
        holes += [Around(hole, order[1].real, k) for hole in inner]
        if outer is not None and order[0] == "harmonic":
            # The field inside goes on as far as the one around it does inward.
            room = rooms.get((outer.center, outer.radius), outer.room)
            holes.append(Around(replace(outer, room=room), 0.0, k, inner=True))
            if not bool(_source(system, equation, model).any()):
                series[equation.name] = k
    return Corners(sides.domain, (), "harmonic", tuple(holes), series=series) if holes else None


def _source(system: System, equation: Constraint, model: Model) -> Tensor:
    """The residual of the zero field at a few points."""
    points = equation.sample(64, Sampler(torch.Generator().manual_seed(5)))
    return linearized(system, equation, points, model)[1].values


def _corners(problem: Problem) -> list[Corner]:
    """The corners of straight edges that have singular functions."""
    domain = problem.domain
    if not 0 < len(lines_of(domain)[0]) <= MOST:
        return []
    stated = [c for c in problem.conditions if isinstance(c, Boundary)]
    breaks = [place for c in stated for place in _breaks(domain, c)]
    found = []
    for wedge in wedges(domain, breaks):
        first, last = (_stated(domain, stated, edge, wedge.room) for edge in (wedge.first, wedge.last))
        if first is None or last is None:
            continue
        kinds = (_kind(first), _kind(last))
        straight = abs(wedge.angle - math.pi) < WHOLE
        jump = kinds == ("value", "value") and _jump(domain, wedge, first, last)
        if not (straight and kinds[0] == kinds[1]) or first is not last:
            found.append(Corner(wedge, kinds, jump, *_cut(domain, wedge)))
    return found


def _order(
    system: System, equation: Constraint, model: Model, domain: Domain, found: list[Corner], field: int = 0
) -> tuple[Order, complex] | None:
    """What an equation is, and the constant beside its Laplacian.

    None where its highest terms are no Laplacian at the corners, or anywhere where there are none.
    """
    sampler = Sampler(torch.Generator().manual_seed(5))
    inner = domain.interior(64, sampler)
    near = [torch.from_numpy(_middle(c.wedge, 1e-6)) for c in found] or list(inner.coordinates)
    points = [join([Points(domain.axes, torch.stack(near)), inner])]
    lin = linearized(system, equation, points, model)[1]
    blocks = lin.complex_blocks() if model.complex_valued else lin.coefficients
    if blocks is None or blocks.shape[1] != 1:
        return None
    x, y = domain.axes
    real = [c for c in lin.columns if not c.imaginary]
    of = {c.key: blocks[:, 0, i] for i, c in enumerate(real) if c.field == field}
    if any(len(key) > 2 and key != LAPLACIAN and bool(column.any()) for key, column in of.items()):
        return None
    zero = torch.zeros_like(blocks[:, 0, 0])
    whole = of.get(LAPLACIAN, zero)
    across, up, mixed = whole + of.get(2 * x, zero), whole + of.get(2 * y, zero), of.get(x + y, zero)
    at, size = slice(0, len(near)), across.abs().max()
    off = torch.stack([(across - up)[at].abs(), mixed[at].abs()]).max()
    if float(off) > 1e-5 * float(size) or float(across[at].abs().min()) <= 1e-6 * float(size):
        return None
    rest = of.get("", zero)
    terms = [across - up, across - across[0], mixed, of.get(x, zero), of.get(y, zero), rest - rest[0]]
    if any(float(t.abs().max()) > 1e-12 * float(size + rest.abs().max()) for t in terms):
        return "variable", 0.0
    constant = complex(rest[0] / across[0])
    return ("constant" if constant else "harmonic"), constant


def _breaks(domain: Domain, condition: Boundary) -> Iterator[Real]:
    """Where on a side a condition begins or ends, as its function of points says."""
    on = condition.on
    if on is None or isinstance(on, str | Domain):
        return
    for edge in edges_of(domain):

        def holds(shares: Real, edge: Edge = edge) -> Real:
            at = torch.from_numpy(edge.start + shares[:, None] * (edge.end - edge.start))
            normal = torch.from_numpy(edge.normal).expand(len(at), 2)
            return np.asarray(domain.lies_on(Points(domain.axes, at, normal), on))

        shares = (np.arange(SCAN) + 0.5) / SCAN
        for (low, here), (high, there) in pairwise(zip(shares, holds(shares), strict=True)):
            if here != there:
                for _ in range(HALVINGS):
                    middle = (low + high) / 2
                    low, high = (middle, high) if holds(np.array([middle]))[0] == here else (low, middle)
                yield edge.start + low * (edge.end - edge.start)


def _stated(domain: Domain, stated: list[Boundary], edge: Edge, room: float) -> Boundary | None:
    """The one condition that holds at an edge's beginning."""
    share = 1e-3 * room / float(np.hypot(*(edge.end - edge.start)))
    found = [c for c in stated if bool(domain.lies_on(edge.point(domain.axes, share), c.on))]
    return found[0] if len(found) == 1 else None


def _kind(condition: Boundary) -> Kind:
    return "value" if is_zero(condition.b) else "slope"


def _jump(domain: Domain, wedge: Wedge, first: Boundary, last: Boundary) -> bool:
    """Whether the values at both edges go to different limits."""
    ends = [
        values(c.value, edge.point(domain.axes, share), "value") / values(c.a, edge.point(domain.axes, share), "a")
        for c, edge in ((first, wedge.first), (last, wedge.last))
        for share in (1e-12, 0.3, 0.7)
    ]
    size = max(float(v.abs()) for v in ends)
    return float((ends[0] - ends[3]).abs()) > 1e-4 * size


def _cut(domain: Domain, wedge: Wedge) -> tuple[float, float]:
    """The direction opposite to the ray from the corner that stays outside the longest, and how long a cut may be."""
    reach = max(math.dist(wedge.place, end) for end in _box(domain))
    shares = np.concatenate([np.geomspace(1e-3 * wedge.room / reach, 1e-3, 100), np.linspace(1e-3, 1, 1000)])
    free = 2 * math.pi - wedge.angle
    best, longest = 0.0, -1.0
    # From the middle of the outside to its ends.
    for part in sorted((np.arange(CUTS) + 1.0) / (CUTS + 1), key=lambda s: abs(s - 0.5)):
        cut = wedge.start + wedge.angle + part * free
        ray = wedge.place + reach * shares[:, None] * np.array([math.cos(cut), math.sin(cut)])
        inside = np.asarray(domain.level(torch.from_numpy(ray)) <= 0)
        length = reach * float(shares[inside.argmax()]) / 2 if inside.any() else math.inf
        if length > longest:
            best, longest = cut - math.pi, length
    return float(best), longest


def _box(domain: Domain) -> list[tuple[float, float]]:
    (low, high), (bottom, top) = domain.bounds.values()
    return [(x, y) for x in (low, high) for y in (bottom, top)]


def _middle(wedge: Wedge, share: float) -> Real:
    angle = wedge.start + wedge.angle / 2
    return np.asarray(wedge.place + share * wedge.room * np.array([math.cos(angle), math.sin(angle)]))


def _inside(wedge: Wedge, n: int, sampler: Sampler, axes: tuple[str, ...]) -> Points:
    unit = sampler.unit_cube(n, 2)
    r, angle = wedge.room * unit[:, 0] ** STEEP, wedge.start + wedge.angle * unit[:, 1]
    away = torch.stack([r * torch.cos(angle), r * torch.sin(angle)], dim=1)
    return Points(axes, torch.from_numpy(wedge.place).to(away) + away)


def _on(edge: Edge, room: float, n: int, sampler: Sampler, axes: tuple[str, ...]) -> Points:
    way = torch.from_numpy(edge.end - edge.start).to(sampler.dtype)
    share = room / float(way.norm()) * sampler.unit_cube(n, 1) ** STEEP
    normal = torch.from_numpy(edge.normal).to(way).expand(n, 2)
    return Points(axes, torch.from_numpy(edge.start).to(way) + share * way, normal)


__all__ = ["Corner", "Corners", "find_corners"]
