"""Describe this machine: its hardware, its software, its bandwidth."""
