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

    A path with `*`, `?` or `[` is a pattern unless a file or folder has this name. Half-written runs are passed over
    unless a path names one; `half_written` lists them. ConfigError if a path has no complete run, or a damaged one.
    """
    found: dict[Path, Run] = {}  # by resolved path: a run that is named twice counts once
    for path in paths:
        for folder in _run_folders(path):
            found.setdefault(folder.resolve(), load_run(folder))
    return list(found.values())


def _is_pattern(path: str | Path) -> bool:
    return glob.has_magic(str(path)) and not Path(path).exists()


def _matches(pattern: str | Path) -> list[Path]:
    return [path for name in sorted(glob.glob(str(pattern))) if (path := Path(name)).is_dir()]


def _complete_in(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if (child / "summary.json").is_file())


def _run_folders(path: str | Path) -> list[Path]:
    """Return the folders of the complete runs that a path or a pattern stands for."""
    folder, hint = Path(path), ""
    if _is_pattern(path):
        if not (matches := _matches(path)):
            raise ConfigError(f"no file or folder matches {path}")
        runs = [match for match in matches if (match / "summary.json").is_file()]
        runs += [run for match in matches if match not in runs for run in _complete_in(match)]
    elif not folder.is_dir() or (folder / "summary.json").is_file() or (folder / "ranks").is_dir() or _is_bench(folder):
        return [folder]  # a run folder, or something that load_run refuses with the best explanation
    elif not (runs := _complete_in(folder)):
        inside = sorted(folder.iterdir())
        within = [child for child in inside if child.is_dir() and _complete_in(child)]
        hint = f" itself: name the folder in it, such as {within[0]}" if within else "" if inside else ": it is empty"
    if runs:
        return runs
    if half := len(half_written([path])):
        hint = f" ({half} half-written)"
    raise ConfigError(f"no complete run {'matches' if _is_pattern(path) else 'in'} {path}{hint}")


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
