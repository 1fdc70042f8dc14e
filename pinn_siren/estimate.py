"""Estimate: an unknown's value, with how well the data determine it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """An unknown's ``value``, its standard ``deviation``, and the ``low`` and ``high`` ends of its 95% interval.

    A number, or an array ``(m,)``, each, in the unknown's units; deviation and ends are None where the data do not
    determine it. ``noise``: the standard deviation of the data's errors, as stated or estimated from the residuals.
    """

    value: Any
    deviation: Any = None
    low: Any = None
    high: Any = None
    noise: float | None = None

    def __float__(self) -> float:
        return float(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.float64]:
        return np.asarray(self.value, dtype=dtype)

    def plain(self) -> dict[str, Any]:
        """Numbers and lists, as a report keeps them."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(self).items()}

    @classmethod
    def from_plain(cls, kept: dict[str, Any]) -> Estimate:
        """The estimate that ``plain`` described."""
        given: dict[str, Any] = {k: np.asarray(v) if isinstance(v, list) else v for k, v in kept.items()}
        return cls(**given)


def shown(kept: dict[str, Any]) -> str:
    """What a report says of an unknown."""

    def each(name: str, count: int) -> list[Any]:
        came = kept[name]
        return came if isinstance(came, list) else [came] * count

    values = kept["value"] if isinstance(kept["value"], list) else [kept["value"]]
    lines = []
    for value, low, high in zip(values, each("low", len(values)), each("high", len(values)), strict=True):
        interval = "no interval" if low is None else f"{LEVEL:.0%} in [{low:.7g}, {high:.7g}]"
        lines.append(f"{value:.7g}, {interval}")
    return "; ".join(lines)


__all__ = ["LEVEL", "Estimate", "shown"]
