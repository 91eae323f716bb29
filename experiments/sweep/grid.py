"""The cells of a sweep: every contestant with every combination of settings, planned before the first one starts.

A setting that means nothing to a strategy makes no second cell: `servers` for a strategy without them, `transport` for
one that brings its own. A combination that cannot run is left out, with the reason. But a strategy that can run
nowhere, or a value that no strategy can run with, is a mistake of the user.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import ConfigError
from common.pipeline.engine import engine_traits
from common.runtime.job import COLOCATED, TRANSPORTS
from experiments.config import Plan, RunOptions, plan
from experiments.config.strategies import create, strategy_class
from experiments.sweep.spec import CEILING, SERVERS_ONLY, Contestant, Sweep, Values, text

# Settings with which the ceiling or the yardstick cannot run, and which mean nothing to them.
FAULTS = ("checkpoint_every", "restarts", "on_worker_death")


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid. Equal requests have an equal `id`; `about` tells the cell from the others."""

    id: str
    about: str
    strategy: str
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    plan: Plan


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A combination that cannot run, and why."""

    about: str
    reason: str


@dataclass(slots=True)
class Grid:
    """All cells in the order of the file, the combinations left out, and axes that do not apply to some strategies."""

    cells: list[Cell] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    not_applied: dict[str, list[str]] = field(default_factory=dict)  # axis: strategies


def make_grid(sweep: Sweep) -> Grid:
    """Plan every cell. Raises ConfigError, one line, if a strategy or a value that was asked for is in no cell."""
    _check_servers(sweep)
    grid, seen = Grid(), set[str]()
    axes = _axes(sweep)
    for contestant in sweep.everyone:
        asked = contestant in sweep.contestants
        applied = _applied(sweep, contestant, asked, grid)
        refused: list[LeftOut] = []
        possible = False
        for options, settings in _combinations(contestant, applied):
            about = _about(contestant.strategy, options, settings, axes)
            try:
                planned = plan(RunOptions(strategy=contestant.strategy, strategy_options=dict(options), **settings))
            except ConfigError as error:
                refused.append(LeftOut(about, str(error)))
                continue
            possible = True
            if (same := _identity(planned)) not in seen:
                seen.add(same)
                name = _identifier(contestant.strategy, options, settings)
                grid.cells.append(Cell(name, about, contestant.strategy, options, settings, planned))
        if asked and not possible:
            raise ConfigError(refused[0].reason)
        grid.left_out += refused
    _check_used(sweep, grid)
    return grid


def _axes(sweep: Sweep) -> set[str]:
    """Return the settings and options that take several values in this sweep."""
    shared = {key for key, each in sweep.settings.items() if len(each) > 1}
    own = {key for contestant in sweep.contestants for key in contestant.settings}
    return shared | own


def _applied(sweep: Sweep, contestant: Contestant, asked: bool, grid: Grid) -> Values:
    """Return the sweep's settings that mean something to this contestant, replaced by its own."""
    shared = dict(sweep.settings)
    traits = create(contestant.strategy, {key: each[0] for key, each in contestant.options.items()}).traits
    if not traits.servers:
        _drop(shared, SERVERS_ONLY, contestant, grid)
    if not asked:
        _drop(shared, FAULTS, contestant, grid)
    engine = engine_traits(traits)
    if engine.own_transport is not None or engine.one_process or contestant.strategy == CEILING:
        shared["transport"] = _one_real(shared.get("transport", ()))
        if len(shared["transport"]) < len(sweep.settings.get("transport", ())):
            grid.not_applied.setdefault("transport", []).append(contestant.strategy)
    return {key: each for key, each in {**shared, **contestant.settings}.items() if each}


def _drop(shared: dict[str, tuple[Any, ...]], keys: tuple[str, ...], contestant: Contestant, grid: Grid) -> None:
    for key in keys:
        if len(shared.pop(key, ())) > 1 and key not in contestant.settings:
            grid.not_applied.setdefault(key, []).append(contestant.strategy)


def _one_real(transports: tuple[str, ...]) -> tuple[str, ...]:
    """Return only the first of our real transports, which make no difference, and all others, like virtual time."""
    real = [name for name in transports if name in (*TRANSPORTS, "auto")]
    return tuple(name for name in transports if name not in real[1:])


def _combinations(contestant: Contestant, shared: Values) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield every combination of options and of settings; the last key varies fastest."""
    for options in itertools.product(*contestant.options.values()):
        for settings in itertools.product(*shared.values()):
            yield dict(zip(contestant.options, options, strict=True)), dict(zip(shared, settings, strict=True))


def _about(strategy: str, options: Mapping[str, Any], settings: Mapping[str, Any], axes: set[str]) -> str:
    """Return the strategy and the settings that vary in this sweep: `ps-ssp staleness=3 workers=4`."""
    varied = {**options, **{key: value for key, value in settings.items() if key in axes}}
    return " ".join([strategy, *(f"{key}={text(value)}" for key, value in varied.items())])


def _identifier(strategy: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return an id that is stable over versions: made of what was asked for, not of what the plan chose."""
    asked = json.dumps([strategy, dict(options), dict(settings)], sort_keys=True)
    slug = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in strategy)
    return f"{slug}-w{settings['workers']}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def _identity(planned: Plan) -> str:
    return json.dumps(planned.job.to_dict(), sort_keys=True)


def _check_servers(sweep: Sweep) -> None:
    """Raise ConfigError for settings of servers in a sweep whose strategies have none."""
    if any(strategy_class(each.strategy).traits.servers for each in sweep.contestants):
        return
    if any(sweep.settings.get("servers", ())):
        raise ConfigError("none of the strategies has servers: leave servers out, or add ps-bsp")
    if COLOCATED in sweep.settings.get("placement", ()):
        raise ConfigError("none of the strategies has servers to be colocated: leave placement out, or add ps-bsp")


def _check_used(sweep: Sweep, grid: Grid) -> None:
    """Raise ConfigError if a value of an axis is in no cell of a contestant that was asked for."""
    for key, several in sweep.settings.items():
        for value in several if len(several) > 1 else ():
            used = {cell.strategy for cell in grid.cells if cell.settings.get(key) == value}
            if used.isdisjoint(each.strategy for each in sweep.contestants):
                raise ConfigError(_why_unused(key, value, grid))
    for contestant in sweep.contestants:
        for key, several in {**contestant.options, **contestant.settings}.items():
            mine = [cell for cell in grid.cells if cell.strategy == contestant.strategy]
            for value in several:
                if not any({**cell.options, **cell.settings}.get(key) == value for cell in mine):
                    raise ConfigError(_why_unused(key, value, grid))


def _why_unused(key: str, value: Any, grid: Grid) -> str:
    words = f"{key}={text(value)}"
    near = [each for each in grid.left_out if words in each.about.split()] or grid.left_out
    reason = near[0].reason if near else "it makes no cell that the sweep does not have without it"
    return f"{key} {text(value)} cannot be run with anything: {reason}"
