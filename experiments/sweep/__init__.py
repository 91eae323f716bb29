"""Sweeps: many runs from one description, in turns, each cell of a grid several times; stopped, they can go on.

`spec` says what a sweep is, `reading` makes one from a file and flags, `grid` the cells from it, `order` their turns,
`journal` keeps what is done, `conduct` does it.
"""
