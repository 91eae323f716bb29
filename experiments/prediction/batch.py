"""Predict exchanges of many strategies, numbers of workers and sizes; simulate them within a budget of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs, to_builtins

from experiments.config.strategies import create
from experiments.prediction.cost_model import Figures
from experiments.prediction.predict import in_lockstep, predicted_exchange_seconds
from experiments.prediction.simulation import simulation_cost


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

    def to_dict(self) -> dict[str, Any]:
        """Return the exchange as JSON values."""
        values: dict[str, Any] = to_builtins(self)
        return values


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
    has = {name: servers_of(name, servers) for name in strategies}
    return [
        PredictedExchange(
            name,
            count,
            has[name],
            nbytes,
            predicted_exchange_seconds(name, {}, count, has[name], nbytes, figures[count]).formula,
        )
        for count in workers
        for nbytes in sizes
        for name in strategies
    ]


def simulated(
    cells: Sequence[PredictedExchange], figures: dict[int, Figures], budget: float
) -> tuple[list[PredictedExchange], int]:
    """Simulate the cheapest exchanges for about `budget` seconds; return all, and how many were not. Blocks."""
    costs = [simulation_cost(cell.strategy, {}, cell.workers, cell.servers, cell.nbytes) for cell in cells]
    done, left = list(cells), budget
    for index in sorted(range(len(cells)), key=costs.__getitem__):
        cell = cells[index]
        if costs[index] > left:
            break
        left -= costs[index]
        found = predicted_exchange_seconds(
            cell.strategy, {}, cell.workers, cell.servers, cell.nbytes, figures[cell.workers], budget=math.inf
        )
        done[index] = structs.replace(cell, virtual=found.virtual)
    return done, sum(cell.virtual is None for cell in done)
