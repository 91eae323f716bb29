"""The demo's question on many machines, simulated in virtual time, because one host cannot show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli.run_plans import execute_all
from experiments.config import RunOptions, plan
from experiments.format.units import human_bytes, human_seconds

if TYPE_CHECKING:
    from experiments.comparison import Comparison, Entry

STRATEGIES = ("ring", "ps-bsp")
LINK = "1gbit,50us"
# The model is large enough for bytes to count, and training takes long enough for the link not to be everything.
CLUSTER = RunOptions(
    workers=16, transport="virtual", link=LINK, hidden=(512, 256), train_seconds=0.02, steps=10, seed=1
)


def on_a_cluster(folder: Path) -> Comparison:
    """Train with a ring and with a parameter server on these machines; the runs go to `folder`. Raises RunFailed."""
    from experiments.comparison import compare_runs

    plans = [plan(replace(CLUSTER, strategy=name)) for name in STRATEGIES]
    return compare_runs(execute_all(plans, folder), baseline=STRATEGIES[0])


def cluster_lines(comparison: Comparison) -> list[str]:
    """Return the verdict, and what the busiest process of each strategy sends: with a server, the incast."""
    from experiments.comparison.wording import verdict_sentence

    (contest,) = comparison.contests
    about = f"{CLUSTER.workers} machines with links of 1 Gbit/s, in virtual time, training 20 ms a step"
    return [
        f"On one host no link limits the workers. The same question on {about}:",
        verdict_sentence(comparison),
        *(f"  {_load(entry)}" for entry in contest.ranked),
        "This is the incast: one link carries the gradients of all workers in, and the parameters for all of them out.",
    ]


def _load(entry: Entry) -> str:
    from experiments.prediction.cost_model import link_terms
    from experiments.report.bottlenecks import busiest

    who, sent, _ = busiest(entry.run)
    step = entry.run.summary.batch / entry.rate.middle
    by = "every worker sends" if who == "all alike" else f"{who} sends"
    on_link = human_seconds((sent or 0) * link_terms(LINK).beta)
    return (
        f"{entry.label}: {by} {human_bytes(round(sent or 0))} a step, {on_link} on its link, of {human_seconds(step)}"
    )
