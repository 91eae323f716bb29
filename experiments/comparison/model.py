"""The parts of a comparison: repeats of a run, contests among them, and the contests of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from common.runtime.job import VIRTUAL
from experiments.comparison.equivalence import ParameterCheck
from experiments.metrics.intervals import Interval
from experiments.runs.run import Run

BESIDE = ("single", "noop")  # the yardstick and the ceiling: a contest shows them, but they do not contend


@dataclass(frozen=True)
class Entry:
    """Repeats of one run in a contest. Figures are samples/s; None if unknown.

    `rates` are those of the repeats that were long enough to have one; without any, `rate` is 0. `ratio` is to the
    baseline of the contest, `share` is of its ceiling (`noop`). `refused` says why the entry cannot be compared.
    `origin` is the folder of its runs, if another folder has runs that were asked for the same.
    """

    label: str
    strategy: str
    runs: tuple[Run, ...]  # in the order given
    rates: tuple[float, ...]  # in the order of the runs
    rate: Interval
    ratio: Interval | None = None
    share: float | None = None
    predicted: float | None = None
    refused: str | None = None
    notes: tuple[str, ...] = ()  # each is the rest of a sentence about the entry
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
        """Whether repeats would be equal: in virtual time, if the user gave the time of training."""
        return all(run.summary.transport == VIRTUAL and run.summary.train_seconds for run in self.runs)

    @property
    def finding(self) -> Literal["faster", "slower", "no difference"] | None:
        """The verdict against the baseline; None without one, as for a single repeat that is not exact."""
        if self.ratio is None or (self.ratio.low == self.ratio.high and not self.exact):
            return None
        return "faster" if self.ratio.low > 1 else "slower" if self.ratio.high < 1 else "no difference"

    @property
    def per_worker(self) -> float | None:
        """The median samples/s of a worker; None if one process stands for all workers."""
        workers = self.run.summary.workers
        return self.rate.middle / workers if workers == 1 or self.run.summary.processes > 1 else None

    @property
    def per_process(self) -> float:
        """The median samples/s of a process; servers have processes too."""
        return self.rate.middle / self.run.summary.processes

    @property
    def step_seconds(self) -> float | None:
        """The median seconds of a step of the whole job; None without a throughput."""
        return self.run.summary.batch / self.rate.middle if self.rates else None

    @property
    def residual(self) -> float | None:
        """How far the measured samples/s are above (+) or below (-) the predicted ones, as a part of these."""
        return self.rate.middle / self.predicted - 1 if self.predicted and self.rates else None


@dataclass(frozen=True)
class Contest:
    """Entries that did the same work. `baseline` is the label of one of them; empty without one."""

    setting: Mapping[str, Any]  # what its entries have in common
    entries: tuple[Entry, ...]
    baseline: str
    warnings: tuple[str, ...] = ()

    @property
    def reference(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.label == self.baseline), None)

    @property
    def ranked(self) -> list[Entry]:
        """The entries, the fastest first; then the ceiling and the yardstick, and at last the refused ones."""
        return sorted(self.entries, key=lambda entry: (bool(entry.refused), not entry.contends, -entry.rate.middle))

    def strategy(self, name: str) -> Entry | None:
        """Return the first comparable entry of this strategy, for example of `noop`."""
        return next((entry for entry in self.entries if entry.strategy == name and entry.refused is None), None)


@dataclass(frozen=True)
class Comparison:
    """All contests among some runs, and the runs that failed. `axes`: what differs, like {"workers": (1, 2, 4)}."""

    contests: tuple[Contest, ...]
    axes: Mapping[str, tuple[Any, ...]]
    failed: tuple[Run, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        return [entry for contest in self.contests for entry in contest.entries]

    @property
    def refusal(self) -> str | None:
        """Return one line on why some of these runs cannot be compared with the others; None if all can."""
        refused = [f"{entry.label} {entry.refused}" for entry in self.entries if entry.refused]
        return refused[0] + (f" (and {len(refused) - 1} more)" if len(refused) > 1 else "") if refused else None
