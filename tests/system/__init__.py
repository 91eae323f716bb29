"""Tests that start processes."""
