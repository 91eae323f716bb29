"""Incarnations: a job that goes on after a server has died, with the same processes and new connections.

The agent announces an incarnation on the board and then describes it in a folder of its own, where its ranks meet.
Every rank leaves what it is in, closes its endpoint and joins; only the dead server is a new process.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.errors import SETUP, DeadlineExceeded
from common.place import Place
from common.runtime.checkpoint import Checkpoints
from common.runtime.status_board import Reincarnated, StatusBoard
from common.types import Array

FILE = "incarnation.json"
POLL = 0.005  # seconds between two looks for it


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One of a job's lives. `home` is where its ranks meet, and `id` is theirs alone."""

    number: int
    home: Path
    id: int
    resumed: bool = False  # else all begin anew, from the first parameters
    step: int | None = 0  # from which all go on; None: everyone from where it is

    def write(self) -> None:
        """Make its folder and tell the ranks; atomic."""
        self.home.mkdir(mode=0o700)
        part = self.home / f"{FILE}.part"
        part.write_text(json.dumps({**asdict(self), "home": str(self.home)}))
        part.rename(self.home / FILE)

    @classmethod
    def read(cls, home: Path) -> Incarnation | None:
        """The incarnation that meets in `home`; None if it is not described yet."""
        try:
            found = json.loads((home / FILE).read_text())
        except FileNotFoundError:
            return None
        return cls(**{**found, "home": Path(found["home"])})


def home_of(job: Path, number: int) -> Path:
    """Where the ranks of incarnation `number` meet: at first, in the folder of the job itself."""
    return job / str(number) if number else job


Sent = dict[str, dict[int, int]]  # bytes_to and messages_to, by receiver


@dataclass(slots=True)
class CarriedState:
    """What a rank takes with it from one incarnation into the next."""

    steps: int = 0  # done
    totals: dict[str, float] = field(default_factory=dict)  # seconds a stage so far
    sent: Sent = field(default_factory=dict)
    sent_by: dict[int, Sent] = field(default_factory=dict)  # by steps done
    state: dict[str, Array] | None = None  # a server's

    def remember(self, steps: int, sent: Sent) -> None:
        """Note what had been sent after `steps` steps; of these notes the latest are kept, as of checkpoints."""
        self.sent_by[steps] = sent
        for old in sorted(self.sent_by)[:-4]:
            del self.sent_by[old]

    def leave(self, steps: int, totals: dict[str, float], sent: Sent, checkpoints: Checkpoints | None) -> None:
        """Take what there is when an incarnation ends; the state into memory of its own, if there is one yet."""
        self.steps, self.totals, self.sent = steps, totals, sent
        if checkpoints is not None and (state := checkpoints.snapshot()) is not None:
            self.state = state


def live_through(
    home: Path,
    first: int,
    board: StatusBoard,
    place: Place,
    deadline: float,
    live: Callable[[Incarnation, CarriedState], Any],
) -> Any:
    """Call `live` for one incarnation after the other, until it returns; returns what it does.

    `first` is the id of incarnation 0. Whatever blocks in `live` raises Reincarnated when the next one is announced.
    """
    past = CarriedState()
    while True:
        try:
            return live(_joined(home, first, board, place, deadline), past)
        except Reincarnated:
            pass
        gc.collect()  # models and endpoints of the last one refer to themselves: let go of their memory now
        place.step, place.bucket = SETUP, 0
        place.enter("setup")


def _joined(home: Path, first: int, board: StatusBoard, place: Place, deadline: float) -> Incarnation:
    """The present incarnation, as soon as the agent has described it. Blocks; raises DeadlineExceeded, PeerFailed."""
    end = time.monotonic() + deadline
    while True:
        number = board.incarnation
        if not number:
            return Incarnation(0, home, first)
        if (found := Incarnation.read(home_of(home, number))) is not None:
            return found
        if (culprit := board.culprit()) is not None:
            raise culprit
        if time.monotonic() > end:
            cause = f"waited {deadline:g} s for the agent to say where incarnation {number} meets"
            raise DeadlineExceeded(cause, **place.fields())
        time.sleep(POLL)
