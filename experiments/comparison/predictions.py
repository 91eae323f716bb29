"""Compare runs with what the cost model predicts, where a calibration lies beside them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import ConfigError
from common.types import FLOAT_BYTES
from experiments.comparison.compare import compare_runs
from experiments.comparison.model import Comparison, Contest, Entry
from experiments.prediction.calibration_file import calibration_beside, read_calibration
from experiments.prediction.cost_model import Calibration
from experiments.prediction.predict import LOCKSTEP, figures_for, in_lockstep, predicted_step_exchange
from experiments.prediction.residuals import NOTHING, Residual, bench_residuals, read_bench
from experiments.runs.find import find_runs
from experiments.runs.run import Run


def with_predictions(comparison: Comparison) -> Comparison:
    """Return the comparison with the samples/s that a calibration beside the runs, or a link, predicts."""
    contenders = [entry for entry in comparison.entries if entry.contends and not entry.refused]
    calibrations: dict[Path | None, Calibration] = {}
    warnings = []
    for file in dict.fromkeys(calibration_beside(entry.run.path) for entry in contenders):
        try:
            if file is not None:
                calibrations[file] = read_calibration(file)
        except ConfigError as error:
            warnings.append(f"no predictions: {error}")

    def predicted(entry: Entry, contest: Contest) -> Entry:
        calibration = calibrations.get(calibration_beside(entry.run.path))
        if entry.refused or not entry.contends or (calibration is None and not contest.setting.get("link")):
            return entry
        return replace(entry, predicted=predicted_rate(entry, contest, calibration))

    contests = [
        replace(contest, entries=tuple(predicted(entry, contest) for entry in contest.entries))
        for contest in comparison.contests
    ]
    return replace(comparison, contests=tuple(contests), warnings=(*comparison.warnings, *warnings))


def not_predicted(contest: Contest) -> str:
    """Return which contenders have no prediction because their workers do not wait for each other; empty if none."""
    if not any(entry.predicted for entry in contest.entries):
        return ""
    without = [entry for entry in contest.entries if entry.contends and not entry.refused and not entry.predicted]
    labels = [entry.label for entry in without if not in_lockstep(entry.run.summary.consistency)]
    return f"not predicted: {', '.join(labels)}: {LOCKSTEP}" if labels else ""


def predicted_rate(entry: Entry, contest: Contest, calibration: Calibration | None) -> float | None:
    """Return samples/s by the `noop` step plus the predicted exchange; None if one of them is unknown."""
    ceiling = contest.strategy("noop")
    if ceiling is None or not ceiling.rates:
        return None
    try:
        exchange = predicted_step_exchange(entry.run.summary, calibration)
    except ConfigError:  # the plug-in is not installed any more
        return None
    batch = entry.run.summary.batch
    return None if exchange is None else batch / (batch / ceiling.rate.middle + exchange)


def residuals(paths: Sequence[str | Path], calibration: Calibration, budget: float) -> tuple[list[Residual], list[str]]:
    """Return a row for each measurement in these results, and notes; simulates for `budget` seconds. ConfigError."""
    rows: list[Residual] = []
    notes: list[str] = []
    for path in map(Path, paths):
        if (document := read_bench(path)) is not None:
            found, said, budget = bench_residuals(document, calibration, budget)
        else:
            found, said = run_residuals(find_runs([path]), calibration)
        rows += found
        notes += said
    if not rows:
        why = "".join(f" ({note})" for note in dict.fromkeys(notes))
        raise ConfigError(f"nothing to hold predictions against in {', '.join(map(str, paths))}{why}")
    return rows, list(dict.fromkeys(notes))


def run_residuals(runs: Sequence[Run], calibration: Calibration) -> tuple[list[Residual], list[str]]:
    """Return a row for each entry that contends among these runs, and notes on entries without a prediction."""
    rows, notes = [], []
    for contest in compare_runs(runs).contests:
        ceiling = contest.strategy("noop")
        for entry in contest.entries:
            if not entry.contends or not entry.step_seconds:
                continue
            summary, measured = entry.run.summary, entry.step_seconds
            source = "a whole step: there is no noop to subtract"
            if ceiling is not None and ceiling.step_seconds and entry.refused is None:
                measured, source = measured - ceiling.step_seconds, "a step, less that of noop"
            formula = predicted_step_exchange(summary, calibration)
            if formula == 0:
                notes.append(NOTHING)
                continue
            if not in_lockstep(summary.consistency):
                notes.append(f"no prediction of {summary.strategy}: {LOCKSTEP}")
            elif figures_for(summary, calibration) is None:
                known = f"no figures for {summary.transport} with {summary.workers} workers"
                notes.append(f"{known}: no prediction of {summary.strategy}")
            setting = entry.strategy, summary.transport, summary.workers, summary.servers
            nbytes = FLOAT_BYTES * (summary.parameters or 0)
            rows.append(Residual(*setting, nbytes, formula, None, measured, source))
    return rows, notes
