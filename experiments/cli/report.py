"""The verb `report`: one page on one run, or on many, that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from common.errors import ConfigError
from experiments.cli.output import dump, say
from experiments.config.arguments import plain_parser

HELP = "one HTML page: verdict, table, charts, what limits it, how to repeat it"


def parser() -> ArgumentParser:
    parser = plain_parser("Write a page on runs, those that failed included: one file that opens offline.")
    parser.add_argument("runs", nargs="+", type=str, help="result folders, or folders of them")
    parser.add_argument("--out", type=str | None, default=None, help="the file; null: report.html in the one folder")
    parser.add_argument("--baseline", type=str | None, default=None, help="what ratios are to; null: as for compare")
    return parser


def run(arguments: Namespace) -> int:
    """Write the page and say where it is. ConfigError if there is nothing to report on, or no place for it."""
    file = _file(arguments.runs, arguments.out)
    from experiments.report.build import report_on
    from experiments.report.render import write

    report = report_on(arguments.runs, arguments.baseline)
    try:
        size = write(report, file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from None
    if arguments.json:
        shown = {
            "headline": report.headline,
            "warnings": report.warnings,
            "charts": [p.name for p in report.charts.drawn],
        }
        dump({"schema": 1, "report": str(file), "bytes": size, **shown})
        return 0
    for warning in report.warnings:
        say(f"warning: {warning}")
    print(f"{report.headline}\nreport: {file}")
    return 0


def _file(runs: Sequence[str], out: str | None) -> Path:
    """Where the page goes. ConfigError, before anything is drawn, if that is no place for a file."""
    if out is None and len(runs) > 1:
        raise ConfigError(f"{len(runs)} folders have no one place for a report: say --out FILE")
    if out is None and set("*?[") & set(runs[0]) and not Path(runs[0]).is_dir():
        raise ConfigError(f"{runs[0]} is a pattern, not the one place for a report: say --out FILE")
    file = Path(out) if out is not None else Path(runs[0]) / "report.html"
    if file.is_dir():
        raise ConfigError(f"--out {file} is a folder: give a file, like {file / 'report.html'}")
    if out is not None and not file.parent.is_dir():
        raise ConfigError(f"--out {file}: there is no folder {file.parent}")
    return file
