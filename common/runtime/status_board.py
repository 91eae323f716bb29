"""The status board: what every rank of a host is doing, in shared memory that outlives a killed rank.

Each rank alone writes its slot, within a few hundred nanoseconds for each stage. The agent reads the slots to show live
progress and to say where a dead rank was. The agent alone writes the head. It tells the ranks that the job is over and
which rank failed, that all work is done, or that a server has been restarted and all ranks must meet again in the next
*incarnation* of the job.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from common.errors import SETUP, PeerFailed
from common.place import Place
from common.records.stage_clock import STAGES

_FAILURE = struct.Struct("<i20sqB220s")  # failed rank or -1, its stage, its step, whether it is a server, cause
_JOB = struct.Struct("<ii")  # behind it: the incarnation, and whether all work is done
_SLOT = struct.Struct(f"<qiqd{len(STAGES)}d")  # step, stage, steps done, loss, seconds of each stage so far
_STEP_AND_STAGE = struct.Struct("<qi")  # the first two fields of a slot
_STAGES = ("setup", *STAGES, "finish")
_STAGE_CODES = {stage: code for code, stage in enumerate(_STAGES)}
HEAD_BYTES, SLOT_BYTES = 320, 128
_JOB_OFFSET = 256
_DEPARTED_OFFSET = 124  # in a slot: the one byte that the agent writes


class Reincarnated(BaseException):
    """A dead server has been restarted: leave any call and meet the other ranks in incarnation `number`.

    It is no `Exception`, because it must pass through strategies, which may catch those.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"the job goes on in incarnation {number}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Status:
    """One rank's slot: its step and stage, its completed steps, its last loss, and its seconds in each stage so far."""

    step: int
    stage: str
    steps_done: int
    loss: float
    stage_seconds: dict[str, float]


class StatusBoard:
    """A memory-mapped file with a slot for each rank."""

    def __init__(self, path: Path, ranks: int, *, create: bool = False) -> None:
        size = HEAD_BYTES + ranks * SLOT_BYTES
        with open(path, "x+b" if create else "r+b") as file:
            if create:
                file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self.ranks = ranks
        self.here: PeerFailed | None = None  # why the job is over, for the ranks that share this object
        if create:
            _FAILURE.pack_into(self._map, 0, -1, b"", SETUP, 0, b"")
            for rank in range(ranks):
                _SLOT.pack_into(self._map, self._offset(rank), SETUP, 0, 0, 0.0, *[0.0] * len(STAGES))

    @staticmethod
    def _offset(rank: int) -> int:
        return HEAD_BYTES + rank * SLOT_BYTES

    def enter(self, rank: int, step: int, stage: str) -> None:
        """Note that `rank` is now in `stage` of `step`."""
        _STEP_AND_STAGE.pack_into(self._map, self._offset(rank), step, _STAGE_CODES[stage])

    def done(self, rank: int, steps: int, loss: float, stage_seconds: list[float]) -> None:
        """Note the progress of `rank`: completed steps, last loss, seconds in each of the six stages so far."""
        offset = self._offset(rank) + _STEP_AND_STAGE.size
        struct.pack_into(f"<qd{len(STAGES)}d", self._map, offset, steps, loss, *stage_seconds)

    def read(self, rank: int) -> Status:
        """Return the slot of `rank`."""
        step, stage, steps, loss, *seconds = _SLOT.unpack_from(self._map, self._offset(rank))
        return Status(step, _STAGES[stage], steps, loss, dict(zip(STAGES, seconds, strict=True)))

    def abort(self, error: PeerFailed) -> None:
        """Tell every rank that the job is over because of `error`."""
        role = error.role == "server"
        details = _FAILURE.pack(0, error.stage.encode(), error.step, role, error.cause.encode()[:220])[4:]
        self._map[4 : 4 + len(details)] = details
        struct.pack_into("<i", self._map, 0, error.rank)  # last: readers look at the rank first

    def culprit(self) -> PeerFailed | None:
        """Return why the job is over, or None while it is not."""
        if self.here is not None:
            return self.here
        if struct.unpack_from("<i", self._map)[0] < 0:
            return None
        rank, stage, step, server, cause = _FAILURE.unpack_from(self._map)
        cause, stage = (text.rstrip(b"\0").decode(errors="ignore") for text in (cause, stage))
        return PeerFailed(cause, rank=rank, role="server" if server else "worker", stage=stage, step=step)

    def check(self) -> None:
        """Raise PeerFailed if the job is over."""
        if (culprit := self.culprit()) is not None:
            raise culprit

    def reincarnate(self, number: int) -> None:
        """Tell every rank that the job goes on in incarnation `number`."""
        _JOB.pack_into(self._map, _JOB_OFFSET, number, 0)

    @property
    def incarnation(self) -> int:
        """The number of the job's incarnation: how often servers have been restarted."""
        return int(_JOB.unpack_from(self._map, _JOB_OFFSET)[0])

    def dismiss(self) -> None:
        """Tell every rank that all work is done and no rank is needed any more."""
        _JOB.pack_into(self._map, _JOB_OFFSET, self.incarnation, 1)

    @property
    def dismissed(self) -> bool:
        """Whether all work is done."""
        return bool(_JOB.unpack_from(self._map, _JOB_OFFSET)[1])

    def depart(self, rank: int) -> None:
        """Tell every rank that worker `rank` has died and the job goes on without it."""
        self._map[self._offset(rank) + _DEPARTED_OFFSET] = 1

    def departed(self) -> frozenset[int]:
        """Return the workers that have died and without which the job goes on."""
        return frozenset(rank for rank in range(self.ranks) if self._map[self._offset(rank) + _DEPARTED_OFFSET])

    def close(self) -> None:
        """Unmap the file. It remains for the other processes."""
        self._map.close()


class PostedPlace(Place):
    """A `Place` that shows its stage on the status board."""

    __slots__ = ("board",)

    def __init__(self, board: StatusBoard, rank: int, role: str) -> None:
        super().__init__(rank, role)
        self.board = board

    def enter(self, stage: str) -> None:
        self.stage = stage
        self.board.enter(self.rank, self.step, stage)
