"""What a trace says in a few lines: whom the others waited for, and how much of the steps' time that was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.format.units import human_ms
from experiments.schema.documents import Summary
from experiments.trace.critical_path import Path, critical_path
from experiments.trace.timeline import Timeline

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 0.01  # of the steps' time: less is not worth a line
STANDS_OUT = 1.5  # times an equal share


@dataclass(frozen=True, slots=True)
class Attribution:
    """Of a run: its critical path by (rank's name, stage), in seconds, the longest first, and who waited how long."""

    charged: Mapping[tuple[str, str], float]
    waited: Mapping[str, float]
    seconds: float
    steps: int
    messages: str | None = None  # why there are none to follow, if there are none

    def share(self, seconds: float) -> float:
        """Of the steps' time, 0 … 1."""
        return seconds / self.seconds if self.seconds else 0.0

    def sentence(self) -> str:
        """Whom the others waited for."""
        if self.messages is not None:
            return f"whom the others waited for cannot be told: {self.messages}"
        if (most := self.most) is None:
            return "whom the others waited for cannot be told: no step is in the trace"
        name, stage, total, seconds = most
        line = f"{name}: {self.share(total):.0%} of the steps' time, {self.share(seconds):.0%} in {stage}"
        if len(self.waited) == 1:
            return f"nobody waits for anybody; {line}"
        if self.share(total) < STANDS_OUT / len(self.waited):
            return f"nobody in particular was waited for; most often {line}"
        return f"the others waited for {line}"

    @property
    def most(self) -> tuple[str, str, float, float] | None:
        """Who has most of the path, and its stage with most of that: both names, then the seconds of both."""
        if self.messages is not None or not self.charged:
            return None
        totals: dict[str, float] = defaultdict(float)
        for (name, _), seconds in self.charged.items():
            totals[name] += seconds
        first = max(totals, key=totals.__getitem__)
        stage = next(stage for name, stage in self.charged if name == first)
        return first, stage, totals[first], self.charged[first, stage]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        most = self.most
        return {
            "waited_for": {"rank": most[0], "stage": most[1], "share": self.share(most[2])} if most else None,
            "sentence": self.sentence(),
            "steps": self.steps,
            "seconds": self.seconds,
            "critical_path": [
                {"rank": name, "stage": stage, "seconds": seconds, "share": self.share(seconds)}
                for (name, stage), seconds in self.charged.items()
                if self.messages is None
            ],
            "waited": {name: {"seconds": each, "share": self.share(each)} for name, each in self.waited.items()},
            "note": self.messages,
        }


def attribute(timeline: Timeline, summary: Summary) -> Attribution:
    """Of the timeline of the run with this summary; its warm-up is left out."""
    path: Path = critical_path(timeline, summary.warmup_steps)
    names = [tape.name for tape in timeline.traces]
    charged = sorted(path.charged.items(), key=lambda item: -item[1])
    return Attribution(
        {(names[number], stage): seconds for (number, stage), seconds in charged if seconds > 0},
        dict(zip(names, path.waited, strict=True)),
        path.seconds,
        path.steps,
        own_transport(summary),
    )


def missing_ranks(timeline: Timeline, summary: Summary) -> list[str]:
    """The names of the ranks of a run that left no trace, as who is killed leaves none."""
    alone = summary.processes == 1  # one process stands for all workers
    workers = 1 if alone else summary.workers
    every = [f"worker {rank}" for rank in range(workers)]
    every += [f"server {workers + number}" for number in range(summary.servers)]
    there = {tape.name for tape in timeline.traces}
    return [name for name in every if name not in there]


def own_transport(summary: Summary) -> str | None:
    """A note where messages do not pass through our transport, so that only stages are in the trace."""
    engine = summary.own_transport
    return f"{engine} moves the bytes itself, so the trace has stages only" if engine else None


def attribution_table(found: Attribution) -> Table:
    """The critical path, a line each for whoever has a share worth a line, for people."""
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("on the critical path")
    shown.add_column("stage")
    shown.add_column("ms a step", justify="right")
    shown.add_column("of the steps' time", justify="right")
    shown.add_column("waits itself", justify="right")
    rest = 0.0
    for (name, stage), seconds in found.charged.items():
        if found.share(seconds) < SHOWN:
            rest += seconds
            continue
        waits = f"{found.share(found.waited[name]):.0%}"
        shown.add_row(name, stage, *_figures(found, seconds), waits)
    if rest:
        shown.add_row("others", "", *_figures(found, rest), "")
    return shown


def _figures(found: Attribution, seconds: float) -> tuple[str, str]:
    return human_ms(seconds / max(1, found.steps)), f"{found.share(seconds):.0%}"
