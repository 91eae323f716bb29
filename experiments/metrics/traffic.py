"""What each server holds and moves, and whether one of them has much more than the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from common.runtime.placement import ranks_in_process_of
from common.types import FLOAT_BYTES
from experiments.config import Plan
from experiments.schema.documents import PerRank, ServerDetail, Summary

FAIR = 1.2  # times the mean: above this, the largest server is what the others wait for


def servers_detail(
    plan: Plan, reports: Sequence[Mapping[str, Any] | None], sent: PerRank, received: PerRank
) -> tuple[ServerDetail, ...]:
    """What each server holds, sends and receives, and its shares of both; None where it did not live to report."""
    entries = [_held(plan, plan.processes + server, reports) for server in range(plan.job.servers)]
    held = _shares([entry["bytes"] for entry in entries])
    moved = list(zip(sent.per_server, received.per_server, strict=True))
    load = _shares([None if out is None or back is None else out + back for out, back in moved])
    return tuple(
        ServerDetail(**entry, bytes_sent=out, bytes_received=back, held_share=of_bytes, load_share=of_load)
        for entry, (out, back), of_bytes, of_load in zip(entries, moved, held, load, strict=True)
    )


def _held(plan: Plan, rank: int, reports: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    said = (reports[rank] if rank < len(reports) else None) or {}
    parameters = said.get("parameters")
    crew = [
        other
        for other in ranks_in_process_of(rank, plan.processes, plan.job.servers, plan.job.placement)
        if other != rank
    ]
    return {
        "rank": rank,
        "process_of": crew[0] if crew else rank,
        "parameters": parameters,
        "bytes": None if parameters is None else FLOAT_BYTES * parameters,
        "optimizer_state_bytes": said.get("optimizer_state_bytes"),
        "bytes_within_process": _within(rank, crew, reports),
    }


def _within(rank: int, crew: Sequence[int], reports: Sequence[Mapping[str, Any] | None]) -> int | None:
    """Payload bytes between `rank` and the others of its process, both ways."""
    said = {each: (reports[each] if each < len(reports) else None) or {} for each in (rank, *crew)}
    if any("bytes_to" not in report for report in said.values()):
        return None
    pairs = [(rank, other) for other in crew] + [(other, rank) for other in crew]
    return sum(int(said[sender]["bytes_to"].get(str(to), 0)) for sender, to in pairs)


def _shares(values: Sequence[float | None]) -> list[float | None]:
    """Each value over the mean of all; None for all where one is not known, or all are zero."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not any(known):
        return [None] * len(values)
    return [value / fmean(known) for value in known]


def imbalance(summary: Summary) -> str | None:
    """One line if the largest server exceeds the mean by more than 20 %: in what it holds or, failing that, in what it
    sends and receives. None if none does, or nothing is known."""
    servers = summary.servers_detail
    if (top := _top({server: server.held_share for server in servers})) is not None:
        of_all = (top.bytes or 0) / sum(server.bytes or 0 for server in servers)
        what = f"holds {of_all:.0%} of the model's bytes, {top.held_share:.1f} times the mean"
    elif (top := _top({server: server.load_share for server in servers})) is not None:
        what = f"sends and receives {top.load_share:.1f} times the mean"
    else:
        return None
    name = summary.strategy_options.get("sharding", "even")
    remedy = "" if name == "even" else f"; instead of {name}, --strategy.sharding even would balance them"
    return f"server rank {top.rank} {what} of the {len(servers)} servers{remedy}"


def _top(shares: Mapping[ServerDetail, float | None]) -> ServerDetail | None:
    """The server with the largest share, if that is more than fair."""
    known = {server: share for server, share in shares.items() if share is not None and share > FAIR}
    return max(known, key=known.__getitem__, default=None)


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
