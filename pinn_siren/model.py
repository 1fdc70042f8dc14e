"""Model: the unknown fields as a network of nondimensional coordinates, with conditions built in where stated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from .ansatz import Ansatz, build_in
from .errors import UsageError
from .jet import Jet, Plan, coordinate, make_plan
from .jet.functions import ELEMENTARY
from .parameters import Unknowns
from .points import Points
from .singular import BesideWaves, CornerSiren
from .siren import Siren
from .waves import Waves, WavesAt


class Model(nn.Module):
    """``u(p) = ansatz(p, offset + amplitude * network((coordinates - center) / scale))``.

    The network sees coordinates of about [-1, 1] and gives numbers of about 1; derivatives come out in the problem's
    own units. Complex fields take two outputs of the network each: all real parts, then all imaginary parts.
    ``unknowns``: the problem's unknown values and fields, trained with the network.
    An axis with a period L enters by two inputs, a circle of that circumference: ``L / (2 pi scale)`` times the cosine
    and the sine of ``2 pi (x - center) / L``.
    """

    center: Tensor
    scale: Tensor
    amplitude: Tensor
    offset: Tensor

    def __init__(
        self,
        network: nn.Module,
        axes: tuple[str, ...],
        fields: tuple[str, ...],
        complex_valued: bool,
        center: Tensor,
        scale: Tensor,
        amplitude: Tensor,
        ansatz: Ansatz | None = None,
        periods: Mapping[str, float] | None = None,
        unknowns: Unknowns | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.unknowns = unknowns
        self.periods = dict(periods or {})
        self.axes, self.fields, self.complex_valued, self.ansatz = axes, fields, complex_valued, ansatz
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)
        self.register_buffer("amplitude", amplitude)
        self.register_buffer("offset", torch.zeros_like(amplitude))

    def refresh(self) -> None:
        """Write the current values of the unknowns into the problem whose residuals are evaluated next."""
        if self.unknowns is not None:
            self.unknowns.refresh()

    def fields_at(self, points: Points, plan: Plan, shift: float = 0.0) -> tuple[Jet, ...]:
        """The jets of all fields, with the derivatives of a plan; ``shift`` is added to the raw ones."""
        return build_in(self.ansatz, points, plan, self.raw_fields(points, plan, shift))

    def raw_fields(self, points: Points, plan: Plan, shift: float = 0.0) -> tuple[Jet, ...]:
        """The jets of the network's own fields, before the ansatz. Raises ``UsageError`` for other outputs of it."""
        count = len(self.fields)
        came = self._network_at(points, plan)
        outputs = count * (1 + self.complex_valued)
        if not isinstance(came, Jet) or came.channels.ndim != 3:
            kind = tuple(came.channels.shape[1:]) if isinstance(came, Jet) else type(came).__name__
            raise UsageError(
                f"The network must return functions of its input, of shape (n, {outputs}); got {kind}. Inside, the "
                "input is a jet, which functions keep one."
            )
        channels = came.channels
        if channels.shape[-1] != outputs:
            raise UsageError(f"The network must have {outputs} outputs for this problem, got {channels.shape[-1]}.")
        if self.complex_valued:
            channels = torch.complex(channels[..., :count], channels[..., count:])
        channels = channels * self.amplitude
        moved = torch.cat([channels[:1] + (self.offset + shift), channels[1:]])
        return tuple(Jet(moved[..., i], plan, points) for i in range(count))

    def _network_at(self, points: Points, plan: Plan) -> Any:
        # Forward hooks, as of an inspection, see layers that are called.
        hooked = any(layer._forward_hooks for layer in self.network.modules())
        found = None if hooked else self.features(points)
        if found is None:
            return self.network(Jet(self._inputs(points, plan), plan, points))
        last = cast(Siren, self.network).layers[-1]
        assert isinstance(last, nn.Linear)
        channels = found.channels(plan, last.weight)
        return Jet(torch.cat([channels[:1] + last.bias, channels[1:]]), plan, points)

    @property
    def waves(self) -> Waves | None:
        """The sines of a ``Siren`` of one layer, whose derivatives need no chain rule; of another network None."""
        network = self.network
        if not isinstance(network, Siren) or network.depth != 1 or self.periods:
            return None
        first, omega = network.layers[0], network.omegas[0]
        assert isinstance(first, nn.Linear)
        return Waves(omega * first.weight / self.scale, omega * first.bias, self.center)

    def owned(self, field: int) -> Tensor | None:
        """The numbers of the last layer's inputs that a field is made of; None: all of them."""
        network = self.network
        if not isinstance(network, CornerSiren) or not (network.series or any(h.field >= 0 for h in network.holes)):
            return None
        shares = [torch.ones(len(network.corners), dtype=torch.bool)]
        shares += [torch.full((h.columns,), h.field in (-1, field)) for h in network.holes]
        shares.append(torch.full((network.width,), field not in network.series))
        return torch.cat(shares).nonzero()[:, 0].to(self.center.device)

    def features(self, points: Points) -> WavesAt | BesideWaves | None:
        """What the last layer of a ``Siren`` of one layer combines, in closed form; of another network None."""
        waves, network = self.waves, self.network
        if waves is None:
            return None
        if not isinstance(network, CornerSiren):
            return waves.at(points)
        ratio = network.stretch / self.scale
        return network.beside(ratio * (points.coordinates - self.center), ratio, waves.at(points))

    def _inputs(self, points: Points, plan: Plan) -> Tensor:
        """``(channels, n, inputs)``: the nondimensional coordinates with their derivatives."""
        columns = []
        for i, axis in enumerate(self.axes):
            x = coordinate(points, plan, axis) - self.center[i]
            if axis in self.periods:
                turn = 2 * math.pi / self.periods[axis]
                size = 1 / (turn * self.scale[i])
                columns += [(x * turn).apply(ELEMENTARY[f]) * size for f in (torch.cos, torch.sin)]
            else:
                columns.append(x / self.scale[i])
        return torch.stack([column.channels for column in columns], dim=-1)

    def forward(self, points: Points, shift: float = 0.0) -> Tensor:
        """``(n, fields)``: the fields' values."""
        jets = self.fields_at(points, make_plan(self.axes, frozenset()), shift)
        return torch.stack([u.value for u in jets], dim=1)
