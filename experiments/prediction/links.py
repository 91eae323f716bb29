"""A link in words as the terms of the formulas."""

from __future__ import annotations

from common.errors import ConfigError
from common.strategy import Link
from common.transport.link import parse


def parse_link(given: str) -> Link:
    """`1gbit,50us` as α and β; adding costs nothing. ConfigError if it is none.

    An overhead a message is part of α: that several messages of one rank queue for it is not in the formulas.
    """
    try:
        network = parse(given)
    except ValueError as error:
        raise ConfigError(f"--link: {error}") from None
    return Link(network.latency + network.overhead, 1 / network.bandwidth)
