"""The built-in equations: Poisson, eikonal, Helmholtz and wave."""

from .branches import Branches
from .eikonal import Eikonal
from .helmholtz import Helmholtz
from .poisson import Poisson
from .sources import PointSources, SurfaceFactor, SurfaceStart
from .wave import Wave

__all__ = ["Branches", "Eikonal", "Helmholtz", "PointSources", "Poisson", "SurfaceFactor", "SurfaceStart", "Wave"]
