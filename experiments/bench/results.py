"""From the lines that the ranks of a benchmark wrote to the rows of its result.

    algbw   bytes / seconds
    busbw   algbw · 2(n-1)/n: comparable with the speed of a link, whatever n (nccl-tests, PERFORMANCE.md)

A server is no all-reduce: it has no busbw, but ingress and egress, those of the busiest server. Where all-reduces are
timed with their workers' update, there is no busbw, limit or prediction: those are of an exchange alone. What a worker
and a server of one process send each other crosses no wire and is not counted.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.records.recorder import whole_lines
from common.runtime.placement import ranks_in_process_of
from common.strategy import Link
from experiments.bench.plan import BenchPlan, Block, schedule
from experiments.config.strategies import create_call
from experiments.machine.bandwidth_limits import Limits
from experiments.metrics import intervals

Row = dict[str, Any]
Lines = Mapping[int, Mapping[int, Mapping[str, Any]]]  # by rank, by block: what that rank recorded of it


@dataclass(slots=True)
class _Cell:
    """What is known of one contestant at one size."""

    wrong: int | None = None
    notes: str | None = None  # what the strategy says of its choices so far
    samples: list[float] = field(default_factory=list)
    iterations: int | None = None
    sent: dict[int, dict[int, float]] = field(default_factory=dict)  # bytes an exchange, by sender and receiver


def read_lines(folder: Path, spec: BenchPlan) -> Lines:
    """What each rank wrote into `folder`/ranks; a line that was cut short, by a kill or a full disk, is left out."""
    found: dict[int, dict[int, Mapping[str, Any]]] = {}
    for rank in range(spec.ranks):
        file = folder / "ranks" / f"{rank}-{'worker' if rank < spec.workers else 'server'}.jsonl"
        found[rank] = {}
        for line in whole_lines(file) if file.exists() else []:
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                found[rank][record["block"]] = record
    return found


def measured_links(spec: BenchPlan, lines: Lines) -> dict[str, Link]:
    """α, β and γ of each transport that was measured."""
    blocks = enumerate(schedule(spec))
    seen = {block.transport: lines[0][at] for at, block in blocks if block.kind == "link" and at in lines[0]}
    return {name: Link(found["alpha"], found["beta"], found["gamma"]) for name, found in seen.items()}


def make_rows(spec: BenchPlan, lines: Lines, limits: Limits | None) -> list[Row]:
    """A row for each contestant at each size that every rank came to the end of at least once.

    `limits` None: not known, as in a benchmark that did not live to measure them.
    """
    cells: dict[tuple[int, int], _Cell] = {}
    for at, block in enumerate(schedule(spec)):
        if block.kind != "link":
            _gather(cells.setdefault((block.nbytes, block.contestant), _Cell()), spec, block, at, lines)
    measured = measured_links(spec, lines)
    return [
        _row(spec, nbytes, contestant, cell, limits, measured)
        for (nbytes, contestant), cell in cells.items()
        if cell.samples
    ]


def _gather(cell: _Cell, spec: BenchPlan, block: Block, at: int, lines: Lines) -> None:
    ranks = range(spec.ranks if spec.contestants[block.contestant].servers else spec.workers)
    if any(at not in lines[rank] for rank in ranks):
        return
    if block.kind == "verify":
        cell.wrong = sum(lines[rank][at]["wrong"] for rank in range(spec.workers))
        cell.notes = lines[0][at].get("notes")
        return
    workers = [lines[rank][at] for rank in range(spec.workers)]
    cell.samples.append(sum(worker["seconds"] for worker in workers) / len(workers))
    cell.iterations = workers[0]["iterations"]
    cell.sent = {rank: _beyond(spec, rank, lines[rank][at]["sent"]) for rank in ranks}


def _beyond(spec: BenchPlan, rank: int, sent: Mapping[str, float]) -> dict[int, float]:
    """Of what `rank` has sent, by receiver, that which left its process."""
    crew = ranks_in_process_of(rank, spec.workers, spec.servers, spec.placement)
    return {int(to): count for to, count in sent.items() if int(to) not in crew}


def _row(
    spec: BenchPlan, nbytes: int, index: int, cell: _Cell, limits: Limits | None, measured: Mapping[str, Link]
) -> Row:
    one, n = spec.contestants[index], spec.workers
    seconds = intervals.median(cell.samples)
    interval = intervals.interval(cell.samples)
    servers = spec.servers if one.servers else 0
    least = limits.seconds(one.shown, n, nbytes) if limits and not spec.update else None
    link = None if one.own or spec.update else measured.get(one.transport)
    algbw = nbytes / seconds / 1e9
    serving = range(n, n + servers)
    return {
        "strategy": one.strategy,
        "transport": one.shown,
        "workers": n,
        "servers": servers,
        "placement": spec.placement if servers else None,
        "bytes": nbytes,
        "update": spec.update or one.servers,
        "seconds_median": seconds,
        "seconds_ci95": list(interval) if interval else None,
        "algbw_GBps": algbw,
        "busbw_GBps": None if one.servers or spec.update else algbw * 2 * (n - 1) / n,
        "server_ingress_GBps": _ingress(cell, serving) / seconds / 1e9 if one.servers else None,
        "server_egress_GBps": _egress(cell, serving) / seconds / 1e9 if one.servers else None,
        "wire_bytes": None if one.own else round(sum(sum(to.values()) for to in cell.sent.values())),
        "wrong": cell.wrong,
        "limit_fraction": least / seconds if least is not None else None,
        "notes": cell.notes,
        "iterations": cell.iterations,
        "samples": cell.samples,
        "seconds_predicted": create_call(one.strategy).seconds(n, servers, nbytes, link) if link else None,
    }


def _ingress(cell: _Cell, servers: range) -> float:
    """Bytes into the server through which most go, in one exchange."""
    return max(sum(to.get(server, 0.0) for to in cell.sent.values()) for server in servers)


def _egress(cell: _Cell, servers: range) -> float:
    """Bytes out of the server through which most go, in one exchange."""
    return max(sum(cell.sent[server].values()) for server in servers)


def with_ratios(rows: Sequence[Row], baseline: str) -> list[Row]:
    """The rows with `ratio`: the baseline's median time over this one's, at the same size; above 1 this is faster.

    The baseline over the same transport where it was run over it, else its first one.
    """
    times: dict[tuple[int, str], float] = {}
    first: dict[int, float] = {}
    for row in rows:
        if row["strategy"] == baseline:
            times[row["bytes"], row["transport"]] = row["seconds_median"]
            first.setdefault(row["bytes"], row["seconds_median"])
    reference = [times.get((row["bytes"], row["transport"]), first.get(row["bytes"])) for row in rows]
    return [
        {**row, "ratio": time / row["seconds_median"] if time else None}
        for row, time in zip(rows, reference, strict=True)
    ]


def wrong_results(rows: Sequence[Row]) -> str | None:
    """One line that names the contestants whose results were wrong; None if all were right."""
    bad = [
        f"{row['strategy']} over {row['transport']} at {row['bytes']} bytes ({row['wrong']} elements)"
        for row in rows
        if row["wrong"]
    ]
    return f"wrong results: {'; '.join(bad)}" if bad else None
