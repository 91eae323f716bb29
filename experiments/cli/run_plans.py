"""What the verbs that train have in common: from options to finished runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from common.errors import CheckFailed
from experiments.cli.output import say, say_traceback
from experiments.config import RunOptions

if TYPE_CHECKING:
    from experiments.config import Plan
    from experiments.runs.run import Run


def run_options(arguments: Namespace, **changes: Any) -> RunOptions:
    names = {field.name for field in dataclasses.fields(RunOptions)}
    given = {name: value for name, value in vars(arguments).items() if name in names and value is not None}
    return RunOptions(**{**given, **changes})


def execute_all(plans: Sequence[Plan], results: Path) -> list[Run]:
    """Run the plans one after the other, with live progress. Raises RunFailed."""
    from experiments.launch.agent import Agent
    from experiments.runs.execute import execute
    from experiments.runs.progress import Progress

    runs = []
    with Agent(plans[0].job.threads) as agent:
        for number, item in enumerate(plans, 1):
            title = item.job.strategy + (f" ({number}/{len(plans)})" if len(plans) > 1 else "")
            with Progress(title, item.job.steps, item.job.workers) as progress:
                runs.append(execute(item, agent, results, progress.update))
    return runs


def say_failed(failure: Any) -> int:
    """Say once what went wrong, with the traceback of the rank that raised if there is one."""
    say_traceback(failure)
    say(f"syncbench: {failure.error}")
    say(f"what was recorded is in {failure.run.path}")
    return 1


def replicas_as_promised(runs: Sequence[Run]) -> None:
    """Raises CheckFailed if a strategy that promises equal replicas left different ones."""
    for run in runs:
        if run.summary.replicas_equal and len(different := set(run.summary.params_sha256)) > 1:
            raise CheckFailed(
                f"{run.strategy} promises equal replicas, but {len(different)} of {run.summary.workers} workers "
                "ended with parameters of their own (does all_reduce write into x, as x[:] = ... does?)"
            )
