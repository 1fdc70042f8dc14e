"""Who races, in the order of each turn."""

from __future__ import annotations

import importlib

from .protocol import Method
from .statements import STATEMENTS

METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        Method("least-squares", "peers.ours", "frozen"),
        Method("fastlsq", "peers.fastlsq_", "frozen", "fastlsq"),
        Method("fastlsq, scale given", "peers.fastlsq_", "frozen", "fastlsq"),
        Method("gauss-newton", "peers.ours", "trained"),
        Method("deepxde", "peers.deepxde_", "trained", "deepxde"),
        Method("jinns", "peers.jinns_", "trained", "jinns"),
        Method("jinns, SSBroyden", "peers.jinns_", "trained", "jinns"),
        Method("pina", "peers.pina_", "trained", "pina-mathlab"),
        Method("neurodiffeq", "peers.neurodiffeq_", "trained", "neurodiffeq"),
        Method("chebyshev", "classical.chebyshev", "classical"),
        Method("fd2", "classical.differences", "classical"),
        Method("fd-richardson", "classical.differences", "classical"),
        Method("compact4", "classical.differences", "classical"),
        Method("corner series", "classical.corner", "classical"),
        Method("scikit-fem p2", "classical.elements", "classical", "scikit-fem"),
        Method("scikit-fem p4", "classical.elements", "classical", "scikit-fem"),
        Method("scikit-fem p8", "classical.elements", "classical", "scikit-fem"),
    )
}
OURS = {"frozen": "least-squares", "trained": "gauss-newton"}
CLASSICAL_SECONDS = 5.0
"""A classical sequence has at most this: what it reaches, it reaches sooner."""


def takes_part(method: Method, name: str) -> bool:
    """Whether a method can state a row; importing its file must not import the peer."""
    return bool(importlib.import_module(method.module).states(name, STATEMENTS[name](), method.name))
