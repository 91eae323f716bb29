"""What may make runs differ besides what is compared: machine, versions, threads, transport, too few repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.comparison.model import BESIDE, Entry
from experiments.runs.run import Run
from experiments.schema.documents import Environment

SCATTER = 0.1  # of the median: how far apart repeats may lie without a warning
NOISE = 1.05  # times the ceiling: what is above cannot be

_MACHINE = ("cpu", "cores", "memory_bytes", "platform", "hosts")


def circumstances(entries: Sequence[Entry]) -> list[str]:
    """A line for each of machine, versions, threads and transport that differs among the runs of `entries`.

    An engine that brings its own transport has no other: that is what it is, and nothing to beware of. The lines are
    the same in whatever order the entries come, so that what several contests have in common can be told once.
    """
    runs = [(entry.label, run) for entry in entries for run in entry.runs]
    known = [(label, run) for label, run in runs if run.env != Environment()]
    lines = []
    if unknown := dict.fromkeys(label for label, run in runs if run.env == Environment()):
        lines.append(f"no env.json, so nobody knows on what machine it ran: {', '.join(sorted(unknown))}")
    lines += _apart("machine", known, lambda run: {key: getattr(run.env, key) for key in _MACHINE})
    lines += _apart("versions", known, _versions)
    lines += _apart("threads", known, lambda run: {"per rank": run.env.threads_per_rank})
    ours = [(label, run) for label, run in runs if run.strategy not in BESIDE and not run.summary.own_transport]
    return lines + _apart("transport", ours, lambda run: {"transport": run.summary.transport})


def _versions(run: Run) -> dict[str, Any]:
    return {"python": run.env.python, "commit": run.env.commit, **run.env.versions}


def _apart(what: str, runs: Sequence[tuple[str, Run]], read: Callable[[Run], Mapping[str, Any]]) -> list[str]:
    """A line that names what differs and who has it; none if nothing does."""
    told = [(label, read(run)) for label, run in runs]
    lines = []
    for key in dict.fromkeys(key for _, values in told for key in values):
        owners: dict[str, dict[str, None]] = {}
        for label, values in told:
            owners.setdefault(str(values.get(key)), {})[label] = None
        if len(owners) > 1:
            each = "; ".join(f"{value}: {', '.join(sorted(labels))}" for value, labels in sorted(owners.items()))
            lines.append(f"{key} {each}" if key != what else each)
    return [f"{what} differ{'' if what.endswith('s') else 's'}, {line}" for line in lines]


def scatter(rates: Sequence[float], middle: float) -> float:
    """How far apart the repeats lie, as a part of their median."""
    return (max(rates) - min(rates)) / middle if len(rates) > 1 and middle else 0.0


def notes(rates: Sequence[float], middle: float, runs: Sequence[Run], share: float | None) -> tuple[str, ...]:
    """What must be known about an entry's figures; each is the rest of a sentence about it."""
    found = []
    if missing := len(runs) - len(rates):
        found.append(
            f"has no throughput in {missing} of {len(runs)} runs: too short, or never all workers at work at once"
        )
    if (part := scatter(rates, middle)) > SCATTER:
        found.append(f"scatters: its {len(rates)} repeats lie {part:.0%} apart")
    if share is not None and share > NOISE:
        found.append(f"is at {share:.1f}× the ceiling, which cannot be: noise, or too few repeats")
    return tuple(found)
