"""Traces: what every rank did when, as a file for Perfetto, and whom the others waited for.

Ranks note records while they work (recording.py); when all have ended, these are put together (timeline.py), written
as Chrome trace events (events.py), and followed backwards from the end of the last step (path.py).
"""
