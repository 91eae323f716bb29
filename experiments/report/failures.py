"""The runs that did not come to their end, and why, in plain words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.errors import FINISH, SETUP, ConfigError
from experiments.format.words import plural
from experiments.runs.labels import labels
from experiments.runs.run import Run
from experiments.schema.documents import ErrorRecord, Summary
from experiments.schema.records import JournalEntry


@dataclass(frozen=True)
class Failure:
    """A run or a cell that failed. `hint`, `progress` and `folder` may be empty."""

    what: str  # its label
    sentence: str  # why
    hint: str  # what to do
    progress: str  # of all workers
    folder: str
    ranks: tuple[str, ...] = ()  # the progress of each


def failures(failed: Sequence[Run], cells: Iterable[JournalEntry] = ()) -> list[Failure]:
    """Return the runs that failed or were interrupted, and the failed cells of a sweep that left no run."""
    found = []
    for run, label in zip(failed, labels(failed), strict=True):
        progress = f"{run.summary.steps_done} of {run.summary.steps} steps were done by every worker."
        words = in_words(run.summary), hint(run.summary), progress, str(run.path)
        found.append(Failure(label, *words, tuple(_progress(run))))
    known = {run.path.name for run in failed}
    lost = [cell for cell in cells if cell.status != "ok" and cell.folder not in known]
    return found + [Failure(cell.cell, _sentence_of(cell.error), "", "", cell.folder or "") for cell in lost]


def in_words(summary: Summary) -> str:
    """Return one sentence on how the run ended, with the rank that failed first."""
    error = summary.error
    if error is None:
        return f"It is {summary.status}, and no reason is recorded."
    cause = " ".join(error.cause.split())
    if error.rank is None:
        return "It was interrupted." if error.type == "KeyboardInterrupt" else _sentence_of(cause)
    who = f"{error.role} rank {error.rank}".capitalize()
    place = _place(error)
    match error.type:
        case "PeerFailed" if cause.startswith(("killed by", "lost with")):
            return f"{who} was {cause}, {place}."
        case "PeerFailed" if cause.startswith("ended with"):
            return f"{who} {cause}, {place}."
        case "DeadlineExceeded":
            return f"{who} waited longer than the deadline, {place}: {cause}."
        case "ProtocolError":
            return f"{who} received another message than it asked for, {place}: {cause}."
        case "Deadlock":
            return f"All ranks waited for each other; {who[0].lower()}{who[1:]} was {place}: {cause}."
        case _:
            return f"{who} failed {place}: {cause}."


def _place(error: ErrorRecord) -> str:
    if error.step is None:
        return "at a step that is not recorded"
    if error.step == SETUP:
        return "before the first step"
    if error.step == FINISH:
        return "after the last step"
    return f"in stage {error.stage} of step {error.step}" if error.stage else f"in step {error.step}"


def hint(summary: Summary) -> str:
    """Return what to look at, if the cause suggests something; else an empty text."""
    if summary.error is None:
        return ""
    if "signal 9" in summary.error.cause:
        return "Unless a user killed it, look at the memory: the system ends a process this way when memory runs out."
    if summary.error.type == "DeadlineExceeded":
        return "If ranks are slow on purpose, give a larger --deadline; else look at the rank waited for."
    return ""


def _sentence_of(text: object) -> str:
    words = " ".join(str(text or "no reason is recorded").split())
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _progress(run: Run) -> list[str]:
    """Return the progress of every rank that recorded anything, and of the rank that failed first."""
    found: dict[int, str] = {}
    try:
        for role, by_rank in (("server", run.server_rows), ("worker", run.worker_rows)):
            for rank, rows in by_rank.items():
                last = f", the last at {rows[-1].ended:.1f} s" if rows else ""
                found[rank] = f"{role} {rank}: {plural(len(rows), 'step')}{last}"
    except ConfigError:
        return []  # damaged, as files may be after a crash; the sentence is shown all the same
    error = run.summary.error
    if error is not None and error.rank is not None:
        found.setdefault(error.rank, f"{error.role} {error.rank}: 0 steps")
    return [found[rank] for rank in sorted(found)]
