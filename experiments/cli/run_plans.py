"""From plans to finished runs, for the verbs that train."""

from collections.abc import Sequence
from pathlib import Path

from common.errors import CheckFailed
from experiments.config import Plan
from experiments.runs.run import Run


def execute_all(plans: Sequence[Plan], results: Path) -> list[Run]:
    """Run the plans one after the other, with live progress. Blocks. Raises RunFailed."""
    from experiments.launch.agent import Agent
    from experiments.runs.execute import execute
    from experiments.runs.progress import Progress

    runs = []
    with Agent(plans[0].job.threads) as agent:
        for number, planned in enumerate(plans, 1):
            title = planned.job.strategy + (f" ({number}/{len(plans)})" if len(plans) > 1 else "")
            with Progress(title, planned.job.steps, planned.job.workers) as progress:
                runs.append(execute(planned, agent, results, progress.update))
    return runs


def check_replicas(runs: Sequence[Run]) -> None:
    """Raise CheckFailed if a strategy that promises equal replicas left different ones."""
    for run in runs:
        if run.summary.replicas_equal and len(different := set(run.summary.params_sha256)) > 1:
            raise CheckFailed(
                f"{run.strategy} promises equal replicas, but {len(different)} of {run.summary.workers} workers "
                "ended with parameters of their own (does all_reduce write into x, as x[:] = ... does?)"
            )
