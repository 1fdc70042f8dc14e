"""Linear elliptic problems on patches: frozen local features, coupled through impedances by nested dissection."""

from .apart import search_apart as search_patches_apart
from .decomposition import Decomposition, Patches
from .echo import reflection
from .linearized import NotCoveredError, by_operator
from .search import Found as FoundPatches
from .search import needs_patches
from .search import search as search_patches
from .search import search_many as search_patches_many
from .solver import Solved, as_network, solve_patches

__all__ = [
    "Decomposition", "FoundPatches", "NotCoveredError", "Patches", "Solved", "as_network", "by_operator",
    "needs_patches", "reflection", "search_patches", "search_patches_apart", "search_patches_many", "solve_patches",
]  # fmt: skip
