"""A sweep's folder: `sweep.yaml` (everything filled in), `env.json`, `cells.jsonl`, and a folder for each run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from experiments.machine.environment import environment
from experiments.runs.files import new_folder, writing
from experiments.schema.documents import Environment
from experiments.schema.files import read_document, to_builtins, write_document
from experiments.sweep.grid import Grid
from experiments.sweep.parse import read
from experiments.sweep.spec import Sweep
from experiments.sweep.yaml_files import load

SPEC, ENV = "sweep.yaml", "env.json"


def begin(results: Path, sweep: Sweep) -> Path:
    """Make a new folder under `results` for this sweep. Raises ConfigError if it cannot be written."""
    with writing(results):
        folder = new_folder(results, f"sweep-{sweep.name}")
        part = folder / f"{SPEC}.part"
        part.write_text(sweep.to_yaml(), encoding="utf-8")
        part.rename(folder / SPEC)
        write_document(folder / ENV, _environment(sweep))
    return folder


def reopen(folder: Path) -> Sweep:
    """Return the sweep that was begun in `folder`. Raises ConfigError if there is none."""
    if not folder.is_dir():
        raise ConfigError(f"--resume {folder}: there is no such folder")
    if not (folder / SPEC).is_file():
        raise ConfigError(f"--resume {folder}: this is no sweep's folder, it has no {SPEC}")
    return read(load(folder / SPEC), {}, where=f"{folder / SPEC}: ")


def changes(folder: Path, sweep: Sweep) -> str:
    """Return what has changed in the machine or the versions since the sweep began; empty if nothing has."""
    try:
        before = _flat(read_document(folder / ENV, Environment))
    except ConfigError:  # damaged, or killed before it was written
        write_document(folder / ENV, _environment(sweep))
        return ""
    now = _flat(_environment(sweep))
    return ", ".join(f"{key} was {before.get(key)}, is {now[key]}" for key in now if before.get(key) != now[key])


def check_cells(done: Iterable[tuple[str, int]], grid: Grid, folder: Path) -> None:
    """Raise ConfigError if cells were done that this sweep does not have."""
    known = {cell.id for cell in grid.cells}
    if strangers := sorted({cell for cell, _ in done} - known):
        raise ConfigError(f"{folder / SPEC} has no cell {strangers[0]}, which was run: it is not as it was")


def _environment(sweep: Sweep) -> Environment:
    return environment(sweep.settings["threads"][0], tuple(sweep.settings["transport"]))


def _flat(env: Environment) -> dict[str, Any]:
    known = to_builtins(env)
    versions: dict[str, Any] = known.pop("versions")
    return versions | known
