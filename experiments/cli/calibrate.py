"""The verb `calibrate`: what a message and a byte cost on this machine's transports."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from common.errors import ConfigError, RunError
from common.runtime.job import TRANSPORTS
from experiments.cli.output import dump, say
from experiments.cli.showing import console
from experiments.config import RunOptions
from experiments.config.arguments import plain_parser
from experiments.config.options import counts
from experiments.runs.describe import plural
from experiments.runs.files import new_folder, unwritable, writable_folder

HELP = "what a message and a byte cost here, for predict: α, β, γ of each transport"
DEFAULTS = RunOptions()


def parser() -> ArgumentParser:
    parser = plain_parser(
        "Measure what a message, a byte and the adding of a byte cost, with all workers at once: among neighbours, and "
        "through a server. Takes some seconds for each transport and number of workers."
    )
    known = f"{', '.join(TRANSPORTS)}, with commas; auto: shm where it can be had"
    parser.add_argument("--transport", type=str, default=DEFAULTS.transport, help=known)
    parser.add_argument("--workers", type=str, default="2,4", help="numbers of workers, with commas")
    parser.add_argument("--interface", type=str, default=DEFAULTS.interface, help="of tcp: loopback only")
    parser.add_argument("--deadline", type=float, default=DEFAULTS.deadline, help="seconds a blocking call may take")
    parser.add_argument("--threads", type=int, default=DEFAULTS.threads, help="threads of each rank")
    parser.add_argument("--out", type=str | None, default=None, help="file to write; null: into a folder of --results")
    parser.add_argument("--results", type=str, default="results", help="folder for results")
    return parser


def run(arguments: Namespace) -> int:
    """calibration.json, and a table or JSON."""
    transports = [name for part in arguments.transport.split(",") if (name := part.strip())]
    if not transports:
        raise ConfigError("--transport is empty: give at least one, with commas between them")
    workers = counts("workers", arguments.workers)
    from experiments.prediction.calibrate import calibrate_all, plan_calibration

    specs = plan_calibration(transports, workers, arguments.interface, arguments.deadline, arguments.threads)
    out = _place(arguments.out, arguments.results)
    from experiments.prediction.calibrate import doubts
    from experiments.prediction.calibration_file import NAME, document, write_calibration
    from experiments.prediction.tables import calibration_table

    try:
        found = calibrate_all(specs, lambda spec: say(f"{spec.transport}, {plural(spec.workers, 'worker')} …"))
    except RunError as error:
        say(f"syncbench: {error}")
        return 1
    try:
        path = out or new_folder(Path(arguments.results), "calibration") / NAME
        write_calibration(path, found)
    except OSError as error:
        raise unwritable(
            Path(arguments.out or arguments.results), error, "--out" if arguments.out else "--results"
        ) from None
    if doubt := doubts(found):
        say(f"note: {doubt}")
    if arguments.json:
        dump({**document(found), "file": str(path)})
    else:
        console().print(calibration_table(found))
        print(f"\ncalibration: {path}")
    return 0


def _place(out: str | None, results: str) -> Path | None:
    """The file that was asked for, if one was; else the folder of results has to be there. ConfigError."""
    if out is None:
        writable_folder(results)
        return None
    writable_folder(Path(out).parent, "--out")
    if Path(out).is_dir():
        raise ConfigError(f"--out {out} is a folder: give a file")
    return Path(out)
