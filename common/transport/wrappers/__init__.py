"""Endpoints around another endpoint: they count, trace or renumber."""
