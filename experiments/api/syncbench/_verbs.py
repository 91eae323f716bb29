"""The verbs of the command line as functions: `run`, `sweep`, `compare`, and `verdict` on a comparison."""

import contextlib
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from common.errors import CheckFailed, ConfigError, suggest
from experiments.cli.output import say
from experiments.cli.run_plans import check_replicas, execute_all
from experiments.comparison.load import compare_paths
from experiments.comparison.model import Comparison
from experiments.comparison.wording import verdict_sentence
from experiments.config import RunOptions, plan
from experiments.config.declaration import declared
from experiments.runs.files import writable_folder
from experiments.runs.run import Run
from experiments.sweep.estimate import seconds_by_cell
from experiments.sweep.folder import Journal, begin
from experiments.sweep.grid import make_grid
from experiments.sweep.parse import KEYS, read_given
from experiments.sweep.runner import run_cells


def run(*, results: str | Path = "results", **options: Any) -> Run:
    """Train with one strategy; blocks, and writes progress to standard error. The run gets a new folder in `results`.

    `options` are those of `syncbench run`, with underscores: `run(strategy="ring", workers=4)`. The strategy's own
    are a mapping: `strategy_options={"staleness": 3}`. Raises ConfigError, RunFailed, and CheckFailed if workers hold
    different parameters although the strategy promises equal ones.
    """
    known = declared(RunOptions)
    _refuse_unknown(options, known)
    planned = plan(RunOptions(**{name: known[name].value(value, name) for name, value in options.items()}))
    with _without_main_module():
        (done,) = execute_all([planned], writable_folder(results))
    check_replicas([done])
    return done


def sweep(
    file: str | Path | None = None, *, results: str | Path = "results", quick: bool = False, **settings: Any
) -> Path:
    """Run a grid of settings in turns; blocks. Returns its folder, for `compare` and `load_runs`. Raises ConfigError.

    `file` is a sweep file or the name of a ready sweep; `settings`, with underscores, replace what it says, and a list
    is an axis: `sweep(strategies=["ring", "ps-bsp"], workers=[2, 4])`. `quick` makes it small. The folder notes a run
    that fails, and the next one starts.
    """
    _refuse_unknown(settings, KEYS)
    given = {name: list(value) if isinstance(value, tuple | range) else value for name, value in settings.items()}
    asked = read_given(None if file is None else str(file), given, quick)
    grid = make_grid(asked)
    folder = begin(writable_folder(results), asked)
    with _without_main_module(), Journal(folder) as journal:
        run_cells(asked, grid, journal, seconds_by_cell(grid.cells), say)
    return folder


def compare(
    paths: str | Path | Iterable[str | Path], *, baseline: str | None = None, anyway: bool = False
) -> Comparison:
    """Compare runs in result folders, in folders of them, in sweeps, or found by a pattern.

    `baseline` is the strategy or label that ratios are relative to. Raises ConfigError if there are no runs, and
    CheckFailed if some did other work than the rest, unless `anyway`.
    """
    comparison = compare_paths([paths] if isinstance(paths, str | Path) else list(paths), baseline)
    if comparison.refusal and not anyway:
        raise CheckFailed(f"cannot compare: {comparison.refusal}; anyway=True compares them all the same")
    return comparison


def verdict(comparison: Comparison) -> str:
    """Return the verdict of `comparison` in sentences, as the command line prints it."""
    return verdict_sentence(comparison)


def _refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"unknown option {name!r}: {suggest(name, known)}")


@contextlib.contextmanager
def _without_main_module() -> Iterator[None]:
    """Hide the caller's script from the ranks: multiprocessing would run it again in each of them."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
