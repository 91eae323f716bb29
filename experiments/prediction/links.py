"""A link in words as the terms of the formulas."""

from __future__ import annotations

from common.strategy import Link
from experiments.config.virtual import network


def parse_link(given: str) -> Link:
    """`1gbit,50us` as α and β; adding costs nothing. ConfigError if it is none.

    An overhead a message is part of α: that several messages of one rank queue for it is not in the formulas.
    """
    asked = network(given)
    return Link(asked.latency + asked.overhead, 1 / asked.bandwidth)
