"""Helpers for tests of charts: planted comparisons, and readers of drawn charts."""

import csv
import dataclasses
import re

import pandas as pd
from runs import write_run

from experiments.charts import ChartData, draw
from experiments.comparison.compare import compare_runs
from experiments.comparison.model import Comparison
from experiments.runs.find import load_run

STALE = {"staleness_histogram": {"0": 6, "3": 2}, "staleness_max": 3, "consistency": "asp"}
NAMES = ("single", "noop", "ps-bsp", "ps-async", "star", "ring")


def planted(folder, names=NAMES, **more):
    """A run of each."""
    return [
        load_run(write_run(folder, name, name=f"{len(list(folder.iterdir()))}-{name}", **between(name), **more))
        for name in names
    ]


def between(name):
    """The fields of a summary on traffic between ranks and on staleness, for this strategy."""
    if name in ("single", "noop"):
        return {"bytes_between": {"0": {}}}
    if name.startswith("ps-"):
        told = STALE if name == "ps-async" else {"staleness_histogram": {"0": 8}, "staleness_max": 0}
        return {
            "bytes_between": {**{str(r): {"4": 800} for r in range(4)}, "4": {str(r): 1600 for r in range(4)}}
        } | told
    return {"bytes_between": {str(r): {str((r + 1) % 4): 2400} for r in range(4)}}


def grid(folder, key, values, names=NAMES, repeats=2, rate=None, **more):
    """Runs of each strategy for each value of a setting, `repeats` times; samples/s by `rate(name, value, repeat)`."""
    runs = []
    for value in values:
        for repeat in range(repeats):
            for name in names:
                its = {"samples_per_second": rate(name, value, repeat)} if rate else {}
                runs += planted(folder, (name,), **{**more, key: value}, **its)
    return runs


def refuse(comparison: Comparison, label: str, reason="trained on different samples than single"):
    """The same with an entry that the gate refused."""

    def judged(entry):
        return dataclasses.replace(entry, refused=reason, share=None, ratio=None) if entry.label == label else entry

    contests = [dataclasses.replace(one, entries=tuple(map(judged, one.entries))) for one in comparison.contests]
    return dataclasses.replace(comparison, contests=tuple(contests))


def predict(comparison: Comparison, label, rate, contests=None):
    """The same with a prediction for the entries with this label, in samples/s, in the first contests or in all."""

    def predicted(entry):
        return dataclasses.replace(entry, predicted=rate) if entry.label == label else entry

    first, rest = comparison.contests[:contests], comparison.contests[len(comparison.contests[:contests]) :]
    made = [dataclasses.replace(one, entries=tuple(map(predicted, one.entries))) for one in first]
    return dataclasses.replace(comparison, contests=(*made, *rest))


class Seen:
    """One chart as it is drawn, not written: its title, the numbers in it, and its texts, each in one line."""

    def __init__(self, name, runs, **more):
        comparison = runs if isinstance(runs, Comparison) else compare_runs(runs)
        sheet = draw(name, ChartData(comparison, **more))
        artists = sheet.figure.findobj(lambda artist: hasattr(artist, "get_text"))
        self.title, self.note, self.figure = sheet.title, sheet.note, sheet.figure
        self.rows = [{key: known(value) for key, value in row.items()} for row in sheet.frame.to_dict("records")]
        self.texts = [" ".join(artist.get_text().split()) for artist in artists if artist.get_visible()]
        self.said = " ".join(self.texts)

    def rows_of(self, label):
        return [row for row in self.rows if row["label"] == label]


def known(value):
    """A value of a frame; None if it is missing."""
    return value if isinstance(value, tuple | list) or pd.notna(value) else None


def texts(svg):
    """The texts of a chart: matplotlib draws them as outlines and leaves each in a comment."""
    return re.findall(r"<!-- (.*?) -->", svg.read_text(), flags=re.DOTALL)


def said(svg):
    """All of its texts in one line."""
    return " ".join(" ".join(texts(svg)).split())


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
