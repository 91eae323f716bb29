"""The verb `compare`: runs beside each other, and whether they computed the same thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from common.errors import CheckFailed, ConfigError
from experiments.verbs.options import LOSS, plain_parser
from experiments.verbs.showing import check, comparable, compared, show, verdicts
from experiments.verbs.speech import dump

if TYPE_CHECKING:
    from experiments.results import Run

HELP = "a table of runs, and whether they computed the same thing"


def parser() -> ArgumentParser:
    parser = plain_parser("Compare runs that trained on the same samples. Exit code 3 if they cannot be compared.")
    parser.add_argument("runs", nargs="+", type=str, help="result folders, or folders of them")
    parser.add_argument("--markdown", action="store_true", help="the table as markdown")
    parser.add_argument("--loss", type=LOSS, default=None, help="tell the seconds to this loss; auto: one all reached")
    return parser


def run(arguments: Namespace) -> int:
    """Existing runs beside each other. Raises CheckFailed if they did not train on the same samples."""
    loss_goal(arguments.loss)
    try:
        runs = comparable(arguments.runs)
    except CheckFailed as refusal:
        if arguments.json:
            dump({"schema": 1, "comparable": False, "reason": str(refusal)})
        raise
    verdict = verdicts(runs)
    reached = times_to_loss(runs, arguments.loss)
    if arguments.json:
        dump({"schema": 1, **compared(runs, verdict), **({"seconds_to_loss": reached} if reached else {})})
    elif arguments.markdown:
        from experiments.tables import markdown

        print(markdown(runs, verdict), end="")
    else:
        show(runs)
    if reached and not arguments.json:
        from experiments.sentences import times_line

        print(f"\n{times_line(reached['loss'], reached['seconds'])}")
    return check(verdict)


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


def times_to_loss(runs: Sequence[Run], given: str | None) -> dict[str, Any] | None:
    """The loss that was asked for and, by label, the seconds that each run took to it; None if none was."""
    if given is None:
        return None
    from experiments.labels import labels
    from experiments.learning import common_loss, seconds_to_loss

    goal = common_loss(runs) if given == "auto" else loss_goal(given)
    if goal is None:
        raise CheckFailed("there is no loss that all of these runs reached: some recorded none")
    return {
        "loss": goal,
        "seconds": {label: seconds_to_loss(run, goal) for label, run in zip(labels(runs), runs, strict=True)},
    }
