"""Conditions built into the output: a user's own ansatz, or one derived from the statement."""

from .composed import Ansatz, build_in

__all__ = ["Ansatz", "build_in"]
