"""Warn of other causes of a difference: machine, versions, threads, transport, and too few repeats."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.comparison.model import Entry
from experiments.runs.run import Run
from experiments.schema.documents import Environment

SCATTER = 0.1  # of the median: how far apart repeats may lie without a warning
NOISE = 1.05  # times the ceiling: no run can be above this

_MACHINE = ("cpu", "cores", "memory_bytes", "platform", "hosts")


def circumstances(entries: Sequence[Entry]) -> list[str]:
    """Return, in a fixed order, lines on machine, versions, threads and our transports that differ among entries."""
    runs = [(entry, run) for entry in entries for run in entry.runs]
    known = [(entry.label, run) for entry, run in runs if run.env != Environment()]
    lines = []
    if unknown := {entry.label for entry, run in runs if run.env == Environment()}:
        lines.append(f"no env.json, so the machine is unknown: {', '.join(sorted(unknown))}")
    lines += _differing("machine", known, lambda run: {key: getattr(run.env, key) for key in _MACHINE})
    lines += _differing(
        "versions", known, lambda run: {"python": run.env.python, "commit": run.env.commit, **run.env.versions}
    )
    lines += _differing("threads", known, lambda run: {"per rank": run.env.threads_per_rank})
    ours = [(entry.label, run) for entry, run in runs if entry.contends and not run.summary.own_transport]
    return lines + _differing("transport", ours, lambda run: {"transport": run.summary.transport})


def _differing(what: str, runs: Sequence[tuple[str, Run]], read: Callable[[Run], Mapping[str, Any]]) -> list[str]:
    """Return a line for each value that differs, with the labels that have it."""
    known = [(label, read(run)) for label, run in runs]
    lines = []
    for key in dict.fromkeys(key for _, values in known for key in values):
        owners: dict[str, set[str]] = {}
        for label, values in known:
            owners.setdefault(str(values.get(key)), set()).add(label)
        if len(owners) > 1:
            words = "; ".join(f"{value}: {', '.join(sorted(labels))}" for value, labels in sorted(owners.items()))
            verb = "differ" if what.endswith("s") else "differs"
            lines.append(f"{what} {verb}, {words if key == what else f'{key} {words}'}")
    return lines


def scatter(entry: Entry) -> float:
    """Return how far apart the repeats of an entry lie, as a part of their median."""
    return (max(entry.rates) - min(entry.rates)) / entry.rate.middle if len(entry.rates) > 1 else 0.0


def notes(entry: Entry, share: float | None) -> tuple[str, ...]:
    """Return warnings about an entry's figures; each is the rest of a sentence. `share` is of the ceiling."""
    found = []
    if missing := len(entry.runs) - len(entry.rates):
        found.append(
            f"has no throughput in {missing} of {len(entry.runs)} runs: they were too short, or the workers never "
            "worked at the same time"
        )
    if (part := scatter(entry)) > SCATTER:
        found.append(f"scatters: its {len(entry.rates)} repeats lie {part:.0%} apart")
    if share is not None and share > NOISE:
        found.append(f"is at {share:.1f}× the ceiling, which is impossible: noise, or too few repeats")
    return tuple(found)
