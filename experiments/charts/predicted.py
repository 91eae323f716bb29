"""What a model of the network says of each entry, in the form that charts draw."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.charts.material import Predictions, fact
from experiments.charts.sync_vs_size import parameter_bytes
from experiments.comparison import Comparison, Contest


def predictions(comparison: Comparison, rates: Mapping[tuple[int, str], float]) -> Predictions:
    """From the predicted samples/s, by the contest's place and the entry's label.

    A predicted step is a step of `noop` and an exchange, so the exchange is what is left without that; where there is
    no `noop`, it is not known.
    """
    by_workers: dict[tuple[str, int], float] = {}
    exchanges: dict[tuple[str, int], float] = {}
    for (place, label), rate in rates.items():
        contest = comparison.contests[place]
        by_workers[label, int(fact(contest, "workers"))] = rate
        if (nbytes := parameter_bytes(contest)) is not None and (seconds := _exchange(contest, rate)) is not None:
            exchanges[label, nbytes] = seconds
    return Predictions(by_workers, exchanges)


def _exchange(contest: Contest, rate: float) -> float | None:
    """Seconds of synchronisation in a step of a job that does so many samples/s."""
    top = next((entry for entry in contest.entries if entry.strategy == "noop" and entry.refused is None), None)
    batch = fact(contest, "batch")
    if top is None or not top.rate.middle or not batch or not rate:
        return None
    seconds = float(batch) / rate - float(batch) / top.rate.middle
    return seconds if seconds > 0 else None
