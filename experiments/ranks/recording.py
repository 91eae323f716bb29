"""Record what a rank does: steps and events in files, progress on the status board, and what it has sent."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.place import Place
from common.records.recorder import EventLog, Recorder, StepRecord
from common.records.stage_clock import STAGES
from common.runtime.checkpoint import Checkpoints
from common.runtime.job import Job
from common.runtime.status_board import StatusBoard
from common.transport.wrappers.metered import MeteredEndpoint
from experiments.launch.incarnation import CarriedState, Incarnation, Sent
from experiments.launch.rank_process import JobOrder, writing

NEVER = 1 << 62  # a step that no job has


class Resumption:
    """Where one rank goes on after a server has come back: `start`, its first step, and what it had `sent` before.

    `checkpoints` belong to a server of a job that has them. RunError if a needed one is missing. With backup workers, a
    late worker may not have reached the step to which the servers go back; it then goes on at its own step.
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
            checkpoints.restored = carried.state
            return
        found = checkpoints.load(incarnation.step)
        checkpoints.restored = found.arrays
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


class RankRecorder:
    """The recorder of a rank in one incarnation; `sent` (by receiver) counts once all steps are done. RunError."""

    def __init__(
        self,
        job: Job,
        order: JobOrder,
        board: StatusBoard,
        meter: MeteredEndpoint,
        incarnation: Incarnation,
        carried: CarriedState,
    ) -> None:
        self.job, self.board, self.meter, self.carried = job, board, meter, carried
        place, again = meter.place, incarnation.number > 0
        self.resumption = Resumption(job, order, place, incarnation, carried, self._checkpoint_notes)
        name = Path(order.results) / "ranks" / f"{place.rank}-{place.role}"
        with writing(place):
            self.recorder = Recorder(name.with_suffix(".jsonl"), order.epoch, resumed=again)
            self.events = EventLog(name.with_suffix(".events.jsonl"), meter.now, order.epoch, resumed=again)
            if again:
                self.resumption.rewind(self.recorder, self.events)
        self.totals = carried.totals or dict.fromkeys(STAGES, 0.0)  # seconds, by stage
        self.steps_done = self.resumption.start
        self.sent: Sent = self.resumption.sent if self.resumption.start == job.steps else {}
        if again:
            board.done(place.rank, self.steps_done, board.read(place.rank).loss, list(self.totals.values()))

    def step(self, record: StepRecord) -> None:
        """Record one step: first in the file, then on the board."""
        with writing(self.meter.place):
            self.recorder.write(record)
        self.steps_done += 1
        if record.role == "worker" and self.steps_done == self.job.steps:
            self.sent = self.sent_so_far()
        if self.job.checkpoint_every and not self.steps_done % self.job.checkpoint_every:
            self.carried.remember(self.steps_done, self.sent_so_far())
        for stage, seconds in record.seconds.items():
            self.totals[stage] += seconds
        self.board.done(record.rank, self.steps_done, record.loss or 0.0, list(self.totals.values()))

    def event(self, event: Mapping[str, Any]) -> None:
        """Record an event of the strategy."""
        with writing(self.meter.place):
            self.events.write(event)
        if event.get("event") == "finished":  # what is sent after the last worker has finished answers no step
            self.sent = self.sent_so_far()

    def sent_so_far(self) -> Sent:
        """Return what was sent until now in all steps that count."""
        here = {"bytes_to": self.meter.bytes_to, "messages_to": self.meter.messages_to}
        return added(self.resumption.sent, here)

    def _checkpoint_notes(self) -> dict[str, Any]:
        return {**self.sent_so_far(), "rows": self.recorder.size, "events": self.events.size}

    def close(self) -> None:
        """Close the files."""
        with contextlib.closing(self.recorder):
            self.events.close()


def added(before: Sent, here: Mapping[str, Mapping[int, int]]) -> Sent:
    """Return the sums of both, by receiving rank."""
    return {name: dict(Counter(before.get(name, {})) + Counter(counts)) for name, counts in here.items()}
