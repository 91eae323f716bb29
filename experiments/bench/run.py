"""One benchmark, from its plan to a result folder: config.yaml, env.json, ranks/*.jsonl, bench.json, plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from common.errors import ConfigError, RunError
from common.runtime.status_board import Status
from experiments.bench.plan import BenchOptions, BenchPlan, baseline_of, describe_block, schedule
from experiments.bench.results import make_rows, measured_links, read_lines, with_ratios
from experiments.launch.agent import Agent
from experiments.launch.inheritance import signals_deferred
from experiments.launch.supervisor import JobOutcome
from experiments.machine.bandwidth_limits import Limits, measure
from experiments.machine.environment import environment
from experiments.metrics import intervals
from experiments.runs.files import new_folder, unwritable
from experiments.schema.files import to_builtins, write_json

SCHEMA = 1
ENTRY = "experiments.bench.rank"
Show = Callable[[int, str], None]  # blocks done, what is being done


@dataclass(frozen=True, slots=True)
class Bench:
    """A benchmark that has ended, as `bench.json` has it, and where it is."""

    folder: Path
    document: dict[str, Any]


class BenchFailed(Exception):
    """A rank failed; the folder holds what was measured until then."""

    def __init__(self, bench: Bench, error: RunError, traceback: str | None, during: str) -> None:
        super().__init__(str(error))
        self.folder, self.document = bench.folder, bench.document
        self.error, self.traceback, self.during = error, traceback, during


def run_bench(options: BenchOptions, spec: BenchPlan, agent: Agent, parent: Path, show: Show) -> Bench:
    """Measure in a new folder under `parent`; blocks. Raises BenchFailed, KeyboardInterrupt, ConfigError.

    A KeyboardInterrupt has a note that names the folder. Whatever happens, bench.json is written last and
    says how it ended.
    """
    try:
        return _run(options, spec, agent, parent, show)
    except OSError as error:
        raise unwritable(parent, error) from None


def _run(options: BenchOptions, spec: BenchPlan, agent: Agent, parent: Path, show: Show) -> Bench:
    folder = new_folder(parent, f"bench-w{spec.workers}")
    env = to_builtins(environment(spec.threads, spec.transports))
    blocks = schedule(spec)
    ended, limits, status, done = JobOutcome([]), None, "failed", 0

    def follow(ranks: Sequence[Status], seconds: float) -> None:
        nonlocal done
        done = ranks[0].steps_done
        show(done, describe_block(blocks[min(done, len(blocks) - 1)], spec))

    try:
        (folder / "ranks").mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(dataclasses.asdict(options), sort_keys=False))
        write_json(folder / "env.json", env)
        show(0, "this machine's limits")
        intervals.load()  # not after a rank has died: the end should be prompt, and not disturbed while ranks measure
        limits = measured_limits()
        ended = agent.run(spec, spec.workers, folder, follow, ENTRY, spec.launcher)
        status = "ok" if ended.error is None else "failed"
    except KeyboardInterrupt as interrupt:
        status = "partial"
        interrupt.add_note(f"what was measured is in {folder}")
        raise
    finally:
        with signals_deferred():
            document = _document(options, spec, folder, limits, status, env, ended.error)
            write_json(folder / "bench.json", document)
    if ended.error is not None:
        during = describe_block(blocks[min(done, len(blocks) - 1)], spec)
        raise BenchFailed(Bench(folder, document), ended.error, ended.traceback, during)
    return Bench(folder, document)


def measured_limits() -> Limits:
    """This machine's limits. ConfigError where its loopback does not work."""
    try:
        return measure()
    except OSError as error:
        raise ConfigError(f"plain tcp over 127.0.0.1 does not work here: {error.strerror or error}") from None


def _document(
    options: BenchOptions,
    spec: BenchPlan,
    folder: Path,
    limits: Limits | None,
    status: str,
    env: dict[str, Any],
    error: RunError | None,
) -> dict[str, Any]:
    lines = read_lines(folder, spec)
    baseline = baseline_of(spec, options.baseline)
    return {
        "schema": SCHEMA,
        "status": status,
        "baseline": baseline,
        "rows": with_ratios(make_rows(spec, lines, limits), baseline),
        "limits": limits.record() if limits else None,
        "links": {name: dataclasses.asdict(link) for name, link in measured_links(spec, lines).items()},
        "environment": env,
        "error": error.record() if error else None,
        "results_dir": str(folder),
    }
