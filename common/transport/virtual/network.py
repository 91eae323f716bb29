"""The network of virtual time: the cost of its links, and the faults that can be injected.

For a message of M bytes from rank a to rank b:

    leaves a      when a's earlier messages have left: each keeps a's egress busy for overhead + M/bandwidth seconds
    reaches b     `latency` seconds (plus jitter) after it began to leave
    is delivered  when b's ingress has taken it in: each message keeps it busy for overhead + M/bandwidth seconds

Both ends serialise, full duplex. Messages to one rank (incast) share its ingress in the order in which they begin to
arrive. The ranks of one machine share its egress and ingress; a message between two of them takes no time.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """Seconds, and bytes per second; the same for every link. The default network costs nothing."""

    latency: float = 0.0
    bandwidth: float = math.inf
    overhead: float = 0.0  # for each message
    reduce: float = 0.0  # seconds for each byte that a rank adds up
    jitter: float = 0.0  # each message's latency grows by a uniform share of this
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Kill:
    """Rank `rank` dies at the moment `at`. Its earlier messages still arrive; then its peers notice its death."""

    rank: int
    at: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Messages from `src` to `dst` from `at` until `until` are lost."""

    src: int
    dst: int
    at: float = 0.0
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Delay:
    """Messages from `src` to `dst` from `at` until `until` take `seconds` longer."""

    src: int
    dst: int
    seconds: float
    at: float = 0.0
    until: float = math.inf


Fault = Kill | Drop | Delay
