"""Describe runs in one line each: their conditions, their limits, their errors."""

from collections.abc import Mapping, Sequence

from common.errors import step_name
from common.models import TABLES
from common.pipeline.straggler import jitter
from common.runtime.job import COLOCATED
from experiments.config.checks import on_off
from experiments.config.options.training import PLAIN
from experiments.format.words import listed, plural
from experiments.runs.run import Run
from experiments.schema.documents import Death, Environment, ErrorRecord, Restart, Summary


def conditions(runs: Sequence[Run]) -> str:
    """Return one line on workers, batch, model, parameters, data, transport, and what made workers slow."""

    def values_of(key: str) -> str:
        values = dict.fromkeys(value for run in runs if (value := getattr(run.summary, key)) is not None)
        words = [f"{value:,}" if isinstance(value, int) else str(value) for value in values] or ["?"]
        return " / ".join(words) if len(words) <= 3 else f"{words[0]} … {words[-1]}"

    workers, hosts, link = values_of("workers"), values_of("hosts"), values_of("link")
    workers += " worker" if workers == "1" else " workers"
    if colocated := dict.fromkeys(run.summary.servers for run in runs if run.summary.placement == COLOCATED):
        some = "" if all(run.summary.placement == COLOCATED for run in runs) else ", some"
        workers += f"{some} with {' / '.join(plural(count, 'server') for count in colocated)} in their processes"
    model = f"{values_of('model')} with {values_of('parameters')} parameters on {values_of('data')}"
    network = f"transport {values_of('transport')}"
    if link != "?":
        network += f" on a link of {link}"
    if hosts not in ("1", "?"):
        network += f", {hosts} hosts" if link != "?" else f", tcp between {hosts} hosts that are all this machine"
    slow = f"; {words}" if (words := slowness(runs)) else ""
    return f"{workers}, batch {values_of('batch')}, {model}, {network}{slow}"


def slowness(runs: Sequence[Run]) -> str:
    """Return what made workers slow: `training takes 20 ms, on worker 3 4× as long`. Empty if nothing did."""
    floors = dict.fromkeys(run.summary.train_seconds for run in runs if run.summary.train_seconds)
    causes = [f"training takes {1e3 * floor:g} ms" for floor in floors]
    for text in dict.fromkeys(run.summary.slow_worker for run in runs):
        for part in filter(None, text.split(",")):
            rank, _, factor = part.strip().partition(":")
            causes.append(f"on worker {rank} {float(factor):g}× as long")
    for text in dict.fromkeys(run.summary.jitter for run in runs):
        if drawn := jitter(text):
            longer = " to ".join(f"{1e3 * value:g}" for value in drawn.values)
            average = " on average" if len(drawn.values) == 1 else ""
            causes.append(f"each step {longer} ms longer{average} ({drawn.name})")
    return ", ".join(causes)


def limits_line(summary: Summary, env: Environment, beside: Sequence[Summary] = ()) -> str:
    """Return one line on what limits a run, the one with the most ranks of those that are compared `beside` it."""
    transport, link = summary.transport, env.link
    ranks, count = _ranks(summary)
    if transport == "virtual":
        on = f" on a link of {link}" if link else ""
        return f"{ranks} in virtual time{on}: gradients are real, seconds are predicted, not measured."
    if env.hosts is not None and env.hosts > 1:
        return f"{ranks} on {env.hosts} hosts over {transport}: these figures hold for this network and these hosts."
    place = f"{ranks} {'share' if count > (env.cores or 1) else 'on'} {env.cores or 'the'} cores of one host"
    if count == 1:
        return f"{place}: it sends nothing, so this says nothing about synchronisation."
    if link:
        return f"{place} over a link shaped to {link}: the network is as asked for, the host is one."
    over = "shared memory" if transport == "shm" else f"loopback ({transport})"
    if summary.hosts > 1 and transport == "shm":
        over += ", and loopback (tcp) between what stands for hosts"
    sending = [each for each in (summary, *beside) if each.strategy != "noop" and _ranks(each)[1] > 1]
    effects = ["a parameter server's incast does not show"] if any(each.servers for each in sending) else []
    if not all(each.servers for each in sending):
        effects.append("an all-reduce pays for its scheduling hops")
    unseen = f", so {listed(effects)}" if effects else ""
    words = "read these as software costs, not as cluster results"
    return f"{place} over {over}: no network bottleneck here{unseen}; {words}."


def _ranks(summary: Summary) -> tuple[str, int]:
    """Return the ranks of a run in words, and their number. `single` is one process that stands for all workers."""
    workers, servers = plural(summary.workers, "worker"), plural(summary.servers, "server")
    if not summary.servers:
        return ("1 process", 1) if summary.processes == 1 else (workers, summary.workers)
    inside = " in their processes" if summary.placement == COLOCATED else ""
    return f"{workers} (+{servers}{inside})", summary.workers + summary.servers


def times_line(goal: float, times: Mapping[str, float | None]) -> str:
    """Return `seconds to a loss of 0.12: ps-async 12.7, ring 26.1, noop never`, the fastest first."""
    order = sorted(times.items(), key=lambda item: (item[1] is None, item[1]))
    words = (f"{label} {'never' if seconds is None else f'{seconds:.3g}'}" for label, seconds in order)
    return f"seconds to a loss of {goal:.3g}: {', '.join(words)}"


def sparse_line(summary: Summary, can: bool) -> str:
    """Return a line on how an embedding table was synchronised, by a strategy that `can` do so by rows; else empty."""
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


def restarts_line(restarts: Sequence[Restart], lost: int) -> str:
    """Return `server rank 4 died at 3.2 s in step 120 and came back from step 100`, and so on."""
    phrases = [
        f"server rank {restart.rank} died at {restart.at:.1f} s in {step_name(restart.step)} "
        f"and came back from step {restart.resumed_from}"
        for restart in restarts
    ]
    return "; ".join([*phrases, f"{lost} push{'' if lost == 1 else 'es'} lost"] if lost else phrases)


def deaths_line(deaths: Sequence[Death], workers: int) -> str:
    """Return `worker rank 2 died in step 120 (killed by signal 9): 3 workers from there on`, and so on."""
    return "; ".join(
        f"worker rank {dead.rank} died in {step_name(dead.step)} ({dead.cause}): {plural(left, 'worker')} from there on"
        for left, dead in zip(range(workers - 1, -1, -1), deaths, strict=False)
    )
