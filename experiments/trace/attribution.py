"""Attribution: which rank and stage the others waited for, and for how much of the steps' time."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.format.table import DASH, Column, Table
from experiments.format.units import human_ms
from experiments.schema.documents import Summary
from experiments.trace.timeline import Timeline

SHOWN = 0.01  # least share of the steps' time that gets a line of its own
STANDS_OUT = 1.5  # times an equal share


@dataclass(frozen=True, slots=True)
class Attribution:
    """The critical path: seconds by (rank, stage), longest first; what ranks `waited`; a `note` if it is unknown."""

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
