"""One run in a process of its own: ``peers.protocol.spawn`` calls it."""

from __future__ import annotations

import importlib.metadata  # noqa: F401 (used by the protocol)
import json
import sys
from dataclasses import asdict
from pathlib import Path


def main(order: dict[str, object]) -> None:
    """Run what is ordered, and leave the result as JSON."""
    import torch
    from peers.protocol import Method, work

    torch.set_num_threads(int(order["threads"]))  # type: ignore[call-overload]
    run = work(Method(**order["method"]), order["name"], order["seed"], order["budget"])  # type: ignore[arg-type]
    Path(str(order["out"])).write_text(json.dumps(asdict(run)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
