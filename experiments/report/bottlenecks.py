"""The limits of runs, as recorded: cores, ceiling, exposed synchronisation, the busiest rank, stragglers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from common.runtime.job import VIRTUAL
from experiments.comparison.model import Contest, Entry
from experiments.format.table import Column, Table, filled
from experiments.format.units import human_bytes, human_count, human_seconds
from experiments.format.words import plural
from experiments.runs.describe import slowness
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step
from experiments.schema.documents import PerRank

YARDSTICK_LINK = 1e9 / 8  # bytes/s of 1 Gbit/s, which all traffic is compared with
NOTABLE = 1.2  # times the median: the others wait for a rank that trains this much longer
NOBODY = "nobody sends"
EVEN = 1.05  # times the others: up to here, ranks count as equal


@dataclass(frozen=True)
class Share:
    """Shares of a step, None if unknown; bytes a step of the busiest rank, and how many times the others' median."""

    label: str
    train: float | None
    exposed: float | None  # synchronisation that nothing runs beside
    hidden: float | None  # synchronisation beside train
    busiest: str
    sent: float | None
    times: float

    @property
    def link_seconds(self) -> float | None:
        """The seconds that the traffic of the busiest rank alone would take on 1 Gbit/s."""
        return None if self.sent is None else self.sent / YARDSTICK_LINK


def shares(entries: Sequence[Entry]) -> list[Share]:
    """Return the shares of each entry, from its run with the median throughput."""
    rows = []
    for entry in entries:
        run, train, exposed, beside = entry.run, None, None, None
        stages = stage_seconds_per_step(run)
        if stages and (total := math.fsum(stages.values())) > 0:
            train = stages["train"] / total
            if not run.within_train:
                exposed, beside = stages["synchronize"] / total, hidden_seconds_per_step(run) / total
        rows.append(Share(entry.label, train, exposed, beside, *busiest(run)))
    return rows


def busiest(run: Run) -> tuple[str, float | None, float]:
    """Return the rank that sends or receives most (or `all alike`), its bytes a step, and times the others' median."""
    sent, received = _a_step(run, run.summary.bytes_sent), _a_step(run, run.summary.bytes_received)
    loads = {rank: max(value, received.get(rank, 0.0)) for rank, value in sent.items()}
    if not loads:
        return "not counted", None, 1.0
    top = max(loads.values())
    if len(loads) == 1 or top == 0:
        return NOBODY, 0.0, 1.0
    tops = [rank for rank, load in loads.items() if EVEN * load >= top]
    others = [load for load in loads.values() if EVEN * load < top]
    if not others:
        return "all alike", top, 1.0
    who = tops[0] if len(tops) == 1 else f"{len(tops)} of {len(loads)} ranks"
    usual = median(others)
    if any(EVEN * sent[rank] < top for rank in tops):  # a chart of what is sent has others on top
        every = all(EVEN * received.get(rank, 0.0) >= top for rank in tops)
        who += " (receiving)" if every else " (sending or receiving)"
    return who, top, top / usual if usual else math.inf


def _a_step(run: Run, counts: PerRank | None) -> dict[str, float]:
    """Bytes in a step by the name of the rank; empty if they are not known."""
    steps = run.summary.steps_done
    if counts is None or not steps or run.summary.own_transport is not None:
        return {}
    workers, every = len(counts.per_worker), enumerate(counts.per_worker + counts.per_server)
    named = ((f"{'worker' if rank < workers else 'server'} rank {rank}", value) for rank, value in every)
    return {name: value / steps for name, value in named if value is not None}


def share_table(rows: Sequence[Share]) -> Table[Share]:
    """Return the shares as a table; columns that nobody has are left out."""
    columns = [
        Column[Share]("strategy", lambda row: row.label),
        Column[Share]("train", lambda row: row.train, "{:.0%}".format),
        Column[Share]("synchronise, exposed", lambda row: row.exposed, "{:.0%}".format),
        Column[Share]("synchronise, beside train", lambda row: row.hidden or None, "{:.0%}".format),
        Column[Share]("busiest rank", _busiest_words),
        Column[Share]("sends or receives a step", lambda row: row.sent or None, human_bytes),
        Column[Share]("alone on 1 Gbit/s", lambda row: row.link_seconds or None, human_seconds),
    ]
    return Table(filled(columns, rows), rows)


def _busiest_words(row: Share) -> str:
    return row.busiest + (f", {row.times:.1f}× the others" if 1.0 < row.times < math.inf else "")


def limits(contest: Contest, rows: Sequence[Share]) -> dict[str, str]:
    """Return what limits the entries of `contest`, by the name of the limit; `rows` are their shares."""
    found = {
        "Cores": cores(largest_run(contest)),
        "Ceiling": ceiling_line(contest),
        "Exposed synchronisation": exposed_line(rows),
        "Busiest rank": busiest_line(rows),
        "Stragglers": stragglers(contest.entries),
    }
    return {name: text for name, text in found.items() if text}


def largest_run(contest: Contest) -> Run:
    """Return the run with the most processes."""
    return max((entry.run for entry in contest.entries), key=lambda run: run.summary.processes)


def cores(run: Run) -> str:
    """How many ranks share a core."""
    count, available = run.summary.workers + run.summary.servers, run.env.cores
    threads = run.env.threads_per_rank or 1
    ranks = plural(count, "rank") + (f" of {threads} threads" if threads > 1 else "")
    if run.summary.transport == VIRTUAL:
        return "Time is virtual: ranks do not compete for cores."
    if not available:
        return f"{ranks}; the number of their cores is not recorded."
    if count * threads <= available:
        return f"{ranks} on {plural(available, 'core')}: no rank waits for a core."
    return (
        f"{ranks} share {plural(available, 'core')}, {count * threads / available:.2g} on each: in every stage a rank "
        "also waits for a core, and a strategy with more ranks waits more."
    )


def ceiling_line(contest: Contest) -> str:
    """The throughput of noop, and the shares of it that the others reach."""
    noop = contest.strategy("noop")
    known = {entry.label: entry.share for entry in contest.entries if entry.contends and entry.share is not None}
    if noop is None or not known:
        return "No run of noop: the throughput without synchronisation is not known."
    parts = ", ".join(f"{label} {share:.0%}" for label, share in known.items())
    line = f"noop, which synchronises nothing, does {human_count(noop.rate.middle)} samples/s. Of that, {parts}."
    if max(known.values()) > 1:
        return f"{line} Above 100 % is noise: nothing is faster than doing less."
    return f"{line} The rest to 100 % is the whole cost of synchronisation."


def exposed_line(rows: Sequence[Share]) -> str:
    """The range of exposed synchronisation, and the hidden part."""
    known = {row.label: row.exposed for row in rows if row.exposed and row.busiest != NOBODY}
    if not known:
        return ""
    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    span = f"{known[low]:.0%} of a step in {low}" + (f", and up to {known[high]:.0%} in {high}" if low != high else "")
    line = f"Workers only synchronise, or wait for others, for {span}."
    hidden = {row.label: row.hidden for row in rows if row.hidden and row.hidden >= 0.005}
    if hidden:
        parts = ", ".join(f"{label} {share:.0%}" for label, share in hidden.items())
        return f"{line} More of it runs beside training and costs nothing: {parts} of a step."
    return f"{line} None of it is hidden beside training."


def busiest_line(rows: Sequence[Share]) -> str:
    """The rank whose link would be full first."""
    known = [row for row in rows if row.sent]
    if not known:
        return ""
    row = max(known, key=lambda share: share.sent or 0.0)
    traffic = f"{human_bytes(row.sent or 0.0)} a step (alone {1e3 * (row.link_seconds or 0.0):.3g} ms on 1 Gbit/s)"
    if row.times == 1.0:
        return f"All links are equally busy: in {row.label} every rank moves {traffic}."
    often = f", {row.times:.1f} times as much as the others" if math.isfinite(row.times) else ""
    if " of " in row.busiest:
        return f"In {row.label}, {row.busiest} move {traffic} each{often}. Their links are the first to be full."
    return f"In {row.label}, {row.busiest} moves {traffic}{often}. Its link is the first to be full."


def stragglers(entries: Sequence[Entry]) -> str:
    """The workers that were made slow on purpose, and the worker whose training took longest."""
    runs = [entry.run for entry in entries]
    uneven = any(run.summary.slow_worker or run.summary.jitter for run in runs)
    lines = [f"On purpose: {slowness(runs)}."] if uneven else []  # training that is long everywhere makes nobody wait
    measured = []
    for entry in entries:
        every = entry.run.worker_rows.items()
        means = {rank: fmean(row.seconds.train for row in rows) for rank, rows in every if rows}
        if len(means) > 1 and (usual := median(means.values())) > 0:
            slowest = max(means, key=means.__getitem__)
            measured.append((means[slowest] / usual, entry.label, slowest))
    times, label, rank = max(measured, default=(0.0, "", 0))
    if times >= NOTABLE:
        lines.append(f"Measured: in {label}, worker rank {rank} trains {times:.1f} times as long as the median worker.")
    return " ".join(lines)
