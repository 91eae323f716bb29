"""Traces: the timeline of a run for Perfetto, its critical path, and the ranks that the others waited for."""
