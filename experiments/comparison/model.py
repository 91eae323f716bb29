"""What a comparison is made of: runs that repeat each other, contests among them, and the contests of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from common.runtime.job import VIRTUAL
from experiments.comparison.equivalence import ParameterCheck
from experiments.metrics.intervals import Interval
from experiments.runs.run import Run

BESIDE = ("single", "noop")  # the yardstick and the ceiling: beside the contest, not in it


@dataclass(frozen=True)
class Entry:
    """Repeats of one run in a contest; their figures are samples/s.

    `rates` are those of the repeats, without such that were too short to have one; if none has, `rate` is 0. `ratio` is
    to the contest's baseline, `share` that of the ceiling (`noop`); both None where there is none, and where `refused`
    says why this entry cannot be compared with the others. `check` says whether it computed what the yardstick did.
    `origin` is where its runs come from, where the same was asked for elsewhere, too.
    """

    label: str
    strategy: str
    runs: tuple[Run, ...]  # in the order given
    rates: tuple[float, ...]  # in the order of the runs
    rate: Interval
    ratio: Interval | None = None
    share: float | None = None
    refused: str | None = None
    notes: tuple[str, ...] = ()
    check: ParameterCheck = field(default_factory=lambda: ParameterCheck("unknown"))
    origin: str = ""

    @property
    def run(self) -> Run:
        """The run in the middle, by throughput; the slower one of two."""
        return sorted(self.runs, key=lambda run: run.summary.samples_per_second or 0.0)[(len(self.runs) - 1) // 2]

    @property
    def contends(self) -> bool:
        """Whether it is neither the ceiling nor the yardstick."""
        return self.strategy not in BESIDE

    @property
    def exact(self) -> bool:
        """Whether another repeat would bring the same: in virtual time, if it was said how long training takes."""
        return all(run.summary.transport == VIRTUAL and run.summary.train_seconds for run in self.runs)

    @property
    def finding(self) -> Literal["faster", "slower", "no difference"] | None:
        """The verdict against the baseline; None where none can be given, as with a single repeat that is not exact."""
        if self.ratio is None or (self.ratio.low == self.ratio.high and not self.exact):
            return None
        return "faster" if self.ratio.low > 1 else "slower" if self.ratio.high < 1 else "no difference"

    @property
    def per_worker(self) -> float | None:
        """Median samples/s of a worker; None where one process stands for all."""
        processes, workers = self.run.summary.processes, self.run.summary.workers
        if not workers or (processes == 1 and workers > 1):
            return None
        return self.rate.middle / workers

    @property
    def per_process(self) -> float | None:
        """Median samples/s of a process used, servers' included."""
        processes = self.run.summary.processes
        return self.rate.middle / processes if processes else None


@dataclass(frozen=True)
class Contest:
    """Entries that did the same work. `baseline` is the label of one of them, empty where there is none."""

    setting: Mapping[str, Any]  # what its entries have in common
    entries: tuple[Entry, ...]
    baseline: str
    warnings: tuple[str, ...] = ()

    @property
    def reference(self) -> Entry | None:
        """The entry that the others' ratios are to."""
        return next((entry for entry in self.entries if entry.label == self.baseline), None)

    @property
    def ranked(self) -> list[Entry]:
        """The entries, the fastest first; what is beside the contest after it, and who is refused last."""
        return sorted(self.entries, key=lambda one: (one.refused is not None, not one.contends, -one.rate.middle))

    def strategy(self, name: str) -> Entry | None:
        """The first entry of this strategy that can be compared, for example `noop` or `single`."""
        return next((entry for entry in self.entries if entry.strategy == name and entry.refused is None), None)


@dataclass(frozen=True)
class Comparison:
    """All contests among some runs.

    `axes` are the settings that differ between contests, with their values in order, for example {"workers": (1, 2,
    4)}. `failed` are the runs that did not come to their end.
    """

    contests: tuple[Contest, ...]
    axes: Mapping[str, tuple[Any, ...]]
    failed: tuple[Run, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def refusal(self) -> str | None:
        """In one line why some of these runs cannot be compared with the others; None if all can."""
        refused = [f"{entry.label} {entry.refused}" for one in self.contests for entry in one.entries if entry.refused]
        return refused[0] + (f" (and {len(refused) - 1} more)" if len(refused) > 1 else "") if refused else None
