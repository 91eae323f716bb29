"""The data of charts: the entries of a comparison as one tidy frame, and the texts that every chart has."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.charts.export import Sheet
from experiments.charts.layout import blank, frame, panels
from experiments.charts.style import ALARM, FAINT
from experiments.comparison.model import Comparison, Contest, Entry
from experiments.comparison.wording import setting_words
from experiments.format.words import plural
from experiments.runs.describe import conditions

FLOAT = 4  # bytes of a parameter
PANELS = 8  # of one chart, at most
ROLES = {"single": " (yardstick)", "noop": " (ceiling)"}
_DTYPES: Any = dict.fromkeys(
    ("samples_per_second", "low", "high", "share_of_ceiling", "predicted", "predicted_seconds"), float
) | {"bytes": "Int64"}


class Absent(Exception):
    """A chart that these runs have no data for; says why."""


@dataclass(frozen=True)
class ChartData:
    """A comparison to be drawn, a `note` for every foot, and the `loss` to time; None: one that most reached."""

    comparison: Comparison
    note: str = ""
    loss: float | None = None

    @cached_property
    def entries(self) -> pd.DataFrame:
        """One row an entry of a contest. The index is the entry's place among all (see `entry`). Absent without any.

        entry, label, strategy, workers, servers, processes, consistency, within_train
        contest          place of its contest in the comparison
        placement, bytes    of the servers; of the model's parameters
        name, short_name    its label and its role: yardstick, ceiling, not comparable (not in short_name)
        contends         it is neither yardstick nor ceiling, and it is comparable
        refused, not_comparable    whether, and why, it is not comparable
        twin             how many entries of its contest and strategy come before it: they have the same colour
        samples_per_second, low, high, repeats    the median over the repeats, its 95 % interval, each repeat
        share_of_ceiling of the samples/s of noop
        predicted, predicted_seconds     samples/s and seconds of one exchange, by the cost model
        """
        rows: list[dict[str, Any]] = []
        for place, contest in enumerate(self.comparison.contests):
            rows += [{"contest": place, **_row(entry), **_predicted(contest, entry)} for entry in contest.entries]
        if not rows:
            raise Absent("no run came to its end")
        table = pd.DataFrame(rows).astype(_DTYPES)
        return table.assign(twin=table.groupby(["contest", "strategy"]).cumcount())

    @cached_property
    def focus(self) -> pd.DataFrame:
        """The entries of the contest that charts of one contest show: most entries, then most workers."""
        return self.largest(lambda rows: True)

    def entry(self, place: Any) -> Entry:
        """Return the entry in this row of `entries`."""
        found: Entry = self.entries["entry"].loc[place]
        return found

    def largest(self, fits: Callable[[pd.DataFrame], bool | np.bool]) -> pd.DataFrame:
        """Return the entries of the largest contest that `fits`. Absent if none does."""
        fitting = [rows for _, rows in self.entries.groupby("contest") if fits(rows)]
        if not fitting:
            raise Absent("no run has the data")
        return max(fitting, key=lambda rows: (len(rows), self.contest(rows).setting["workers"] or 0))

    def contest(self, rows: pd.DataFrame) -> Contest:
        """Return the contest that these entries are in."""
        return self.comparison.contests[int(rows["contest"].iloc[0])]

    def along(self, column: str, *besides: str) -> pd.DataFrame:
        """Return, by `column`, entries of the most contests that differ in it, and in `besides` as they may."""
        groups: dict[str, dict[Any, int]] = {}
        for place, contest in enumerate(self.comparison.contests):
            same = without_settings(contest, *besides)
            known = self.entries.loc[self.entries["contest"] == place, column].dropna()
            if not known.empty:
                groups.setdefault(same, {}).setdefault(contest.setting.get(column, known.iloc[0]), place)
        candidates = [self.entries[self.entries["contest"].isin(group.values())] for group in groups.values()]
        chosen = max(candidates, key=lambda rows: (rows["contest"].nunique(), len(rows)), default=self.entries[:0])
        return chosen.sort_values(column, kind="stable")

    def timed(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """Return those of the entries that have a throughput, and the labels of the others. Absent if none has."""
        known = rows["samples_per_second"].notna()
        if not known.any():
            raise Absent("no run recorded throughput")
        return rows[known], list(rows.loc[~known, "label"])

    def read(
        self, rows: pd.DataFrame, points: Callable[[Entry], Sequence[Mapping[str, Any]] | None], what: str
    ) -> tuple[pd.DataFrame, list[str]]:
        """Return rows with the columns that `points` has for an entry, and the labels without. Absent without any."""
        found: list[Mapping[str, Any]] = []
        places: list[Hashable] = []
        missing: list[str] = []
        for place, label in rows["label"].items():
            values = points(self.entry(place))
            missing += [label] if values is None else []
            found += values or ()
            places += [place] * len(values or ())
        if len(missing) == len(rows):
            raise Absent(f"no run recorded {what}")
        more = pd.DataFrame(found, index=pd.Index(places, dtype=rows.index.dtype))
        kept = rows.loc[places].drop(columns=more.columns, errors="ignore")
        return pd.concat([kept.reset_index(), more.reset_index(drop=True)], axis=1).set_index("index"), missing

    def sheet(
        self,
        figure: Figure,
        title: str,
        shown: pd.DataFrame,
        columns: Sequence[str],
        *,
        missing: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> Sheet:
        """Return the figure with title, conditions, and a foot: missing and not comparable entries, then `notes`."""
        gone = [*(f"{label} (not recorded)" for label in dict.fromkeys(missing)), *self._failed()]
        alarms = [f"Not shown: {', '.join(gone)}."] if gone else []
        refused = shown[shown["refused"]].drop_duplicates("label")
        alarms += [f"Not comparable, so in grey: {row.label} {row.not_comparable}." for row in refused.itertuples()]
        plain = [" ".join(filter(None, [*notes, *self._other_settings(shown)])), self.note]
        foot = [(text, ALARM) for text in alarms] + [(text, FAINT) for text in plain if text]
        below = conditions([run for place in dict.fromkeys(shown.index) for run in self.entry(place).runs])
        frame(figure, title, below, foot)
        table = shown[["label", "strategy", *columns, "not_comparable"]].reset_index(drop=True)
        return Sheet(figure, title, below, table, " ".join(text for text, _ in foot))

    def _other_settings(self, shown: pd.DataFrame) -> list[str]:
        """A note that other settings were run, under a chart of one contest of several."""
        count = len(self.comparison.contests)
        if count == 1 or shown["contest"].nunique() > 1:
            return []
        words = setting_words(self.contest(shown), self.comparison.axes)
        return [f"One of {count} settings that were run: {words or 'the largest'}."]

    def _failed(self) -> list[str]:
        """The runs that did not come to their end, counted by strategy, in words."""
        named: Counter[str] = Counter()
        for run in self.comparison.failed:
            with_workers = f" with {plural(run.summary.workers, 'worker')}" * ("workers" in self.comparison.axes)
            named[f"{run.strategy.rpartition(':')[2]}{with_workers} ({run.status})"] += 1
        return [f"{count}× " * (count > 1) + name for name, count in named.items()]


def by_label(frame: pd.DataFrame, column: str) -> dict[str, Any]:
    """Return a column by label, from the first row of each."""
    return {str(row["label"]): row[column] for _, row in frame.drop_duplicates("label").iterrows()}


def without_settings(contest: Contest, *names: str) -> str:
    """Return the settings of a contest except some, to be compared with those of another contest."""
    return repr(sorted((key, repr(value)) for key, value in contest.setting.items() if key not in names))


def panelled(shown: pd.DataFrame, **more: Any) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]], list[str]]:
    """Return a slide, its panels and the rows of the entry for each, contenders first, and a note on those left out."""
    order = shown.sort_values("contends", ascending=False, kind="stable").index.unique()
    left_out = shown.loc[order[PANELS:], "label"].unique()
    note = [f"No room for {', '.join(left_out)}."] if len(left_out) else []
    figure = blank()
    many = panels(figure, min(len(order), PANELS), **more)
    return figure, [(axes, shown.loc[[place]]) for axes, place in zip(many, order, strict=False)], note


def _row(entry: Entry) -> dict[str, Any]:
    """The columns that follow from the entry itself."""
    summary, refused, known = entry.run.summary, entry.refused is not None, bool(entry.rates)
    short_name = entry.label + ("" if refused else ROLES.get(entry.strategy, ""))
    return {
        "entry": entry,
        "label": entry.label,
        "strategy": entry.strategy,
        "name": entry.label + ", not comparable" if refused else short_name,
        "short_name": short_name,
        "contends": entry.contends and not refused,
        "refused": refused,
        "not_comparable": entry.refused,
        "workers": summary.workers,
        "servers": summary.servers,
        "processes": summary.processes,
        "placement": (summary.placement or "dedicated") if summary.servers else None,
        "consistency": summary.consistency,
        "within_train": entry.run.within_train,
        "bytes": FLOAT * summary.parameters if summary.parameters else None,
        "samples_per_second": entry.rate.middle if known else None,
        "low": entry.rate.low if known else None,
        "high": entry.rate.high if known else None,
        "repeats": entry.rates,
        "share_of_ceiling": entry.share,
    }


def _predicted(contest: Contest, entry: Entry) -> dict[str, float | None]:
    """The columns of a prediction. A predicted step is a step of noop and an exchange, so it needs noop."""
    ceiling, batch, seconds = contest.strategy("noop"), contest.setting["batch"], 0.0
    if entry.predicted and batch and ceiling is not None and ceiling.rates:
        seconds = batch / entry.predicted - batch / ceiling.rate.middle
    return {"predicted": entry.predicted, "predicted_seconds": seconds if seconds > 0 else None}
