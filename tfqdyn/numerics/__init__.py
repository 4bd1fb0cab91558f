"""Arithmetic on arrays, NumPy and Numba alone: grids of codes, metrics, loops over memory."""
