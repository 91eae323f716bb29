"""Every error that this project raises.

Two families: `ConfigError` is the user's mistake, found before anything starts (exit code 2); `RunError` and its
children happen in a run (exit code 1) and always say which rank, in which role, stage and step, and why.
Errors of zmq, torch and the operating system are translated into these once, at the edge.
A mistake of the caller inside the code (a strided array, a rank out of range) is a `ValueError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

SETUP = -1  # the "step" of everything before the first one
FINISH = -2  # the "step" of everything after the last one
_AS_NEAR = 0.05  # of difflib's ratio: names that differ by less are as good a guess


def step_name(step: int) -> str:
    """`step 12`, `setup` or `finish`."""
    return {SETUP: "setup", FINISH: "finish"}.get(step, f"step {step}")


class SyncbenchError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(SyncbenchError):
    """What was asked for cannot be run; the message says what is wrong and what would be right."""


class CheckFailed(SyncbenchError):
    """Runs that should have computed the same thing did not, or cannot be compared (exit code 3)."""


class RunError(SyncbenchError):
    """A rank failed while running.

    `rank`, `role`, `stage`, `step`, `bucket` and `cause` say where and why. `step` counts from 0; SETUP and FINISH are
    the steps before the first and after the last. A bucket is mentioned unless it is the first, or the only one.
    """

    def __init__(self, cause: str, *, rank: int, role: str, stage: str, step: int, bucket: int = 0) -> None:
        self.cause = cause
        self.rank = rank
        self.role = role
        self.stage = stage
        self.step = step
        self.bucket = bucket
        where = f"{step_name(step)}, bucket {bucket}" if bucket else step_name(step)
        super().__init__(f"{role} rank {rank}, stage {stage}, {where}: {cause}")

    def record(self) -> dict[str, Any]:
        """The error as it is written to `summary.json`."""
        return {
            "type": type(self).__name__,
            "rank": self.rank,
            "role": self.role,
            "stage": self.stage,
            "step": self.step,
            **({"bucket": self.bucket} if self.bucket else {}),
            "cause": self.cause,
        }


class PeerFailed(RunError):
    """A rank died or failed, the culprit, which the fields name. Only where a rank found out by itself that another is
    gone, and nobody knows more, do they name the one that noticed, and the cause names the culprit."""


class Departed(Exception):
    """Workers have died that the job can do without: no error, but news for a server that waits for messages."""


class DeadlineExceeded(RunError):
    """A blocking call took longer than allowed; the fields name the rank that waited, `peers` whom it waited for."""

    def __init__(self, cause: str, *, peers: Iterable[int] = (), **place: Any) -> None:
        super().__init__(cause, **place)
        self.peers = tuple(peers)

    def record(self) -> dict[str, Any]:
        """With the peers that it waited for."""
        return {**super().record(), "peers": list(self.peers)}


class ProtocolError(RunError):
    """A peer sent something else than what was expected; the cause prints both."""


class Deadlock(RunError):
    """Virtual time only: no rank can ever go on. The cause prints who waits for whom."""


def suggest(wrong: str, known: Iterable[str]) -> str:
    """One phrase for an error line: the name nearest to `wrong`, or those as near as it, else all that are known."""
    names = sorted(known)
    near = difflib.get_close_matches(wrong, names, n=3, cutoff=0.5)
    alike = {name: difflib.SequenceMatcher(None, name, wrong).ratio() for name in near}
    near = [name for name in near if alike[name] > max(alike.values()) - _AS_NEAR]
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
