"""The verb `compare`: runs beside each other, whether they may be compared, and the verdict."""

import math
from dataclasses import dataclass
from typing import Any

from common.errors import CheckFailed, ConfigError
from experiments.cli.output import dump, say, show
from experiments.comparison.export import comma_separated, document
from experiments.comparison.load import compare_paths
from experiments.comparison.model import Comparison
from experiments.comparison.render import limits, markdown_comparison, terminal_parts
from experiments.comparison.wording import setting_words
from experiments.config.argument_parser import InputOptions
from experiments.config.declaration import option
from experiments.runs.describe import times_line
from experiments.runs.loss_curves import common_loss, seconds_to_loss


def read_loss(given: Any) -> float | str:
    """Read `--loss`: a number, or `auto`. ValueError."""
    try:
        if given == "auto" or math.isfinite(float(given)):
            return "auto" if given == "auto" else float(given)
    except ValueError:
        pass
    raise ValueError(f"give a number, or auto for a loss that all runs reached, not {given!r}")


@dataclass(frozen=True, kw_only=True)
class Options(InputOptions):
    """Compare runs that did the same work; equal ones are repeats. Exit code 3 if some cannot be compared."""

    baseline: str | None = option(None, "strategy or label that ratios are relative to")
    anyway: bool = option(False, "show also runs that cannot be compared, marked as such")
    markdown: bool = option(False, "show the table as markdown")
    csv: bool = option(False, "show a line for each entry, with all figures")
    loss: float | str | None = option(
        None, "show the seconds to this loss; auto: a loss that all reached", read=read_loss
    )


def run(options: Options) -> int:
    """Show existing runs beside each other. Raises CheckFailed if some of them cannot be compared with the others."""
    if len(forms := [name for name in ("json", "markdown", "csv") if getattr(options, name)]) > 1:
        raise ConfigError(f"--{forms[0]} and --{forms[1]}: one form at a time")
    comparison = compare_paths(options.runs, options.baseline)
    if options.csv or not comparison.contests:
        for left_out in comparison.failed:
            say(f"left out: {left_out.path} ({left_out.status} after {left_out.summary.steps_done} steps)")
    if not comparison.contests:
        raise CheckFailed("nothing to show: no run came to its end")
    refusal = None if options.anyway else comparison.refusal or _nothing_in_common(comparison)
    if not refusal or options.json:
        _show(comparison, options)
    if refusal:
        raise CheckFailed(f"cannot compare: {refusal}; --anyway shows them all the same")
    return 0


def _nothing_in_common(comparison: Comparison) -> str | None:
    """Return why the runs cannot be compared, if no two of them did the same work."""
    if len(comparison.contests) < 2 or any(len(contest.entries) > 1 for contest in comparison.contests):
        return None
    one, other = (
        f"{contest.entries[0].label} ({setting_words(contest, comparison.axes)})" for contest in comparison.contests[:2]
    )
    return f"no two of these did the same work: {one} and {other}"


def _show(comparison: Comparison, options: Options) -> None:
    reached = _times_to_loss(comparison, options.loss) if options.loss is not None else None
    if options.json:
        times = {"seconds_to_loss": reached} if reached else {}
        dump({"schema": 1, "limits": limits(comparison), **document(comparison), **times})
    elif options.csv:
        print(comma_separated(comparison), end="")
    elif options.markdown:
        print(markdown_comparison(comparison), end="")
    else:
        show(*terminal_parts(comparison))
    if reached and not (options.json or options.csv):
        print(f"\n{times_line(reached['loss'], reached['seconds'])}")


def _times_to_loss(comparison: Comparison, loss: float | str) -> dict[str, Any]:
    """Return the loss and, by label, the seconds that each entry's median run took to it. Raises CheckFailed."""
    if len(comparison.contests) > 1:
        raise CheckFailed("--loss is for runs that did the same work: these are several contests")
    entries = comparison.contests[0].entries
    goal = common_loss([entry.run for entry in entries]) if isinstance(loss, str) else loss
    if goal is None:
        raise CheckFailed("no loss was reached by all of these runs: some recorded none")
    return {"loss": goal, "seconds": {entry.label: seconds_to_loss(entry.run, goal) for entry in entries}}
