"""The benchmark: strategies' exchanges alone, verified, timed in turns, beside the limits of the machine.

`plan` says what is measured, `run` starts the ranks (`rank`) that measure it block by block (`contest`), `rows` reads
what they wrote, `table` shows it.
"""
