"""One benchmark, from its plan to a result folder: config.yaml, env.json, ranks/*.jsonl, bench.json."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import yaml

from common.errors import JobFailed
from common.runtime.status_board import Status as RankStatus
from experiments.bench.plan import BenchOptions, BenchPlan, describe_block, schedule
from experiments.bench.results import make_rows, measured_links, read_blocks, with_ratios
from experiments.launch.agent import Agent
from experiments.launch.inheritance import signals_deferred
from experiments.launch.supervisor import JobOutcome
from experiments.machine.bandwidth_limits import measure
from experiments.machine.environment import environment
from experiments.metrics import intervals
from experiments.runs.files import new_folder, writing
from experiments.runs.progress import Status
from experiments.schema.documents import Bench, ErrorRecord
from experiments.schema.documents import Status as Ending
from experiments.schema.files import write_document

ENTRY = "experiments.bench.rank"
Show = Callable[[Status], None]


def run_bench(options: BenchOptions, plan: BenchPlan, agent: Agent, parent: Path, show: Show) -> Bench:
    """Measure in a new folder of `parent`; blocks; writes bench.json last. JobFailed, ConfigError."""
    with writing(parent):
        return _run(options, plan, agent, new_folder(parent, f"bench-w{plan.workers}"), show)


def _run(options: BenchOptions, plan: BenchPlan, agent: Agent, folder: Path, show: Show) -> Bench:
    env = environment(plan.threads, plan.transports)
    blocks, outcome, limits, done = schedule(plan), JobOutcome([]), None, 0
    ending: Ending = "failed"

    def doing() -> str:
        return describe_block(blocks[min(done, len(blocks) - 1)], plan)

    def follow(ranks: Sequence[RankStatus], seconds: float) -> None:
        nonlocal done
        done = ranks[0].steps_done
        show(Status(done, elapsed=seconds, doing=doing()))

    try:
        (folder / "ranks").mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(dataclasses.asdict(options), sort_keys=False))
        write_document(folder / "env.json", env)
        show(Status(0, doing="this machine's limits"))
        intervals.load()  # now, because it would disturb the measurements later, and delay the end after a failure
        limits = measure()
        outcome = agent.run(plan, plan.workers, folder, follow, ENTRY, plan.launcher)
        ending = "ok" if outcome.error is None else "failed"
    except KeyboardInterrupt as interrupt:
        ending = "partial"
        interrupt.add_note(f"what was measured is in {folder}")
        raise
    finally:
        with signals_deferred():
            measured = read_blocks(folder, plan)
            bench = Bench(
                schema=Bench.VERSION,
                status=ending,
                baseline=plan.baseline,
                rows=tuple(with_ratios(make_rows(plan, measured, limits), plan.baseline)),
                limits=limits,
                links=measured_links(plan, measured),
                environment=env,
                error=msgspec.convert(outcome.error.record(), ErrorRecord) if outcome.error else None,
                results_dir=str(folder),
            )
            write_document(folder / "bench.json", bench)
    if outcome.error is not None:
        message = f"{outcome.error} (during {doing()})"
        raise JobFailed(message, outcome.error, outcome.traceback, bench, f"what was measured is in {folder}")
    return bench
