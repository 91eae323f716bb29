"""Links of a network as people write them: `1gbit,50us`, or `1gbit,50us,5us` with an overhead for each message."""

import math
import re

from common.transport.virtual.network import Network

_BITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}  # bits per second
_SYNONYMS = {"kbps": "kbit", "mbps": "mbit", "gbps": "gbit", "bps": "bit"}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_NUMBER = r"((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
FORM = "BANDWIDTH,LATENCY, like 1gbit,50us (kbit, mbit or gbit; us, ms or s)"


def parse_link(text: str) -> Network:
    """Return the network whose links are `text`. 1gbit, or 1Gbps, is 125,000,000 bytes per second. ValueError."""
    parts = [part.strip().lower() for part in text.split(",")]
    if len(parts) not in (2, 3):
        raise ValueError(f"{text!r} is not {FORM}")
    bandwidth = _value(parts[0], {**_BITS, "bit": 1.0}, text) / 8
    latency, *overhead = [_value(re.sub("[µμ]", "u", part), _SECONDS, text) for part in parts[1:]]
    if not bandwidth:
        raise ValueError(f"{text!r}: a link needs a bandwidth above 0")
    return Network(latency, bandwidth, sum(overhead))


def _value(part: str, units: dict[str, float], text: str) -> float:
    match = re.fullmatch(_NUMBER + r"\s*([a-z]+)", part)
    unit = "" if match is None else _SYNONYMS.get(match[2], match[2])
    if match is None or unit not in units:
        raise ValueError(f"{text!r} is not {FORM}")
    value = float(match[1]) * units[unit]
    if not math.isfinite(value):
        raise ValueError(f"{text!r}: {part} is too much")
    return value


def format_link(network: Network) -> str:
    """Return the links of a network in the one canonical form that `parse_link` reads."""
    parts = [_in_units(network.bandwidth * 8, _BITS), _in_units(network.latency, _SECONDS)]
    if network.overhead:
        parts.append(_in_units(network.overhead, _SECONDS))
    return ",".join(parts)


def _in_units(value: float, units: dict[str, float]) -> str:
    """Format `value` in the largest unit that it fills, with at most six digits."""
    fitting = [unit for unit, size in units.items() if value >= size * (1 - 1e-9)]
    unit = fitting[-1] if fitting else next(iter(units))
    return f"{value / units[unit]:.6g}{unit}"
