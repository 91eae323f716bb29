"""Results of a benchmark: from the blocks that its ranks wrote to the rows of bench.json.

    algbw   bytes / seconds
    busbw   algbw · 2(n-1)/n: comparable with the speed of a link for every n (nccl-tests, PERFORMANCE.md)

A parameter server is no all-reduce: it has no busbw, but the ingress and egress of its busiest server. If all-reduces
are timed with their workers' update, they have no busbw, limit or prediction either: those hold for an exchange alone.
Bytes between a worker and a server of one process cross no wire and are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from common.runtime.placement import ranks_in_process_of
from common.strategy import Link
from experiments.bench.plan import BenchPlan, Block, rank_file, schedule
from experiments.config.strategies import create_call
from experiments.machine.bandwidth_limits import least_seconds
from experiments.metrics.intervals import interval
from experiments.schema.documents import BenchLimits, BenchRow
from experiments.schema.files import read_lines
from experiments.schema.records import BenchBlock

Blocks = Mapping[int, Mapping[int, BenchBlock]]  # by rank, then by place in the schedule


@dataclass(slots=True)
class _Measurement:
    """The measurements of one contestant at one size."""

    wrong: int | None = None
    notes: str | None = None
    samples: list[float] = field(default_factory=list)
    iterations: int | None = None
    sent: dict[int, dict[int, float]] = field(default_factory=dict)  # bytes an exchange, by sender and receiver


def read_blocks(folder: Path, plan: BenchPlan) -> Blocks:
    """Return what each rank wrote. A line that was cut short, by a kill or a full disk, is left out."""
    files = {rank: rank_file(folder, rank, plan.role(rank)) for rank in range(plan.ranks)}
    return {
        rank: {found.block: found for found in read_lines(file, BenchBlock)} if file.exists() else {}
        for rank, file in files.items()
    }


def measured_links(plan: BenchPlan, blocks: Blocks) -> dict[str, Link]:
    """Return α, β and γ of each transport that was measured."""
    numbered = enumerate(schedule(plan))
    found = {block.transport: blocks[0].get(number) for number, block in numbered if block.kind == "link"}
    return {name: Link(mine.alpha or 0.0, mine.beta or 0.0, mine.gamma or 0.0) for name, mine in found.items() if mine}


def make_rows(plan: BenchPlan, blocks: Blocks, limits: BenchLimits | None) -> list[BenchRow]:
    """Return a row for each contestant at each size of which all ranks have finished at least one timed block.

    `limits` None: the benchmark ended before they were measured.
    """
    measured: dict[tuple[int, int], _Measurement] = {}
    for number, block in enumerate(schedule(plan)):
        if block.kind != "link":
            found = measured.setdefault((block.nbytes, block.contestant), _Measurement())
            _gather(found, plan, block, {rank: mine.get(number) for rank, mine in blocks.items()})
    links = measured_links(plan, blocks)
    return [
        _row(plan, nbytes, contestant, found, limits, links)
        for (nbytes, contestant), found in measured.items()
        if found.samples
    ]


def _gather(found: _Measurement, plan: BenchPlan, block: Block, by_rank: Mapping[int, BenchBlock | None]) -> None:
    """Add one block to `found`, unless a rank that takes part in it did not finish it."""
    ranks = range(plan.ranks if plan.contestants[block.contestant].servers else plan.workers)
    finished = {rank: mine for rank in ranks if (mine := by_rank[rank]) is not None}
    if len(finished) < len(ranks):
        return
    workers = [finished[rank] for rank in range(plan.workers)]
    if block.kind == "verify":
        found.wrong = sum(worker.wrong or 0 for worker in workers)
        found.notes = workers[0].notes
        return
    found.samples.append(sum(worker.seconds or 0.0 for worker in workers) / len(workers))
    found.iterations = workers[0].iterations
    found.sent = {rank: _left_process(plan, rank, mine.sent or {}) for rank, mine in finished.items()}


def _left_process(plan: BenchPlan, rank: int, sent: Mapping[int, float]) -> dict[int, float]:
    """Return the bytes that left the process of `rank`, by receiver."""
    inside = ranks_in_process_of(rank, plan.workers, plan.servers, plan.placement)
    return {to: count for to, count in sent.items() if to not in inside}


def _row(
    plan: BenchPlan, nbytes: int, index: int, found: _Measurement, limits: BenchLimits | None, links: Mapping[str, Link]
) -> BenchRow:
    one, n = plan.contestants[index], plan.workers
    seconds = median(found.samples)
    servers = plan.servers if one.servers else 0
    least = least_seconds(limits, one.shown, n, nbytes) if limits and not plan.update else None
    link = None if one.own or plan.update else links.get(one.transport)
    algbw = nbytes / seconds / 1e9
    into = [sum(to.get(server, 0.0) for to in found.sent.values()) for server in range(n, n + servers)]
    out = [sum(found.sent[server].values()) for server in range(n, n + servers)]
    return BenchRow(
        strategy=one.strategy,
        transport=one.shown,
        workers=n,
        servers=servers,
        placement=plan.placement if servers else None,
        bytes=nbytes,
        update=plan.update or one.servers,
        seconds_median=seconds,
        seconds_ci95=interval(found.samples),
        algbw_GBps=algbw,
        busbw_GBps=None if one.servers or plan.update else algbw * 2 * (n - 1) / n,
        server_ingress_GBps=max(into) / seconds / 1e9 if into else None,
        server_egress_GBps=max(out) / seconds / 1e9 if out else None,
        wire_bytes=None if one.own else round(sum(sum(to.values()) for to in found.sent.values())),
        wrong=found.wrong,
        limit_fraction=least / seconds if least is not None else None,
        notes=found.notes,
        iterations=found.iterations,
        samples=tuple(found.samples),
        seconds_predicted=create_call(one.strategy).seconds(n, servers, nbytes, link) if link else None,
    )


def with_ratios(rows: Sequence[BenchRow], baseline: str) -> list[BenchRow]:
    """Return the rows with `ratio`: the baseline's median time over the row's, at the same size; above 1 is faster.

    The baseline's time over the same transport counts; if there is none, its time over its first transport.
    """
    times: dict[tuple[int, str], float] = {}
    first: dict[int, float] = {}
    for row in rows:
        if row.strategy == baseline:
            times[row.bytes, row.transport] = row.seconds_median
            first.setdefault(row.bytes, row.seconds_median)
    reference = [times.get((row.bytes, row.transport), first.get(row.bytes)) for row in rows]
    return [
        replace(row, ratio=seconds / row.seconds_median if seconds else None)
        for row, seconds in zip(rows, reference, strict=True)
    ]


def wrong_results(rows: Sequence[BenchRow]) -> str | None:
    """Return one line that names the contestants with wrong results; None if all results are right."""
    wrong = [
        f"{row.strategy} over {row.transport} at {row.bytes} bytes ({row.wrong} elements)" for row in rows if row.wrong
    ]
    return f"wrong results: {'; '.join(wrong)}" if wrong else None
