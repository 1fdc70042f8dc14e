"""The parts of a comparison: grids, what errors are measured against, snapshots, curves, tables and pictures."""
