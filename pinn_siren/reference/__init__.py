"""Finite-difference solutions, on three grids each, with their error bars."""
