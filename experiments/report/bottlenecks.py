"""What limits these runs: cores, network, ceiling, exposed synchronisation, the busiest rank, stragglers.

All of it is derived from what was recorded, and says no more than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from experiments.format.units import human_bytes, human_count
from experiments.format.words import plural
from experiments.report.environment import environment_of
from experiments.runs.describe import slowness
from experiments.runs.run import Run, hidden_seconds_per_step, stage_seconds_per_step
from experiments.schema.documents import PerRank
from experiments.schema.records import StepRow

if TYPE_CHECKING:
    from experiments.comparison import Contest, Entry

YARDSTICK_LINK = 1e9 / 8  # bytes/s of 1 Gbit/s: what traffic is weighed against where the run had no link
NOTABLE = 1.2  # times the median: a rank that trains this much longer is waited for
NOBODY = "nobody sends"
EVEN = 1.05  # times the others: up to here, all ranks send the same


@dataclass(frozen=True)
class Limit:
    """One thing that may limit a run, and what the numbers say of it."""

    name: str
    text: str


@dataclass(frozen=True)
class Share:
    """Where a step of one strategy goes: seconds, and shares of it; None where unknown.

    `sent` is bytes a step of the rank that sends or receives most, `times` how many times the median of the others.
    """

    label: str
    seconds: float | None
    train: float | None
    exposed: float | None  # synchronisation that nothing runs beside
    hidden: float | None  # synchronisation beside train
    busiest: str
    sent: float | None
    times: float

    @property
    def link_seconds(self) -> float | None:
        """What its busiest rank's traffic alone would take on 1 Gbit/s."""
        return None if self.sent is None else self.sent / YARDSTICK_LINK


def shares(entries: Sequence[Entry]) -> list[Share]:
    """One for each entry, from the run in its middle."""
    return [_share(entry.label, entry.run) for entry in entries]


def _share(label: str, run: Run) -> Share:
    stages, hidden = stage_seconds_per_step(run), hidden_seconds_per_step(run)
    total = math.fsum(stages.values()) if stages else 0.0
    train = exposed = beside = None
    if stages and total > 0:
        train = stages["train"] / total
        if not run.within_train:
            exposed, beside = stages["synchronize"] / total, hidden / total
    who, sent, times = busiest(run)
    return Share(label, total or None, train, exposed, beside, who, sent, times)


def busiest(run: Run) -> tuple[str, float | None, float]:
    """(which rank, bytes a step, times the median of the others) of the rank that sends or receives most.

    Links carry both ways at once, so the larger way counts, and is told where it is not that of sending. `all alike`
    where none stands out; None if unknown.
    """
    sent, received = _a_step(run, run.summary.bytes_sent), _a_step(run, run.summary.bytes_received)
    loads = {rank: max(value, received.get(rank, 0.0)) for rank, value in sent.items()}
    if not loads:
        return "not counted", None, 1.0
    if len(loads) == 1 or max(loads.values()) == 0:
        return NOBODY, 0.0, 1.0
    top = max(loads.values())
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
    """By rank, in words: bytes in a step; empty where they are not known."""
    steps = run.summary.steps_done
    if counts is None or not steps or run.summary.own_transport is not None:
        return {}
    workers = len(counts.per_worker)
    named = [(f"worker rank {rank}", value) for rank, value in enumerate(counts.per_worker)]
    named += [(f"server rank {workers + number}", value) for number, value in enumerate(counts.per_server)]
    return {name: value / steps for name, value in named if value is not None}


def limits(contest: Contest, rows: Sequence[Share]) -> list[Limit]:
    """What limits the entries of `contest`, of which `rows` are the shares."""
    runs = [entry.run for entry in contest.entries]
    found = [
        Limit("Cores", cores(largest_run(contest))),
        Limit("Ceiling", ceiling_line(contest)),
        Limit("Exposed synchronisation", exposed_line(rows)),
        Limit("Busiest rank", busiest_line(rows)),
        Limit("Stragglers", stragglers(runs, [entry.label for entry in contest.entries])),
    ]
    return [limit for limit in found if limit.text]


def largest_run(contest: Contest) -> Run:
    """The one with the most processes, from which the others' limits follow."""
    return max((entry.run for entry in contest.entries), key=lambda run: run.summary.processes)


def cores(run: Run) -> str:
    """How many ranks share a core."""
    ranks, there = run.summary.workers + run.summary.servers, environment_of(run).cores
    threads = environment_of(run).threads_per_rank or 1
    told = plural(ranks, "rank") + (f" of {threads} threads" if threads > 1 else "")
    if run.summary.transport == "virtual":
        return "Time is virtual: ranks do not compete for cores."
    if not there:
        return f"{told}; how many cores they had is not recorded."
    if ranks * threads <= there:
        return f"{told} on {plural(there, 'core')}: none has to wait for one."
    return (
        f"{told} share {plural(there, 'core')}, {ranks * threads / there:.2g} on each: in every stage a rank also "
        "waits for a core, and a strategy with more ranks waits more."
    )


def ceiling_line(contest: Contest) -> str:
    """What noop reaches, and how much of it the others do."""
    noop = contest.strategy("noop")
    known = {entry.label: entry.share for entry in contest.entries if entry.contends and entry.share is not None}
    if noop is None or not known:
        return "No run of noop beside these: how fast they could be without synchronisation is not known."
    parts = ", ".join(f"{label} {share:.0%}" for label, share in known.items())
    line = f"noop, which synchronises nothing, does {human_count(noop.rate.middle)} samples/s. Of that, {parts}."
    above = [label for label, share in known.items() if share > 1]
    if above:
        return f"{line} Above 100 % is noise: nothing can be faster than doing less."
    return f"{line} What is missing to 100 % is what synchronisation costs, all in all."


def exposed_line(rows: Sequence[Share]) -> str:
    """The range of exposed synchronisation, and what is hidden."""
    known = {row.label: row.exposed for row in rows if row.exposed and row.busiest != NOBODY}
    if not known:
        return ""
    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    span = f"{known[high]:.0%} of a step in {high}"
    if low != high:
        span = f"{known[low]:.0%} of a step in {low}, and up to {known[high]:.0%} in {high}"
    line = f"Workers do nothing but synchronise, or wait for others to, for {span}."
    hidden = {row.label: row.hidden for row in rows if row.hidden and row.hidden >= 0.005}
    if hidden:
        parts = ", ".join(f"{label} {share:.0%}" for label, share in hidden.items())
        return f"{line} Beside training, and so for nothing, runs more of it: {parts} of a step."
    return f"{line} None of it is hidden beside training."


def busiest_line(rows: Sequence[Share]) -> str:
    """Whose link would be the first to be full."""
    known = [row for row in rows if row.sent]
    if not known:
        return ""
    row = max(known, key=lambda each: each.sent or 0.0)
    if row.times == 1.0:
        return f"Nobody's link is busier than the others': in {row.label} every rank moves {_traffic(row)}."
    often = f", {row.times:.1f} times what the others do" if math.isfinite(row.times) else ""
    if " of " in row.busiest:
        return f"In {row.label}, {row.busiest} move {_traffic(row)} each{often}. Their links are the first to be full."
    return f"In {row.label}, {row.busiest} moves {_traffic(row)}{often}. Its link is the first to be full."


def _traffic(row: Share) -> str:
    seconds = row.link_seconds or 0.0
    return f"{human_bytes(row.sent or 0.0)} a step (alone {1e3 * seconds:.3g} ms on 1 Gbit/s)"


def stragglers(runs: Sequence[Run], names: Sequence[str]) -> str:
    """What was made slow on purpose, and which worker's training took longest."""
    uneven = any(run.summary.slow_worker or run.summary.jitter for run in runs)
    planted = slowness(runs) if uneven else ""  # training that takes long in every worker makes nobody wait
    told = [f"On purpose: {planted}."] if planted else []
    worst: tuple[float, str, int] = (0.0, "", 0)
    for run, name in zip(runs, names, strict=True):
        means = {rank: _mean_train(rows) for rank, rows in run.worker_rows.items() if rows}
        if len(means) > 1 and (usual := median(means.values())) > 0:
            slowest = max(means, key=means.__getitem__)
            worst = max(worst, (means[slowest] / usual, name, slowest))
    times, name, rank = worst
    if times >= NOTABLE:
        told.append(f"Measured: in {name}, worker rank {rank} trains {times:.1f} times as long as the median worker.")
    return " ".join(told)


def _mean_train(rows: Sequence[StepRow]) -> float:
    return math.fsum(row.seconds.train for row in rows) / len(rows)
