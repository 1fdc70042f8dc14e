"""Polygon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .outline import Outline
from .triangulation import anticlockwise, ring


class Polygon(Outline):
    """``Polygon([(x, y), ...])``: the inside of a closed simple outline, its vertices ``(m, 2)`` in either direction.

    ``axes`` names the two space axes; a last vertex that repeats the first is dropped. For holes and several parts see
    ``Region``. Raises ``ProblemError`` for fewer than three vertices, numbers that are not finite, and an outline that
    crosses, touches or folds back on itself.
    """

    def __init__(self, vertices: Sequence[Sequence[float]], axes: Sequence[str] = ("x", "y")) -> None:
        self.vertices = anticlockwise("Polygon", ring("Polygon", vertices))
        super().__init__([self.vertices], axes)

    def __repr__(self) -> str:
        return f"Polygon({len(self.vertices)} vertices from ({', '.join(f'{c:g}' for c in self.vertices[0])}))"

    def configuration(self) -> dict[str, Any]:
        """Plain values that ``from_configuration`` turns into the same domain."""
        return {"shape": "Polygon", "vertices": self.vertices.tolist(), "axes": list(self.axes)}
