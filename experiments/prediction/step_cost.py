"""What an exchange adds to a step of a training run, on a network of equal links, where that is not its own time.

Steps of a parameter server are not exchanges that all begin at once: who has its answer first trains first, and pushes
again first. So the server still sends the answers of one step while the pushes of the next come in.
"""

from __future__ import annotations

from common.runtime.job import DEDICATED
from common.strategy import Link, SyncStrategy
from common.types import FLOAT_BYTES
from ps.segments import cut, elements_ahead
from ps.strategy import ParameterServer

FEW = 3  # segments before an answer for which the formula holds with any number of workers; with more, as many as those


def added_to_a_step(
    strategy: SyncStrategy, workers: int, servers: int, nbytes: int, link: Link, placement: str
) -> float | None:
    """Seconds that an exchange of `nbytes` bytes adds to each step; None where there is no formula of its own for it.

    Then it is as long as the exchange. There is one for `ps-bsp` with even shards, on servers of their own, no more
    of them than workers, and segments of which a worker does not push many more than there are workers before it waits.
    """
    if not isinstance(strategy, ParameterServer) or not strategy.consistency.lockstep:
        return None
    if strategy.sharding != "even":
        return None
    if placement != DEDICATED or not 0 < servers <= workers:
        return None
    return lockstep_seconds(workers, servers, nbytes, link, strategy.segment)


def lockstep_seconds(workers: int, servers: int, nbytes: int, link: Link, segment: int) -> float | None:
    """What a step takes longer than its training, seconds: from a worker's push until its last answer is in.

    With one server, n workers and k segments of s = Mβ/k seconds each: the answers to a step's last segment leave the
    server one by one, so the workers train, and then push, s after each other, and w segments without an answer.

    k = 1       the last worker has its answer n·s after the first answer began to leave. By then all other pushes are
                in but its own, s: (n + 1)·s, whatever training takes. That all begin at once would be 2n·s.
    k = 2, …    the pushes queue, first come first served, w of each worker's in turns with its neighbours': the first
                segment is complete after w·n·s, less the w(w - 1)/2 that come behind the last worker's. From there
                on the answers are the bottleneck, and the last segment's begin k - 1 rounds of n·s later.

    Together (n·(k + w - 1) + 1 - w(w - 1)/2)·s, and 2α. With S servers each has n workers and 1/S of the vector, in k
    segments of s = Mβ/(S·k), but a worker's link carries S of them for one of a server's: 2S - 1 - S·w(w - 1)/2
    instead of 1 - w(w - 1)/2. What servers add up comes on top, (n/S)·Mγ, as in the formula of the exchange.

    None where w is more than n and more than `FEW`: there it does not hold.
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
