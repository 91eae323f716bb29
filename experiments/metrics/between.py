"""Who sent how much to whom: the traffic between ranks, small enough for a summary whatever the size of the job."""

from __future__ import annotations

from collections.abc import Mapping

MOST = 32  # ranks, or groups of them
Between = dict[str, dict[str, int]]


def between(bytes_to: Mapping[int, Mapping[str, int]], workers: int) -> Between:
    """Payload bytes by sender and receiver; pairs without any are left out.

    `bytes_to` has what each rank sent, by receiver; ranks from `workers` on are servers. With more than `MOST` ranks,
    neighbours are put together, workers with workers and servers with servers: a name is `0-15` then and not `0`.
    """
    names = groups(workers, len(bytes_to) - workers)
    found: Between = {name: {} for name in names}
    for rank, receivers in sorted(bytes_to.items()):
        row = found[names[rank]]
        for to, count in sorted((int(to), count) for to, count in receivers.items()):
            if count:
                row[names[to]] = row.get(names[to], 0) + count
    return found


def groups(workers: int, servers: int) -> list[str]:
    """The name of the group of each rank: of as few ranks as make at most `MOST` groups."""
    each = 1
    while -(-workers // each) + -(-servers // each) > MOST:
        each += 1
    names = []
    for first, end in ((0, workers), (workers, workers + servers)):
        for low in range(first, end, each):
            high = min(low + each, end) - 1
            names += [f"{low}-{high}" if high > low else f"{low}"] * (high - low + 1)
    return names
