"""What a rank leaves behind of its work: records and history in files, progress on the board, and what it sent."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.records.recorder import EventLog, Recorder, StepRecord
from common.records.stage_clock import STAGES
from common.runtime.job import Job
from common.runtime.status_board import StatusBoard
from common.transport.wrappers.metered import MeteredEndpoint
from experiments.launch.incarnation import CarriedState, Incarnation, Sent
from experiments.launch.rank_process import writing
from experiments.ranks.resumption import Resumption, added


class RankRecorder:
    """One rank's, in one incarnation of the job; what came before is in its `resumption`.

    RunError where its files cannot be written. `sent` is by receiver, and of all steps; it is empty until they are
    done, as what is sent after that belongs to no step.
    """

    def __init__(
        self,
        job: Job,
        order: Mapping[str, Any],
        board: StatusBoard,
        meter: MeteredEndpoint,
        incarnation: Incarnation,
        past: CarriedState,
    ) -> None:
        self.job, self.board, self.meter, self.past = job, board, meter, past
        place, again = meter.place, incarnation.number > 0
        self.resumption = resumption = Resumption(job, order, place, incarnation, past, self.to_save)
        name = Path(order["results"]) / "ranks" / f"{place.rank}-{place.role}"
        with writing(place):
            self.recorder = Recorder(name.with_suffix(".jsonl"), order["epoch"], resumed=again)
            self.events = EventLog(name.with_suffix(".events.jsonl"), meter.now, order["epoch"], resumed=again)
            if again:
                resumption.rewind(self.recorder, self.events)
        self.totals = past.totals or dict.fromkeys(STAGES, 0.0)  # seconds
        self.steps_done = resumption.start
        self.sent: Sent = resumption.sent if resumption.start == job.steps else {}
        if again:
            board.done(place.rank, self.steps_done, board.read(place.rank).loss, list(self.totals.values()))

    def observe(self, record: StepRecord) -> None:
        """Record one step: first the file, then the board."""
        with writing(self.meter.place):
            self.recorder.write(record)
        self.steps_done += 1
        if record.role == "worker" and self.steps_done == self.job.steps:
            self.sent = self.sent_so_far()
        if self.job.checkpoint_every and not self.steps_done % self.job.checkpoint_every:
            self.past.remember(self.steps_done, self.sent_so_far())
        for stage, seconds in record.seconds.items():
            self.totals[stage] += seconds
        self.board.done(record.rank, self.steps_done, record.loss or 0.0, list(self.totals.values()))

    def note(self, event: Mapping[str, Any]) -> None:
        """Write an event of the strategy into this rank's history."""
        with writing(self.meter.place):
            self.events.write(event)
        if event.get("event") == "finished":  # what is sent when the last worker has is in answer to no step
            self.sent = self.sent_so_far()

    def sent_so_far(self) -> Sent:
        """What was sent by now in all steps that count."""
        here = {"bytes_to": self.meter.bytes_to, "messages_to": self.meter.messages_to}
        return added(self.resumption.sent, here)

    def to_save(self) -> dict[str, Any]:
        """What a checkpoint says of this rank besides its state."""
        return {**self.sent_so_far(), "rows": self.recorder.size, "events": self.events.size}

    def close(self) -> None:
        """Close the files."""
        with contextlib.closing(self.recorder):
            self.events.close()
