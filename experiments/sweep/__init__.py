"""Sweeps: many runs from one description, each cell of a grid several times in turns; they can be resumed."""
