"""Compare runs with what the cost model predicts, where a calibration lies beside them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import ConfigError
from experiments.comparison.compare import compare_runs
from experiments.comparison.model import Comparison, Contest, Entry
from experiments.prediction.calibration_file import calibration_beside, read_calibration
from experiments.prediction.cost_model import Calibration
from experiments.prediction.predict import LOCKSTEP, figures_for, in_lockstep, predicted_step_exchange
from experiments.prediction.residuals import NOTHING, Residual, bench_residuals, read_bench
from experiments.runs.find import find_runs
from experiments.runs.run import Run
from experiments.schema.documents import Summary


def with_predictions(comparison: Comparison) -> Comparison:
    """Return the comparison with the samples/s that a calibration beside the runs, or a link, predicts."""
    calibrations = _calibrations(comparison)

    def predicted(entry: Entry, contest: Contest) -> Entry:
        if entry.refused or not entry.contends:
            return entry
        calibration = calibrations.get(calibration_beside(entry.run.path))
        usable = None if isinstance(calibration, ConfigError) else calibration
        if usable is None and not contest.setting.get("link"):
            return entry
        return replace(entry, predicted=predicted_rate(entry, contest, usable))

    contests = [
        replace(contest, entries=tuple(predicted(entry, contest) for entry in contest.entries))
        for contest in comparison.contests
    ]
    return replace(comparison, contests=tuple(contests))


def not_predicted(contest: Contest) -> str:
    """Return which contenders have no prediction because their workers do not wait for each other; empty if none."""
    if not any(entry.predicted for entry in contest.entries):
        return ""
    without = [entry for entry in contest.entries if entry.contends and not entry.refused and not entry.predicted]
    labels = [entry.label for entry in without if not in_lockstep(entry.run.summary.consistency)]
    return f"not predicted: {', '.join(labels)}: {LOCKSTEP}" if labels else ""


def unreadable_calibrations(comparison: Comparison) -> list[str]:
    """Return a line for each calibration that cannot be read."""
    every = _calibrations(comparison).values()
    return [f"no predictions: {error}" for error in every if isinstance(error, ConfigError)]


def _calibrations(comparison: Comparison) -> dict[Path | None, Calibration | ConfigError]:
    """Return the calibrations beside the runs of contenders, or why one cannot be read."""
    contenders = [entry for entry in comparison.entries if entry.contends and not entry.refused]
    files = dict.fromkeys(calibration_beside(entry.run.path) for entry in contenders)
    return {file: _read(file) for file in files if file is not None}


def _read(file: Path) -> Calibration | ConfigError:
    try:
        return read_calibration(file)
    except ConfigError as error:
        return error


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
    """Return a row for each entry that contends among these runs, and notes."""
    rows, notes = [], []
    for contest in compare_runs(runs).contests:
        for entry in contest.entries:
            if entry.contends and entry.rates:
                row = _residual_of(entry, contest.strategy("noop"), calibration)
                if row.formula == 0:
                    notes.append(NOTHING)
                    continue
                notes += _why_not(entry.run.summary, calibration)
                rows.append(row)
    return rows, notes


def _why_not(summary: Summary, calibration: Calibration) -> list[str]:
    """Return why a run has no prediction, where a reader needs to know."""
    if not in_lockstep(summary.consistency):
        return [f"no prediction of {summary.strategy}: {LOCKSTEP}"]
    if figures_for(summary, calibration) is None:
        known = f"no figures for {summary.transport} with {summary.workers} workers"
        return [f"{known}: no prediction of {summary.strategy}"]
    return []


def _residual_of(entry: Entry, ceiling: Entry | None, calibration: Calibration) -> Residual:
    summary = entry.run.summary
    measured, source = _step_seconds(entry), "a whole step: there is no noop to subtract"
    if ceiling is not None and ceiling.rates and entry.refused is None:
        measured, source = measured - _step_seconds(ceiling), "a step, less that of noop"
    return Residual(
        strategy=entry.strategy,
        transport=summary.transport,
        workers=summary.workers,
        servers=summary.servers,
        nbytes=4 * (summary.parameters or 0),
        formula=predicted_step_exchange(summary, calibration),
        virtual=None,
        measured=measured,
        source=source,
    )


def _step_seconds(entry: Entry) -> float:
    """Return the seconds of a step of the whole job, by the median of the repeats."""
    return entry.run.summary.batch / entry.rate.middle
