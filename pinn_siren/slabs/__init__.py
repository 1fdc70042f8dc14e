"""Waves by slabs of time and patches of space: least squares with local features, at a memory that does not grow."""

from .basis import Size
from .march import Cut, March, Slab
from .search import Found as FoundSlabs
from .search import needs_slabs
from .search import search as search_slabs
from .statement import read

__all__ = ["Cut", "FoundSlabs", "March", "Size", "Slab", "needs_slabs", "read", "search_slabs"]
