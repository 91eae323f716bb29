"""calibration.json: read and write it, and find one."""

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from common.errors import ConfigError
from experiments.prediction.cost_model import LARGE, Calibration, Figures
from experiments.schema.documents import Document, Environment
from experiments.schema.files import read_document, to_builtins, write_json

NAME = "calibration.json"


class CalibrationDocument(Document, frozen=True, kw_only=True):
    """The file: figures, and the environment in which they were measured."""

    figures: Annotated[tuple[Figures, ...], Meta(min_length=1)]
    environment: Environment | None = None


def document(calibration: Calibration) -> dict[str, Any]:
    """Return the calibration as JSON values. Each of its figures has α, β and γ of a large vector beside its curves."""
    whole = CalibrationDocument(schema=1, figures=calibration.figures, environment=calibration.environment)
    values = to_builtins(whole)
    for figures, entry in zip(calibration.figures, values["figures"], strict=True):
        link = figures.exchange.link(LARGE)
        entry |= {"alpha": link.alpha, "beta": link.beta, "gamma": link.gamma}
    return values


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write the file atomically. Raises OSError."""
    write_json(path, document(calibration))


def read_calibration(path: str | Path) -> Calibration:
    """Return the calibration in this file, or in this folder. ConfigError, one line, if none can be read."""
    path = Path(path)
    file = path / NAME if path.is_dir() else path
    if not file.exists():
        raise ConfigError(f"no calibration at {file}: no such file; syncbench calibrate makes one")
    found = read_document(file, CalibrationDocument)
    return Calibration(found.figures, found.environment, str(file))


def calibration_beside(path: Path) -> Path | None:
    """Return the calibration in this folder of results, or in the folder around it; None if neither has one."""
    return next((file for folder in (path, path.parent) if (file := folder / NAME).is_file()), None)


def newest_calibration(results: str | Path) -> Path:
    """Return the newest calibration below this folder of results. ConfigError if it has none."""
    files = sorted(Path(results).glob(f"*-calibration-*/{NAME}"), key=lambda file: file.parent.name)
    if not files:
        raise ConfigError(
            f"no calibration in {results}: run syncbench calibrate first, or give --calibration FILE, "
            "or --link 1gbit,50us"
        )
    return files[-1]
