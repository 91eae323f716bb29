"""Repeats of runs to be compared."""

import json
from itertools import count

from runs import write_run

from experiments.runs.find import load_run

CLOSE = (0.99, 1.0, 1.01)  # three repeats
ENV = {"cpu": "a", "cores": 2, "threads_per_rank": 1, "python": "3.11", "versions": {"torch": "2.1"}, "commit": "ab"}


def repeats_in(folder):
    """A function that writes repeats of a strategy, one for each of `rates` in samples/s, and loads them."""
    numbers = count()

    def make(strategy, rates, **fields):
        folders = [
            write_run(folder, strategy, name=f"{next(numbers):03}", samples_per_second=rate, **fields) for rate in rates
        ]
        for each in folders:
            (each / "env.json").write_text(json.dumps(ENV))
        return [load_run(each) for each in folders]

    return make


def around(rate):
    return [rate * factor for factor in CLOSE]


def contest_of(runs, workers, **rates):
    """Three repeats of each strategy with this many workers, and a ledger of their own."""
    fields = {"workers": workers, "batch": 32 * workers, "ledger_sha256": f"of {workers}"}
    return [run for name, rate in rates.items() for run in runs(name.replace("_", "-"), around(rate), **fields)]
