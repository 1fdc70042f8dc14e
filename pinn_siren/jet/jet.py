"""Jet: a field with its derivatives, at points."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..coefficients import values
from ..errors import ProblemError, UsageError, suggest
from ..points import Points
from . import rules
from .functions import BY_NAME, elementary, power
from .plan import LAPLACIAN, VALUE, Plan, canonical
from .rules import Derivatives


class MissingDerivativeError(ProblemError):
    """A derivative was asked for that the jet does not carry; the evaluation adds it and starts again."""

    def __init__(self, keys: frozenset[str]) -> None:
        super().__init__(f"{', '.join(sorted(keys))} is not carried here: ask for it, as in solution.jet(p, [...]).")
        self.keys = keys


class Jet:
    """A field and the derivatives that its plan carries, at ``n`` points.

    ``u.value``, ``u.x``, ``u.xx``, ``u.xy``, ``u.tt``, ``u.xxyy`` are ``(n,)`` tensors, by axis letters in any order,
    to order 4; over space only, ``u.grad`` is ``(n, space dims)``, ``u.laplacian`` and ``u.normal_derivative`` are
    ``(n,)``.

    Jets add, multiply and divide among each other and with numbers, and pass through torch's elementary functions,
    with their derivatives. A tensor that varies over the points has none, so mixing it in raises ``ProblemError``:
    use ``u.value``, or ``jet(function, p)``. A wrong axis letter raises ``ProblemError`` too.
    """

    __slots__ = ("channels", "plan", "points")
    __array_ufunc__ = None

    def __init__(self, channels: Tensor, plan: Plan, points: Points) -> None:
        self.channels = channels
        self.plan = plan
        self.points = points

    def channel(self, key: str) -> Tensor:
        """The derivative named by axis letters, ``""`` for the value."""
        key = canonical(key, self.plan.axes)
        if key not in self.plan.index:
            raise MissingDerivativeError(frozenset({key}))
        return self.channels[self.plan.index[key]]

    @property
    def value(self) -> Tensor:
        """``(n,)``: the field itself."""
        return self.channels[0]

    @property
    def laplacian(self) -> Tensor:
        """``(n,)``: the sum of the pure second derivatives over space."""
        index, pure = self.plan.index, [2 * a for a in self.plan.space_axes]
        if not pure:
            raise ProblemError("u.laplacian needs a space axis, and the only axis is t.")
        if LAPLACIAN in index:
            return self.channels[index[LAPLACIAN]]
        if all(key in index for key in pure):
            return rules._sum([self.channels[index[key]] for key in pure])
        raise MissingDerivativeError(frozenset({LAPLACIAN}))

    @property
    def grad(self) -> Tensor:
        """``(n, space dims)``: the gradient over space."""
        missing = frozenset(a for a in self.plan.space_axes if a not in self.plan.index)
        if missing:
            raise MissingDerivativeError(missing)
        return torch.stack([self.channels[self.plan.index[a]] for a in self.plan.space_axes], dim=-1)

    @property
    def normal_derivative(self) -> Tensor:
        """``(n,)``: the derivative along the outward unit normal; on boundaries only."""
        return (self.grad * self.points.normal).sum(-1)

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_"):
            raise AttributeError(name)
        axes = self.plan.axes
        if all(letter in axes for letter in name):
            return self.channel(name)
        valid = ["value", "grad", "laplacian", "normal_derivative", *axes, *(a + b for a in axes for b in axes)]
        near = suggest("".join(a for a in name if a in axes) or name, valid) if len(name) <= 4 else suggest(name, valid)
        if len(name) > 2 and hasattr(Tensor, name):
            raise ProblemError(
                f"u.{name} is not known: a jet is no tensor, and passes through these functions alone: {_KNOWN}; "
                f"u.value.{name} is the tensor's.{near}"
            )
        raise ProblemError(
            f"u.{name} is not known: derivatives are named by the axes {', '.join(axes)}, as in u.{axes[0] * 2}, "
            f"beside value, grad, laplacian and normal_derivative.{near}"
        )

    def __len__(self) -> int:
        return self.channels.shape[1]

    def __repr__(self) -> str:
        return f"Jet({', '.join(k or 'value' for k in self.plan.keys)}; {len(self)} points)"

    def _like(self, channels: Tensor) -> Jet:
        return Jet(channels, self.plan, self.points)

    def apply(self, derivatives: Derivatives) -> Jet:
        """The jet of f(u), given f's derivatives (see ``jet.functions``)."""
        return self._like(rules.compose(self.channels, self.plan, derivatives))

    def __getitem__(self, index: Any) -> Jet:
        """Some of a layer's columns, at all points: ``x[:, 0]``, ``x[:, 0:1]``, ``x[..., :2]``."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        whole = first is Ellipsis or (isinstance(first, slice) and first == slice(None))
        if not whole or sum(i is not None for i in rest) > self.channels.ndim - 2:
            raise ProblemError("A jet is indexed at all points, and by columns: x[:, 0], x[:, 0:1] or x[..., :2].")
        start = (...,) if first is Ellipsis else (slice(None), slice(None))
        return self._like(self.channels[(*start, *rest)])

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ProblemError("A jet cannot be written into: join new columns with torch.cat([...], dim=-1).")

    def _fits(self, other: Jet) -> None:
        if self.channels.ndim != other.channels.ndim:
            shapes = " meets one of ".join(str(tuple(u.channels.shape[1:])) for u in (self, other))
            raise ProblemError(
                f"A jet of shape {shapes}: keep the columns, as in x[:, 0:1], or drop them, as in x[:, 0]."
            )

    def _constant(self, other: Any) -> bool:
        """Whether a factor is the same at all points, so that it has no derivatives."""
        if isinstance(other, Tensor):
            if other.ndim > self.channels.ndim - 2:
                raise ProblemError(
                    f"A jet meets a plain tensor of shape {tuple(other.shape)}, whose derivatives are unknown. In a "
                    "residual use u.value; in an ansatz use p.x (a jet there) or jet(function, p)."
                )
            return True
        return isinstance(other, numbers.Number)

    def __add__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            self._fits(other)
            return self._like(self.channels + other.channels)
        if not self._constant(other):
            return NotImplemented
        shift = torch.zeros_like(self.channels)
        shift[0] += 1
        return self._like(self.channels + shift * other)

    def __mul__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            self._fits(other)
            return self._like(rules.multiply(self.channels, other.channels, self.plan))
        return self._like(self.channels * other) if self._constant(other) else NotImplemented

    def _linear(self, weight: Tensor, bias: Tensor | None) -> Jet:
        columns = self.channels.shape[-1] if self.channels.ndim > 2 else 0
        if weight.shape[-1] != columns:
            raise UsageError(
                f"A linear layer of {weight.shape[-1]} inputs is given {columns} columns: a first layer must have "
                f"{len(self.plan.axes)} inputs, one for each of {', '.join(self.plan.axes)}, the others as many as the "
                "layer before returns."
            )
        return self._like(rules.linear(self.channels, weight, bias))

    def __matmul__(self, weight: Any) -> Jet:
        return self._linear(weight.T, None) if isinstance(weight, Tensor) and weight.ndim == 2 else NotImplemented

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Jet:
        return self._like(-self.channels)

    def __sub__(self, other: Any) -> Jet:
        return self + (-other)

    def __rsub__(self, other: Any) -> Jet:
        return (-self) + other

    def __truediv__(self, other: Any) -> Jet:
        return self * (other.apply(BY_NAME["reciprocal"]) if isinstance(other, Jet) else 1 / other)

    def __rtruediv__(self, other: Any) -> Jet:
        return self.apply(BY_NAME["reciprocal"]) * other

    def __pow__(self, exponent: float) -> Jet:
        if not isinstance(exponent, numbers.Real):
            return NotImplemented
        if exponent in (1, 2, 3):
            product = self
            for _ in range(int(exponent) - 1):
                product = product * self
            return product
        return self.apply(power(float(exponent)))

    def __abs__(self) -> Jet:
        return self.apply(BY_NAME["abs"])

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, kwargs = func.__name__, dict(kwargs or {})
        if (name.endswith("_") and not name.startswith("__")) or kwargs.pop("inplace", False):
            raise ProblemError(
                f"A jet cannot be written into, as torch.{name} in place does: use the form that returns a new one."
            )
        name = name.strip("_")
        if name == "linear" and isinstance(args[0], Jet):
            z, weight, *bias = args
            return z._linear(weight, bias[0] if bias else kwargs.get("bias"))
        if name in ("matmul", "mm") and isinstance(args[0], Jet):
            return args[0] @ args[1]
        if name in BY_NAME and args and isinstance(args[0], Jet):
            return args[0].apply(elementary(name, *args[1:], **kwargs))
        if name in ("cat", "concat", "concatenate", "stack"):
            return _join(name, *args, **kwargs)
        if name in _ARITHMETIC and not kwargs:
            a, b = args
            return _ARITHMETIC[name](a, b)
        if name == "pow" and len(args) == 2 and isinstance(args[0], Jet) and isinstance(args[1], numbers.Real):
            return args[0] ** args[1]
        raise ProblemError(
            f"A jet cannot pass through torch.{name}: the functions with known derivatives are {_KNOWN}."
        )


_KNOWN = ", ".join(
    sorted([*BY_NAME, "linear", "matmul", "cat", "stack", "add", "sub", "mul", "div", "pow (to a number)"])
)


def _join(name: str, jets: Sequence[Any], dim: int = 0, axis: int | None = None) -> Jet:
    """The columns of jets side by side; ``stack`` makes a column of each jet first."""
    dim = dim if axis is None else axis
    if not all(isinstance(u, Jet) for u in jets):
        kinds = ", ".join(type(u).__name__ for u in jets)
        raise ProblemError(f"torch.{name} of jets takes jets alone, since a tensor has no derivatives; got {kinds}.")
    rank = jets[0].channels.ndim - 1
    last = rank if name == "stack" else rank - 1
    if dim not in (-1, last) or last == 0:
        raise ProblemError(
            f"torch.{name} joins the columns of jets, dim=-1, never their points; got dim={dim} for jets of shape "
            f"{tuple(jets[0].channels.shape[1:])}."
        )
    join = torch.stack if name == "stack" else torch.cat
    return jets[0]._like(join([u.channels for u in jets], dim=-1))


def _jets_first(operation: Callable[[Jet, Any], Jet], swapped: Callable[[Jet, Any], Jet]) -> Callable[[Any, Any], Jet]:
    return lambda a, b: operation(a, b) if isinstance(a, Jet) else swapped(b, a)


_ARITHMETIC: dict[str, Callable[[Any, Any], Jet]] = {}
for _names, _operation, _swapped in (
    (("add", "radd"), Jet.__add__, Jet.__radd__),
    (("mul", "multiply", "rmul"), Jet.__mul__, Jet.__rmul__),
    (("sub", "subtract"), Jet.__sub__, Jet.__rsub__),
    (("rsub",), Jet.__rsub__, Jet.__sub__),
    (("div", "true_divide", "truediv"), Jet.__truediv__, Jet.__rtruediv__),
    (("rdiv", "rtruediv"), Jet.__rtruediv__, Jet.__truediv__),
):
    for _name in _names:
        _ARITHMETIC[_name] = _jets_first(_operation, _swapped)


@runtime_checkable
class HasJets(Protocol):
    """A coefficient that knows its own derivatives."""

    def jet_at(self, p: Points, plan: Plan) -> Jet:
        """Its jet at points."""


class JetPoints(Points):
    """Points whose coordinates are jets: inside an ansatz, ``p.x`` carries its own derivatives."""

    plan: Plan

    @classmethod
    def of(cls, points: Points, plan: Plan) -> JetPoints:
        """The same points, with coordinates as jets of a plan."""
        lifted = cls(points.axes, points.coordinates, points.outward)
        object.__setattr__(lifted, "plan", plan)
        return lifted

    def __getattr__(self, name: str) -> Any:
        axes = self.__dict__.get("axes", ())
        if name not in axes:
            return super().__getattr__(name)
        return coordinate(Points(axes, self.coordinates, self.outward), self.plan, name)


def coordinate(points: Points, plan: Plan, axis: str) -> Jet:
    """The jet of one coordinate: its value, and 1 for its own first derivative."""
    column = points.coordinates[:, points.axes.index(axis)]
    channels = torch.zeros(len(plan.keys), len(points), dtype=column.dtype, device=column.device)
    channels[0] = column
    if axis in plan.index:
        channels[plan.index[axis]] = 1.0
    return Jet(channels, plan, points)


def constant(points: Points, plan: Plan, number: float) -> Jet:
    """The jet of a number."""
    like = points.coordinates
    channels = torch.zeros(len(plan.keys), len(points), dtype=like.dtype, device=like.device)
    channels[0] = number
    return Jet(channels, plan, points)


def jet(function: Callable[[Points], Tensor] | float, p: Points) -> Jet:
    """Lift a coefficient ``function(p) -> (n,)`` to a jet, with the derivatives that ``p`` (inside an ansatz) carries.

    The derivatives come from torch's autograd, so any differentiable torch function will do. Raises ``ProblemError``
    where ``p`` is no point of an ansatz.
    """
    if not isinstance(p, JetPoints):
        raise ProblemError("jet(function, p) needs the points of an ansatz, whose p.x are jets.")
    return lift(function, Points(p.axes, p.coordinates, p.outward), p.plan)


def lift(function: Callable[[Points], Tensor] | float, points: Points, plan: Plan) -> Jet:
    """The jet of a coefficient at points: its own ``jet_at`` where it has one (an unknown field, with its graph).

    Otherwise by nested autograd: exact, and independent of the forward rules.
    """
    if isinstance(function, HasJets):
        return function.jet_at(points, plan)
    with torch.enable_grad():
        columns = {a: points.coordinates[:, i].detach().requires_grad_() for i, a in enumerate(points.axes)}
        moved = points.replace(torch.stack([columns[a] for a in points.axes], dim=1))
        base = values(function, moved, "coefficient")
        known = {VALUE: base}

        def derivative(key: str) -> Tensor:
            if key not in known:
                known[key] = _slope(derivative(key[:-1]), columns[key[-1]])
            return known[key]

        def channel(key: str) -> Tensor:
            return rules._sum([derivative(2 * a) for a in plan.space_axes]) if key == LAPLACIAN else derivative(key)

        channels = torch.stack([channel(key) for key in plan.keys])
    return Jet(channels.detach(), plan, points)


def _slope(base: Tensor, column: Tensor) -> Tensor:
    """d base / d column at each point; zero where there is no dependence."""
    if not base.requires_grad:
        return torch.zeros_like(base)
    if base.is_complex():
        return torch.complex(_slope(base.real, column), _slope(base.imag, column))
    (slope,) = torch.autograd.grad(base.sum(), column, create_graph=True, allow_unused=True)
    return torch.zeros_like(base) if slope is None else slope


__all__ = ["Jet", "JetPoints", "MissingDerivativeError", "constant", "coordinate", "jet", "lift"]
