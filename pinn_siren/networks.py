"""Networks beside the SIREN: fully connected ones, positional encoding, Gaussian radial basis functions; and how a
network is described in a file and built again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .errors import UsageError, suggest
from .hyper import HyperSiren
from .outgoing import OutgoingWaves
from .patchwork import Patchwork
from .series import SeriesSiren
from .singular import CornerSiren
from .siren import Siren
from .slabwork import Slabwork

Draw = Callable[[torch.Size, torch.Generator | None], Tensor]


def glorot(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """``W ~ U(-s, s)``, ``s = sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio 2010, AISTATS, PMLR 9:249)."""
    draw = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (2 * draw - 1) * math.sqrt(6 / (shape[0] + shape[1]))


def he(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """``W ~ N(0, 2 / fan_in)`` (He et al. 2015, arXiv 1502.01852)."""
    return torch.randn(shape, generator=generator, dtype=torch.float64) * math.sqrt(2 / shape[1])


ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Draw]] = {
    "tanh": (torch.tanh, glorot),
    "sigmoid": (torch.sigmoid, glorot),
    "relu": (functional.relu, he),
    "softplus": (functional.softplus, he),
    "silu": (functional.silu, he),
    "gelu": (functional.gelu, he),
}
"""What ``MLP`` knows by name: the function, and the weights that start it."""


class PositionalEncoding(nn.Module):
    """``x -> (x, sin(2^j pi x), cos(2^j pi x))`` for ``j = 0 ... levels - 1``, of every coordinate.

    ``(n, inputs) -> (n, inputs (1 + 2 levels))``, for inputs in [-1, 1] (NeRF, Mildenhall et al. 2020, arXiv
    2003.08934; x itself as in the authors' code: without it both ends are one point). The k-th derivative of the last
    level is of size ``(2^(levels - 1) pi)^k``. Raises ``UsageError`` for sizes that are not positive.
    """

    octaves: Tensor

    def __init__(self, inputs: int, levels: int, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        _positive("PositionalEncoding", inputs=inputs, levels=levels)
        self.inputs, self.levels, self.features = inputs, levels, inputs * (1 + 2 * levels)
        octaves = torch.cat([2.0**j * torch.eye(inputs, dtype=dtype) for j in range(levels)])
        self.register_buffer("octaves", octaves, persistent=False)

    def forward(self, x: Any) -> Any:
        """``(n, inputs) -> (n, inputs (1 + 2 levels))``; jets of inputs give jets of features."""
        phase = math.pi * functional.linear(x, self.octaves)
        return torch.cat([x, torch.sin(phase), torch.cos(phase)], dim=-1)

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this module: the arguments of the constructor."""
        return {"network": "positional encoding", "inputs": self.inputs, "levels": self.levels}


class GaussianRBF(nn.Module):
    """``phi_k(x) = exp(-(sigma_k |x - c_k|)^2)``: a layer of Gaussian radial basis functions.

    ``(n, inputs) -> (n, centers)``, for inputs in [-1, 1]. Centers ``c_k ~ U(-1, 1)`` and inverse widths ``sigma_k``
    are trained; ``sigma`` starts at the centers' mean density along an axis, ``centers^(1/inputs) / 2``, unless given.
    Before ``nn.Linear`` it is a radial basis function network (Broomhead and Lowe 1988, Complex Systems 2:321); before
    ``MLP(..., activation="relu")``, the baseline of the SIREN paper (Sitzmann et al. 2020, arXiv 2006.09661), whose
    code has ``|x - c_k|^2`` for the distance and ``sigma`` of 10.

    ``generator``: where the centers come from; torch's global one unless given. Raises ``UsageError`` for sizes or a
    ``sigma`` that are not positive.
    """

    def __init__(
        self,
        inputs: int,
        centers: int,
        sigma: float | None = None,
        *,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _positive("GaussianRBF", inputs=inputs, centers=centers)
        self.inputs, self.features = inputs, centers
        self.start = centers ** (1 / inputs) / 2 if sigma is None else float(sigma)
        if not self.start > 0:
            raise UsageError(f"GaussianRBF needs a positive sigma, got {sigma}.")
        draw = torch.rand(centers, inputs, generator=generator, dtype=torch.float64)
        dtype = dtype or torch.get_default_dtype()
        self.centers = nn.Parameter((2 * draw - 1).to(dtype))
        self.sigma = nn.Parameter(torch.full((centers,), self.start, dtype=dtype))

    def forward(self, x: Any) -> Any:
        """``(n, inputs) -> (n, centers)``; jets of inputs give jets of features."""
        # sigma^2 |x - c|^2 multiplied out, so that it is two matrix products.
        square = self.sigma.square()
        own = functional.linear(torch.square(x), square[:, None].expand(-1, self.inputs))
        mixed = functional.linear(x, -2 * square[:, None] * self.centers, square * self.centers.square().sum(1))
        return torch.exp(-1 * (own + mixed))

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this module: the arguments of the constructor."""
        return {"network": "gaussian rbf", "inputs": self.inputs, "centers": self.features, "sigma": self.start}


class MLP(nn.Module):
    """Fully connected: ``h_0 = x``, ``h_l = f(W_l h_(l-1) + b_l)`` for ``depth`` layers, then a linear output.

    ``(n, inputs) -> (n, outputs)``, nondimensional, for inputs of about [-1, 1]. ``activation``: f, one of
    ``"tanh"``, ``"sigmoid"``, ``"relu"``, ``"softplus"``, ``"silu"``, ``"gelu"``; ``encoding``: levels of a
    ``PositionalEncoding`` before the first layer, none at 0. Weights of all layers start as Glorot's for tanh and
    sigmoid, He's for the others; biases are ``U(-1, 1) / sqrt(fan_in)``, torch's own. These are the networks that the
    SIREN paper compares with (Sitzmann et al. 2020, arXiv 2006.09661).

    With ``"relu"`` and no encoding all derivatives from the second on vanish away from the kinks: a residual of second
    order does not see the network, and training fits nothing but the conditions. With an encoding they exist between
    the kinks alone. Both are for comparison; solve with ``Siren``, ``"tanh"`` or ``"softplus"``.

    ``generator``: where the initial weights come from; torch's global one unless given. Raises ``UsageError`` for
    sizes that are not positive, or an unknown activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 128,
        depth: int = 3,
        activation: str = "tanh",
        encoding: int = 0,
        *,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _positive("MLP", inputs=inputs, outputs=outputs, width=width, depth=depth)
        if activation not in ACTIVATIONS:
            raise UsageError(
                f"MLP has the activations {', '.join(ACTIVATIONS)}; got {activation!r}."
                f"{suggest(str(activation), ACTIVATIONS)} For sines there is Siren."
            )
        if encoding < 0:
            raise UsageError(f"encoding is a number of levels, 0 for none; got {encoding}.")
        self.inputs, self.outputs, self.width, self.depth = inputs, outputs, width, depth
        self.activation, self.levels = activation, encoding
        self.encoding = PositionalEncoding(inputs, encoding, dtype=dtype) if encoding else nn.Identity()
        first = inputs * (1 + 2 * encoding)
        sizes = [first, *[width] * depth, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b, dtype=dtype) for a, b in itertools.pairwise(sizes))
        self.reset(generator)

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights anew; on the CPU, so that a seed means the same on every device."""
        draw = ACTIVATIONS[self.activation][1]
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(draw(layer.weight.shape, generator))
            spread = 2 * torch.rand(layer.bias.shape, generator=generator, dtype=torch.float64) - 1
            layer.bias.copy_(spread / math.sqrt(layer.in_features))

    def forward(self, x: Any) -> Any:
        """``(n, inputs) -> (n, outputs)``; jets of inputs give jets of outputs."""
        x, f = self.encoding(x), ACTIVATIONS[self.activation][0]
        for layer in self.layers[:-1]:
            x = f(layer(x))
        return self.layers[-1](x)

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this network: the arguments of the constructor."""
        return {
            "network": "mlp",
            "inputs": self.inputs,
            "outputs": self.outputs,
            "width": self.width,
            "depth": self.depth,
            "activation": self.activation,
            "encoding": self.levels,
        }


def _positive(name: str, **sizes: int) -> None:
    if min(sizes.values()) < 1:
        came = ", ".join(f"{size}={value!r}" for size, value in sizes.items())
        raise UsageError(f"{name} needs positive sizes, got {came}.")


OURS: dict[str, type[Any]] = {
    "siren": Siren, "mlp": MLP, "positional encoding": PositionalEncoding, "gaussian rbf": GaussianRBF,
    "patchwork": Patchwork, "slabwork": Slabwork, "corner siren": CornerSiren, "hyper siren": HyperSiren,
    "series siren": SeriesSiren, "outgoing waves": OutgoingWaves,
}  # fmt: skip
TORCH: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("in_features", "out_features"),
    nn.Softplus: ("beta", "threshold"),
    nn.Tanh: (), nn.Sigmoid: (), nn.ReLU: (), nn.SiLU: (), nn.GELU: ("approximate",), nn.Identity: (),
}  # fmt: skip
"""The modules of torch that a file can describe, with the attributes that are their constructors' arguments."""


def describe(network: nn.Module) -> dict[str, Any] | None:
    """Plain types from which ``rebuild`` makes a network of this form; ``None`` for a module of the user's own.

    Known are this package's networks, some of torch's modules, and ``nn.Sequential`` of known ones; no subclasses,
    whose ``forward`` may be another.
    """
    kind = type(network)
    if kind in OURS.values():
        return network.configuration()  # type: ignore[operator, no-any-return]
    if kind in TORCH:
        described = {"network": kind.__name__, **{a: getattr(network, a) for a in TORCH[kind]}}
        return described | {"bias": network.bias is not None} if kind is nn.Linear else described
    if kind is nn.Sequential:
        # Not named_children, which passes over a module's second place.
        layers = {name: describe(layer) for name, layer in network._modules.items() if layer is not None}
        return None if None in layers.values() else {"network": "sequential", "layers": layers}
    return None


def rebuild(described: dict[str, Any], dtype: torch.dtype) -> nn.Module:
    """The network that ``describe`` described, with weights still to be loaded. Raises ``UsageError`` for another."""
    arguments = dict(described)
    name = arguments.pop("network")
    known = OURS | {kind.__name__: kind for kind in TORCH}
    if name == "sequential":
        network = nn.Sequential()
        for place, layer in arguments["layers"].items():
            network.add_module(place, rebuild(layer, dtype))
        return network
    if name not in known:
        raise UsageError(f"No network is called {name!r}; known are {', '.join(known)}.")
    # At once in its precision: a copy of what lies in a file would be held.
    precision = {"dtype": dtype} if name in OURS else {}
    return known[name](**arguments, **precision).to(dtype)  # type: ignore[no-any-return]
