"""Traffic between ranks, and what each server holds and moves, in a few lines however many ranks a job has."""

import itertools
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from common.runtime.placement import ranks_in_process_of
from common.types import FLOAT_BYTES
from experiments.config import Plan
from experiments.schema.documents import PerRank, ServerDetail, Summary

MOST_GROUPS = 32  # ranks, or groups of ranks, between which traffic is told
FAIR = 1.2  # times the mean: the other servers wait for one with more
Between = dict[str, dict[str, int]]
Reports = Sequence[Mapping[str, Any] | None]


def servers_detail(plan: Plan, reports: Reports, sent: PerRank, received: PerRank) -> tuple[ServerDetail, ...]:
    """Return what each server holds, sends and receives, and its shares; None where it did not live to report."""
    by_rank = dict(enumerate(report or {} for report in reports))
    servers = [by_rank.get(rank, {}) for rank in range(plan.processes, plan.processes + plan.job.servers)]
    held = [server.get("parameters") for server in servers]
    moved = list(zip(sent.per_server, received.per_server, strict=True))
    held_shares = _shares(held)
    load_shares = _shares([None if out is None or back is None else out + back for out, back in moved])
    details = []
    for number, (server, parameters) in enumerate(zip(servers, held, strict=True)):
        rank = plan.processes + number
        together = ranks_in_process_of(rank, plan.processes, plan.job.servers, plan.job.placement)
        within = None
        if all("bytes_to" in by_rank.get(other, {}) for other in together):
            pairs = [pair for pair in itertools.permutations(together, 2) if rank in pair]
            within = sum(int(by_rank[sender]["bytes_to"].get(str(to), 0)) for sender, to in pairs)
        detail = ServerDetail(
            rank=rank,
            process_of=together[0],
            parameters=parameters,
            bytes=None if parameters is None else FLOAT_BYTES * parameters,
            optimizer_state_bytes=server.get("optimizer_state_bytes"),
            bytes_within_process=within,
            bytes_sent=moved[number][0],
            bytes_received=moved[number][1],
            held_share=held_shares[number],
            load_share=load_shares[number],
        )
        details.append(detail)
    return tuple(details)


def _shares(values: Sequence[float | None]) -> list[float | None]:
    """Return each value over the mean of all. None for all if one value is not known, or all are zero."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not any(known):
        return [None] * len(values)
    return [value / fmean(known) for value in known]


def imbalance(summary: Summary) -> str | None:
    """Return one line if a server holds, or else moves, more than FAIR times the mean; None if it is not known."""
    servers = summary.servers_detail
    holds = [server.held_share or 0.0 for server in servers]
    moves = [server.load_share or 0.0 for server in servers]
    if max(holds, default=0.0) > FAIR:
        top = servers[holds.index(max(holds))]
        of_all = (top.bytes or 0) / sum(server.bytes or 0 for server in servers)
        what = f"holds {of_all:.0%} of the model's bytes, {top.held_share:.1f} times the mean"
    elif max(moves, default=0.0) > FAIR:
        top = servers[moves.index(max(moves))]
        what = f"sends and receives {top.load_share:.1f} times the mean"
    else:
        return None
    name = summary.strategy_options.get("sharding", "even")
    remedy = "" if name == "even" else f"; instead of {name}, --strategy.sharding even would balance them"
    return f"server rank {top.rank} {what} of the {len(servers)} servers{remedy}"


def between(bytes_to: Mapping[int, Mapping[str, int]], workers: int) -> Between:
    """Return payload bytes by sender and receiver; in large jobs, neighbours of a role are a group such as `0-15`."""
    names = groups(workers, len(bytes_to) - workers)
    found: Between = {name: {} for name in names}
    for rank, receivers in sorted(bytes_to.items()):
        row = found[names[rank]]
        for to in sorted(map(int, receivers)):
            if count := receivers[str(to)]:
                row[names[to]] = row.get(names[to], 0) + count
    return found


def groups(workers: int, servers: int) -> list[str]:
    """Return the name of the group of each rank. Groups are as small as MOST_GROUPS of them allow."""
    size = next(size for size in itertools.count(1) if -(-workers // size) + -(-servers // size) <= MOST_GROUPS)
    names = []
    for first, end in ((0, workers), (workers, workers + servers)):
        for low in range(first, end, size):
            high = min(low + size, end) - 1
            names += [f"{low}-{high}" if high > low else f"{low}"] * (high - low + 1)
    return names
