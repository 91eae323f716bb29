"""Helpers for imports by name and sizes in bytes."""
