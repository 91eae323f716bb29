"""What one exchange should take: by the strategy's formula, and by running the strategy in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import ConfigError, RunError
from common.pipeline.engine import engine_traits
from common.runtime.job import COLOCATED, DEDICATED
from common.strategy import Link, SyncStrategy
from experiments.config.strategies import create
from experiments.prediction.cost_model import Calibration, Curve, Figures, constant, parse_link
from experiments.prediction.simulation import cost, simulated_seconds
from experiments.prediction.step_cost import added_to_a_step
from experiments.schema.documents import Summary

LOCKSTEP = "the formulas take it that every worker waits for all others in each step"


@dataclass(frozen=True, slots=True)
class Predicted:
    """Seconds of one exchange; None: the strategy has no formula, or was not simulated."""

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
    """One exchange of `nbytes` bytes with these figures. Simulated only if that takes `budget` seconds at most.

    Blocks for as long. Raises ConfigError for a strategy that there is not, or options that it does not have.
    """
    made = create(strategy, dict(options))
    if engine_traits(made.traits).own_transport is not None:
        return Predicted(None)
    link = _curve(made, figures).link(nbytes)
    formula = by_formula(made, workers, servers, nbytes, link, placement)
    virtual = None
    if budget > 0 and simulation_cost(strategy, options, workers, servers, nbytes, placement) <= budget:
        try:
            virtual = simulated_seconds(strategy, options, workers, servers, nbytes, link)
        except RunError:
            virtual = None  # a strategy of the user's may fail there; its formula, if any, still holds
    return Predicted(formula, virtual)


def simulation_cost(
    strategy: str, options: Mapping[str, Any], workers: int, servers: int, nbytes: int, placement: str = DEDICATED
) -> float:
    """Real seconds that a simulation takes, roughly; infinite where there is none."""
    made = create(strategy, dict(options))
    if engine_traits(made.traits).own_transport is not None or placement == COLOCATED:
        return float("inf")
    try:
        return cost(strategy, options, workers, servers, nbytes)
    except RunError:
        return float("inf")


def _curve(strategy: SyncStrategy, figures: Figures) -> Curve:
    return figures.hub if strategy.traits.servers else figures.exchange


def by_formula(
    strategy: SyncStrategy, workers: int, servers: int, nbytes: int, link: Link, placement: str = DEDICATED
) -> float | None:
    """Seconds by the strategy's own formula; with colocated servers, by the bytes through the busiest process.

    That one is a worker, which pushes to the S - 1 servers elsewhere, and a server, which n - 1 others push to, 1/S of
    the vector each: with S = n, the bytes of a ring.
    """
    if placement == COLOCATED and strategy.traits.servers:
        busy = (servers + workers - 2) / servers * nbytes
        return 2 * link.alpha + busy * link.beta + workers / servers * nbytes * link.gamma
    return strategy.seconds(workers, servers, nbytes, link)


def predicted_step_exchange(summary: Summary, calibration: Calibration | None) -> float | None:
    """Seconds that a run's exchanges add to a step, all buckets; None where that cannot be said.

    `summary` is the run's. It cannot be said where exchanges hide behind backward, where a gradient goes by rows, where
    workers do not wait for each other, or where there are no figures.
    """
    if not in_lockstep(summary.consistency):
        return None
    if not summary.parameters or summary.overlap == "on" or summary.sparse:
        return None
    figures = figures_for(summary, calibration)
    if figures is None:
        return None
    nbytes = 4 * summary.parameters
    most = min(summary.bucket or nbytes, nbytes)
    if most == nbytes and (added := _of_steps_in_turn(summary, nbytes, figures)) is not None:
        return added
    whole = _of_one_bucket(summary, most, figures)
    rest = _of_one_bucket(summary, nbytes % most, figures) if nbytes % most else 0.0
    return None if whole is None or rest is None else nbytes // most * whole + rest


def _of_steps_in_turn(summary: Summary, nbytes: int, figures: Figures) -> float | None:
    """Seconds that an exchange of a server adds to steps that follow each other (steps.py), on a given link.

    None where it is as long as the exchange alone: also with measured figures, as those of a server come from rounds
    that follow each other; and with several buckets of unequal sizes, where pushes of a large one queue again.
    """
    if figures.link is None:
        return None
    made = create(summary.strategy, dict(summary.strategy_options))
    placement = summary.placement or DEDICATED
    return added_to_a_step(made, summary.workers, summary.servers, nbytes, figures.hub.link(nbytes), placement)


def _of_one_bucket(summary: Summary, nbytes: int, figures: Figures) -> float | None:
    """Seconds of its exchange; None without a formula."""
    return predicted_exchange_seconds(
        summary.strategy,
        summary.strategy_options,
        summary.workers,
        summary.servers,
        nbytes,
        figures,
        placement=summary.placement or DEDICATED,
    ).formula


def in_lockstep(consistency: str) -> bool:
    """Whether with this consistency every worker waits for all others in each step."""
    return consistency == "bsp"


def figures_for(summary: Summary, calibration: Calibration | None) -> Figures | None:
    """Those of the link that the run was on in virtual time, else those that were measured; None without either."""
    try:
        if summary.link and summary.transport == "virtual":
            return constant(parse_link(summary.link), words=summary.link)
        if calibration is None:
            return None
        return calibration.nearest(summary.transport, summary.workers)[0]
    except ConfigError:
        return None
