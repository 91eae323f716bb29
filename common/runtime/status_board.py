"""The board: what every rank of a host is doing, in shared memory, readable even after a rank was killed.

One slot a rank, written by that rank alone, a few hundred nanoseconds a stage; the agent reads it for the live
progress and to say where a dead rank was. The head tells the ranks that the job is over, and whose fault it is; or
that a server has come back, and all meet again: in the next *incarnation* of the job.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from common.errors import SETUP, PeerFailed
from common.place import Place
from common.records.stage_clock import STAGES

_HEAD = struct.Struct("<i20sqB220s")  # culprit or -1, its stage, its step, is it a server, cause
_JOB = struct.Struct("<ii")  # behind it: the incarnation, and whether all is done
_SLOT = struct.Struct(f"<qiqd{len(STAGES)}d")  # step, stage, steps done, loss, seconds a stage so far
_WHERE = struct.Struct("<qi")  # the first two of a slot
_STAGES = ("setup", *STAGES, "finish")
_CODE = {stage: code for code, stage in enumerate(_STAGES)}
HEAD_BYTES, SLOT_BYTES = 320, 128
_JOB_AT = 256
_DEPARTED = 124  # the byte of a slot that the agent writes


class Reincarnated(BaseException):
    """A server has died and comes back: leave whatever you are in, and meet the others in incarnation `number`.

    No `Exception`: it has to pass through strategies, which may catch those.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"the job goes on in incarnation {number}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Status:
    """One rank's slot: where it is, how many steps it has done, its last loss, seconds a stage over those steps."""

    step: int
    stage: str
    steps_done: int
    loss: float
    stage_seconds: dict[str, float]


class StatusBoard:
    """A memory-mapped file of one slot a rank."""

    def __init__(self, path: Path, ranks: int, *, create: bool = False) -> None:
        size = HEAD_BYTES + ranks * SLOT_BYTES
        with open(path, "x+b" if create else "r+b") as file:
            if create:
                file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self.ranks = ranks
        self.here: PeerFailed | None = None  # why the job is over for those who share this very object
        if create:
            _HEAD.pack_into(self._map, 0, -1, b"", SETUP, 0, b"")
            for rank in range(ranks):
                _SLOT.pack_into(self._map, self._at(rank), SETUP, 0, 0, 0.0, *[0.0] * len(STAGES))

    @staticmethod
    def _at(rank: int) -> int:
        return HEAD_BYTES + rank * SLOT_BYTES

    def enter(self, rank: int, step: int, stage: str) -> None:
        """Say that `rank` now is in `stage` of `step`."""
        _WHERE.pack_into(self._map, self._at(rank), step, _CODE[stage])

    def done(self, rank: int, steps: int, loss: float, stage_seconds: list[float]) -> None:
        """Say how far `rank` is: steps done, last loss, seconds in each of the six stages so far."""
        struct.pack_into(f"<qd{len(STAGES)}d", self._map, self._at(rank) + _WHERE.size, steps, loss, *stage_seconds)

    def read(self, rank: int) -> Status:
        """The slot of `rank`."""
        step, stage, steps, loss, *seconds = _SLOT.unpack_from(self._map, self._at(rank))
        return Status(step, _STAGES[stage], steps, loss, dict(zip(STAGES, seconds, strict=True)))

    def abort(self, error: PeerFailed) -> None:
        """Tell every rank that the job is over because of `error`."""
        role = error.role == "server"
        rest = _HEAD.pack(0, error.stage.encode(), error.step, role, error.cause.encode()[:220])[4:]
        self._map[4 : 4 + len(rest)] = rest
        struct.pack_into("<i", self._map, 0, error.rank)  # last: readers look at this first

    def culprit(self) -> PeerFailed | None:
        """Why the job is over; None while it is not."""
        if self.here is not None:
            return self.here
        if struct.unpack_from("<i", self._map)[0] < 0:
            return None
        rank, stage, step, server, cause = _HEAD.unpack_from(self._map)
        return PeerFailed(
            cause.rstrip(b"\0").decode(errors="ignore"),
            rank=rank,
            role="server" if server else "worker",
            stage=stage.rstrip(b"\0").decode(),
            step=step,
        )

    def reincarnate(self, number: int) -> None:
        """Tell every rank that the job goes on in incarnation `number`, which `incarnation` is from now on."""
        _JOB.pack_into(self._map, _JOB_AT, number, 0)

    @property
    def incarnation(self) -> int:
        """The number of the job's incarnation: how often servers have come back."""
        return int(_JOB.unpack_from(self._map, _JOB_AT)[0])

    def dismiss(self) -> None:
        """Tell every rank that all have done their work, so that nobody is needed any more."""
        _JOB.pack_into(self._map, _JOB_AT, self.incarnation, 1)

    @property
    def dismissed(self) -> bool:
        """Whether all have done their work."""
        return bool(_JOB.unpack_from(self._map, _JOB_AT)[1])

    def depart(self, rank: int) -> None:
        """Tell every rank that worker `rank` has died, and that the job goes on without it."""
        self._map[self._at(rank) + _DEPARTED] = 1

    def departed(self) -> frozenset[int]:
        """The workers that have died and that the job goes on without."""
        return frozenset(rank for rank in range(self.ranks) if self._map[self._at(rank) + _DEPARTED])

    def close(self) -> None:
        """Unmap the file; it stays for the others."""
        self._map.close()


class PostedPlace(Place):
    """A `Place` that shows on the board which stage it is in."""

    __slots__ = ("board",)

    def __init__(self, board: StatusBoard, rank: int, role: str) -> None:
        super().__init__(rank, role)
        self.board = board

    def enter(self, stage: str) -> None:
        self.stage = stage
        self.board.enter(self.rank, self.step, stage)
