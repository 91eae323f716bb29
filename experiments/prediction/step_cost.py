"""What an exchange adds to a step of a training run, on a network of equal links: its own time, but for a server.

A worker that has its answer first trains and pushes first again, so the server sends the answers of one step while the
pushes of the next step arrive.
"""

from common.runtime.job import DEDICATED
from common.strategy import Link, SyncStrategy
from common.types import FLOAT_BYTES
from ps.segments import cut, elements_ahead
from ps.strategy import ParameterServer

FEW = 3  # segments before an answer for which the formula holds with any number of workers


def added_to_a_step(
    strategy: SyncStrategy, workers: int, servers: int, nbytes: int, link: Link, placement: str
) -> float | None:
    """Return the seconds that an exchange of `ps-bsp` adds to a step; None if they are the exchange's own."""
    if not isinstance(strategy, ParameterServer) or not strategy.consistency.lockstep or strategy.sharding != "even":
        return None
    if placement != DEDICATED or not 0 < servers <= workers:
        return None
    return lockstep_seconds(workers, servers, nbytes, link, strategy.segment)


def lockstep_seconds(workers: int, servers: int, nbytes: int, link: Link, segment: int) -> float | None:
    """Return the seconds of a step beyond its training: from a worker's push until its last answer has arrived.

    With one server, n workers and k segments of s = Mβ/k seconds each, the answers to a step's last segment leave the
    server one after the other. So the workers train, and push, s after each other, w segments before the first answer.

    k = 1       The last worker has its answer n·s after the first answer began to leave. By then all other pushes have
                arrived, and its own takes s more: (n + 1)·s, however long training takes.
    k = 2, …    The pushes queue. The first segment is complete after w·n·s, less the w(w - 1)/2 pushes behind those of
                the last worker. The answers of the last segment begin k - 1 rounds of n·s later.

    Together (n·(k + w - 1) + 1 - w(w - 1)/2)·s, and 2α. With S servers each has 1/S of the vector, and a worker's link
    carries S segments for one of a server's: 2S - 1 - S·w(w - 1)/2 in place of 1 - w(w - 1)/2. Adding up takes (n/S)·Mγ
    more. None if w is above n and above FEW, where this does not hold.
    """
    parts = cut([slice(0, nbytes // FLOAT_BYTES // servers)], segment)
    longest: int = max(1, *(part.stop - part.start for part in parts))
    count = len(parts)
    window = min(float(count), (elements_ahead(segment) * servers // longest + 1) / servers)  # w above
    if window > max(FEW, workers):
        return None
    edges = 2 * servers - 1 - servers * window * (window - 1) / 2
    busy = (workers * (count + window - 1) + edges) * nbytes / (servers * count)
    return 2 * link.alpha + busy * link.beta + workers / servers * nbytes * link.gamma
