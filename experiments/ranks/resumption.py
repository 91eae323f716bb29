"""Where a rank goes on in an incarnation of the job: from which step, with which state, and what counts of before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.place import Place
from common.records.recorder import EventLog, Recorder
from common.runtime.checkpoint import Checkpoints
from common.runtime.job import Job
from experiments.launch.incarnation import CarriedState, Incarnation, Sent

NEVER = 1 << 62  # a step that no job has


class Resumption:
    """One rank's. `start` is its first step, `sent` what it has sent before that; a server has `checkpoints`, if the
    job has any, which hold the state to go on from. RunError if there is none where one is needed.

    A worker that was late, with backups, has not come to the step that the servers go back to: it skips those between.
    """

    def __init__(
        self,
        job: Job,
        order: Mapping[str, Any],
        place: Place,
        incarnation: Incarnation,
        past: CarriedState,
        notes: Callable[[], Mapping[str, Any]],
    ) -> None:
        """`notes` is what a checkpoint says of the rank besides its state: what it sent, the sizes of its files."""
        self.rewound_to = incarnation.step
        self._notes: Mapping[str, Any] = {}
        late = place.role == "worker" and incarnation.step is not None and past.steps < incarnation.step
        self.start = past.steps if incarnation.step is None or late else incarnation.step
        self.sent = past.sent if incarnation.step is None or late else past.sent_by.get(incarnation.step, {})
        self.checkpoints: Checkpoints | None = None
        if place.role == "server" and job.checkpoint_every:
            folder = Path(order["results"]) / "checkpoints" / str(place.rank)
            self.checkpoints = Checkpoints(folder, job.checkpoint_every, place, order["id"], notes)
            if incarnation.number and incarnation.step is not None:
                self.checkpoints.remove_after(incarnation.step)
            if incarnation.resumed:
                self._load(self.checkpoints, incarnation, past)

    def _load(self, checkpoints: Checkpoints, incarnation: Incarnation, past: CarriedState) -> None:
        if incarnation.step is None and past.state is not None:
            checkpoints.set_restored(past.state)
            return
        found = checkpoints.load(incarnation.step)
        checkpoints.set_restored(found.arrays)
        self.start = found.version
        self._notes = found.notes
        # What was sent before the first step belongs to no step.
        self.sent = _by_rank(found.notes) if found.version else {}

    def rewind(self, recorder: Recorder, events: EventLog) -> None:
        """Remove what was recorded of steps that are done again or lost, and rows half written. Raises OSError."""
        if self.rewound_to is None and self._notes:
            recorder.cut(self._notes["rows"])
            events.cut(self._notes["events"])
        step = NEVER if self.rewound_to is None else self.rewound_to
        recorder.rewind(step)
        events.rewind(step)


def _by_rank(notes: Mapping[str, Any]) -> Sent:
    """As it was before it was JSON, whose keys are texts."""
    return {name: {int(rank): count for rank, count in notes[name].items()} for name in ("bytes_to", "messages_to")}


def added(before: Sent, here: Mapping[str, Mapping[int, int]]) -> Sent:
    """The sums of both, by receiver."""
    sums = {}
    for name, counts in here.items():
        earlier = before.get(name, {})
        sums[name] = {rank: earlier.get(rank, 0) + counts.get(rank, 0) for rank in sorted({*earlier, *counts})}
    return sums
