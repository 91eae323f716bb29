"""What a model of the network says of each entry, in the form that charts draw."""

from __future__ import annotations

from collections.abc import Callable

from experiments.charts.material import Predictions, fact
from experiments.charts.size import parameter_bytes
from experiments.comparison import Comparison, Contest, Entry

Predict = Callable[[Entry, Contest], float | None]


def unknown(entry: Entry, contest: Contest) -> None:
    """The prediction of who knows nothing."""


def predictions(comparison: Comparison, rate: Predict = unknown, seconds: Predict = unknown) -> Predictions:
    """Of every entry: `rate` gives its samples/s, `seconds` those of one exchange; None where they are not known."""
    rates: dict[tuple[str, int], float] = {}
    exchanges: dict[tuple[str, int], float] = {}
    for contest in comparison.contests:
        nbytes = parameter_bytes(contest)
        for entry in contest.entries:
            if (found := rate(entry, contest)) is not None:
                rates[entry.label, int(fact(contest, "workers"))] = found
            if nbytes is not None and (found := seconds(entry, contest)) is not None:
                exchanges[entry.label, nbytes] = found
    return Predictions(rates, exchanges)
