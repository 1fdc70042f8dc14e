"""HyperSiren: a space of functions, each a SIREN whose weights follow from what is known of it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from .errors import UsageError
from .jet import Jet
from .jet.functions import sine
from .jet.rules import compose

SPREAD = 0.05
"""How far the weights of a new space's members lie apart, in units of those that start a SIREN."""
INNER = 30.0
"""The frequency of all layers but the first, whose own is ``omega``."""
SOME = 500
"""Members whose contexts the code's first units come from, about."""
PLACES = 4.0
"""Largest phase of the encoder's first layer an axis: a layer of sines tells places apart."""


class HyperSiren(nn.Module):
    """``u(x, m) = siren(x; theta_m)``, ``theta_m = hyper(z_m)``, ``z_m = encode{(x_j, u_j): j in the context of m}``.

    ``(n, inputs + 1) -> (n, outputs + 2)``, nondimensional: the last input names the member, from -1 for the first of
    ``members`` to 1 for the last. Behind its fields stand the root mean squares of the code ``z_m`` and of the weights
    ``theta_m``, in units of the largest that start a SIREN; training keeps both small (Sitzmann et al. 2020, arXiv
    2006.09661, section 4.4 and supplement; a set encoder as of Garnelo et al. 2018, arXiv 1807.01613).

    A pixel of the context passes two layers, the first of sines; their mean over the context becomes the
    code of ``code`` numbers, from which two layers make all weights of a ``Siren`` of ``width`` and ``depth``. The
    contexts, values at some of ``nodes`` common places of ``known`` functions, are given by ``hold`` and kept with the
    weights. Raises ``UsageError`` for sizes that are not positive.
    """

    places: Tensor
    values: Tensor
    source: Tensor
    given: Tensor
    unit: Tensor

    def __init__(
        self, inputs: int, outputs: int, members: int, known: int, nodes: int, width: int = 48, depth: int = 3,
        code: int = 64, hidden: int = 64, omega: float = 10.0, *,
        dtype: torch.dtype | None = None, generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sizes = {
            "inputs": inputs, "outputs": outputs, "members": members, "known": known, "nodes": nodes, "width": width,
            "depth": depth, "code": code, "hidden": hidden,
        }  # fmt: skip
        if not all(isinstance(size, int) and size > 0 for size in self.sizes.values()) or not omega > 0:
            came = ", ".join(f"{name}={size!r}" for name, size in self.sizes.items())
            raise UsageError(f"HyperSiren needs positive whole sizes and a frequency, got {came}, {omega=}.")
        self.members, self.omegas = members, (float(omega), *[INNER] * (depth - 1))
        self.shapes = list(itertools.pairwise([inputs, *[width] * depth, outputs]))
        self.register_buffer("places", torch.zeros(nodes, inputs, dtype=dtype))
        self.register_buffer("values", torch.zeros(known, nodes, outputs, dtype=dtype))
        self.register_buffer("source", torch.zeros(members, dtype=torch.int64))
        self.register_buffer("given", torch.ones(members, nodes, dtype=torch.int8))
        # Members' weights are made in units of those that start a SIREN: one rate then suits all layers.
        self.register_buffer("unit", torch.tensor(self._bounds(), dtype=dtype), persistent=False)
        self.look = nn.Linear(inputs + outputs, hidden, dtype=dtype)
        self.inner = nn.Linear(hidden, hidden, dtype=dtype)
        self.norm = nn.LayerNorm(hidden, dtype=dtype)
        self.code = nn.Linear(hidden, code, dtype=dtype)
        self.hyper = nn.Linear(code, 2 * hidden, dtype=dtype)
        self.weights = nn.Linear(2 * hidden, len(self.unit), dtype=dtype)
        self.reset(generator)

    def _bounds(self) -> list[float]:
        """The largest weights and biases of a new SIREN, a layer after the other."""
        found = []
        for k, (a, b) in enumerate(self.shapes):
            bound = 1 / a if k == 0 else math.sqrt(6 / a) / self.omegas[min(k, len(self.omegas) - 1)]
            found += [bound] * (a * b) + [1 / math.sqrt(a)] * b
        return found

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights anew: members start around one SIREN, as its paper starts it."""

        def uniform(parameter: Tensor, bound: float | Tensor) -> None:
            draw = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_((2 * draw - 1) * bound)

        for layer in (self.inner, self.code, self.hyper):
            uniform(layer.weight, math.sqrt(3 / layer.in_features))
            uniform(layer.bias, 1 / math.sqrt(layer.in_features))
        uniform(self.look.weight, torch.tensor([PLACES] * self.sizes["inputs"] + [1.0] * self.sizes["outputs"]))
        uniform(self.look.bias, math.pi)
        uniform(self.weights.bias, 1.0)
        uniform(self.weights.weight, SPREAD / math.sqrt(self.weights.in_features))

    @torch.no_grad()
    def hold(self, places: Tensor, values: Tensor, source: Tensor, given: Tensor) -> None:
        """Take the contexts, and start with codes of mean 0 and size 1 over them.

        ``places`` ``(nodes, inputs)``, ``values`` ``(known, nodes, outputs)``; of every member the function that it is,
        ``source`` ``(members,)``, and which nodes are given, ``(members, nodes)``.

        Raises ``UsageError`` for other shapes, and for a member of which nothing is given.
        """
        came = {"places": places, "values": values, "source": source, "given": given}
        for name, table in came.items():
            if table.shape != getattr(self, name).shape:
                expected = tuple(getattr(self, name).shape)
                raise UsageError(f"{name} must have shape {expected}, got {tuple(table.shape)}.")
            getattr(self, name).copy_(table)
        if not bool(self.given.any(1).all()):
            raise UsageError("A member's context is empty: give one node of each at least.")
        features = self._pooled(torch.arange(0, self.members, max(1, self.members // SOME)))
        self.code.weight /= features.std(0, correction=0).clamp(min=1e-3)
        self.code.bias.copy_(-self.code.weight @ features.mean(0))

    def encode(self, members: Tensor) -> Tensor:
        """``(k,) -> (k, code)``: the codes of some members, from their contexts alone."""
        return self.code(self._pooled(members))

    def _pooled(self, members: Tensor) -> Tensor:
        """``(k,) -> (k, hidden)``: the mean of what the pixels of each context say, of one length for all."""
        row, node = self.given[members].nonzero(as_tuple=True)
        seen = torch.cat([self.places[node], self.values[self.source[members[row]], node]], dim=1)
        features = torch.relu(self.inner(torch.sin(self.look(seen))))
        total = features.new_zeros(len(members), features.shape[1]).index_add(0, row, features)
        return self.norm(total / torch.bincount(row, minlength=len(members))[:, None])

    def forward(self, x: Any) -> Any:
        """``(n, inputs + 1) -> (n, outputs + 2)``; jets of inputs give jets of outputs."""
        channels = x.channels if isinstance(x, Jet) else x[None]
        number = ((channels[0, :, -1].detach() + 1) / 2 * (self.members - 1)).round().long()
        members, group = number.clamp(0, self.members - 1).unique(return_inverse=True)
        z = self.encode(members)
        shares = self.weights(torch.relu(self.hyper(z)))
        theta = self.unit * shares
        # Points side by side with the others of their member, so that a layer is one product for all members.
        order, counts = group.argsort(stable=True), torch.bincount(group)
        place = torch.empty_like(group)
        place[order] = torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[group[order]]
        h = channels.new_zeros(len(channels), len(members), int(counts.max()), channels.shape[2] - 1)
        h[:, group, place] = channels[..., :-1]
        start = 0
        for k, (a, b) in enumerate(self.shapes):
            weight, bias = theta[:, start : start + a * b].view(-1, a, b), theta[:, start + a * b :][:, None, :b]
            start += (a + 1) * b
            h = h @ weight
            h = torch.cat([h[:1] + bias, h[1:]])
            if k < len(self.omegas):
                h = compose(h, x.plan, sine(self.omegas[k])) if isinstance(x, Jet) else torch.sin(self.omegas[k] * h)
        sizes = torch.stack([z.square().mean(1).sqrt(), shares.square().mean(1).sqrt()], dim=1)[group]
        beside = torch.cat([sizes[None], sizes.new_zeros(len(h) - 1, *sizes.shape)])
        found = torch.cat([h[:, group, place], beside], dim=2)
        return Jet(found, x.plan, x.points) if isinstance(x, Jet) else found[0]

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this network: the arguments of the constructor."""
        return {"network": "hyper siren", **self.sizes, "omega": self.omegas[0]}
