"""What each server holds and moves, and whether one of them has much more than the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from common.runtime.placement import ranks_in_process_of
from common.types import FLOAT_BYTES
from experiments.config import Plan

FAIR = 1.2  # times the mean: above this, the largest server is what the others wait for


def servers_detail(
    plan: Plan, reports: Sequence[Mapping[str, Any] | None], traffic: Mapping[str, Mapping[str, Sequence[int | None]]]
) -> list[dict[str, Any]]:
    """An entry a server, None where it did not live to report.

    parameters, bytes       what it holds of the model
    optimizer_state_bytes   what its update rule keeps beside that
    bytes_sent, _received   payload of all steps, `bytes_within_process` of both being its own worker's
    held_share, load_share  its `bytes`, and its bytes sent and received, over the mean of all servers
    """
    entries = [
        {
            **_held(plan, plan.processes + server, reports),
            "bytes_sent": traffic["bytes_sent"]["per_server"][server],
            "bytes_received": traffic["bytes_received"]["per_server"][server],
        }
        for server in range(plan.job.servers)
    ]
    held = _shares([entry["bytes"] for entry in entries])
    moved = [(entry["bytes_sent"], entry["bytes_received"]) for entry in entries]
    load = _shares([None if None in both else sum(both) for both in moved])
    return [
        {**entry, "held_share": of_bytes, "load_share": of_load}
        for entry, of_bytes, of_load in zip(entries, held, load, strict=True)
    ]


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


def imbalance(summary: Mapping[str, Any]) -> str | None:
    """One line if the largest server exceeds the mean by more than 20 %: in what it holds or, failing that, in what it
    sends and receives. None if none does, or nothing is known."""
    servers = summary.get("servers_detail") or []
    if (top := _top(servers, "held_share")) is not None:
        of_all = top["bytes"] / sum(server["bytes"] for server in servers)
        what = f"holds {of_all:.0%} of the model's bytes, {top['held_share']:.1f} times the mean"
    elif (top := _top(servers, "load_share")) is not None:
        what = f"sends and receives {top['load_share']:.1f} times the mean"
    else:
        return None
    name = (summary.get("strategy_options") or {}).get("sharding", "even")
    remedy = "" if name == "even" else f"; instead of {name}, --strategy.sharding even would balance them"
    return f"server rank {top['rank']} {what} of the {len(servers)} servers{remedy}"


def _top(servers: Sequence[Mapping[str, Any]], key: str) -> Mapping[str, Any] | None:
    """The server with the most, if that is more than its share."""
    known = [server for server in servers if server.get(key) is not None]
    top = max(known, key=lambda server: float(server[key]), default=None)
    return top if top is not None and top[key] > FAIR else None


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
