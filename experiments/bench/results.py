"""Results of a benchmark: from the blocks that its ranks wrote to the rows of bench.json.

    algbw   bytes / seconds
    busbw   algbw · 2(n-1)/n: comparable with the speed of a link for every n (nccl-tests, PERFORMANCE.md)

A parameter server has no busbw, but the ingress and egress of its busiest server. All-reduces timed with the update
have no busbw, limit or prediction. Bytes between a worker and a server of one process are not counted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from common.runtime.placement import ranks_in_process_of
from common.strategy import Link
from experiments.bench.plan import BenchPlan, rank_file, schedule
from experiments.config.strategies import create_call
from experiments.machine.bandwidth_limits import least_seconds
from experiments.metrics.intervals import interval
from experiments.schema.documents import BenchLimits, BenchRow
from experiments.schema.files import read_lines
from experiments.schema.records import BenchBlock

Blocks = Mapping[int, Mapping[int, BenchBlock]]  # by rank, then by place in the schedule
Finished = list[list[BenchBlock]]  # blocks that all ranks finished, each by rank


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
    """Return a row for each contestant at each size with a block that all its ranks finished. `limits` may be None."""
    measured: dict[tuple[int, int], Finished] = {}
    for number, block in enumerate(schedule(plan)):
        if block.kind != "link":
            ranks = range(plan.ranks if plan.contestants[block.contestant].servers else plan.workers)
            finished = [blocks[rank][number] for rank in ranks if number in blocks[rank]]
            if len(finished) == len(ranks):
                measured.setdefault((block.nbytes, block.contestant), []).append(finished)
    links = measured_links(plan, blocks)
    rows = (_row(plan, *key, found, limits, links) for key, found in measured.items())
    return [row for row in rows if row is not None]


def _row(
    plan: BenchPlan, nbytes: int, index: int, found: Finished, limits: BenchLimits | None, links: Mapping[str, Link]
) -> BenchRow | None:
    """Return the row of one contestant at one size, given its blocks, by rank; None if it was not timed."""
    one, n = plan.contestants[index], plan.workers
    verified = [by_rank[:n] for by_rank in found if by_rank[0].wrong is not None]
    timed = [by_rank for by_rank in found if by_rank[0].seconds is not None]
    if not timed:
        return None
    samples = tuple(sum(worker.seconds or 0.0 for worker in by_rank[:n]) / n for by_rank in timed)
    seconds = median(samples)
    servers = plan.servers if one.servers else 0
    inside = [ranks_in_process_of(rank, n, servers, plan.placement) for rank in range(n + servers)]
    sent = [  # to other processes
        {to: count for to, count in (mine.sent or {}).items() if to not in near}
        for mine, near in zip(timed[-1], inside, strict=True)
    ]
    into = [sum(to.get(server, 0.0) for to in sent) for server in range(n, n + servers)]
    least = least_seconds(limits, one.shown, n, nbytes) if limits and not plan.update else None
    link = None if one.own or plan.update else links.get(one.transport)
    algbw = nbytes / seconds / 1e9
    return BenchRow(
        strategy=one.strategy,
        transport=one.shown,
        workers=n,
        servers=servers,
        placement=plan.placement if servers else None,
        bytes=nbytes,
        update=plan.update or one.servers,
        seconds_median=seconds,
        seconds_ci95=interval(samples),
        algbw_GBps=algbw,
        busbw_GBps=None if one.servers or plan.update else algbw * 2 * (n - 1) / n,
        server_ingress_GBps=max(into) / seconds / 1e9 if into else None,
        server_egress_GBps=max(sum(to.values()) for to in sent[n:]) / seconds / 1e9 if into else None,
        wire_bytes=None if one.own else round(sum(sum(to.values()) for to in sent)),
        wrong=sum(worker.wrong or 0 for worker in verified[0]) if verified else None,
        limit_fraction=least / seconds if least is not None else None,
        notes=verified[0][0].notes if verified else None,
        iterations=timed[-1][0].iterations,
        samples=samples,
        seconds_predicted=create_call(one.strategy).seconds(n, servers, nbytes, link) if link else None,
    )


def with_ratios(rows: Sequence[BenchRow], baseline: str) -> list[BenchRow]:
    """Return the rows with `ratio`: the baseline's median, over the same transport if it has one, by the row's."""
    references = [row for row in rows if row.strategy == baseline]
    times = {(row.bytes, row.transport): row.seconds_median for row in references}
    first = {row.bytes: row.seconds_median for row in reversed(references)}
    found = [times.get((row.bytes, row.transport), first.get(row.bytes)) for row in rows]
    ratios = [seconds and seconds / row.seconds_median for seconds, row in zip(found, rows, strict=True)]
    return [replace(row, ratio=ratio) for row, ratio in zip(rows, ratios, strict=True)]


def wrong_results(rows: Sequence[BenchRow]) -> str | None:
    """Return one line that names the contestants with wrong results; None if all results are right."""
    wrong = [
        f"{row.strategy} over {row.transport} at {row.bytes} bytes ({row.wrong} elements)" for row in rows if row.wrong
    ]
    return f"wrong results: {'; '.join(wrong)}" if wrong else None
