"""The built-in equations: Poisson, eikonal, Helmholtz and wave."""

from .eikonal import Eikonal, PointSources
from .helmholtz import Helmholtz
from .poisson import Poisson
from .wave import Wave

__all__ = ["Eikonal", "Helmholtz", "PointSources", "Poisson", "Wave"]
