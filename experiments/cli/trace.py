"""The verb `trace`: whom the others waited for in a traced run, and where to look at the trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from experiments.cli.output import dump
from experiments.cli.showing import console
from experiments.config.arguments import plain_parser

if TYPE_CHECKING:
    from experiments.trace.timeline import Timeline

HELP = "a traced run: whom the others waited for, and where to open its trace"


def parser() -> ArgumentParser:
    parser = plain_parser("Where to open the trace of a run made with run --trace, and its critical path.")
    parser.add_argument("run", type=str, help="the result folder of a run")
    return parser


def run(arguments: Namespace) -> int:
    """The critical path as a table or JSON. Raises ConfigError if the run has no trace."""
    from experiments.runs.run import load_run
    from experiments.trace.attribution import attribute, attribution_table, missing_ranks
    from experiments.trace.export import NAME, VIEWERS, cut_line

    done = load_run(arguments.run)
    timeline, path = _trace(done.path), done.path / NAME
    found = attribute(timeline, done.summary)
    if arguments.json:
        about = {"open_at": VIEWERS, "cut": cut_line(timeline), "missing": missing_ranks(timeline, done.summary)}
        dump({"schema": 1, "trace": str(path), **about, **found.to_json()})
        return 0
    if found.messages is None:
        console().print(attribution_table(found))
    print(found.sentence())
    if absent := missing_ranks(timeline, done.summary):
        who = ", ".join(absent)
        print(
            f"not in the trace, as those that are killed: {who}; time that others waited for them is charged elsewhere"
        )
    if cut := cut_line(timeline):
        print(cut)
    print(f"trace: {path}: open it at {VIEWERS}")
    return 0


def _trace(folder: Path) -> Timeline:
    """What the ranks noted; trace.json is written if it is not there, as after an interrupted run."""
    from experiments.trace.export import NAME, write_trace
    from experiments.trace.load import read_traces
    from experiments.trace.timeline import timeline

    return timeline(read_traces(folder)) if (folder / NAME).is_file() else write_trace(folder)
