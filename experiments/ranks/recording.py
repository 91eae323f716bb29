"""Record what a rank does: steps and events in files, progress on the status board, and what it has sent."""

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
from experiments.launch.rank_process import JobOrder, writing
from experiments.ranks.resumption import Resumption, added


class RankRecorder:
    """The recorder of one rank in one incarnation of the job; its `resumption` has what came before.

    `sent` is what the rank has sent in all steps, by receiver. It is empty until the steps are done, since what is
    sent later belongs to no step. Methods raise RunError if a file cannot be written.
    """

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
