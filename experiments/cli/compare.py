"""The verb `compare`: runs beside each other, whether they may be compared, and what the verdict is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from common.errors import CheckFailed, ConfigError
from experiments.cli.output import dump, say
from experiments.cli.showing import console
from experiments.config.arguments import LOSS, plain_parser

if TYPE_CHECKING:
    from experiments.comparison import Comparison

HELP = "the verdict on runs or a sweep, once it is clear that they computed the same thing"


def parser() -> ArgumentParser:
    parser = plain_parser(
        "Compare runs that did the same work; runs of the same settings are repeats. Exit code 3 if some cannot be "
        "compared with the others."
    )
    parser.add_argument("runs", nargs="+", type=str, help="result folders, folders of them, sweeps, or patterns")
    parser.add_argument("--baseline", type=str | None, default=None, help="whom ratios are to: a strategy, or a label")
    parser.add_argument("--anyway", action="store_true", help="show what cannot be compared, too, and say so")
    parser.add_argument("--markdown", action="store_true", help="the table as markdown")
    parser.add_argument("--csv", action="store_true", help="a line for each entry, with all figures")
    parser.add_argument("--loss", type=LOSS, default=None, help="tell the seconds to this loss; auto: one all reached")
    return parser


def run(arguments: Namespace) -> int:
    """Existing runs beside each other. Raises CheckFailed if some of them cannot be compared with the others."""
    loss_goal(arguments.loss)
    if len(forms := [name for name in ("json", "markdown", "csv") if arguments[name]]) > 1:
        raise ConfigError(f"--{forms[0]} and --{forms[1]}: one form at a time")
    from experiments.comparison.load import compare_paths

    comparison = compare_paths(arguments.runs, arguments.baseline)
    if not comparison.contests:
        _say_failed(comparison)
        raise CheckFailed("nothing to show: no run came to its end")
    refusal = None if arguments.anyway else comparison.refusal or _apart(comparison)
    if not refusal or arguments.json:
        _show(comparison, arguments)
    if refusal:
        raise CheckFailed(f"cannot compare: {refusal}; --anyway shows them all the same")
    return 0


def _apart(comparison: Comparison) -> str | None:
    """Why there is nothing to compare, where no two runs did the same work."""
    from experiments.comparison.setting import setting_words

    if len(comparison.contests) < 2 or any(len(contest.entries) > 1 for contest in comparison.contests):
        return None
    one, other = (
        f"{contest.entries[0].label} ({setting_words(contest, comparison.axes)})" for contest in comparison.contests[:2]
    )
    return f"no two of these did the same work: {one} and {other}"


def _show(comparison: Comparison, arguments: Namespace) -> None:
    from experiments.comparison.export import comma_separated, document
    from experiments.comparison.predictions import predictions
    from experiments.comparison.render import limits, markdown_comparison, print_comparison

    predicted = predictions(comparison)
    reached = times_to_loss(comparison, arguments.loss)
    if arguments.json:
        times = {"seconds_to_loss": reached} if reached else {}
        dump({"schema": 1, "limits": limits(comparison), **document(comparison, predicted), **times})
    elif arguments.csv:
        _say_failed(comparison)
        print(comma_separated(comparison, predicted), end="")
    elif arguments.markdown:
        print(markdown_comparison(comparison, predicted), end="")
    else:
        print_comparison(comparison, predicted, console())
    if reached and not (arguments.json or arguments.csv):
        from experiments.runs.describe import times_line

        print(f"\n{times_line(reached['loss'], reached['seconds'])}")


def _say_failed(comparison: Comparison) -> None:
    for run in comparison.failed:
        say(f"left out: {run.path} ({run.status} after {run.summary.steps_done} steps)")


def loss_goal(given: str | None) -> float | None:
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


def times_to_loss(comparison: Comparison, given: str | None) -> dict[str, Any] | None:
    """The loss that was asked for and, by label, the seconds that each run in the middle took to it; None if none was.

    CheckFailed where there are several contests, which have no loss in common.
    """
    if given is None:
        return None
    from experiments.runs.loss_curves import common_loss, seconds_to_loss

    if len(comparison.contests) > 1:
        raise CheckFailed("--loss is for runs that did the same work: these are several contests")
    entries = comparison.contests[0].entries
    goal = common_loss([entry.run for entry in entries]) if given == "auto" else loss_goal(given)
    if goal is None:
        raise CheckFailed("there is no loss that all of these runs reached: some recorded none")
    return {"loss": goal, "seconds": {entry.label: seconds_to_loss(entry.run, goal) for entry in entries}}
