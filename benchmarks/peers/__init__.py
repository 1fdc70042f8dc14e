"""The race of ``benchmarks/peers.py``: one statement of the problems, one protocol, and a file a peer."""
