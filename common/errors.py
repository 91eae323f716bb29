"""Every error that this project raises.

A `ConfigError` is the user's mistake, found before anything starts (exit code 2). A `RunError` happens in a run (exit
code 1) and says in which rank, role, stage and step, and why. Errors of zmq, torch and the operating system become
these once, at the edge. A mistake of the calling code, such as a strided array, is a `ValueError`.
"""

import difflib
from collections.abc import Iterable
from typing import Any

SETUP = -1  # the "step" of everything before the first one
FINISH = -2  # the "step" of everything after the last one


def step_name(step: int) -> str:
    """Return `step 12`, `setup` or `finish`."""
    return {SETUP: "setup", FINISH: "finish"}.get(step, f"step {step}")


class SyncbenchError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(SyncbenchError):
    """An option that cannot be; the message says what is wrong and what would be right."""


class CheckFailed(SyncbenchError):
    """Runs did not compute the same thing although they should, or they cannot be compared (exit code 3)."""


class RunError(SyncbenchError):
    """A rank failed in a run: `rank`, `role`, `stage`, `step`, `bucket` and `cause` say where and why.

    `step` counts from 0, or is SETUP or FINISH. The message mentions the bucket unless it is bucket 0.
    """

    def __init__(self, cause: str, *, rank: int, role: str, stage: str, step: int, bucket: int = 0) -> None:
        self.cause, self.rank, self.role = cause, rank, role
        self.stage, self.step, self.bucket = stage, step, bucket
        where = f"{step_name(step)}, bucket {bucket}" if bucket else step_name(step)
        super().__init__(f"{role} rank {rank}, stage {stage}, {where}: {cause}")

    def record(self) -> dict[str, Any]:
        """Return the error as `summary.json` has it."""
        names = ["rank", "role", "stage", "step", *(["bucket"] if self.bucket else []), "cause"]
        return {"type": type(self).__name__, **{name: getattr(self, name) for name in names}}


class JobFailed(SyncbenchError):
    """A run or a benchmark ended with `error` of a rank; its files and summary (`document`) remain."""

    def __init__(self, message: str, error: RunError, traceback: str | None, document: Any, remains: str) -> None:
        super().__init__(message)
        self.error, self.traceback, self.document, self.remains = error, traceback, document, remains


class PeerFailed(RunError):
    """Another rank died or failed, and the fields name it.

    If this rank knows only that it lost the connection, the fields name this rank, and the cause names the other.
    """


class Departed(Exception):
    """Workers have died that the job can do without. Not an error: it interrupts a server that waits for messages."""


class DeadlineExceeded(RunError):
    """A blocking call took too long. The fields name the rank that waited, `peers` the ranks that it waited for."""

    def __init__(self, cause: str, *, peers: Iterable[int] = (), **place: Any) -> None:
        super().__init__(cause, **place)
        self.peers = tuple(peers)

    def record(self) -> dict[str, Any]:
        return {**super().record(), "peers": list(self.peers)}


class ProtocolError(RunError):
    """A peer sent something else than was expected; the cause prints both."""


class Deadlock(RunError):
    """In virtual time: no rank can ever go on. The cause prints which rank waits for which."""


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Return a phrase for an error line: the name nearest to `wrong`, with ties, or else all known names."""
    names = sorted(known)
    near = difflib.get_close_matches(wrong, names, n=3, cutoff=0.5)
    alike = {name: difflib.SequenceMatcher(None, name, wrong).ratio() for name in near}
    near = [name for name in near if alike[name] > max(alike.values()) - 0.05]  # as good a guess as the best
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
