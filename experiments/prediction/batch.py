"""Predictions for many strategies, numbers of workers and sizes: formulas at once, simulations within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.config.strategies import create
from experiments.prediction.cost_model import Figures
from experiments.prediction.predict import in_lockstep, predicted_exchange_seconds, simulation_cost


@dataclass(frozen=True, slots=True)
class PredictedExchange:
    """One exchange: who, how many, how much; and its predicted seconds, None where there are none."""

    strategy: str
    workers: int
    servers: int
    nbytes: int
    formula: float | None
    virtual: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "strategy": self.strategy,
            "workers": self.workers,
            "servers": self.servers,
            "bytes": self.nbytes,
            "formula_seconds": self.formula,
            "virtual_seconds": self.virtual,
        }


def servers_of(strategy: str, servers: int) -> int:
    """`servers`, for a strategy that has any. ConfigError for one that there is not."""
    return servers if create(strategy, {}).traits.servers else 0


def relaxed(strategies: Sequence[str]) -> list[str]:
    """Those with servers that do not make every worker wait for all others. ConfigError for one that there is not."""
    traits = {name: create(name, {}).traits for name in strategies}
    return [name for name, its in traits.items() if its.servers and not in_lockstep(its.consistency)]


def by_formulas(
    strategies: Sequence[str], workers: Sequence[int], servers: int, sizes: Sequence[int], figures: dict[int, Figures]
) -> list[PredictedExchange]:
    """A cell for each combination; `figures` by the number of workers. Raises ConfigError."""
    return [
        PredictedExchange(
            name,
            count,
            own,
            nbytes,
            predicted_exchange_seconds(name, {}, count, own, nbytes, figures[count]).formula,
        )
        for count in workers
        for nbytes in sizes
        for name in strategies
        for own in (servers_of(name, servers),)
    ]


def simulated(
    cells: Sequence[PredictedExchange], figures: dict[int, Figures], budget: float
) -> tuple[list[PredictedExchange], int]:
    """The cells, the cheapest of them simulated, for about `budget` seconds together; and how many were not. Blocks."""
    costs = [simulation_cost(cell.strategy, {}, cell.workers, cell.servers, cell.nbytes) for cell in cells]
    done, left = list(cells), budget
    for index in sorted(range(len(cells)), key=costs.__getitem__):
        cell = cells[index]
        if costs[index] > left:
            break
        left -= costs[index]
        found = predicted_exchange_seconds(
            cell.strategy, {}, cell.workers, cell.servers, cell.nbytes, figures[cell.workers], budget=float("inf")
        )
        done[index] = replace(cell, virtual=found.virtual)
    return done, sum(cell.virtual is None for cell in done)
