"""The network of virtual time: what links cost, and what can go wrong on them.

Per message of M bytes from rank a to rank b:

    leaves a      when a's earlier messages have: a's egress is busy for overhead + M/bandwidth seconds a message
    reaches b     `latency` seconds (plus jitter) after it began to leave
    is delivered  when b's ingress, busy for overhead + M/bandwidth seconds a message, has taken it in

Both ends serialise, full duplex: one message alone takes latency + overhead + M/bandwidth, n messages to one rank
(incast) share its ingress, in the order in which they begin to arrive. Ranks of one machine share its link both ways;
what they send each other takes no time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """Seconds and bytes per second; the same for every link. The default network costs nothing."""

    latency: float = 0.0
    bandwidth: float = math.inf
    overhead: float = 0.0
    reduce: float = 0.0
    jitter: float = 0.0  # each message's latency grows by a uniform share of this
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Kill:
    """Rank dies at a moment: what it has sent still arrives, then its peers see it gone."""

    rank: int
    at: float


@dataclass(frozen=True, slots=True)
class Drop:
    """What `src` sends to `dst` from `at` until `until` is lost."""

    src: int
    dst: int
    at: float = 0.0
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Delay:
    """What `src` sends to `dst` from `at` until `until` takes `seconds` longer."""

    src: int
    dst: int
    seconds: float
    at: float = 0.0
    until: float = math.inf


Fault = Kill | Drop | Delay


def holds(fault: Drop | Delay, src: int, dst: int, when: float) -> bool:
    """Whether `fault` befalls what `src` sends to `dst` at `when`."""
    return (fault.src, fault.dst) == (src, dst) and fault.at <= when < fault.until


FREE = Network()  # costs nothing
