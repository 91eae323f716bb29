"""What charts are drawn from: a comparison, the part of it that a chart shows, and what each chart says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from matplotlib.figure import Figure

from experiments.charts.export import Rows, Sheet
from experiments.charts.layout import frame
from experiments.charts.style import ALARM, DASHES, FAINT, REFUSED, Marker, size, style
from experiments.comparison import Comparison, Contest, Entry
from experiments.comparison.wording import setting_words
from experiments.format.words import plural
from experiments.runs.describe import conditions
from experiments.runs.run import Run

KINDS = {"single": " (yardstick)", "noop": " (ceiling)"}


class Absent(Exception):
    """A chart that these runs have no data for; says why."""


@dataclass(frozen=True)
class Predictions:
    """What a model of the network says, where it says something: drawn as dashed lines under what was measured."""

    rates: Mapping[tuple[str, int], float] = field(default_factory=dict)  # samples/s, by (label, workers)
    seconds: Mapping[tuple[str, int], float] = field(default_factory=dict)  # an exchange, by (label, bytes)


UNKNOWN = Predictions()


@dataclass(frozen=True)
class Series:
    """One entry in one chart, and what the chart shows of it."""

    entry: Entry
    data: Any = None
    twin: int = 0  # how many of the same strategy, and so of the same colour, come before it

    @property
    def label(self) -> str:
        return self.entry.label

    @property
    def run(self) -> Run:
        """The repeat in the middle."""
        return self.entry.run

    @property
    def refused(self) -> bool:
        return self.entry.refused is not None

    @property
    def contends(self) -> bool:
        """Neither the ceiling nor the yardstick, and comparable."""
        return self.entry.strategy not in KINDS and not self.refused

    @property
    def name(self) -> str:
        """The label, and the part that this entry plays where it is not one of those compared."""
        return self.label + (", not comparable" if self.refused else KINDS.get(self.entry.strategy, ""))

    @property
    def colour(self) -> str:
        return REFUSED if self.refused else style(self.entry.strategy)[0]

    @property
    def bar(self) -> dict[str, Any]:
        """How its bars look: hollow where it is not one of those compared, grey where it may not be."""
        face = "white" if self.entry.strategy in KINDS and not self.refused else self.colour
        return {"facecolor": face, "edgecolor": self.colour, "linewidth": 1.4}

    @property
    def ink(self) -> str:
        """For its text."""
        return FAINT if self.refused else style(self.entry.strategy)[0]

    @property
    def marker(self) -> Marker:
        return style(self.entry.strategy)[1]

    @property
    def size(self) -> float:
        """Of its marker, in points."""
        return size(self.marker)

    @property
    def dashes(self) -> Any:
        """Of its line: those that share a colour differ."""
        return ":" if self.refused else DASHES[self.twin % len(DASHES)]


@dataclass(frozen=True)
class Material:
    """A comparison to be drawn. `note` is a line for every foot; `loss` the one that time is measured to, if given."""

    comparison: Comparison
    note: str = ""
    predictions: Predictions = UNKNOWN
    loss: float | None = None

    @cached_property
    def focus(self) -> Contest:
        """The contest that charts of one contest show: of those with most entries that with most workers."""
        return self.largest(lambda contest: True)

    def largest(self, fit: Callable[[Contest], bool]) -> Contest:
        """Of the contests that `fit` the largest; Absent if none does."""
        fitting = [contest for contest in self.comparison.contests if fit(contest)]
        if not fitting:
            raise Absent("no run came to its end" if not self.comparison.contests else "no run has what it takes")
        return max(fitting, key=lambda contest: (len(contest.entries), fact(contest, "workers") or 0))

    def along(self, value: Callable[[Contest], Any], *besides: str) -> list[Contest]:
        """The most contests that differ in `value` and, as they may, in the settings `besides`; by that value."""
        groups: dict[Hashable, dict[Any, Contest]] = {}
        for contest in self.comparison.contests:
            same = repr(sorted((key, repr(its)) for key, its in contest.setting.items() if key not in besides))
            if (its := value(contest)) is not None:
                groups.setdefault(same, {}).setdefault(its, contest)
        found = max(groups.values(), key=lambda group: (len(group), _entries(group.values())), default={})
        return [found[its] for its in sorted(found)]

    def only(self, contest: Contest) -> list[str]:
        """A note that there are other settings than this contest's, if there are."""
        count = len(self.comparison.contests)
        told = setting_words(contest, self.comparison.axes)
        return [f"One of {count} settings that were run: {told or 'the largest'}."] if count > 1 else []

    def read(self, entries: Iterable[Entry], read: Callable[[Entry], Any], what: str) -> tuple[list[Series], list[str]]:
        """(those that have data, labels of those that have not). Absent if none has."""
        seen: Counter[str] = Counter()
        every = []
        for entry in entries:
            every.append(Series(entry, read(entry), seen[entry.strategy]))
            seen[entry.strategy] += 1
        shown = [series for series in every if series.data is not None]
        if not shown:
            raise Absent(f"no run recorded {what}")
        return shown, [series.label for series in every if series.data is None]

    def sheet(
        self,
        figure: Figure,
        title: str,
        shown: Sequence[Series],
        rows: Rows,
        *,
        missing: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> Sheet:
        """Frame what was drawn: with what is missing, what is not comparable, `notes`, and the note for every chart."""
        gone = [*(f"{label} (not recorded)" for label in dict.fromkeys(missing)), *self._failed()]
        refused = {series.label: series.entry.refused for series in shown if series.refused}
        alarms = [f"Not shown: {', '.join(gone)}."] if gone else []
        alarms += [f"Not comparable, so in grey: {label} {reason}." for label, reason in refused.items()]
        foot = [(text, ALARM) for text in alarms]
        foot += [(text, FAINT) for text in [" ".join(filter(None, notes)), self.note] if text]
        below = conditions([run for series in shown for run in series.entry.runs])
        frame(figure, title, below, foot)
        return Sheet(figure, title, below, rows, " ".join(text for text, _ in foot))

    def _failed(self) -> list[str]:
        """Of each strategy the runs that did not come to their end, in words."""
        several = "workers" in self.comparison.axes
        named = (
            (
                run.strategy.rpartition(":")[2] + (f" with {plural(run.summary.workers, 'worker')}" * several),
                run.status,
            )
            for run in self.comparison.failed
        )
        return [
            f"{count}× {name} ({how})" if count > 1 else f"{name} ({how})"
            for (name, how), count in Counter(named).items()
        ]


def fact(contest: Contest, key: str) -> Any:
    """A setting of a contest, or what its first run says of it."""
    return contest.setting[key] if key in contest.setting else getattr(contest.entries[0].run.summary, key)


def _entries(contests: Iterable[Contest]) -> int:
    return sum(len(contest.entries) for contest in contests)
