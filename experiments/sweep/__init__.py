"""Sweeps: many runs from one description, in turns, each cell of a grid several times; a stopped sweep can be resumed.

`spec` says what a sweep is, `parse` makes one from a file and flags, `grid` makes its cells and their order, `runner`
runs them, and `folder` keeps what has ended.
"""
