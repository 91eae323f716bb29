"""What each verb of the command line does; returns the exit code."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from common.errors import CheckFailed, ConfigError
from common.job import DEDICATED
from experiments.config import RunOptions, plan
from experiments.folders import writable_folder
from experiments.registry import strategy_class
from experiments.sparse import in_words

if TYPE_CHECKING:
    from experiments.config import Plan
    from experiments.results import Run

DEMO = ("single", "ps-bsp", "star", "ring", "tree", "noop")


def say(text: object = "") -> None:
    """A line for people, on standard error: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def dump(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1, allow_nan=False))


def _options(arguments: Namespace, **changes: Any) -> RunOptions:
    names = {field.name for field in dataclasses.fields(RunOptions)}
    given = {name: value for name, value in vars(arguments).items() if name in names and value is not None}
    return RunOptions(**{**given, **changes})


def _execute(plans: Sequence[Plan], results: Path) -> list[Run]:
    """Run the plans one after the other, with live progress. Raises RunFailed."""
    from experiments.agent import Agent
    from experiments.execute import execute
    from experiments.progress import Progress

    runs = []
    with Agent(plans[0].job.threads) as agent:
        for number, item in enumerate(plans, 1):
            title = item.job.strategy + (f" ({number}/{len(plans)})" if len(plans) > 1 else "")
            with Progress(title, item.job.steps, item.job.workers) as progress:
                runs.append(execute(item, agent, results, progress.update))
    return runs


def say_traceback(failure: Any) -> None:
    """Say where the rank raised whose error ended a run or a benchmark, if one did."""
    if failure.traceback:
        say(f"traceback of {failure.error.role} rank {failure.error.rank}:")
        say(failure.traceback.rstrip())


def _failed(failure: Any) -> int:
    """Say once what went wrong, with the traceback of the rank that raised if there is one."""
    say_traceback(failure)
    say(f"syncbench: {failure.error}")
    say(f"what was recorded is in {failure.run.path}")
    return 1


def run(arguments: Namespace) -> int:
    """One strategy: result folder, and a table or JSON."""
    item = plan(_options(arguments))
    results = writable_folder(arguments.results)
    from experiments.balance import imbalance
    from experiments.execute import RunFailed

    try:
        (done,) = _execute([item], results)
    except RunFailed as failure:
        if arguments.json:
            dump(dict(failure.run.summary))
        return _failed(failure)
    if arguments.json:
        dump(dict(done.summary))
    else:
        _show([done])
        if words := done.summary["strategy_notes"].get("in_words"):
            print(f"{done.strategy} {words}")
        if restarts := done.summary["restarts"]:
            from experiments.restarts import restarts_line

            print(f"restarts: {restarts_line(restarts, done.summary['pushes']['lost'])}")
        if deaths := done.summary["deaths"]:
            from experiments.deaths import deaths_line

            print(f"deaths: {deaths_line(deaths, done.summary['workers'])}")
        if words := in_words(done.summary, item.traits.sparse):
            print(words)
        print(f"results: {done.path}")
    if warning := imbalance(done.summary):
        say(f"warning: {warning}")
    replicas_as_promised([done])
    return 0


def demo(arguments: Namespace) -> int:
    """All strategies on the same work, in turns; table, check, limits, plots. Raises CheckFailed."""
    plans = []
    if arguments.repeats < 1:
        raise ConfigError(f"--repeats is {arguments.repeats}: give a whole number from 1")
    for name in DEMO:
        where = {} if strategy_class(name).traits.servers else {"servers": None, "placement": DEDICATED}
        plans.append(plan(_options(arguments, strategy=name, **where)))
    results = writable_folder(arguments.results)
    from experiments.execute import RunFailed
    from experiments.folders import new_folder
    from experiments.repeats import medians, same_bits, spread_line
    from experiments.sentences import plural, turns

    folder = new_folder(results, f"demo-w{arguments.workers}")
    say(
        f"{', '.join(DEMO)}: {plural(arguments.workers, 'worker')}, {plural(arguments.steps, 'step')} of "
        f"{plural(plans[0].job.batch, 'sample')}, {turns(arguments.repeats)}"
    )
    try:
        everything = _execute(plans * arguments.repeats, folder)
    except RunFailed as failure:
        if arguments.json:
            dump(dict(failure.run.summary))
        return _failed(failure)
    from experiments.plots import plot_runs

    replicas_as_promised(everything)
    same_bits(everything)
    runs, rates = medians(everything)
    verdict = _verdicts(runs)
    plot_runs(runs, folder / "plots", _limits(runs), rates)
    if arguments.json:
        dump({"schema": 1, "results_dir": str(folder), "samples_per_second": rates, **_compared(runs, verdict)})
    else:
        _show(runs)
        print(f"repeats: {spread_line(rates)}")
        print(f"results: {folder}")
        print(f"plots:   {folder / 'plots'}")
    return _check(verdict)


def bench(arguments: Namespace) -> int:
    """Exchanges alone, beside each other."""
    from experiments.bench_verb import bench

    return bench(arguments)


def compare(arguments: Namespace) -> int:
    """Existing runs beside each other. Raises CheckFailed if they did not train on the same samples."""
    _loss_goal(arguments.loss)
    try:
        runs = _comparable(arguments.runs)
    except CheckFailed as refusal:
        if arguments.json:
            dump({"schema": 1, "comparable": False, "reason": str(refusal)})
        raise
    verdict = _verdicts(runs)
    reached = _times_to_loss(runs, arguments.loss)
    if arguments.json:
        dump({"schema": 1, **_compared(runs, verdict), **({"seconds_to_loss": reached} if reached else {})})
    elif arguments.markdown:
        from experiments.tables import markdown

        print(markdown(runs, verdict), end="")
    else:
        _show(runs)
    if reached and not arguments.json:
        from experiments.sentences import times_line

        print(f"\n{times_line(reached['loss'], reached['seconds'])}")
    return _check(verdict)


def _loss_goal(given: str | None) -> float | None:
    """`--loss` as a number; None for `auto`, or if it is not given. ConfigError."""
    if given in (None, "auto"):
        return None
    try:
        goal = float(given)
    except ValueError:
        goal = math.nan
    if not math.isfinite(goal):
        raise ConfigError(f"--loss is {given!r}: give a number, or auto for one that all runs reached")
    return goal


def _times_to_loss(runs: Sequence[Run], given: str | None) -> dict[str, Any] | None:
    """The loss that was asked for and, by label, the seconds that each run took to it; None if none was."""
    if given is None:
        return None
    from experiments.labels import labels
    from experiments.learning import common_loss, seconds_to_loss

    goal = common_loss(runs) if given == "auto" else _loss_goal(given)
    if goal is None:
        raise CheckFailed("there is no loss that all of these runs reached: some recorded none")
    return {
        "loss": goal,
        "seconds": {label: seconds_to_loss(run, goal) for label, run in zip(labels(runs), runs, strict=True)},
    }


def plot(arguments: Namespace) -> int:
    """Pictures of existing runs: into the one run's folder, or wherever --out says. Raises CheckFailed, as compare."""
    goal = _loss_goal(arguments.loss)
    runs = _comparable(arguments.runs)
    out = arguments.out or Path(arguments.runs[0]) / "plots"
    writable_folder(out)
    from experiments.plots import plot_runs
    from experiments.straggler_plots import plot_stragglers

    files = [*plot_runs(runs, out, _limits(runs)), *plot_stragglers(runs, out, _limits(runs), goal)]
    pictures = [str(path) for path in files]
    if arguments.json:
        dump({"schema": 1, "plots": pictures})
    else:
        print("\n".join(pictures))
    return 0


def names(arguments: Namespace) -> int:
    """What can be asked for by name."""
    from common.data import DATASETS
    from common.models import MODELS
    from experiments.registry import known, options_of, strategy_class

    about: dict[str, str] = {}
    traits: dict[str, dict[str, Any]] = {}
    for name in known():
        try:
            cls = strategy_class(name)
        except ConfigError as error:  # a plug-in that is broken does not take the others away
            about[name] = " ".join(str(error).split())
        else:
            about[name] = (cls.__doc__ or "").strip().split("\n")[0]
            traits[name] = {**dataclasses.asdict(cls.traits), "options": options_of(cls)}
    if arguments.json:
        dump(
            {
                "schema": 1,
                "strategies": {name: {"about": text, **traits.get(name, {})} for name, text in about.items()},
                "models": {name: text for name, (_, text) in MODELS.items()},
                "data": {name: info.about for name, info in DATASETS.items()},
            }
        )
        return 0
    sections = {
        "strategies": about,
        "models": {name: text for name, (_, text) in MODELS.items()},
        "data": {name: info.about for name, info in DATASETS.items()},
    }
    for title, entries in sections.items():
        print(f"{title}:")
        widest = max(map(len, entries))
        for name, text in entries.items():
            print(f"  {name:<{widest}} {text}")
            if options := traits.get(name, {}).get("options"):
                print(f"  {'':<{widest}} options: {', '.join(f'--strategy.{option}' for option in options)}")
    print("Your own strategy: --strategy module:Class; see README.md.")
    return 0


def env(arguments: Namespace) -> int:
    """This machine, as every result records it."""
    from experiments.environment import environment

    found = environment()
    if arguments.json:
        dump(found)
        return 0
    for name, value in found.items():
        print(f"{name:<18} {', '.join(f'{k} {v}' for k, v in value.items()) if isinstance(value, dict) else value}")
    return 0


def _comparable(paths: Sequence[str]) -> list[Run]:
    """The finished runs in `paths`, if they did the same work; the others are named and left out."""
    from experiments.equivalence import same_work
    from experiments.results import find_runs

    runs = []
    for run in find_runs(paths):
        if run.status == "ok":
            runs.append(run)
        else:
            say(f"left out: {run.path} ({run.status} after {run.summary.get('steps_done')} steps)")
    if not runs:
        raise CheckFailed("nothing to show: no run came to its end")
    same_work(runs)
    return runs


def replicas_as_promised(runs: Sequence[Run]) -> None:
    """Raises CheckFailed if a strategy that promises equal replicas left different ones."""
    for run in runs:
        if run.summary["replicas_equal"] and len(different := set(run.summary["params_sha256"])) > 1:
            raise CheckFailed(
                f"{run.strategy} promises equal replicas, but {len(different)} of {run.summary['workers']} workers "
                "ended with parameters of their own (does all_reduce write into x, as x[:] = ... does?)"
            )


def _verdicts(runs: Sequence[Run]) -> list[Any]:
    from experiments.equivalence import verdicts

    return verdicts(runs)


def _limits(runs: Sequence[Run]) -> str:
    """What limits these runs, from the one with the most ranks."""
    from experiments.sentences import limits_line

    largest = max(runs, key=lambda run: run.summary["processes"])
    return limits_line(largest.summary, largest.env)


def _show(runs: Sequence[Run]) -> None:
    """The table for people, on standard output."""
    from rich.console import Console

    from experiments.tables import runs_table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    console.print(runs_table(runs, _verdicts(runs), width=console.width))
    console.print(f"\nlimits: {_limits(runs)}")


def _compared(runs: Sequence[Run], verdict: Sequence[Any]) -> dict[str, Any]:
    """Runs and verdicts as JSON values."""
    return {
        "comparable": True,
        "limits": _limits(runs),
        "runs": [
            {**run.summary, "verdict": one.kind, "deviation": one.deviation}
            for run, one in zip(runs, verdict, strict=True)
        ],
    }


def _check(verdict: Sequence[Any]) -> int:
    """3 if a run that should have computed the same as the others did not."""
    return 3 if any(one.same is False for one in verdict) else 0


VERBS = {"demo": demo, "run": run, "bench": bench, "compare": compare, "plot": plot, "list": names, "env": env}
