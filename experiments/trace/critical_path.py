"""The critical path: from the end of the last step backwards, always to the rank that was waited for.

On a rank the path goes back through its work, until a call that had to wait for a message (Yang & Miller, ICDCS 1988;
Schulz, 2005). From there it goes to the rank that sent the message, and on from the moment of sending. So each moment
of the steps is charged to one rank and one stage. docs/trace.md says for what a call waited, and who pays for a message
on its way.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from common.records.stage_clock import STAGES
from common.records.trace_buffer import ALSO, RECEIVE, SEND, SETTLE, STAGE
from experiments.format.table import DASH, Column, Table
from experiments.format.units import human_ms
from experiments.schema.documents import Summary
from experiments.trace.clock_offsets import Floats
from experiments.trace.timeline import Ints, Timeline, bytes_in_flight

BETWEEN_STAGES = "between stages"
SYNCHRONIZE = "synchronize"
SHOWN = 0.01  # least share of the steps' time that gets a line of its own
STANDS_OUT = 1.5  # times an equal share


@dataclass(frozen=True, slots=True)
class Attribution:
    """The critical path of a run: seconds by (rank's name, stage), longest first, over `seconds` of `steps` steps.

    `waited`: seconds that each rank waited, by name. `note`: why there are no messages to follow, if there are none.
    """

    charged: Mapping[tuple[str, str], float]
    waited: Mapping[str, float]
    seconds: float
    steps: int
    note: str | None = None

    def share(self, seconds: float) -> float:
        """Return the share of the steps' time, 0 … 1."""
        return seconds / self.seconds if self.seconds else 0.0

    def sentence(self) -> str:
        """Return a sentence that names the rank and stage that the others waited for."""
        if self.note is not None or (most := self.most) is None:
            return f"whom the others waited for cannot be told: {self.note or 'no step is in the trace'}"
        name, stage, total, seconds = most
        line = f"{name}: {self.share(total):.0%} of the steps' time, {self.share(seconds):.0%} in {stage}"
        if len(self.waited) == 1:
            return f"nobody waits for anybody; {line}"
        if self.share(total) < STANDS_OUT / len(self.waited):
            return f"nobody in particular was waited for; most often {line}"
        return f"the others waited for {line}"

    @property
    def most(self) -> tuple[str, str, float, float] | None:
        """The rank with most of the path, its largest stage, and the seconds of both."""
        if self.note is not None or not self.charged:
            return None
        totals: dict[str, float] = defaultdict(float)
        for (name, _), seconds in self.charged.items():
            totals[name] += seconds
        first = max(totals, key=totals.__getitem__)
        stage = next(stage for name, stage in self.charged if name == first)
        return first, stage, totals[first], self.charged[first, stage]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        most = self.most
        charged = self.charged.items() if self.note is None else ()
        return {
            "waited_for": {"rank": most[0], "stage": most[1], "share": self.share(most[2])} if most else None,
            "sentence": self.sentence(),
            "steps": self.steps,
            "seconds": self.seconds,
            "critical_path": [
                {"rank": name, "stage": stage, "seconds": seconds, "share": self.share(seconds)}
                for (name, stage), seconds in charged
            ],
            "waited": {
                name: {"seconds": seconds, "share": self.share(seconds)} for name, seconds in self.waited.items()
            },
            "note": self.note,
        }


def critical_path(timeline: Timeline, warmup: int = 0, engine: str | None = None) -> Attribution:
    """Return the path over the steps from `warmup` on. `engine` is the library that moves the bytes itself."""
    starts, ends, steps = [], [], set()
    for number, trace in enumerate(timeline.traces):
        inside = (trace.stages["began"] >= timeline.window[0]) & (trace.stages["step"] >= warmup)
        stages = trace.stages[inside]
        if trace.role == "worker" and len(stages):
            starts.append(float(stages["began"][0]))
            ends.append((float(stages["ended"][-1]), number))
            steps.update(stages["step"].tolist())
    start, (end, last) = min(starts, default=0.0), max(ends, default=(0.0, 0))
    walk = _Walk(timeline, start)
    walk.back(last, end)
    names = [trace.name for trace in timeline.traces]
    charged = sorted(walk.charged.items(), key=lambda item: -item[1])
    return Attribution(
        {(names[number], stage): seconds for (number, stage), seconds in charged if seconds > 0},
        dict(zip(names, _waited(timeline, start, end), strict=True)),
        end - start,
        len(steps),
        f"{engine} moves the bytes itself, so the trace has stages only" if engine else None,
    )


def _waited(timeline: Timeline, start: float, end: float) -> list[float]:
    """Return the seconds that each rank waited for messages to be sent, and for lent arrays to be read."""
    messages, received = timeline.messages, timeline.received
    until = np.where(messages["kind"] == SETTLE, messages["ended"], messages["began"])
    until[received] = np.maximum(timeline.sent[received], until[received])
    for first in np.flatnonzero((messages["kind"][1:] == ALSO) & (messages["kind"][:-1] != ALSO)).tolist():
        call = timeline.call(first)
        until[[index for index in call if index != timeline.sent_last(call)]] = -np.inf  # it waited for the last alone
    seconds = np.maximum(0.0, np.minimum(until, end) - np.maximum(messages["began"], start))
    return [float(total) for total in np.bincount(timeline.owner, seconds, len(timeline.traces))]


Levels = dict[int, tuple[Floats, Ints]]  # by trace: moments, and the bytes in flight from each of them on


def _in_flight(timeline: Timeline) -> tuple[Levels, Levels]:
    """Return the bytes in flight out of each rank, and into each rank."""
    messages, partner, owner = timeline.messages, timeline.partner, timeline.owner
    sent = np.flatnonzero((messages["kind"] == SEND) & (partner >= 0))
    began, ended, sizes = messages["began"][sent], messages["ended"][partner[sent]], messages["nbytes"][sent]

    def levels(owner: Ints) -> Levels:
        masks = {number: owner == number for number in np.unique(owner).tolist()}
        return {number: bytes_in_flight(began[mine], ended[mine], sizes[mine]) for number, mine in masks.items()}

    return levels(owner[sent]), levels(owner[partner[sent]])


def _level(levels: tuple[Floats, Ints], moment: float) -> int:
    moments, level = levels
    return int(level[np.searchsorted(moments, moment, "right") - 1])


class _Wait(NamedTuple):
    """A wait of call `call`, until `released`, for what `sender` had done at `left`, before its message `sent_by`."""

    call: int
    released: float
    sender: int
    sent_by: int
    left: float


class _Walk:
    """The walk back along the path until `start`; it adds seconds to `charged`."""

    def __init__(self, timeline: Timeline, start: float) -> None:
        self.timeline, self.start = timeline, start
        self.charged: defaultdict[tuple[int, str], float] = defaultdict(float)
        self._flights = _shortest_flights(timeline)
        self._out, self._into = _in_flight(timeline)

    def back(self, number: int, moment: float) -> None:
        """Walk from `moment` on trace `number` back to the start."""
        first, last = self.timeline.starts[number : number + 2].tolist()
        index = first + int(np.searchsorted(self.timeline.messages["ended"][first:last], moment, "right"))
        while moment > self.start:
            wait = self._latest_wait(number, index)
            if wait is None:
                self._charge_work(number, range(int(self.timeline.starts[number]), index), self.start, moment)
                return
            released = min(wait.released, moment)
            left = min(wait.left, released)
            self._charge_work(number, range(wait.call, index), released, moment)
            if left < released:
                sender_is_busier = _level(self._out[wait.sender], left) > _level(self._into[number], left)
                busier = wait.sender if sender_is_busier else number
                self.charged[busier, SYNCHRONIZE] += released - max(left, self.start)
            number, index, moment = wait.sender, wait.sent_by, left

    def _latest_wait(self, number: int, index: int) -> _Wait | None:
        """Return the last wait on trace `number` before message `index`; None if none ended after the start."""
        messages, first = self.timeline.messages, int(self.timeline.starts[number])
        index -= 1
        while index >= first and messages["ended"][index] > self.start:
            begin = index
            while messages["kind"][begin] == ALSO:
                begin -= 1
            kind = messages["kind"][begin]
            if kind == RECEIVE and (wait := self._for_message(self.timeline.call(begin))) is not None:
                return wait
            if kind == SETTLE and (wait := self._for_reader(begin, first)) is not None:
                return wait
            index = begin - 1
        return None

    def _for_message(self, call: range) -> _Wait | None:
        """Return the wait for the message of a receive that was sent last; None if it had arrived."""
        timeline, messages = self.timeline, self.timeline.messages
        last = timeline.sent_last(call)
        send, left = int(timeline.partner[last]), float(timeline.sent[last])
        if send < 0:
            return None
        sender = int(timeline.owner[send])
        flight = self._flights.get((sender, int(timeline.owner[last]), int(messages["nbytes"][last])), 0.0)
        if left + flight <= messages["began"][last]:
            return None
        return _Wait(call[0], float(messages["ended"][call[0]]), sender, send + 1, left)

    def _for_reader(self, settle: int, first: int) -> _Wait | None:
        """Return the wait of a settle for the last reader of arrays lent since the settle before; None if none."""
        messages, partner = self.timeline.messages, self.timeline.partner
        began, ended = float(messages["began"][settle]), float(messages["ended"][settle])
        latest, reader = began, -1
        for index in range(settle - 1, first - 1, -1):
            if messages["kind"][index] == SETTLE:
                break
            read = int(partner[index])
            if messages["kind"][index] != SEND or read < 0:
                continue
            moment = float(messages["ended"][read])
            alone = messages["kind"][read] == RECEIVE and len(self.timeline.call(read)) == 1
            if alone and messages["began"][read] <= ended:
                moment = min(moment, ended)  # the reader may have been interrupted before it noted the time
            if latest < moment <= ended:
                latest, reader = moment, read
        if reader < 0:
            return None
        return _Wait(settle, latest, int(self.timeline.owner[reader]), reader + 1, latest)

    def _charge_work(self, number: int, records: range, start: float, end: float) -> None:
        """Charge `start` to `end` to trace `number`: calls of the endpoint as synchronize, the rest to its stages."""
        messages = self.timeline.messages
        moment = end
        for index in reversed(records):
            began, ended = float(messages["began"][index]), float(messages["ended"][index])
            if ended <= start:
                break
            if began >= moment or messages["kind"][index] == ALSO:
                continue
            ended = min(ended, moment)
            self._charge_stages(number, ended, moment)
            moment = max(began, start)
            self.charged[number, SYNCHRONIZE] += ended - moment
        self._charge_stages(number, start, moment)

    def _charge_stages(self, number: int, start: float, end: float) -> None:
        """Charge `start` to `end`, without a call on trace `number`, to the stages of that time."""
        if end <= start:
            return
        trace, left = self.timeline.traces[number], end - start
        for record in trace.stages[int(np.searchsorted(trace.stages["ended"], start, "right")) :]:
            if record["began"] >= end:
                break
            seconds = min(float(record["ended"]), end) - max(float(record["began"]), start)
            self.charged[number, STAGES[record["kind"] - STAGE]] += seconds
            left -= seconds
        self.charged[number, SYNCHRONIZE if trace.role == "server" else BETWEEN_STAGES] += max(0.0, left)


def _shortest_flights(timeline: Timeline) -> dict[tuple[int, int, int], float]:
    """Return the least seconds that a message was on its way, by sender, receiver and bytes, of those waited for."""
    messages, owner, partner = timeline.messages, timeline.owner, timeline.partner
    with np.errstate(invalid="ignore"):
        waited = np.flatnonzero((messages["kind"] == RECEIVE) & (timeline.sent >= messages["began"]))
    seconds = messages["ended"][waited] - timeline.sent[waited]
    waited, seconds = waited[np.argsort(-seconds)], np.sort(seconds)[::-1]  # the least of each key comes last
    keys = owner[partner[waited]].tolist(), owner[waited].tolist(), messages["nbytes"][waited].tolist()
    return dict(zip(zip(*keys, strict=True), seconds.tolist(), strict=True))


def missing_ranks(timeline: Timeline, summary: Summary) -> list[str]:
    """Return the names of the run's ranks that left no trace, as killed ranks do."""
    workers = 1 if summary.processes == 1 else summary.workers  # one process stands for all workers
    names = [f"worker {rank}" for rank in range(workers)]
    names += [f"server {workers + number}" for number in range(summary.servers)]
    return [name for name in names if name not in {trace.name for trace in timeline.traces}]


def attribution_table(found: Attribution) -> Table[tuple[str, str, float, str]]:
    """Return the critical path as a table; small shares are one line, `others`."""
    large = {key: seconds for key, seconds in found.charged.items() if found.share(seconds) >= SHOWN}
    rows = [
        (name, stage, seconds, f"{found.share(found.waited[name]):.0%}") for (name, stage), seconds in large.items()
    ]
    if rest := sum(seconds for key, seconds in found.charged.items() if key not in large):
        rows.append(("others", DASH, rest, DASH))
    columns: list[Column[tuple[str, str, float, str]]] = [
        Column("on the critical path", lambda row: row[0], words=True),
        Column("stage", lambda row: row[1], words=True),
        Column("ms a step", lambda row: human_ms(row[2] / max(1, found.steps))),
        Column("of the steps' time", lambda row: f"{found.share(row[2]):.0%}"),
        Column("waits itself", lambda row: row[3]),
    ]
    return Table(columns, rows)
