"""Domains: they sample, and know their normals."""

from .box import SIDES, Box
from .domain import Domain, On
from .sampling import Sampler, Scheme

__all__ = ["SIDES", "Box", "Domain", "On", "Sampler", "Scheme"]
