"""Signals from files: point clouds, sounds and videos as the data of a ``Problem``."""
