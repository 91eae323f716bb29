"""The cells of a sweep, every contestant with every combination of settings, and the order of their runs.

All cells are planned before the first one starts. A setting that a strategy does not use makes no second cell, such as
`servers` for a strategy without servers. A combination that cannot run is left out, with the reason. A strategy or a
value that is in no cell is the user's mistake.
"""

import hashlib
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from common.errors import ConfigError
from common.pipeline.engine import engine_traits
from common.runtime.job import COLOCATED, TRANSPORTS
from experiments.config import Plan, RunOptions, plan
from experiments.config.strategies import create, strategy_class
from experiments.sweep.spec import CEILING, SERVERS_ONLY, Contestant, Sweep, Values, text

# Settings with which the ceiling or the yardstick cannot run, and which mean nothing to them.
FAULTS = ("checkpoint_every", "restarts", "on_worker_death")
# Settings in which contestants of one contest may differ. Cells that differ in other settings are different contests.
FREE_SETTINGS = (*SERVERS_ONLY, *FAULTS, "transport", "bucket", "overlap", "interface")


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid. Equal requests have an equal `id`; `about` is like `ps-ssp staleness=3 workers=4`."""

    id: str
    about: str
    strategy: str
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    plan: Plan


Turn = tuple[Cell, int]  # a cell and which of its repeats, from 1


class LeftOut(NamedTuple):
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
    given = {"servers": any(sweep.settings["servers"]), "placement": COLOCATED in sweep.settings["placement"]}
    if any(given.values()) and not any(strategy_class(each.strategy).traits.servers for each in sweep.contestants):
        key = next(key for key in given if given[key])
        raise ConfigError(f"none of the strategies has servers: leave {key} out, or add ps-bsp")
    grid, seen = Grid(), set[str]()
    axes = {key for key, several in sweep.settings.items() if len(several) > 1}
    axes |= {key for contestant in sweep.contestants for key in contestant.settings}
    for contestant in sweep.everyone:
        asked = contestant in sweep.contestants
        applied = _applied(sweep, contestant, asked, grid)
        refused: list[LeftOut] = []
        combinations = list(itertools.product(_combined(contestant.options), _combined(applied)))
        for options, settings in combinations:
            varied = {**options, **{key: value for key, value in settings.items() if key in axes}}
            about = " ".join([contestant.strategy, *(f"{key}={text(value)}" for key, value in varied.items())])
            try:
                planned = plan(RunOptions(strategy=contestant.strategy, strategy_options=options, **settings))
            except ConfigError as error:
                refused.append(LeftOut(about, str(error)))
                continue
            if (same := json.dumps(planned.job.to_dict(), sort_keys=True)) not in seen:
                seen.add(same)
                name = _identifier(contestant.strategy, options, settings)
                grid.cells.append(Cell(name, about, contestant.strategy, options, settings, planned))
        if asked and len(refused) == len(combinations):
            raise ConfigError(refused[0].reason)
        grid.left_out += refused
    _check_used(sweep, grid)
    return grid


def _combined(values: Values) -> list[dict[str, Any]]:
    """Return every combination of settings or options; the last key varies fastest."""
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def _applied(sweep: Sweep, contestant: Contestant, asked: bool, grid: Grid) -> Values:
    """Return the sweep's settings that mean something to this contestant, replaced by its own."""
    shared = dict(sweep.settings)
    traits = engine_traits(create(contestant.strategy, _combined(contestant.options)[0]).traits)
    for key in (*(() if traits.servers else SERVERS_ONLY), *(() if asked else FAULTS)):
        if len(shared.pop(key, ())) > 1 and key not in contestant.settings:
            grid.not_applied.setdefault(key, []).append(contestant.strategy)
    if traits.own_transport is not None or traits.one_process or contestant.strategy == CEILING:
        # Our real transports make no difference, so the first one stands for all of them. Virtual time does.
        real = [name for name in shared["transport"] if name in (*TRANSPORTS, "auto")]
        shared["transport"] = tuple(name for name in shared["transport"] if name not in real[1:])
        if len(real) > 1:
            grid.not_applied.setdefault("transport", []).append(contestant.strategy)
    return {key: each for key, each in {**shared, **contestant.settings}.items() if each}


def _identifier(strategy: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return an id that is stable over versions: made of what was asked for, not of what the plan chose."""
    asked = json.dumps([strategy, options, settings], sort_keys=True)
    slug = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in strategy)
    return f"{slug}-w{settings['workers']}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def _check_used(sweep: Sweep, grid: Grid) -> None:
    """Raise ConfigError if a value of an axis is in no cell of a contestant that was asked for."""
    names = {each.strategy for each in sweep.contestants}
    axes = [(key, several, names) for key, several in sweep.settings.items() if len(several) > 1]
    for each in sweep.contestants:
        axes += [(key, several, {each.strategy}) for key, several in {**each.options, **each.settings}.items()]
    for key, several, strategies in axes:
        cells = [cell for cell in grid.cells if cell.strategy in strategies]
        for value in several:
            if not any({**cell.options, **cell.settings}.get(key) == value for cell in cells):
                words = f"{key}={text(value)}"
                near = [each for each in grid.left_out if words in each.about.split()] or grid.left_out
                reason = near[0].reason if near else "it makes no cell that the sweep does not have without it"
                raise ConfigError(f"{key} {text(value)} cannot be run with anything: {reason}")


def turns(cells: Sequence[Cell], repeats: int) -> list[Turn]:
    """Return every cell `repeats` times: repeat 1 of all, then repeat 2 of all, … (A B A B …, never A A B B).

    Cells that will be compared stand together, so that a machine whose speed drifts is fair to them; in each repeat
    another of them goes first. Cells with equally many threads stand together, since a change takes seconds. The order
    has a fixed seed, so a stopped sweep can be resumed.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.plan.job.threads):
        shared = sorted((key, repr(value)) for key, value in cell.settings.items() if key not in FREE_SETTINGS)
        groups.setdefault(repr(shared), []).append(cell)
    contests = [random.Random(group[0].id).sample(group, len(group)) for group in groups.values()]
    return [
        (cell, repeat + 1)
        for repeat in range(repeats)
        for contest in contests
        for cell in itertools.chain(contest[repeat % len(contest) :], contest[: repeat % len(contest)])
    ]
