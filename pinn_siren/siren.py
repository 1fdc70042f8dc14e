"""Siren: a network with sine activations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .errors import UsageError
from .jet import Jet
from .jet.functions import sine

CALM = 200.0
"""The first frequency up to which all layers learn at one rate."""


class Siren(nn.Module):
    """``h_0 = x``, ``h_l = sin(omega_l (W_l h_(l-1) + b_l))`` for ``depth`` layers, then a linear output.

    ``(n, inputs) -> (n, outputs)``, nondimensional, for inputs of about [-1, 1]. ``omega``: one number for all layers,
    or ``depth`` numbers. First layer ``W ~ U(-1/inputs, 1/inputs)``, the others ``U(-s, s)`` with
    ``s = sqrt(6 / fan_in) / omega``, which keeps ``omega W h`` about standard normal and activations about
    arcsine-distributed at every depth (Sitzmann et al. 2020, arXiv 2006.09661, theorem 1.8). Hidden biases are
    ``U(-1, 1) / sqrt(fan_in)``, as in the authors' code; they add ``omega^2 / (3 fan_in)`` to the variance of 1.

    ``generator``: where the initial weights come from; torch's global one unless given. Raises ``UsageError`` for
    sizes that are not positive, or another number of omegas.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 128,
        depth: int = 3,
        omega: float | Sequence[float] = 30.0,
        *,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = (inputs, outputs, width, depth)
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise UsageError(f"Siren needs positive whole sizes, got {inputs=}, {outputs=}, {width=}, {depth=}.")
        try:
            omegas = (float(omega),) * depth if isinstance(omega, int | float) else tuple(float(o) for o in omega)
        except (TypeError, ValueError):
            omegas = ()
        if len(omegas) != depth or not all(o > 0 for o in omegas):
            raise UsageError(f"Siren needs one positive omega, or {depth} of them, one a layer; got {omega!r}.")
        self.inputs, self.outputs, self.width, self.depth, self.omegas = inputs, outputs, width, depth, omegas
        features = [inputs, *[width] * depth, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b, dtype=dtype) for a, b in itertools.pairwise(features))
        self.reset(generator)

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights anew, as the paper has it; on the CPU, so that a seed means the same on every device."""
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            fan_in = layer.in_features
            omega = self.omegas[min(i, self.depth - 1)]
            bound = 1 / fan_in if i == 0 else math.sqrt(6 / fan_in) / omega
            # A bias over a whole period lets every sine start at any phase.
            spread = math.pi / omega if i == 0 else 1 / math.sqrt(fan_in)
            for parameter, size in ((layer.weight, bound), (layer.bias, spread)):
                draw = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_((2 * draw - 1) * size)

    def resized(self, width: int, generator: torch.Generator | None = None) -> Siren:
        """A new network of another width."""
        kind = next(self.parameters()).dtype
        return Siren(self.inputs, self.outputs, width, self.depth, self.omegas, dtype=kind, generator=generator)

    def forward(self, x: Any) -> Tensor:
        """``(n, inputs) -> (n, outputs)``; jets of inputs give jets of outputs."""
        for layer, omega in zip(self.layers[:-1], self.omegas, strict=True):
            x = layer(x)
            x = x.apply(sine(omega)) if isinstance(x, Jet) else torch.sin(omega * x)
        return self.layers[-1](x)

    def paces(self) -> list[tuple[float, list[nn.Parameter]]]:
        """How fast first-order steps may move each layer, in units of the learning rate, with its parameters.

        A step of the first layer turns every phase by ``omega`` times as much, whatever its input's size: above
        ``CALM``, as sounds need, such steps would only shuffle the phases. The layers behind are slowed by the fourth
        root: at the full rate sounds end in silence.
        """
        first = min(1.0, CALM / self.omegas[0])
        other = first**0.25
        return [(other * first if i == 0 else other, list(layer.parameters())) for i, layer in enumerate(self.layers)]

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this network: the arguments of the constructor."""
        return {
            "network": "siren",
            "inputs": self.inputs,
            "outputs": self.outputs,
            "width": self.width,
            "depth": self.depth,
            "omega": list(self.omegas),
        }


@torch.no_grad()
def widened(network: Siren, width: int, generator: torch.Generator | None = None) -> Siren:
    """The same function with ``width`` neurons a layer: nothing yet comes out of the new ones.

    Their first weights are uniform and as large as the trained ones of the same input; all others as in a new network.
    """
    first, wide = network.layers[0], network.resized(width, generator)
    assert isinstance(first, nn.Linear)
    for number, (old, new) in enumerate(zip(network.layers, wide.layers, strict=True)):
        assert isinstance(old, nn.Linear) and isinstance(new, nn.Linear)
        outs, ins = old.weight.shape
        if number == 0:
            # The mean of |w| is half the bound of a uniform distribution.
            new.weight *= new.in_features * 2 * old.weight.detach().abs().mean(0).to(new.weight.device)
        else:
            new.weight[:outs, ins:] = 0
        new.weight[:outs, :ins] = old.weight
        new.bias[:outs] = old.bias
    return wide


def count_parameters(network: nn.Module) -> int:
    """Trainable numbers of a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
