"""The verb `report`: one page on one run, or on many, that opens anywhere, offline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError
from experiments.cli.output import dump, say
from experiments.config.argument_parser import InputOptions
from experiments.config.declaration import option
from experiments.report.build import report_on
from experiments.report.render import write
from experiments.runs.files import writing


@dataclass(frozen=True, kw_only=True)
class Options(InputOptions):
    """Write a page on runs, failed runs included: one file that opens offline."""

    out: str | None = option(None, "file to write; null: report.html in the folder, if it is only one")
    baseline: str | None = option(None, "what ratios are relative to; null: as for compare")


def run(options: Options) -> int:
    """Write the page and say where it is. Raises ConfigError if there are no runs, or no place for the page."""
    file = _file(options.runs, options.out)
    report = report_on(options.runs, options.baseline)
    with writing(file, "--out"):
        size = write(report, file)
    if options.json:
        page = {"schema": 1, "report": str(file), "bytes": size, "headline": report.headline}
        dump({**page, "warnings": report.warnings, "charts": [chart.name for chart in report.charts.drawn]})
        return 0
    for warning in report.warnings:
        say(f"warning: {warning}")
    print(f"{report.headline}\nreport: {file}")
    return 0


def _file(runs: Sequence[str], out: str | None) -> Path:
    """Return where the page goes. Raises ConfigError, before anything is drawn, if no file can be there."""
    if out is None and len(runs) > 1:
        raise ConfigError(f"{len(runs)} folders have no one place for a report: say --out FILE")
    if out is None and set("*?[") & set(runs[0]) and not Path(runs[0]).is_dir():
        raise ConfigError(f"{runs[0]} is a pattern, not the one place for a report: say --out FILE")
    file = Path(runs[0]) / "report.html" if out is None else Path(out)
    if file.is_dir():
        raise ConfigError(f"--out {file} is a folder: give a file, like {file / 'report.html'}")
    if out is not None and not file.parent.is_dir():
        raise ConfigError(f"--out {file}: there is no folder {file.parent}")
    return file
