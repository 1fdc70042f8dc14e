"""Which conditions can be built into the output, read off a problem's statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ..coefficients import Coefficient, values
from ..conditions import PML, ConditionBase, Constraint, Dirichlet, Initial, Periodic
from ..domains import Box, Domain, Sampler, SetOperation
from ..domains.shapes import Round
from ..errors import PinnSirenError, UsageError, suggest
from ..jet import Jet, Plan
from ..points import TIME, Points
from ..problem import Problem, record
from ..scales import Scales
from ..system import checked
from .box import HIGH, LOW, RATE, VALUE, BoxPiece, Held
from .circle import CirclePiece
from .composed import Ansatz, build_in
from .hard import HardConditions

EXACT = 1e-9
"""How well a condition is met, of its own size, to count as built in."""
SAMPLES = 200
RISE = 2.0
"""The time in which initial conditions fade in, in units of 1 / highest frequency."""

Choice = Literal["auto", "hard", "soft"]

Pieces = list[BoxPiece | CirclePiece]


@dataclass(frozen=True)
class BuiltIn:
    """What is built into a model: an ansatz (None where nothing is), and the axes made periodic."""

    ansatz: Ansatz | None = None
    periodic: tuple[str, ...] = ()


def derive(problem: Problem, rise: float, *, periodic: bool = True, blended: bool = True) -> BuiltIn:
    """The conditions of a problem that its geometry allows to build in.

    Those are ``Dirichlet`` on sides of a box, on disks and balls and on what is left of a box or disk with round holes,
    ``Initial`` on a box, and (where ``periodic``) ``Periodic``. ``rise``: the time that initial conditions fade in.
    ``blended``: also where several pieces, a box and holes, hold values that are not all zero, so that the lift blends
    between them. A problem with an own ``ansatz`` keeps it. Data that are not smooth, or that disagree where they meet
    or across a period, are left to the loss.
    """
    if problem.ansatz is not None:
        return BuiltIn(problem.ansatz)
    turned = tuple(c.axis for c in problem.conditions if isinstance(c, Periodic) and c.output is None)
    around = turned if periodic else ()
    # Nothing added to the lift would close a jump that it has from one end of a period to the other.
    closed = [c for one in problem.conditions if isinstance(one, Periodic) for c in one.constraints(problem)]
    for kinds in ((Dirichlet, Initial), (Dirichlet,), (Initial,)):
        meant = [c for c in _plain(problem) if isinstance(c, kinds) and not _masked(c)]
        fields = [_pieces(problem, meant, name, rise) for name in problem.fields]
        if not blended and any(len(pieces) > 1 and any(piece.lifts for piece in pieces) for pieces in fields):
            continue
        built = BuiltIn(HardConditions(fields), around)
        constraints = [constraint for c in meant for constraint in c.constraints(problem)]
        ends = BuiltIn(built.ansatz, turned)
        if (
            any(fields)
            and all(_holds(problem, c, built) for c in constraints)
            and all(_holds(problem, c, ends) for c in closed)
        ):
            return built
    return BuiltIn(None, around)


def choose(problem: Problem, scales: Scales, choice: str, own_network: bool) -> BuiltIn:
    """What is built into the output: ``"auto"``, what gains by it; ``"hard"``, everything; ``"soft"``, nothing.

    A lift that blends between several pieces is rougher than the field, and costs more than it gains (200 times the
    error of soft conditions around three holes, ``benchmarks/conditions.py``): only ``"hard"`` builds it. A user's own
    network keeps its inputs, so periods are left to the loss. Raises ``UsageError`` for another choice, and where
    ``"hard"`` cannot be had.
    """
    choices = get_args(Choice)
    if choice not in choices:
        raise UsageError(
            f"conditions must be one of {', '.join(choices)}; got {choice!r}.{suggest(str(choice), choices)}"
        )
    if choice == "soft":
        return BuiltIn(problem.ansatz)
    rise = RISE / scales.wavenumber[TIME] if TIME in scales.wavenumber else 1.0
    built = derive(problem, rise, periodic=not own_network, blended=choice == "hard")
    left = sorted(needed(problem) - held(problem, built)) if choice == "hard" and problem.ansatz is None else []
    if left:
        raise UsageError(
            f'conditions="hard" cannot build in {", ".join(left)}: values are held on sides of boxes, on disks and '
            "balls and round holes, and at the first time, where their data are smooth and agree where they meet; a "
            'period needs the default network. Use conditions="auto", or state an ansatz.'
        )
    return built


def held(problem: Problem, built: BuiltIn) -> frozenset[str]:
    """The names of the constraints that hold whatever the network is: found by trying random fields."""
    return frozenset(c.name for c in problem.constraints() if not c.on_interior and _holds(problem, c, built))


def needed(problem: Problem) -> frozenset[str]:
    """The names of the constraints that could be built in on some geometry."""
    kinds = (Dirichlet, Initial, Periodic)
    unnamed = [c for condition in problem.conditions for c in condition.constraints(problem)]
    meant = [isinstance(condition, kinds) for condition in problem.conditions for _ in condition.constraints(problem)]
    names = [c.name for c in problem.constraints()][-len(unnamed) :] if unnamed else []
    return frozenset(name for name, one in zip(names, meant, strict=True) if one)


def _holds(problem: Problem, c: Constraint, built: BuiltIn) -> bool:
    """Whether a constraint's residual vanishes under the ansatz, for random fields."""
    sampler = Sampler(torch.Generator().manual_seed(77))
    points = c.sample(SAMPLES, sampler)

    def evaluate(plan: Plan) -> tuple[float, float]:
        free = [problem.random_fields(p, plan, sampler) for p in points]
        size = torch.stack(checked(c, points, free)).detach().abs()
        if built.periodic and len(points) > 1:
            # The network is the same at both ends of a period.
            free = [tuple(Jet(u.channels, plan, p) for u in free[0]) for p in points]
        composed = [build_in(built.ansatz, p, plan, u) for p, u in zip(points, free, strict=True)]
        left = torch.stack(checked(c, points, composed)).detach().abs()
        return float(left.max()), float(size.max())

    try:
        left, size = record(evaluate, problem)[0]
    except PinnSirenError:
        return False
    return left <= EXACT * size


def _plain(problem: Problem) -> list[ConditionBase]:
    """The conditions, an absorbing layer as the walls behind it."""
    fields = problem.fields
    return [one for c in problem.conditions for one in (c.walls(problem.domain, fields) if isinstance(c, PML) else [c])]


def _masked(c: ConditionBase) -> bool:
    """Whether a condition holds where a function of points says."""
    on = getattr(c, "on", None)
    return callable(on) and not isinstance(on, Domain)


def _pieces(problem: Problem, meant: Sequence[ConditionBase], output: str, rise: float) -> Pieces:
    """The pieces of the boundary on which one field's values can be held; none where data are not smooth."""
    conditions = [c for c in meant if getattr(c, "output", None) in (None, output)]
    dirichlet = [c for c in conditions if isinstance(c, Dirichlet)]
    domain = problem.domain
    if isinstance(domain, Box):
        starts = [c for c in conditions if isinstance(c, Initial)]
        piece = _box(domain, dirichlet, starts, rise)
        return [] if piece is None else [piece]
    base_holes = _round_holes(domain)
    if base_holes is None:
        return []
    base, holes = base_holes
    found: Pieces = []
    if isinstance(base, Box):
        straight = [c for c in dirichlet if c.on is None or isinstance(c.on, str) or _same(c.on, base)]
        flat = _box(base, straight, [], rise)
        found += [] if flat is None else [flat]
    rounds = [(base, False)] if isinstance(base, Round) else []
    for shape, around in [*rounds, *((hole, True) for hole in holes)]:
        for c in dirichlet:
            if c.on is None or _same(c.on, shape):
                curved = _circle(shape, around, c)
                found += [] if curved is None else [curved]
                break
    return found


def _box(box: Box, dirichlet: list[Dirichlet], starts: list[Initial], rise: float) -> BoxPiece | None:
    holds: dict[str, dict[str, Held]] = {}
    for c in dirichlet:
        for name in [c.on] if isinstance(c.on, str) else box.side_names():
            axis, end = box.side(name)
            outward = np.zeros(len(box.space_axes))
            outward[box.space_axes.index(axis)] = 2 * end - 1
            holds.setdefault(axis, {})[(LOW, HIGH)[end]] = _data(box.axes, c.value, outward)
    for start in starts:
        holds[TIME] = {VALUE: _data(box.axes, start.value)}
        if start.rate is not None:
            holds[TIME][RATE] = _data(box.axes, start.rate)
    ordered = {a: holds[a] for a in box.axes if a in holds}
    if not ordered:
        return None
    try:
        return BoxPiece.of(box.bounds, ordered, rise)
    except PinnSirenError:
        return None  # The data are given on the boundary's own points alone.


def _circle(shape: Round, around: bool, c: Dirichlet) -> CirclePiece | None:
    center = np.asarray(shape.center)

    def function(at: NDArray[np.float64]) -> NDArray:
        outward = (at - center) / shape.radius * (-1 if around else 1)
        p = Points(shape.axes, torch.from_numpy(at), torch.from_numpy(outward))
        return values(c.value, p, "Dirichlet value").numpy()

    try:
        return CirclePiece.of(shape.axes, shape.center, shape.radius, around, function)
    except PinnSirenError:
        return None


def _data(axes: tuple[str, ...], coefficient: Coefficient, outward: NDArray[np.float64] | None = None) -> Held:
    def function(at: NDArray[np.float64]) -> NDArray:
        normal = None if outward is None else torch.from_numpy(np.tile(outward, (len(at), 1)))
        return values(coefficient, Points(axes, torch.from_numpy(at), normal), "data").numpy()

    return function


def _round_holes(domain: Domain) -> tuple[Box | Round, list[Round]] | None:
    """A box or a disk, and the round holes taken out of it, apart from each other; None for any other domain."""
    if isinstance(domain, Box | Round):
        return domain, []
    if not isinstance(domain, SetOperation) or domain.operation != "-":
        return None
    first, more = _round_holes(domain.first), _rounds(domain.second)
    if first is None or more is None:
        return None
    base, holes = first[0], [*first[1], *more]
    centers = [torch.tensor([hole.center], dtype=torch.float64) for hole in holes]
    inside = all(float(base.level(at)) < -hole.radius for hole, at in zip(holes, centers, strict=True))
    apart = all(float(one.level(at)) > other.radius for i, one in enumerate(holes)
                for other, at in zip(holes[:i], centers[:i], strict=True))  # fmt: skip
    return (base, holes) if inside and apart else None


def _rounds(domain: Domain) -> list[Round] | None:
    """The disks of a union of disks."""
    if isinstance(domain, Round):
        return [domain]
    if not isinstance(domain, SetOperation) or domain.operation != "+":
        return None
    one, two = _rounds(domain.first), _rounds(domain.second)
    return None if one is None or two is None else one + two


def _same(on: object, shape: Domain) -> bool:
    return isinstance(on, Domain) and (on is shape or on.configuration() == shape.configuration())


__all__ = ["BuiltIn", "Choice", "choose", "derive", "held", "needed"]
