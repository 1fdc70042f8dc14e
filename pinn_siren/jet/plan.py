"""Which derivatives are carried together, and how a function passes them on (Faà di Bruno's formula as a table)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ..errors import ProblemError
from ..points import TIME

VALUE = ""
LAPLACIAN = "laplacian"
MAX_ORDER = 4

Monomial = tuple[int, tuple[int, ...]]
"""A whole-number factor and the channels whose product it multiplies."""


@dataclass(frozen=True)
class Plan:
    """The channels of a jet: the value, and a set of derivatives closed under the chain and product rules.

    A channel is named by its derivative's letters in the order of ``axes`` (``""`` the value, ``"x"``, ``"xy"``), or
    is ``"laplacian"``, the sum of the pure second derivatives over space, carried as one channel.
    """

    axes: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def space_axes(self) -> tuple[str, ...]:
        """All axes but time."""
        return tuple(a for a in self.axes if a != TIME)

    @cached_property
    def index(self) -> dict[str, int]:
        """Channel number of each key."""
        return {key: i for i, key in enumerate(self.keys)}

    @cached_property
    def order(self) -> int:
        """The highest derivative order carried."""
        return max(key_order(key) for key in self.keys)

    @cached_property
    def chain(self) -> tuple[tuple[tuple[Monomial, ...], ...], ...]:
        """``chain[c][m]``: the partial Bell polynomial B_{c,m} in the channels of z, so that
        ``(f(z))_c = sum_m f^(m)(z_0) B_{c,m}(z)`` for m = 1 ... order (Faà di Bruno)."""
        return tuple(self._bell(key) for key in self.keys)

    def _bell(self, key: str) -> tuple[tuple[Monomial, ...], ...]:
        sums: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(self.order + 1)]
        if key == LAPLACIAN:
            sums[1][(self.index[LAPLACIAN],)] = 1
            for axis in self.space_axes:
                sums[2][(self.index[axis],) * 2] = 1
        elif key != VALUE:
            for blocks in _set_partitions(list(key)):
                channels = tuple(sorted(self.index["".join(block)] for block in blocks))
                sums[len(blocks)][channels] += 1
        return tuple(tuple((count, channels) for channels, count in s.items()) for s in sums)

    @cached_property
    def product(self) -> tuple[tuple[tuple[int, int, int], ...], ...]:
        """``product[c]``: triples (factor, i, j) with ``(a b)_c = sum factor a_i b_j`` (Leibniz)."""
        return tuple(self._leibniz(key) for key in self.keys)

    def _leibniz(self, key: str) -> tuple[tuple[int, int, int], ...]:
        if key == LAPLACIAN:
            lap, value = self.index[LAPLACIAN], self.index[VALUE]
            mixed = tuple((2, self.index[a], self.index[a]) for a in self.space_axes)
            return ((1, lap, value), *mixed, (1, value, lap))
        terms: Counter[tuple[int, int]] = Counter()
        for mask in range(2 ** len(key)):
            inside = "".join(a for i, a in enumerate(key) if mask >> i & 1)
            outside = "".join(a for i, a in enumerate(key) if not mask >> i & 1)
            terms[(self.index[inside], self.index[outside])] += 1
        return tuple((count, i, j) for (i, j), count in terms.items())


@lru_cache(maxsize=256)
def make_plan(axes: tuple[str, ...], asked: frozenset[str]) -> Plan:
    """The smallest plan that carries the asked derivatives (keys of ``Plan``, letters in any order)."""
    space = tuple(a for a in axes if a != TIME)
    keys = {canonical(key, axes) for key in asked}
    pure = {2 * a for a in space}
    if LAPLACIAN in keys and (len(space) == 1 or pure <= keys):
        keys = (keys - {LAPLACIAN}) | pure
    closed = {VALUE}
    for key in keys:
        if key == LAPLACIAN:
            closed |= {LAPLACIAN, *space}
            continue
        for mask in range(2 ** len(key)):
            closed.add("".join(a for i, a in enumerate(key) if mask >> i & 1))
    ordered = sorted(closed, key=lambda k: (key_order(k), k == LAPLACIAN, [axes.index(a) for a in _letters(k)]))
    return Plan(axes, tuple(ordered))


def canonical(key: str, axes: tuple[str, ...]) -> str:
    """The letters in the order of the axes. Raises ``ProblemError`` for a foreign letter or an order above four."""
    if key in (VALUE, LAPLACIAN):
        return key
    foreign = [a for a in key if a not in axes]
    if foreign:
        raise ProblemError(f"u.{key}: {foreign[0]!r} is no axis; the axes are {', '.join(axes)}.")
    if len(key) > MAX_ORDER:
        raise ProblemError(f"u.{key}: derivatives go up to order {MAX_ORDER}.")
    return "".join(sorted(key, key=axes.index))


def key_order(key: str) -> int:
    """The derivative order of a channel."""
    return 2 if key == LAPLACIAN else len(key)


def _letters(key: str) -> str:
    return "" if key == LAPLACIAN else key


def derivatives_of(keys: Iterable[str], axis: str, space_axes: tuple[str, ...]) -> int:
    """The highest order along one axis among some keys."""
    return max((2 * (axis in space_axes) if k == LAPLACIAN else k.count(axis) for k in keys), default=0)


def _set_partitions(items: list[str]) -> Iterator[list[list[str]]]:
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for smaller in _set_partitions(rest):
        yield [[first], *smaller]
        for i, block in enumerate(smaller):
            yield [*smaller[:i], [first, *block], *smaller[i + 1 :]]
