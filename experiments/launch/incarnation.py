"""Incarnations of a job: its life before a server dies, and its life after that server has come back.

Theory of operation. The agent raises the incarnation number on the status board. Every rank that waits sees it, raises
`Reincarnated`, closes its endpoint, and keeps what `CarriedState` holds. The agent makes a folder for the new
incarnation and describes it in a file there. The ranks, and the dead server's new process, meet in that folder.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from common.errors import SETUP, DeadlineExceeded
from common.place import Place
from common.runtime.status_board import Reincarnated, StatusBoard
from common.types import Array

FILE = "incarnation.json"
POLL = 0.005  # seconds between two looks for a change

Sent = dict[str, dict[int, int]]  # bytes_to and messages_to, by receiving rank


class Incarnation(msgspec.Struct, frozen=True):
    """One incarnation. Its ranks meet in the folder `home`; `id` tells their messages from those of others."""

    number: int
    home: Path
    id: int
    resumed: bool = False  # False: all ranks begin with the first parameters
    step: int | None = 0  # the step from which all go on; None: each rank goes on from where it is

    def write(self) -> None:
        """Make the folder and describe the incarnation in it, atomically."""
        self.home.mkdir(mode=0o700)
        part = self.home / f"{FILE}.part"
        part.write_bytes(msgspec.json.encode(self, enc_hook=str))
        part.rename(self.home / FILE)

    @classmethod
    def read(cls, home: Path) -> Incarnation | None:
        """Return the incarnation described in `home`; None if it is not described yet."""
        with contextlib.suppress(FileNotFoundError):
            return msgspec.json.decode((home / FILE).read_bytes(), type=cls, dec_hook=lambda kind, text: kind(text))
        return None


def home_of(job: Path, number: int) -> Path:
    """Return the folder in which the ranks of incarnation `number` meet; the first one is the job's own."""
    return job / str(number) if number else job


@dataclass(slots=True)
class CarriedState:
    """What a rank carries from one incarnation into the next."""

    steps: int = 0  # done
    totals: dict[str, float] = field(default_factory=dict)  # seconds so far, by stage
    sent: Sent = field(default_factory=dict)
    sent_by: dict[int, Sent] = field(default_factory=dict)  # what had been sent, by steps done
    state: dict[str, Array] | None = None  # of a server

    def remember(self, steps: int, sent: Sent) -> None:
        """Note what had been sent after `steps` steps. Keeps the latest notes, as many as there are checkpoints."""
        self.sent_by[steps] = sent
        for old in sorted(self.sent_by)[:-4]:
            del self.sent_by[old]


def live_through(
    home: Path,
    first: int,
    board: StatusBoard,
    place: Place,
    deadline: float,
    live: Callable[[Incarnation, CarriedState], Any],
) -> Any:
    """Call `live` for one incarnation after the other (the first has the id `first`); return its result. Blocks."""
    carried = CarriedState()
    while True:
        try:
            return live(_joined(home, first, board, place, deadline), carried)
        except Reincarnated:
            pass
        gc.collect()  # frees models and endpoints, which refer to themselves
        place.step, place.bucket = SETUP, 0
        place.enter("setup")


def _joined(home: Path, first: int, board: StatusBoard, place: Place, deadline: float) -> Incarnation:
    """Return the present incarnation, once the agent has described it. Blocks. DeadlineExceeded, PeerFailed."""
    end = time.monotonic() + deadline
    while True:
        number = board.incarnation
        if not number:
            return Incarnation(0, home, first)
        if (found := Incarnation.read(home_of(home, number))) is not None:
            return found
        board.check()
        if time.monotonic() > end:
            cause = f"waited {deadline:g} s for the agent to say where incarnation {number} meets"
            raise DeadlineExceeded(cause, **place.fields())
        time.sleep(POLL)
