"""One patch: its least-squares solution for any data on its sides, and the data that it gives in return."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from .classes import Classes, Symmetries, seen
from .operator import Operator, outgoing
from .square import Reference

SIDE_WEIGHT = 50.0
"""The weight of a patch's sides beside its inside; from 30 to 100 the error changes little."""
CHUNK = 2**24
"""Numbers of the matrices that are factored at once."""
SILENT = 1e-18
"""A source below this much of its largest value does nothing to a patch."""


@dataclass(frozen=True, eq=False)
class Local:
    """What patches do, by class, in the class's own view.

    ``response`` ``(classes, r, E)``: from data on the sides to coefficients of the square's functions; ``maps``
    ``(classes, E, E)``: to the data given back; ``own`` ``(patches, r, k)`` and ``given`` ``(patches, E, k)``: the same
    for the patch's own source and outer data, ``given`` in the patch's order of nodes.
    """

    response: Tensor
    maps: Tensor
    own: Tensor
    given: Tensor


def solve_locally(operator: Operator, classes: Classes, symmetries: Symmetries, square: Reference) -> Local:
    """``min |A c - right|^2 + w^2 |B c - data|^2`` on every patch, by one QR decomposition a class."""
    dtype, device = operator.coefficients.dtype, operator.coefficients.device
    r, e = square.transform.shape[1], square.traces.shape[1]
    patches, _, k = operator.right.shape
    count = len(classes.first)
    response = torch.zeros(count, r, e, dtype=dtype, device=device)
    maps = torch.zeros(count, e, e, dtype=dtype, device=device)
    own = torch.zeros(patches, r, k, dtype=dtype, device=device)
    given = torch.zeros(patches, e, k, dtype=dtype, device=device)
    sizes = operator.right.abs().amax(1)
    driven = torch.nonzero(sizes > SILENT * sizes.amax(0))
    numbers = torch.zeros(count, dtype=torch.long, device=device)
    numbers.index_add_(0, classes.member[driven[:, 0]], torch.ones_like(driven[:, 0]))
    for part in _chunks(numbers, e, max(1, CHUNK // ((square.values.shape[1] + e) * r))):
        matrix, back = _matrices(operator, classes, symmetries, square, part)
        sources, owners = _sources(operator, classes, symmetries, driven, part)
        rows = matrix.shape[1]
        right = matrix.new_zeros(len(part), rows, e + sources.shape[2])
        right[:, rows - e :, :e] = SIDE_WEIGHT * torch.eye(e, dtype=dtype, device=device)
        right[:, : rows - e, e:] = sources
        solved = _least_squares(matrix, right)
        returned = back @ solved
        response[part], maps[part] = solved[..., :e], returned[..., :e]
        place, column, patch, source = owners.T
        own[patch, :, source] = solved[place, :, e + column]
        given[patch, :, source] = torch.gather(returned[place, :, e + column], 1, symmetries.back[classes.view[patch]])
    return Local(response, maps, own, given)


def _matrices(
    operator: Operator, classes: Classes, symmetries: Symmetries, square: Reference, part: Tensor
) -> tuple[Tensor, Tensor]:
    """``(classes, N + E, r)`` least-squares rows, and ``(classes, E, r)`` rows of the data given back."""
    first = classes.first[part]
    view = classes.view[first]
    channel, sign = symmetries.channel, symmetries.sign
    inside = seen(operator.coefficients[first], view, channel, sign, symmetries.node)
    sides = seen(operator.traces[first], view, channel, sign, symmetries.side)
    a = _combine(inside, square.values)
    b, back = _combine(sides, square.traces), _combine(outgoing(sides), square.traces)
    return torch.cat([a, SIDE_WEIGHT * b], dim=1), back


def _combine(coefficients: Tensor, functions: Tensor) -> Tensor:
    """``sum_k c_k D_k psi``; derivatives with no coefficient cost nothing."""
    total = coefficients.new_zeros(len(coefficients), *functions.shape[1:])
    for k, values in enumerate(functions):
        c = coefficients[:, k, :, None]
        if not bool(c.any()):
            continue
        if c.is_complex():
            total.real.addcmul_(c.real, values)
            if bool(c.imag.any()):
                total.imag.addcmul_(c.imag, values)
        else:
            total.addcmul_(c, values)
    return total


def _chunks(numbers: Tensor, free: int, most: int) -> list[Tensor]:
    """The classes in chunks of at most ``most``; in each, columns filled up to one number at most about double."""
    order = numbers.argsort()
    ends, start = [0], 0
    counts = numbers[order].tolist()
    for place, count in enumerate(counts):
        if place - start == most or count > 2 * counts[start] + free:
            ends.append(place)
            start = place
    return [order[a:b] for a, b in itertools.pairwise([*ends, len(counts)])]


def _sources(
    operator: Operator, classes: Classes, symmetries: Symmetries, driven: Tensor, part: Tensor
) -> tuple[Tensor, Tensor]:
    """``(classes, N, columns)`` sources on the classes' patches, and whose: (class, column, patch, source) rows."""
    place = torch.full((len(classes.first),), -1, device=part.device)
    place[part] = torch.arange(len(part), device=part.device)
    which = place[classes.member[driven[:, 0]]]
    here = torch.nonzero(which >= 0)[:, 0]
    here = here[which[here].argsort(stable=True)]
    which, (patch, source) = which[here], driven[here].T
    column = torch.arange(len(which), device=part.device) - torch.searchsorted(which, which)
    most = int(column.max()) + 1 if len(column) else 0
    sources = operator.right.new_zeros(len(part), operator.right.shape[1], most)
    sources[which, :, column] = torch.gather(operator.right[patch, :, source], 1, symmetries.node[classes.view[patch]])
    return sources, torch.stack([which, column, patch, source], dim=1)


def _least_squares(matrix: Tensor, right: Tensor) -> Tensor:
    """``(b, rows, r), (b, rows, columns) -> (b, r, columns)`` by Householder QR without pivots, full rank."""
    r = matrix.shape[2]
    factors, tau = torch.geqrf(matrix)
    turned = torch.ormqr(factors, tau, right, left=True, transpose=True)[:, :r]
    return torch.linalg.solve_triangular(factors[:, :r], turned, upper=True)


__all__ = ["Local", "solve_locally"]
