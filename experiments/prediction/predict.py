"""Predict how long an exchange takes: by the strategy's formula, and by running the strategy in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import ConfigError, RunError
from common.pipeline.engine import engine_traits
from common.runtime.job import COLOCATED, DEDICATED, VIRTUAL
from common.strategy import Link, SyncStrategy
from common.types import FLOAT_BYTES
from experiments.config.strategies import create
from experiments.prediction.cost_model import Calibration, Figures, constant, link_terms
from experiments.prediction.simulation import simulated_seconds, simulation_cost
from experiments.prediction.step_cost import added_to_a_step
from experiments.schema.documents import Summary

LOCKSTEP = "the formulas take it that every worker waits for all others in each step"


@dataclass(frozen=True, slots=True)
class Predicted:
    """Seconds of one exchange. None: the strategy has no formula, or was not simulated."""

    formula: float | None
    virtual: float | None = None


def predicted_exchange_seconds(
    strategy: str,
    options: Mapping[str, Any],
    workers: int,
    servers: int,
    nbytes: int,
    figures: Figures,
    *,
    placement: str = DEDICATED,
    budget: float = 0.0,
) -> Predicted:
    """Predict one exchange of `nbytes` bytes. It is simulated only if that takes at most `budget` seconds.

    Blocks for as long. ConfigError for an unknown strategy or option.
    """
    made = create(strategy, dict(options))
    if engine_traits(made.traits).own_transport is not None:
        return Predicted(None)
    link = (figures.hub if made.traits.servers else figures.exchange).link(nbytes)
    formula = by_formula(made, workers, servers, nbytes, link, placement)
    virtual = None
    if budget > 0 and simulation_cost(strategy, options, workers, servers, nbytes, placement) <= budget:
        try:
            virtual = simulated_seconds(strategy, options, workers, servers, nbytes, link)
        except RunError:
            virtual = None  # a user's strategy may fail here; its formula, if it has one, still holds
    return Predicted(formula, virtual)


def by_formula(
    strategy: SyncStrategy, workers: int, servers: int, nbytes: int, link: Link, placement: str = DEDICATED
) -> float | None:
    """Return the seconds by the strategy's own formula; with colocated servers, by the bytes of the busiest process.

    That process is a worker, which pushes 1/S of the vector to each of the S - 1 servers elsewhere, and a server, to
    which n - 1 workers push as much. With S = n these are the bytes of a ring.
    """
    if placement == COLOCATED and strategy.traits.servers:
        busy = (servers + workers - 2) / servers * nbytes
        return 2 * link.alpha + busy * link.beta + workers / servers * nbytes * link.gamma
    return strategy.seconds(workers, servers, nbytes, link)


def predicted_step_exchange(summary: Summary, calibration: Calibration | None) -> float | None:
    """Return the seconds that a run's exchanges add to a step, over all buckets; None if they cannot be predicted.

    That is so if exchanges hide behind backward, if a gradient is sent by rows, if workers do not wait for each other,
    and without figures.
    """
    if not in_lockstep(summary.consistency) or not summary.parameters or summary.overlap == "on" or summary.sparse:
        return None
    figures = figures_for(summary, calibration)
    if figures is None:
        return None
    placement = summary.placement or DEDICATED

    def seconds(nbytes: int) -> float | None:
        who = summary.strategy, summary.strategy_options, summary.workers, summary.servers
        return predicted_exchange_seconds(*who, nbytes, figures, placement=placement).formula

    nbytes = FLOAT_BYTES * summary.parameters
    bucket = min(summary.bucket or nbytes, nbytes)
    # Steps of a server that follow each other overlap (see step_cost). This formula is for one bucket on a given link:
    # measured figures of a server come from rounds that overlap already, and unequal buckets queue in another way.
    if bucket == nbytes and figures.link is not None:
        made = create(summary.strategy, dict(summary.strategy_options))
        link = figures.hub.link(nbytes)
        if (added := added_to_a_step(made, summary.workers, summary.servers, nbytes, link, placement)) is not None:
            return added
    whole = seconds(bucket)
    rest = seconds(nbytes % bucket) if nbytes % bucket else 0.0
    return None if whole is None or rest is None else nbytes // bucket * whole + rest


def in_lockstep(consistency: str) -> bool:
    """Return whether with this consistency every worker waits for all others in each step."""
    return consistency == "bsp"


def figures_for(summary: Summary, calibration: Calibration | None) -> Figures | None:
    """Return the figures of the run's link in virtual time, else those that were measured; None without either."""
    try:
        if summary.link and summary.transport == VIRTUAL:
            return constant(link_terms(summary.link), words=summary.link)
        return None if calibration is None else calibration.nearest(summary.transport, summary.workers)[0]
    except ConfigError:
        return None
