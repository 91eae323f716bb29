"""The verb `trace`: which ranks the others waited for in a traced run, and where to look at the trace."""

from dataclasses import dataclass

from experiments.cli.output import dump, show
from experiments.config.argument_parser import JsonOption
from experiments.config.declaration import REQUIRED, option
from experiments.runs.find import load_run
from experiments.trace.critical_path import attribution_table, critical_path, missing_ranks
from experiments.trace.perfetto import NAME, VIEWERS, cut_line, write_trace
from experiments.trace.timeline import read_traces, timeline


@dataclass(frozen=True, kw_only=True)
class Options(JsonOption):
    """Show the critical path of a run made with run --trace, and where to open its trace."""

    run: str = option(REQUIRED, "the result folder of a run", positional=True)


def run(options: Options) -> int:
    """Show the critical path as a table or JSON. Raises ConfigError if the run has no trace."""
    done = load_run(options.run)
    path = done.path / NAME
    times = timeline(read_traces(done.path)) if path.is_file() else write_trace(done.path)  # missing if interrupted
    found = critical_path(times, done.summary.warmup_steps, done.summary.own_transport)
    missing, cut = missing_ranks(times, done.summary), cut_line(times)
    if options.json:
        about = {"open_at": VIEWERS, "cut": cut, "missing": missing}
        dump({"schema": 1, "trace": str(path), **about, **found.to_json()})
        return 0
    if found.note is None:
        show(attribution_table(found))
    print(found.sentence())
    if missing:
        print(
            f"not in the trace, as ranks that were killed: {', '.join(missing)}; "
            "time that others waited for them is charged elsewhere"
        )
    if cut:
        print(cut)
    print(f"trace: {path}: open it at {VIEWERS}")
    return 0
