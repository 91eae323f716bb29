"""The verb `calibrate`: what a message and a byte cost on this machine's transports."""

from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError
from common.runtime.job import AUTO, TRANSPORTS
from experiments.cli.output import dump, say, show
from experiments.config.argument_parser import OutputOptions
from experiments.config.checks import counts, names, one_of
from experiments.config.declaration import option
from experiments.config.options.ranks import ProcessOptions
from experiments.format.words import plural
from experiments.prediction.calibration_file import NAME, document, write_calibration
from experiments.prediction.tables import calibration_table
from experiments.runs.files import new_folder, writable_folder, writing


def _transports(name: str, given: tuple[str, ...]) -> None:
    for transport in given:
        one_of(AUTO, *TRANSPORTS)(name, transport)


@dataclass(frozen=True, kw_only=True)
class Options(ProcessOptions, OutputOptions):
    """Measure, in seconds, what a message, a byte and the adding of a byte cost, among neighbours and at a server."""

    transport: tuple[str, ...] = option(
        (AUTO,), f"{', '.join(TRANSPORTS)}, with commas; auto: shm where it works", read=names, check=_transports
    )
    workers: tuple[int, ...] = option((2, 4), "numbers of workers, with commas", read=counts)
    out: str | None = option(None, "file to write; null: in a new folder of --results")


def run(options: Options) -> int:
    """Write calibration.json, and show a table or JSON. Raises ConfigError, RunError."""
    from experiments.prediction.calibrate import calibrate_all, doubts, plan_calibration  # late: zmq

    specs = plan_calibration(options.transport, options.workers, options.interface, options.deadline, options.threads)
    out = Path(options.out) if options.out else None
    where = "--out" if out else "--results"
    folder = writable_folder(out.parent if out else options.results, where)
    if out and out.is_dir():
        raise ConfigError(f"--out {out} is a folder: give a file")
    found = calibrate_all(specs, lambda spec: say(f"{spec.transport}, {plural(spec.workers, 'worker')} …"))
    with writing(out or folder, where):
        path = out or new_folder(folder, "calibration") / NAME
        write_calibration(path, found)
    if doubt := doubts(found):
        say(f"note: {doubt}")
    if options.json:
        dump({**document(found), "file": str(path)})
    else:
        show(calibration_table(found))
        print(f"calibration: {path}")
    return 0
