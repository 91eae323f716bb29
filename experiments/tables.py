"""What the numbers say, in words: tables for terminals and for markdown, and one-line statements.

A statement names numbers that were measured and claims no more than they show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.errors import step_name
from common.stages import STAGES
from experiments.equivalence import Verdict
from experiments.results import (
    Role,
    Run,
    ceiling,
    hidden_seconds_per_step,
    human_bytes,
    human_count,
    human_ms,
    labels,
    stage_seconds_per_step,
)

_DASH = "–"
_HIDDEN = "sync\nhidden"
_SPARE = (
    "part %",
    "prep %",
    "load %",
    "update %",
    "sync hidden",
    "final loss",
    "ms/ step",
    "test acc.",
    "vs noop",
)  # first to go
_SHORT = dict(zip(STAGES, ("prep", "part", "load", "train", "sync", "update"), strict=True))


@dataclass(frozen=True)
class _Entry:
    """One row: a run, its label, its verdict and its ceiling."""

    run: Run
    label: str
    verdict: Verdict
    top: float | None
    stages: Mapping[str, float]  # seconds per step; empty where unknown
    hidden: float  # seconds of synchronisation per step, beside `train`


@dataclass(frozen=True)
class _Column:
    header: str  # of at most two lines
    cell: Callable[[_Entry], str]  # never empty

    @property
    def name(self) -> str:
        return self.header.replace("\n", " ")


def runs_table(runs: Sequence[Run], verdicts: Sequence[Verdict], *, width: int = 120) -> Table:
    """One row a run; the least important columns are left out until it fits into `width` columns of a terminal."""
    entries, columns = _entries(runs, verdicts), _columns(runs, verdicts)
    for spare in _SPARE:
        if sum(_cells_wide(column, entries) + 1 for column in columns) - 1 <= width:
            break
        columns = [column for column in columns if column.name != spare]
    caption = Text("\n".join(_caption(runs, verdicts)))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, caption=caption, caption_justify="left")
    for column in columns:
        words = column in (columns[0], columns[-1])
        table.add_column(Text(column.header), justify="left" if words else "right", no_wrap=not words)
    for entry in entries:
        colour = {"✓": "green", "✗": "red"}
        cells = [Text(cell, style=colour.get(cell[0], "")) for cell in (column.cell(entry) for column in columns)]
        table.add_row(*cells, style="" if entry.run.status == "ok" else "dim")
    return table


def _cells_wide(column: _Column, entries: Sequence[_Entry]) -> int:
    return max(map(len, [*column.header.split("\n"), *map(column.cell, entries)]))


def markdown(runs: Sequence[Run], verdicts: Sequence[Verdict]) -> str:
    """The same table as GitHub markdown, with every column; ends with a newline."""
    columns = _columns(runs, verdicts)
    rows = [[column.name for column in columns]]
    rows += [[":--", *["--:"] * (len(columns) - 2), ":--"]]
    rows += [[column.cell(entry).replace("|", "\\|") for column in columns] for entry in _entries(runs, verdicts)]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"{table}\n" + "".join(f"{line}\n\n" for line in _caption(runs, verdicts))[:-1]


def _entries(runs: Sequence[Run], verdicts: Sequence[Verdict]) -> list[_Entry]:
    return [
        _Entry(run, label, verdict, ceiling(run, runs), stage_seconds_per_step(run) or {}, hidden_seconds_per_step(run))
        for run, label, verdict in zip(runs, labels(runs), verdicts, strict=True)
    ]


def _columns(runs: Sequence[Run], verdicts: Sequence[Verdict]) -> list[_Column]:
    references = (label for label, verdict in zip(labels(runs), verdicts, strict=True) if verdict.kind == "reference")
    return [
        _Column("strategy", lambda e: e.label),
        _Column("samples\n/s", lambda e: _number(e.run, "samples_per_second", human_count)),
        _Column("vs\nnoop", _share_of_ceiling),
        _Column("ms/\nstep", _step_ms),
        *(_Column(_SHORT[stage] + "\n%", _share_of(stage)) for stage in STAGES),
        *([_Column(_HIDDEN, _share_hidden)] if any(map(hidden_seconds_per_step, runs)) else []),
        _Column("worker\nsends", lambda e: _sent(e.run, "worker")),
        _Column("server\nsends", lambda e: _sent(e.run, "server")),
        _Column("test\nacc.", lambda e: _number(e.run, "test_accuracy", lambda value: f"{value:.1%}")),
        _Column("final\nloss", lambda e: _number(e.run, "final_loss", lambda value: f"{value:.3g}")),
        _Column(f"same as\n{next(references, 'single')}", lambda e: _verdict(e.run, e.verdict)),
    ]


def _number(run: Run, key: str, show: Callable[[float], str]) -> str:
    value = run.number(key)
    return _DASH if value is None else show(value)


def _share_of_ceiling(entry: _Entry) -> str:
    return _number(entry.run, "samples_per_second", lambda rate: f"{rate / entry.top:.0%}" if entry.top else _DASH)


def _step_ms(entry: _Entry) -> str:
    rate, batch = entry.run.number("samples_per_second"), entry.run.number("batch")
    return human_ms(batch / rate) if rate and batch else _DASH


def _share_of(stage: str) -> Callable[[_Entry], str]:
    def cell(entry: _Entry) -> str:
        total = math.fsum(entry.stages.values())
        return f"{100 * entry.stages[stage] / total:.0f}" if total > 0 else _DASH

    return cell


def _share_hidden(entry: _Entry) -> str:
    whole = entry.hidden + entry.stages.get("synchronize", 0.0)
    return f"{entry.hidden / whole:.0%}" if whole > 0 else _DASH


def _sent(run: Run, role: Role) -> str:
    return human_bytes(max(sent)) if (sent := run.sent_per_step(role)) else _DASH


def _verdict(run: Run, verdict: Verdict) -> str:
    if run.status != "ok":
        return f"✗ {run.status}"
    mark = {"same": "✓", "differs": "✗"}.get(verdict.kind)
    if mark is None:
        return verdict.kind if verdict.kind == "reference" else f"{_DASH} {verdict.kind}"
    if verdict.deviation is None:
        return mark
    return f"{mark} {verdict.deviation:.0e}".replace("e+00", "").replace("e+0", "e").replace("e-0", "e-")


def _caption(runs: Sequence[Run], verdicts: Sequence[Verdict]) -> list[str]:
    lines = [
        f"{conditions(runs)}. {', '.join(_SHORT.values())}: share of a step's time in {', '.join(STAGES)}. "
        "sends: payload per step of the busiest rank. Throughput and shares without warm-up."
    ]
    if any(map(hidden_seconds_per_step, runs)):
        lines[0] += " sync hidden: share of the synchronisation that ran beside train and is part of its time."
    for run, label, verdict in zip(runs, labels(runs), verdicts, strict=True):
        if error := run.summary.get("error"):
            lines.append(f"{label} {run.status}: {_error_line(error)}")
        elif verdict.reason:
            lines.append(f"{label}: {verdict.reason}")
    return lines


def _error_line(error: Mapping[str, Any]) -> str:
    step, cause = error.get("step"), " ".join(str(error.get("cause")).split())
    place = [f"{error['role']} rank {error.get('rank')}"] if error.get("role") else []
    place += [f"stage {error['stage']}"] if error.get("stage") else []
    place += [step_name(step)] if isinstance(step, int) else []
    place += [f"bucket {error['bucket']}"] if error.get("bucket") else []
    return ": ".join(part for part in (str(error.get("type")), ", ".join(place), cause) if part)


def conditions(runs: Sequence[Run]) -> str:
    """One line on what was run: workers, batch, model, parameters, data and transport."""

    def each(key: str) -> str:
        values = dict.fromkeys(run.summary.get(key) for run in runs if run.summary.get(key) is not None)
        return " / ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in values) or "?"

    workers = "1 worker" if each("workers") == "1" else f"{each('workers')} workers"
    model = f"{each('model')} with {each('parameters')} parameters on {each('data')}"
    hosts = "" if each("hosts") in ("1", "?") else f", tcp between {each('hosts')} hosts that are all this machine"
    return f"{workers}, batch {each('batch')}, {model}, transport {each('transport')}{hosts}"


def limits_line(summary: Mapping[str, Any], env: Mapping[str, Any]) -> str:
    """One line on what limits a comparison of runs like this one.

    `summary` is that of the run with the most ranks; of `env`, `cores`, `hosts` and `link` are used where they are.
    """
    workers, servers = summary.get("workers") or 0, summary.get("servers") or 0
    ranks = _plural(workers, "worker") + (f" (+{_plural(servers, 'server')})" if servers else "")
    transport, link, hosts = summary.get("transport"), env.get("link"), env.get("hosts") or 1
    if transport == "virtual":
        on = f" on a link of {link}" if link else ""
        return f"{ranks} in virtual time{on}: gradients are real, seconds are predicted, not measured."
    if hosts > 1:
        return f"{ranks} on {hosts} hosts over {transport}: these figures hold for this network and these hosts."
    cores = env.get("cores")
    crowded = workers + servers > (cores or 1)
    place = f"{'share' if crowded else 'on'} {cores or 'the'} cores of one host"
    if link:
        return f"{ranks} {place} over a link shaped to {link}: the network is as asked for, the host is one."
    over = "shared memory" if transport == "shm" else f"loopback ({transport})"
    return (
        f"{ranks} {place} over {over}: no network bottleneck here, so a parameter server's incast does not show and "
        "a ring pays for its scheduling hops; read these as software costs, not as cluster results."
    )


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def fastest(rates: Mapping[str, float], top: float | None) -> str:
    """Which label has the most samples/s, against the ceiling `top` of that run and against the slowest.

    No ranking is claimed where the first is above what should be its ceiling, or the last within 5 % of the first.
    """
    if not rates:
        return "Throughput, without a strategy to compare"
    best, worst = max(rates, key=rates.__getitem__), min(rates, key=rates.__getitem__)
    if top and rates[best] > 1.05 * top:
        return f"No ranking: {best} came out at {rates[best] / top:.1f}× noop, which should be the ceiling"
    if len(rates) > 1 and rates[best] < 1.05 * rates[worst]:
        return f"No clear difference: all {len(rates)} strategies are within 5%"
    reached = f"{rates[best] / top:.0%} of the ceiling" if top else f"{human_count(rates[best])} samples/s"
    return f"{best} was fastest: {reached}" + (f", {rates[best] / rates[worst]:.1f}× {worst}" if best != worst else "")


def synchronisation(shares: Mapping[str, float]) -> str:
    """The range of the share of `synchronize` in a step, by label."""
    if not shares:
        return "Where the time of a step goes"
    low, high = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    least, most = f"{shares[low]:.0%}", f"{shares[high]:.0%}"
    if least == most:
        return f"Synchronisation takes {least} of a step"
    return f"Synchronisation takes {least} ({low}) to {most} ({high}) of a step"


def learning(final: Mapping[str, float]) -> str:
    """Whether the final losses, by label, agree, and which are lowest and highest."""
    if len(final) < 2:
        return "Loss against samples seen"
    best, worst = min(final, key=final.__getitem__), max(final, key=final.__getitem__)
    alike = sum(loss <= 1.02 * final[best] for loss in final.values())
    if alike == len(final):
        return "From the same samples all synchronous strategies reach the same loss"
    who = f"{best} reaches" if alike == 1 else f"{alike} of {len(final)} reach"
    return f"From the same samples {who} a loss of {final[best]:.3g}, {worst} {final[worst]:.3g}"


def learning_time(goal: float, reached: Mapping[str, float]) -> str:
    """Who reached the loss `goal` first and last; `reached` is in seconds, by label."""
    if not reached:
        return "Loss against time"
    best, worst = min(reached, key=reached.__getitem__), max(reached, key=reached.__getitem__)
    more = f" to {reached[worst]:.3g} s ({worst}), one run each" if best != worst else ""
    return f"A loss of {goal:.3g} after {reached[best]:.3g} s ({best}){more}"


def hub(servers: Sequence[float], workers: Sequence[float]) -> tuple[float, str]:
    """How many times the median of the others the busiest rank sends, and a few words on it. Bytes per step."""
    *others, top = sorted([*servers, *workers])
    usual = median(others or [top])
    if top == 0:
        return 1.0, "nothing"
    if top <= 1.05 * min([*others, top]):
        return 1.0, f"{human_bytes(top)} each"
    words = f"{'server' if top in servers else 'worker'}: {human_bytes(top)}"
    return (top / usual, f"{words}, {top / usual:.1f}× the others") if usual else (math.inf, words)


def hubs(ratios: Mapping[str, float]) -> str:
    """Which label has the busiest hub and which has none, from the ratios of `hub`."""
    high = max(ratios, key=ratios.__getitem__, default="")
    if not high or ratios[high] < 1.5:
        return "No hub: every rank sends about as much as the others"
    even = next((label for label, ratio in ratios.items() if ratio < 1.1), "")
    times = f"{ratios[high]:.1f}×" if math.isfinite(ratios[high]) else "far more than"
    return f"The hub of {high} sends {times} what other ranks do" + (f"; {even} has none" if even else "")
