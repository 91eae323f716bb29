"""The verb `calibrate`: what a message and a byte cost on this machine's transports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError, RunError
from common.runtime.job import AUTO, TRANSPORTS
from experiments.cli.output import console, dump, say
from experiments.config.arguments import OutputOptions
from experiments.config.checks import counts, names, one_of
from experiments.config.option import option
from experiments.config.ranks import ProcessOptions
from experiments.format.words import plural
from experiments.runs.files import new_folder, unwritable, writable_folder


def _transports(name: str, given: tuple[str, ...]) -> None:
    for transport in given:
        one_of(AUTO, *TRANSPORTS)(name, transport)


@dataclass(frozen=True, kw_only=True)
class Options(ProcessOptions, OutputOptions):
    """Measure what a message, a byte and the adding of a byte cost, with all workers at once.

    The workers exchange among neighbours, and through a server. This takes some seconds for each transport and number
    of workers.
    """

    transport: tuple[str, ...] = option(
        (AUTO,), f"{', '.join(TRANSPORTS)}, with commas; auto: shm where it works", read=names, check=_transports
    )
    workers: tuple[int, ...] = option((2, 4), "numbers of workers, with commas", read=counts)
    out: str | None = option(None, "file to write; null: in a new folder of --results")


def run(options: Options) -> int:
    """Write calibration.json, and show a table or JSON."""
    from experiments.prediction.calibrate import calibrate_all, doubts, plan_calibration
    from experiments.prediction.calibration_file import NAME, document, write_calibration
    from experiments.prediction.tables import calibration_table

    specs = plan_calibration(options.transport, options.workers, options.interface, options.deadline, options.threads)
    _check_place(options)
    try:
        found = calibrate_all(specs, lambda spec: say(f"{spec.transport}, {plural(spec.workers, 'worker')} …"))
    except RunError as error:
        say(f"syncbench: {error}")
        return 1
    try:
        path = Path(options.out) if options.out else new_folder(Path(options.results), "calibration") / NAME
        write_calibration(path, found)
    except OSError as error:
        folder = Path(options.out or options.results)
        raise unwritable(folder, error, "--out" if options.out else "--results") from None
    if doubt := doubts(found):
        say(f"note: {doubt}")
    if options.json:
        dump({**document(found), "file": str(path)})
    else:
        console().print(calibration_table(found))
        print(f"\ncalibration: {path}")
    return 0


def _check_place(options: Options) -> None:
    """Raise ConfigError if the file that was asked for, or the folder of results, cannot be written."""
    if options.out is None:
        writable_folder(options.results)
        return
    writable_folder(Path(options.out).parent, "--out")
    if Path(options.out).is_dir():
        raise ConfigError(f"--out {options.out} is a folder: give a file")
