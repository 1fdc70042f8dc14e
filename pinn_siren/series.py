"""SeriesSiren: a SIREN with a short cosine series beside it, for the longest waves of the domain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .errors import UsageError
from .siren import Siren


class SeriesSiren(nn.Module):
    """``u(x) = output(features of a Siren, prod_i cos(k_i pi (x_i + h_i) / (2 h_i)))``, ``k_i < waves``, not all 0.

    ``(n, inputs) -> (n, outputs)``, nondimensional, for inputs in ``[-h, h]``, h the ``reach``. ``siren``: the
    ``configuration`` of the Siren, whose own output layer is left out. The cosines are fixed; all slopes across the
    box's sides vanish in them. Raises ``UsageError`` for sizes that are not positive.
    """

    across: Tensor
    phase: Tensor

    def __init__(
        self, siren: dict[str, Any], reach: Sequence[float], waves: int, *, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        if len(reach) != siren["inputs"] or min(reach) <= 0 or not isinstance(waves, int) or waves < 2:
            raise UsageError(
                f"SeriesSiren needs a positive reach of each of {siren['inputs']} inputs and waves of 2 or more; "
                f"got {reach=}, {waves=}."
            )
        self.reach, self.waves = [float(h) for h in reach], waves
        self.siren = Siren(**{name: value for name, value in siren.items() if name != "network"}, dtype=dtype)
        del self.siren.layers[-1]
        modes = torch.tensor(list(itertools.product(range(waves), repeat=len(reach)))[1:], dtype=torch.float64)
        # A product of cosines is the mean of the cosines of all sums and differences of their phases.
        signs = [torch.tensor([1.0, *rest]) for rest in itertools.product((1.0, -1.0), repeat=len(reach) - 1)]
        signed = torch.cat([modes * sign for sign in signs])
        self.terms = len(signs)
        self.register_buffer("across", signed * math.pi / 2 / torch.tensor(self.reach, dtype=torch.float64))
        self.register_buffer("phase", signed.sum(1) * math.pi / 2 + math.pi / 2)
        self.across, self.phase = (t.to(dtype or torch.get_default_dtype()) for t in (self.across, self.phase))
        self.output = nn.Linear(siren["width"] + len(modes), siren["outputs"], dtype=dtype)

    @classmethod
    @torch.no_grad()
    def beside(cls, siren: Siren, reach: Sequence[float], waves: int) -> SeriesSiren:
        """The function of a Siren as it is, with a series of zeros."""
        like, last = next(siren.parameters()), siren.layers[-1]
        assert isinstance(last, nn.Linear)
        wider = cls(siren.configuration(), reach, waves, dtype=like.dtype).to(like.device)
        wider.siren.layers.load_state_dict(siren.layers[:-1].state_dict())  # type: ignore[union-attr]
        wider.output.weight.zero_()
        wider.output.weight[:, : siren.width] = last.weight
        wider.output.bias.copy_(last.bias)
        return wider

    def forward(self, x: Any) -> Any:
        """``(n, inputs) -> (n, outputs)``; jets of inputs give jets of outputs."""
        waves = torch.sin(functional.linear(x, self.across, self.phase))
        count = len(self.across) // self.terms
        series = waves[..., :count]
        for k in range(1, self.terms):
            series = series + waves[..., k * count : (k + 1) * count]
        return self.output(torch.cat([self.siren.features(x), series * (1 / self.terms)], dim=-1))

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this network: the arguments of the constructor."""
        siren = self.siren.configuration()
        return {"network": "series siren", "siren": siren, "reach": self.reach, "waves": self.waves}
