"""Find and load the runs that paths and patterns name."""

import glob
from collections.abc import Iterable
from pathlib import Path

from common.errors import ConfigError
from experiments.runs.run import Run
from experiments.schema.documents import Summary
from experiments.schema.files import read_document


def load_run(path: str | Path) -> Run:
    """Return the run in this folder. ConfigError if the folder has no run, or one that cannot be read."""
    path = Path(path)
    if not path.is_dir():
        raise ConfigError(f"no such run folder: {path}")
    file = path / "summary.json"
    if _is_bench(path):
        plots = f"its plots are in {path / 'plots'}" if (path / "plots").is_dir() else "it has no plots"
        raise ConfigError(f"{path} is a benchmark, not a run: {plots}")
    if not file.is_file():
        raise ConfigError(f"half-written run, or not a run folder: {path} has no summary.json")
    return Run(path, read_document(file, Summary))


def find_runs(paths: Iterable[str | Path]) -> list[Run]:
    """Return the runs in these folders, in order. A folder of runs or of a sweep stands for its runs, oldest first.

    A path with `*`, `?` or `[` is a pattern unless a file or folder has this name. Half-written runs in a folder of
    runs, or found by a pattern, are passed over; `half_written` lists them. ConfigError if a path is neither a run nor
    a folder with a complete run, or if a run cannot be read.
    """
    found: dict[Path, Run] = {}  # by resolved path: a run that is named twice counts once
    for path in paths:
        for folder in _matching(path) if _is_pattern(path) else _run_folders(Path(path)):
            found.setdefault(folder.resolve(), load_run(folder))
    return list(found.values())


def _is_pattern(path: str | Path) -> bool:
    return glob.has_magic(str(path)) and not Path(path).exists()


def _matches(pattern: str | Path) -> list[Path]:
    return [path for name in sorted(glob.glob(str(pattern))) if (path := Path(name)).is_dir()]


def _matching(pattern: str | Path) -> list[Path]:
    """Return the complete runs that a pattern finds, or that are in the folders that it finds."""
    every = _matches(pattern)
    if not every:
        raise ConfigError(f"no file or folder matches {pattern}")
    runs = [path for path in every if (path / "summary.json").is_file()]
    runs += [run for path in every if path not in runs for run in _complete_in(path)]
    if not runs:
        half = len(half_written([pattern]))
        raise ConfigError(f"no complete run matches {pattern}" + (f" ({half} half-written)" if half else ""))
    return runs


def half_written(paths: Iterable[str | Path]) -> list[Path]:
    """Return the folders of runs that never wrote their summary, in these folders of runs or found by a pattern."""
    inside: list[Path] = []
    for path in paths:
        folders = [Path(path)]
        if _is_pattern(path):
            folders = _matches(path)
            inside += folders
        inside += [child for folder in folders if folder.is_dir() for child in sorted(folder.iterdir())]
    begun = [child for child in dict.fromkeys(inside) if (child / "ranks").is_dir() and not _is_bench(child)]
    return [child for child in begun if not (child / "summary.json").is_file()]


def _is_bench(path: Path) -> bool:
    return (path / "bench.json").is_file() and not (path / "summary.json").is_file()


def _run_folders(path: Path) -> list[Path]:
    if not path.is_dir() or (path / "summary.json").is_file() or (path / "ranks").is_dir() or _is_bench(path):
        return [path]  # a run folder, or something that load_run refuses with the best explanation
    if not (folders := _complete_in(path)):
        raise ConfigError(f"no complete run in {path}{_what_else(path)}")
    return folders


def _complete_in(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if (child / "summary.json").is_file())


def _what_else(folder: Path) -> str:
    """Return a hint on the content of a folder without a complete run; empty if there is none to give."""
    if half := len(half_written([folder])):
        return f" ({half} half-written)"
    if within := [child for child in sorted(folder.iterdir()) if child.is_dir() and _complete_in(child)]:
        return f" itself: name the folder in it, such as {within[0]}"
    return "" if any(folder.iterdir()) else ": it is empty"
