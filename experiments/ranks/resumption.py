"""Find where a rank goes on in an incarnation of its job: at which step, with which state, and what had been sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.place import Place
from common.records.recorder import EventLog, Recorder
from common.runtime.checkpoint import Checkpoints
from common.runtime.job import Job
from experiments.launch.incarnation import CarriedState, Incarnation, Sent
from experiments.launch.rank_process import JobOrder

NEVER = 1 << 62  # a step that no job has


class Resumption:
    """Where one rank goes on.

    `start` is its first step, and `sent` what it had sent before that step. `checkpoints` belong to a server of a job
    that has them, and hold the state to go on from. RunError if a needed checkpoint is missing.

    With backup workers, a worker may be so late that it has not reached the step to which the servers go back. It
    then goes on at its own step, and skips those between.
    """

    def __init__(
        self,
        job: Job,
        order: JobOrder,
        place: Place,
        incarnation: Incarnation,
        carried: CarriedState,
        notes: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Load the state, if there is one. `notes` returns what a checkpoint says beside it: sent, sizes of files."""
        self.rewound_to = incarnation.step
        self._notes: Mapping[str, Any] = {}
        late = place.role == "worker" and incarnation.step is not None and carried.steps < incarnation.step
        if incarnation.step is None or late:
            self.start, self.sent = carried.steps, carried.sent
        else:
            self.start, self.sent = incarnation.step, carried.sent_by.get(incarnation.step, {})
        self.checkpoints: Checkpoints | None = None
        if place.role == "server" and job.checkpoint_every:
            folder = Path(order.results) / "checkpoints" / str(place.rank)
            self.checkpoints = Checkpoints(folder, job.checkpoint_every, place, order.id, notes)
            if incarnation.number and incarnation.step is not None:
                self.checkpoints.remove_after(incarnation.step)
            if incarnation.resumed:
                self._load(self.checkpoints, incarnation, carried)

    def _load(self, checkpoints: Checkpoints, incarnation: Incarnation, carried: CarriedState) -> None:
        if incarnation.step is None and carried.state is not None:
            checkpoints.set_restored(carried.state)
            return
        found = checkpoints.load(incarnation.step)
        checkpoints.set_restored(found.arrays)
        self.start, self._notes = found.version, found.notes
        self.sent = {}  # what was sent before the first step belongs to no step
        if found.version:
            for name in ("bytes_to", "messages_to"):  # JSON has made texts of the ranks
                self.sent[name] = {int(rank): count for rank, count in found.notes[name].items()}

    def rewind(self, recorder: Recorder, events: EventLog) -> None:
        """Remove the records of steps that are done again or lost, and half-written lines. Raises OSError."""
        if self.rewound_to is None and self._notes:
            recorder.cut(self._notes["rows"])
            events.cut(self._notes["events"])
        step = NEVER if self.rewound_to is None else self.rewound_to
        recorder.rewind(step)
        events.rewind(step)


def added(before: Sent, here: Mapping[str, Mapping[int, int]]) -> Sent:
    """Return the sums of both, by receiving rank."""
    sums = {}
    for name, counts in here.items():
        earlier = before.get(name, {})
        sums[name] = {rank: earlier.get(rank, 0) + counts.get(rank, 0) for rank in sorted({*earlier, *counts})}
    return sums
