"""calibration.json: {"schema": 1, "figures": [...], "environment": {...}}, and where to look for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import ConfigError
from experiments.prediction.cost_model import Calibration, Figures
from experiments.schema.files import read_json, write_json

SCHEMA = 1
NAME = "calibration.json"


def document(calibration: Calibration) -> dict[str, Any]:
    """As JSON values."""
    return {
        "schema": SCHEMA,
        "figures": [each.to_dict() for each in calibration.figures],
        "environment": calibration.environment,
    }


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write it atomically. OSError."""
    write_json(path, document(calibration))


def read_calibration(path: str | Path) -> Calibration:
    """The calibration in this file, or in this folder. ConfigError, one line, if there is none that can be read."""
    path = Path(path)
    file = path / NAME if path.is_dir() else path
    try:
        found = read_json(file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"no calibration at {file}: {reason}; syncbench calibrate makes one") from None
    if found.get("schema") != SCHEMA:
        raise ConfigError(f"{file} has schema {found.get('schema')!r}; this version reads schema {SCHEMA}")
    try:
        figures = tuple(Figures.from_dict(each) for each in found["figures"])
        if not figures:
            raise ValueError("there are no figures")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        cause = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{file} is no calibration: {cause}") from None
    return Calibration(figures, found.get("environment"), str(file))


def calibration_beside(path: Path) -> Path | None:
    """The calibration that is kept in this folder of results, or in the one around it; None if none is."""
    return next((file for folder in (path, path.parent) if (file := folder / NAME).is_file()), None)


def newest_calibration(results: str | Path) -> Path:
    """The newest calibration below this folder of results. ConfigError if there is none."""
    files = sorted(Path(results).glob(f"*-calibration-*/{NAME}"), key=lambda file: file.parent.name)
    if not files:
        raise ConfigError(
            f"no calibration in {results}: run syncbench calibrate first, or give --calibration FILE, "
            "or --link 1gbit,50us"
        )
    return files[-1]
