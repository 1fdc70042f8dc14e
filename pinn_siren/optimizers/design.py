"""The linear system of a network's last layer: rows are residuals at points, columns the last layer's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from ..conditions import Constraint
from ..jet import Linearization, Plan
from ..memory import Chunks
from ..model import Model
from ..parallel import Ranks
from ..points import Points
from ..system import System
from .linearized import Raw, biased, last_layer, linearized

T = TypeVar("T")
CHUNK = 2**18
"""Numbers of one derivative of the features that are held at once: they stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Block:
    """The rows of one part of one constraint: ``matrix`` ``(rows, unknowns)``, ``right`` ``(rows,)``.

    ``total``: how many rows all processes have.
    """

    constraint: Constraint
    matrix: Tensor
    right: Tensor
    total: int


class Features(Protocol):
    """What the last layer combines, at ``n`` points."""

    def rows(self, plan: Plan, coefficients: Tensor) -> Tensor:
        """``(n, width)``: ``sum_c coefficients[:, c] (derivative c of each feature)``."""


@dataclass(frozen=True, eq=False)
class FeatureJets:
    """The features of any network, as jets: ``channels`` ``(channels, n, width)``."""

    channels: Tensor

    def rows(self, plan: Plan, coefficients: Tensor) -> Tensor:
        """The sum over the channels that a coefficient asks for."""
        used = torch.nonzero((coefficients != 0).any(dim=0))[:, 0].tolist()
        total = self.channels.new_zeros(self.channels.shape[1:], dtype=coefficients.dtype)
        for i in used:
            total.addcmul_(coefficients[:, i, None], self.channels[i].to(coefficients.dtype))
        return total


def features(model: Model, points: Points, plan: Plan) -> Features:
    """What the last layer combines."""
    closed = model.features(points)
    if closed is not None:
        return closed
    layer, seen = last_layer(model.network), []
    hook = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    try:
        model.raw_fields(points, plan)
    finally:
        hook.remove()
    return FeatureJets(seen[-1].channels)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the unknowns of each field stand: the weights of the features it ``owned`` (None: all) and its bias."""

    owned: list[Tensor | None]
    inputs: int
    bias: bool

    @classmethod
    def of(cls, model: Model) -> Layout:
        """That of a model."""
        layer = last_layer(model.network)
        return cls([model.owned(f) for f in range(len(model.fields))], layer.in_features, biased(layer))

    @property
    def widths(self) -> list[int]:
        """Weights of each field."""
        return [self.inputs if some is None else len(some) for some in self.owned]

    @property
    def equal(self) -> bool:
        """Whether all fields have the same features."""
        return all(some is None for some in self.owned)

    @property
    def unknowns(self) -> int:
        """Of all fields, real or complex ones counted once."""
        return sum(self.widths) + self.bias * len(self.owned)

    def start(self, field: int, imaginary: bool = False) -> int:
        """The first unknown of a field's half."""
        return self.unknowns * imaginary + sum(self.widths[:field]) + self.bias * field

    def taken(self, rows: Tensor) -> Tensor:
        """The unknowns, from ``(halves fields, inputs + bias)`` rows of a last layer."""
        last = rows[:, self.inputs :]
        parts = [
            torch.cat([row[: self.inputs] if some is None else row[some], end])
            for row, end, some in zip(rows, last, self.owned * (len(rows) // len(self.owned)), strict=True)
        ]
        return torch.cat(parts)

    def rows(self, unknowns: Tensor) -> Tensor:
        """The rows of the last layer, zero where a field does not have a feature."""
        widths = [w + self.bias for w in self.widths]
        halves = len(unknowns) // self.unknowns
        found = unknowns.new_zeros(halves * len(self.owned), self.inputs + self.bias)
        for row, part, some in zip(found, unknowns.split(widths * halves), self.owned * halves, strict=True):
            row[slice(self.inputs) if some is None else some] = part[: len(part) - self.bias]
            row[self.inputs :] = part[len(part) - self.bias :]
        return found


@dataclass(frozen=True, eq=False)
class ConstraintRows:
    """The rows of all parts of one constraint, made when they are asked for.

    ``groups``: of every matched set, field and half, the coefficients ``(parts, n, channels)`` of its derivatives;
    ``right`` ``(n, parts)``; ``model``: whose features the columns are; ``shape``: parts, points and unknowns. Of
    several processes each has the points of its share, ``total`` together, and one alone keeps a row that is a mean's.
    """

    constraint: Constraint
    plan: Plan
    points: list[Points]
    groups: dict[tuple[int, int, bool], Tensor]
    right: Tensor
    model: Model
    shape: tuple[int, int, int]
    total: int
    kept: bool

    def matrix(self, cut: slice) -> Tensor:
        """``(parts, rows, unknowns)`` at some of the points, not averaged yet."""
        parts, n, unknowns = self.shape
        first, last, _ = cut.indices(n)
        layout = Layout.of(self.model)
        kind = next(iter(self.groups.values()))
        matrices = kind.new_zeros(parts, last - first, unknowns)
        step = max(1, CHUNK // layout.inputs)
        for start in range(first, last, step):
            end = min(start + step, last)
            at, to = slice(start, end), slice(start - first, end - first)
            shapes = [features(self.model, p[at], self.plan) for p in self.points]
            for (which, field, imaginary), by_key in self.groups.items():
                column, some, width = layout.start(field, imaginary), layout.owned[field], layout.widths[field]
                for r in range(parts):
                    scaled = by_key[r, at] * self.model.amplitude[field]
                    if not bool(scaled.any()):
                        continue
                    made = shapes[which].rows(self.plan, scaled)
                    matrices[r, to, column : column + width] += made if some is None else made[:, some]
                    if layout.bias:
                        matrices[r, to, column + width] += scaled[:, 0]
        return matrices


@dataclass(frozen=True, eq=False)
class Design:
    """The system of all constraints, linearized at the model's fields; ``whole``: whether the unknowns are complex.

    The unknowns are the last layer's weights and bias, one set a field; where the fields are complex and the residual
    is complex-differentiable they are complex, else real parts and then imaginary parts. ``matrix @ unknowns - right``
    is the residual of the linearized problem. A matrix of complex unknowns is real where all its coefficients are.
    ``fields``: how many sets of columns there are of one size, 1 where fields have features of their own.
    """

    constraints: list[ConstraintRows]
    whole: bool
    ranks: Ranks
    dtype: torch.dtype
    fields: int

    @property
    def unknowns(self) -> int:
        """The number of columns."""
        return self.constraints[0].shape[2]

    @property
    def lengths(self) -> list[int]:
        """The number of rows of every block, those of all processes."""
        return [
            1 if rows.constraint.reduce == "mean" else rows.total
            for rows in self.constraints
            for _ in range(rows.shape[0])
        ]

    @property
    def kinds(self) -> list[Constraint]:
        """The constraint of every block."""
        return [rows.constraint for rows in self.constraints for _ in range(rows.shape[0])]

    @property
    def device(self) -> torch.device:
        """Where the rows are made."""
        return self.constraints[0].right.device

    @property
    def row_bytes(self) -> int:
        """Bytes of the longest row, all parts of a point together."""
        return max(rows.shape[0] for rows in self.constraints) * self.unknowns * self.dtype.itemsize

    @torch.no_grad()
    def blocks(self) -> list[Block]:
        """All rows, a block every part of every constraint."""
        found = []
        for rows in self.constraints:
            for matrix, right in zip(rows.matrix(slice(None)), rows.right.T, strict=True):
                if rows.constraint.reduce == "mean":
                    matrix, right = matrix.mean(0, keepdim=True), right.mean(0, keepdim=True)
                if not rows.kept:
                    matrix, right = matrix[:0], right[:0]
                total = 1 if rows.constraint.reduce == "mean" else rows.total
                found.append(Block(rows.constraint, matrix, right, total))
        return found

    @torch.no_grad()
    def sweep(self, chunks: Chunks, work: Callable[[slice, Tensor, Tensor], T]) -> Iterator[T]:
        """``work(blocks, rows, right)`` over all rows, as many points at a time as ``chunks`` says.

        ``blocks``: which ones ``rows`` ``(parts, n, unknowns)`` and ``right`` ``(parts, n)`` are of.
        """
        done = 0
        for rows in self.constraints:
            of = slice(done, done + rows.shape[0])
            done = of.stop
            if not rows.kept:
                continue
            if rows.constraint.reduce == "mean":
                total = torch.stack(list(chunks.over(rows.shape[1], partial(_summed, rows)))).sum(0)
                yield work(of, total[:, None] / rows.shape[1], rows.right.mean(0)[:, None])
            else:
                yield from chunks.over(rows.shape[1], partial(_worked, rows, of, work))


def _summed(rows: ConstraintRows, cut: slice) -> Tensor:
    return rows.matrix(cut).sum(1)


def _worked(rows: ConstraintRows, of: slice, work: Callable[[slice, Tensor, Tensor], T], cut: slice) -> T:
    return work(of, rows.matrix(cut), rows.right[cut].T)


@torch.no_grad()
def design(
    system: System, points: dict[str, list[Points]], model: Model, basis: Model | None = None,
    some: list[Constraint] | None = None,
) -> Design:  # fmt: skip
    """The system of a model's last layer, of ``some`` constraints or all. ``basis``: see ``assemble``."""
    model.refresh()
    ranks, some = system.ranks, some or system.constraints
    mine = {c.name: ranks.rows(points[c.name], c.reduce == "mean") for c in some}
    found = [(c, *linearized(system, c, mine[c.name][0], model, basis is not None)) for c in some]
    whole = model.complex_valued and all(lin.complex_blocks() is not None for _, _, lin, _ in found)
    whole = ranks.every(whole)
    over, stated = basis or model, list[ConstraintRows]()
    for c, plan, lin, raw in found:
        at, kept = mine[c.name]
        stated.append(_rows(c, plan, lin, raw, at, over, whole, len(points[c.name][0]), kept))
    kinds = [kind.dtype for rows in stated for kind in rows.groups.values()]
    real = ranks.every(not any(kind.is_complex for kind in kinds))
    fields = len(model.fields) if Layout.of(over).equal else 1
    return Design(stated, whole, ranks, torch.float64 if real else torch.complex128, fields)


def assemble(
    system: System, points: dict[str, list[Points]], model: Model, basis: Model | None = None
) -> tuple[list[Block], bool]:
    """The blocks of all constraints, and whether the unknowns are complex: see ``Design``.

    ``basis``: another model without an ansatz of its own, whose features stand for changes of the fields; then
    ``right`` has no meaning.
    """
    found = design(system, points, model, basis)
    return found.blocks(), found.whole


def _rows(
    c: Constraint, plan: Plan, lin: Linearization, raw: Raw, points: list[Points], model: Model, whole: bool,
    total: int, kept: bool,
) -> ConstraintRows:  # fmt: skip
    coefficients, values, columns = lin.coefficients, lin.values, lin.columns
    if whole:
        blocks = lin.complex_blocks()
        assert blocks is not None
        coefficients = blocks if bool(blocks.imag.any()) else blocks.real
        columns = tuple(column for column in columns if not column.imaginary)
        values = torch.complex(values[:, 0::2], values[:, 1::2])
    halves = 2 if model.complex_valued and not whole else 1
    n, parts = coefficients.shape[:2]
    groups: dict[tuple[int, int, bool], Tensor] = {}
    for i, column in enumerate(columns):
        key = (column.points, column.field, column.imaginary)
        if key not in groups:
            groups[key] = coefficients.new_zeros(parts, n, len(plan.keys))
        groups[key][..., plan.index[column.key]] = coefficients[:, :, i].T
    known = torch.zeros_like(values)
    for (which, field, imaginary), by_key in groups.items():
        u = raw[which][field].channels
        u = u if whole or not model.complex_valued else (u.imag if imaginary else u.real)
        fixed = torch.zeros_like(u[:, :1])
        # The offset is no unknown.
        fixed[0] = 0.0 if imaginary else model.offset[field]
        known = known + torch.einsum("rnk,kn->nr", by_key.to(u.dtype), u - fixed)
    unknowns = halves * Layout.of(model).unknowns
    return ConstraintRows(c, plan, points, groups, known - values, model, (parts, n, unknowns), total, kept)


def put(model: Model, unknowns: Tensor, whole: bool) -> None:
    """Set the last layer from the unknowns of ``assemble``."""
    layer = last_layer(model.network)
    layout = Layout.of(model)
    rows = torch.cat([layout.rows(part) for part in ([unknowns.real, unknowns.imag] if whole else [unknowns])])
    with torch.no_grad():
        layer.weight.copy_(rows[:, : layer.in_features])
        if biased(layer):
            layer.bias.copy_(rows[:, -1])


__all__ = ["Block", "Design", "Layout", "assemble", "design", "features", "put"]
