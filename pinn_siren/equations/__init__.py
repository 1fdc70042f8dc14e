"""The built-in equations: Poisson, eikonal, Helmholtz and wave."""

from .eikonal import Eikonal
from .helmholtz import Helmholtz
from .poisson import Poisson
from .sources import PointSources, SurfaceFactor, SurfaceStart
from .wave import Wave

__all__ = ["Eikonal", "Helmholtz", "PointSources", "Poisson", "SurfaceFactor", "SurfaceStart", "Wave"]
