"""How a run ended that did not come to its end, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import FINISH, SETUP, ConfigError
from experiments.runs.labels import labels
from experiments.runs.run import Run
from experiments.sweep.journal import Line


@dataclass(frozen=True)
class Whereabouts:
    """What one rank recorded before the end."""

    rank: int
    role: str
    steps: int  # recorded
    seconds: float | None  # when the last of them ended, since the start of the job


@dataclass(frozen=True)
class Failure:
    """`what` failed, the sentence on it, a hint, and who had come how far; texts may be empty but for the first two."""

    what: str
    sentence: str
    hint: str
    progress: str
    folder: str
    ranks: tuple[Whereabouts, ...] = ()


def failures(failed: Sequence[Run], cells: Iterable[Line] = ()) -> list[Failure]:
    """Of each run that failed or was interrupted, and of each failed cell of a sweep that left no run."""
    found = [_failure(run, label) for run, label in zip(failed, labels(failed), strict=True)]
    known = {run.path.name for run in failed}
    lost = [cell for cell in cells if cell.status != "ok" and cell.folder not in known]
    return found + [Failure(cell.cell, _sentence_of(cell.error), "", "", cell.folder or "") for cell in lost]


def _failure(run: Run, label: str) -> Failure:
    summary = run.summary
    done, asked = summary.get("steps_done"), summary.get("steps")
    progress = f"{done} of {asked} steps were done by every worker." if done is not None else ""
    return Failure(label, in_words(summary), hint(summary), progress, str(run.path), tuple(_whereabouts(run)))


def in_words(summary: Mapping[str, Any]) -> str:
    """One sentence on how the run ended, with the rank that is to blame."""
    error = summary.get("error")
    if not isinstance(error, Mapping):
        return f"It is {summary.get('status')}, and nothing says why."
    cause = " ".join(str(error.get("cause")).split())
    if error.get("rank") is None:
        return "It was interrupted." if error.get("type") == "KeyboardInterrupt" else _sentence_of(cause)
    who = f"{error.get('role')} rank {error['rank']}".capitalize()
    place = _place(error)
    match error.get("type"):
        case "PeerFailed" if cause.startswith(("killed by", "lost with")):
            return f"{who} was {cause}, {place}."
        case "PeerFailed" if cause.startswith("ended with"):
            return f"{who} {cause}, {place}."
        case "DeadlineExceeded":
            return f"{who} waited longer than the deadline, {place}: {cause}."
        case "ProtocolError":
            return f"{who} got something else than what it asked for, {place}: {cause}."
        case "Deadlock":
            return f"No rank could ever go on; {who[0].lower()}{who[1:]} was {place}: {cause}."
        case _:
            return f"{who} failed {place}: {cause}."


def _place(error: Mapping[str, Any]) -> str:
    match error.get("step"):
        case int(step) if step == SETUP:
            return "before the first step"
        case int(step) if step == FINISH:
            return "after the last step"
        case step:
            stage = f"in stage {error['stage']} of " if error.get("stage") else "in "
            return f"{stage}step {step}" if step is not None else "at a step that is not recorded"


def hint(summary: Mapping[str, Any]) -> str:
    """What to look at, where the cause suggests something; else empty."""
    error = summary.get("error") or {}
    cause = str(error.get("cause"))
    if "signal 9" in cause:
        return "Unless somebody killed it, look at the memory: the system ends a process this way when it runs out."
    if error.get("type") == "DeadlineExceeded":
        return "Where ranks are slow on purpose, give a larger --deadline; else look at the rank that was waited for."
    return ""


def _sentence_of(text: object) -> str:
    words = " ".join(str(text or "nothing says why").split())
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _whereabouts(run: Run) -> list[Whereabouts]:
    """Of every rank that recorded anything, and of the one to blame."""
    try:
        rows = run.rows
    except ConfigError:
        return []  # damaged, as may be after a crash; the sentence stands
    found = {
        rank: Whereabouts(rank, role, len(its), its[-1].get("ended") if its else None)
        for (role, rank), its in rows.items()
    }
    error = run.summary.get("error") or {}
    if (rank := error.get("rank")) is not None:
        found.setdefault(rank, Whereabouts(rank, str(error.get("role")), 0, None))
    return [found[rank] for rank in sorted(found)]
