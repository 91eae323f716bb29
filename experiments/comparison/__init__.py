"""Runs beside each other: which may be compared, and how sure a difference between them is."""
