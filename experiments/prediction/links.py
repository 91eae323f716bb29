"""A link in words, `1gbit,50us`: bandwidth each way, in bits per second, and latency."""

from __future__ import annotations

import re

from common.errors import ConfigError
from common.strategy import Link

BITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12}
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}


def parse_link(given: str) -> Link:
    """`1gbit,50us` (in any order; no latency: 0) as α and β; adding costs nothing. ConfigError if it is none."""
    rate = latency = None
    for part in given.lower().split(","):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]+?)(?:/s|ps)?\s*", part)
        number, unit = (float(match[1]), match[2]) if match else (0.0, "")
        if unit in BITS and rate is None and number > 0:
            rate = number * BITS[unit]
        elif unit in SECONDS and latency is None:
            latency = number * SECONDS[unit]
        else:
            raise ConfigError(f"--link is {given!r}: give a bandwidth and a latency, like 1gbit,50us")
    if rate is None:
        raise ConfigError(f"--link is {given!r}: give a bandwidth, too, like 1gbit,50us")
    return Link(latency or 0.0, 8 / rate)
