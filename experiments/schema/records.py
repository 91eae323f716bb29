"""The records in files of one JSON object a line. `at`, `began` and `ended` are seconds since the start of the job."""

from typing import Literal, TypeAlias

from msgspec import Struct, structs


class StageSeconds(Struct, frozen=True, kw_only=True, gc=False):
    """Seconds in each of the six stages, named and ordered as in `common.stages.STAGES`."""

    preprocess: float = 0.0
    partition: float = 0.0
    load: float = 0.0
    train: float = 0.0
    synchronize: float = 0.0
    update: float = 0.0

    def of(self, stage: str) -> float:
        """Return the seconds of the stage with this name."""
        return float(getattr(self, stage))

    def by_stage(self) -> dict[str, float]:
        """Return the seconds by the name of the stage, in the order of `STAGES`."""
        return structs.asdict(self)


class StepRow(Struct, frozen=True, kw_only=True, gc=False):
    """One step of a worker: a line of `ranks/<rank>-worker.jsonl`."""

    step: int  # counts from 0
    worker: int = 0  # rank
    loss: float | None  # None: not finite, or the step was skipped
    samples: tuple[str, ...] = ()  # digests for the sample ledger, one for each worker that this process stands for
    began: float
    ended: float
    seconds: StageSeconds
    hidden_seconds: float = 0.0  # of synchronisation that ran beside `train`; `seconds.train` contains them
    skipped: bool = False  # the worker was too late for this step: it drew samples and did not train


class ServerStepRow(Struct, frozen=True, kw_only=True, gc=False):
    """One update of a server: a line of `ranks/<rank>-server.jsonl`."""

    step: int
    server: int  # rank
    began: float
    ended: float
    seconds: StageSeconds
    hidden_seconds: float = 0.0


class Event(Struct, frozen=True, kw_only=True, gc=False, tag_field="event"):
    """What all events of a server have: a line of `ranks/<rank>-server.events.jsonl` (see ps/history.py)."""

    at: float | None = None  # when the event was written


class PushEvent(Event, frozen=True, kw_only=True, gc=False, tag="push"):
    """A worker's push, and what became of it."""

    worker: int  # rank
    step: int  # the step that the gradient was computed in
    applied: int  # the highest step that any worker had pushed by then
    staleness: int  # steps: `applied` - `step`
    version: int  # updates that were applied before this push
    waited: float | None  # seconds from the push to its answer; None where pushes wait unread in their queues (BSP)
    outcome: Literal["applied", "dropped", "duplicate"]


class AnsweredEvent(Event, frozen=True, kw_only=True, gc=False, tag="answered"):
    """A worker waited longer for the answer to a push that was written earlier, for a checkpoint."""

    worker: int
    waited: float  # seconds, in addition to those of the push


class LostEvent(Event, frozen=True, kw_only=True, gc=False, tag="lost"):
    """Pushes that a restarted server does not have in its state, and that will not come again."""

    worker: int
    step: int  # of the first lost push
    pushes: int  # how many


class ResumedEvent(Event, frozen=True, kw_only=True, gc=False, tag="resumed"):
    """The server went on from a saved state."""

    version: int  # updates in that state


class FinishedEvent(Event, frozen=True, kw_only=True, gc=False, tag="finished"):
    """A worker has done all its steps."""

    worker: int
    step: int  # steps that were done


class DepartedEvent(Event, frozen=True, kw_only=True, gc=False, tag="departed"):
    """A worker died, and the others went on."""

    worker: int


ServerEvent: TypeAlias = PushEvent | AnsweredEvent | LostEvent | ResumedEvent | FinishedEvent | DepartedEvent


class BenchBlock(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One block of a benchmark as one rank saw it: a line of `ranks/<rank>-<role>.jsonl` in a benchmark's folder.

    A block measures a link (`alpha`, `beta`, `gamma`), verifies a contestant (`wrong`, `notes`) or times one
    (`seconds`, `iterations`, `sent`). The fields of the other kinds are None.
    """

    block: int  # its place in the schedule
    alpha: float | None = None  # seconds a message
    beta: float | None = None  # seconds a byte
    gamma: float | None = None  # seconds to add up one byte
    wrong: int | None = None  # elements that differ from the right result
    notes: str | None = None  # what the strategy says of its choices
    seconds: float | None = None  # of one exchange, mean
    iterations: int | None = None
    sent: dict[int, float] | None = None  # payload bytes an exchange, by receiving rank


class JournalEntry(Struct, frozen=True, kw_only=True):
    """A finished cell of a sweep: a line of `cells.jsonl`."""

    cell: str
    repeat: int  # counts from 1
    status: Literal["ok", "failed"]
    folder: str | None  # name of the run folder
    error: str | None
    seconds: float  # that the cell took
