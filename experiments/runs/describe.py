"""What the numbers say, in one line each, for tables and for the titles of charts.

A sentence names numbers that were measured and claims no more than they show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.errors import step_name
from common.models import TABLES
from common.pipeline.straggler import jitter
from common.runtime.job import COLOCATED
from experiments.config.checks import on_off
from experiments.config.training import PLAIN
from experiments.format.words import listed, plural
from experiments.runs.run import Run
from experiments.schema.documents import Environment, ErrorRecord, Summary


def conditions(runs: Sequence[Run]) -> str:
    """One line on what was run: workers, batch, model, parameters, data, transport, and what made workers slow."""

    def each(key: str) -> str:
        values = dict.fromkeys(value for run in runs if (value := getattr(run.summary, key)) is not None)
        told = [f"{value:,}" if isinstance(value, int) else str(value) for value in values] or ["?"]
        return " / ".join(told) if len(told) <= 3 else f"{told[0]} … {told[-1]}"

    workers = "1 worker" if each("workers") == "1" else f"{each('workers')} workers"
    model = f"{each('model')} with {each('parameters')} parameters on {each('data')}"
    link = f" on a link of {each('link')}" if each("link") != "?" else ""
    real = f", tcp between {each('hosts')} hosts that are all this machine"
    hosts = "" if each("hosts") in ("1", "?") else f", {each('hosts')} hosts" if link else real
    colocated = dict.fromkeys(run.summary.servers for run in runs if run.summary.placement == COLOCATED)
    if colocated:
        some = "" if all(run.summary.placement == COLOCATED for run in runs) else ", some"
        workers += f"{some} with {' / '.join(plural(count, 'server') for count in colocated)} in their processes"
    slow = f"; {words}" if (words := slowness(runs)) else ""
    return f"{workers}, batch {each('batch')}, {model}, transport {each('transport')}{link}{hosts}{slow}"


def slowness(runs: Sequence[Run]) -> str:
    """What made workers slow, in words: `training takes 20 ms, on worker 3 4× as long`. Empty if nothing did."""
    floors = dict.fromkeys(run.summary.train_seconds for run in runs)
    told = [f"training takes {1e3 * floor:g} ms" for floor in floors if floor]
    for text in dict.fromkeys(run.summary.slow_worker for run in runs):
        for part in filter(None, text.split(",")):
            rank, _, factor = part.strip().partition(":")
            told.append(f"on worker {rank} {float(factor):g}× as long")
    for text in dict.fromkeys(run.summary.jitter for run in runs):
        if drawn := jitter(text):
            longer = " to ".join(f"{1e3 * value:g}" for value in drawn.values)
            told.append(f"each step {longer} ms longer{' on average' if len(drawn.values) == 1 else ''} ({drawn.name})")
    return ", ".join(told)


def limits_line(summary: Summary, env: Environment, beside: Sequence[Summary] = ()) -> str:
    """One line on what limits a run, or a comparison of runs like this one.

    `summary` is that of the run with the most ranks, and `beside` those of the others; of `env`, `cores`, `hosts` and
    `link` are used where they are.
    """
    transport, link, hosts = summary.transport, env.link, env.hosts or 1
    ranks, count = _ranks(summary)
    if transport == "virtual":
        on = f" on a link of {link}" if link else ""
        return f"{ranks} in virtual time{on}: gradients are real, seconds are predicted, not measured."
    if hosts > 1:
        return f"{ranks} on {hosts} hosts over {transport}: these figures hold for this network and these hosts."
    cores = env.cores
    place = f"{'share' if count > (cores or 1) else 'on'} {cores or 'the'} cores of one host"
    if count == 1:
        return f"{ranks} {place}: it sends nothing, so this says nothing about synchronisation."
    if link:
        return f"{ranks} {place} over a link shaped to {link}: the network is as asked for, the host is one."
    over = "shared memory" if transport == "shm" else f"loopback ({transport})"
    if summary.hosts > 1 and transport == "shm":
        over += ", and loopback (tcp) between what stands for hosts"
    return (
        f"{ranks} {place} over {over}: no network bottleneck here{_unseen([summary, *beside])}; read these as software "
        "costs, not as cluster results."
    )


def _ranks(summary: Summary) -> tuple[str, int]:
    """The ranks of a run in words, and how many; `single` is one process, whatever it stands for."""
    workers, servers = summary.workers, summary.servers
    if not servers and summary.processes == 1:
        return "1 process", 1
    inside = " in their processes" if summary.placement == COLOCATED else ""
    beside = f" (+{plural(servers, 'server')}{inside})" if servers else ""
    return plural(workers, "worker") + beside, workers + servers


def _unseen(summaries: Sequence[Summary]) -> str:
    """What those who were run would show on a network, and do not show here."""
    talking = [one for one in summaries if one.strategy != "noop" and _ranks(one)[1] > 1]
    told = ["a parameter server's incast does not show"] if any(one.servers for one in talking) else []
    if not all(one.servers for one in talking):
        told.append("an all-reduce pays for its scheduling hops")
    return f", so {listed(told)}" if told else ""


def times_line(goal: float, times: Mapping[str, float | None]) -> str:
    """`seconds to a loss of 0.12: ring 26.1, ps-async 12.7, noop never`, the first to get there first."""
    order = sorted(times, key=lambda label: (times[label] is None, times[label]))
    each = (f"{label} {'never' if (took := times[label]) is None else f'{took:.3g}'}" for label in order)
    return f"seconds to a loss of {goal:.3g}: {', '.join(each)}"


def sparse_line(summary: Summary, can: bool) -> str:
    """A line for people on how the table's gradient was synchronised; empty for a model without one.

    `can`: whether the strategy can do it by rows.
    """
    if summary.model not in TABLES:
        return ""
    if summary.sparse:
        return "sparse: of the table, only the rows that a step touches were synchronised"
    if not can:
        return "dense: the whole table was synchronised, as this strategy always does"
    if on_off(summary.strategy_options.get("sparse")) == "off":
        return "dense: the whole table was synchronised, as asked for"
    return f"dense: the whole table was synchronised, as rows alone need {PLAIN}"


def error_line(error: ErrorRecord) -> str:
    """Return the error of a summary in one line: its type, where it happened, and its cause."""
    place = [f"{error.role} rank {error.rank}"] if error.role else []
    place += [f"stage {error.stage}"] if error.stage else []
    place += [step_name(error.step)] if error.step is not None else []
    place += [f"bucket {error.bucket}"] if error.bucket else []
    return ": ".join(part for part in (error.type, ", ".join(place), " ".join(error.cause.split())) if part)
