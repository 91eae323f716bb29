"""Predict how long an exchange takes: by the strategy's formula, and by running the strategy in virtual time."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from msgspec import Struct, structs

from common.errors import ConfigError, RunError
from common.pipeline.engine import engine_traits
from common.runtime.job import COLOCATED, DEDICATED, VIRTUAL
from common.types import FLOAT_BYTES
from experiments.config.strategies import create
from experiments.prediction.cost_model import Calibration, Figures, constant, link_terms
from experiments.prediction.simulation import simulate_exchange, simulation_cost
from experiments.prediction.step_cost import added_to_a_step
from experiments.schema.documents import Summary

LOCKSTEP = "the formulas take it that every worker waits for all others in each step"


def formula_seconds(
    strategy: str,
    options: Mapping[str, Any],
    workers: int,
    servers: int,
    nbytes: int,
    figures: Figures,
    placement: str = DEDICATED,
) -> float | None:
    """Return the seconds of one exchange of `nbytes` bytes by the strategy's formula; None without one. ConfigError.

    With colocated servers, the busiest process counts. It is a worker, which pushes 1/S of the vector to each of the
    S - 1 servers elsewhere, and a server, to which n - 1 workers push as much. With S = n these are a ring's bytes.
    """
    made = create(strategy, dict(options))
    if engine_traits(made.traits).own_transport is not None:
        return None
    link = (figures.hub if made.traits.servers else figures.exchange).link(nbytes)
    if placement == COLOCATED and made.traits.servers:
        busy = (servers + workers - 2) / servers * nbytes
        return 2 * link.alpha + busy * link.beta + workers / servers * nbytes * link.gamma
    return made.seconds(workers, servers, nbytes, link)


def virtual_seconds(
    strategy: str, options: Mapping[str, Any], workers: int, servers: int, nbytes: int, figures: Figures
) -> float | None:
    """Return the seconds of one exchange in virtual time; None if a user's strategy fails there. Blocks."""
    link = (figures.hub if servers else figures.exchange).link(nbytes)
    try:
        return simulate_exchange(strategy, options, workers, servers, nbytes, link)[0]
    except RunError:
        return None


class PredictedExchange(
    Struct, frozen=True, rename={"nbytes": "bytes", "formula": "formula_seconds", "virtual": "virtual_seconds"}
):
    """One exchange and its predicted seconds; None where there is no formula, or no simulation."""

    strategy: str
    workers: int
    servers: int
    nbytes: int
    formula: float | None
    virtual: float | None = None


def servers_of(strategy: str, servers: int) -> int:
    """Return `servers` for a strategy that has servers, else 0. ConfigError for an unknown strategy."""
    return servers if create(strategy, {}).traits.servers else 0


def relaxed(strategies: Sequence[str]) -> list[str]:
    """Return the strategies with servers whose workers do not all wait for each other in each step. ConfigError."""
    traits = {name: create(name, {}).traits for name in strategies}
    return [name for name, its in traits.items() if its.servers and not in_lockstep(its.consistency)]


def by_formulas(
    strategies: Sequence[str], workers: Sequence[int], servers: int, sizes: Sequence[int], figures: dict[int, Figures]
) -> list[PredictedExchange]:
    """Return the prediction of each combination by formula; `figures` by the number of workers. ConfigError."""
    cells = []
    own_servers = {name: servers_of(name, servers) for name in strategies}
    for count, nbytes, name in product(workers, sizes, strategies):
        seconds = formula_seconds(name, {}, count, own_servers[name], nbytes, figures[count])
        cells.append(PredictedExchange(name, count, own_servers[name], nbytes, seconds))
    return cells


def simulated(
    cells: Sequence[PredictedExchange], figures: dict[int, Figures], budget: float
) -> tuple[list[PredictedExchange], int]:
    """Simulate the cheapest exchanges for about `budget` seconds; return all, and how many were not. Blocks."""
    costs = [simulation_cost(cell.strategy, {}, cell.workers, cell.servers, cell.nbytes) for cell in cells]
    done = list(cells)
    for index in np.argsort(costs, kind="stable").tolist():
        cell, budget = cells[index], budget - costs[index]
        if budget < 0:
            break
        virtual = virtual_seconds(cell.strategy, {}, cell.workers, cell.servers, cell.nbytes, figures[cell.workers])
        done[index] = structs.replace(cell, virtual=virtual)
    return done, sum(cell.virtual is None for cell in done)


def predicted_step_exchange(summary: Summary, calibration: Calibration | None) -> float | None:
    """Return the seconds that exchanges add to a step; None if hidden, sparse, not in lockstep or unknown."""
    if not in_lockstep(summary.consistency) or not summary.parameters or summary.overlap == "on" or summary.sparse:
        return None
    if (figures := figures_for(summary, calibration)) is None:
        return None
    placement = summary.placement or DEDICATED
    nbytes = FLOAT_BYTES * summary.parameters
    bucket = min(summary.bucket or nbytes, nbytes)
    # Successive steps of a server overlap; step_cost has a formula for one bucket on a given link. Measured figures of
    # a server come from rounds that overlap already, and unequal buckets queue in another way.
    if bucket == nbytes and figures.link is not None:
        made = create(summary.strategy, dict(summary.strategy_options))
        link = figures.hub.link(nbytes)
        if (added := added_to_a_step(made, summary.workers, summary.servers, nbytes, link, placement)) is not None:
            return added
    total, who = 0.0, (summary.strategy, summary.strategy_options, summary.workers, summary.servers)
    for count, size in ((nbytes // bucket, bucket), (1, nbytes % bucket)):
        seconds = formula_seconds(*who, size, figures, placement) if size else 0.0
        if seconds is None:
            return None
        total += count * seconds
    return total


def in_lockstep(consistency: str) -> bool:
    """Return whether every worker waits for all others in each step."""
    return consistency == "bsp"


def figures_for(summary: Summary, calibration: Calibration | None) -> Figures | None:
    """Return the figures of the run's link in virtual time, else those that were measured; None without either."""
    try:
        if summary.link and summary.transport == VIRTUAL:
            return constant(link_terms(summary.link), words=summary.link)
        return None if calibration is None else calibration.nearest(summary.transport, summary.workers)[0]
    except ConfigError:
        return None
