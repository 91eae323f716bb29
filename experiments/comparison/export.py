"""Export a comparison as one JSON document, or as CSV with a line for each entry."""

import json
from operator import itemgetter
from typing import Any

from experiments.comparison.model import Comparison, Contest, Entry
from experiments.comparison.wording import verdict_sentence
from experiments.format.table import Column, Table, csv_table
from experiments.metrics.intervals import Interval
from experiments.schema.files import to_builtins


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON values, with the summary of the median run of each entry; nothing is NaN."""
    return {
        "comparable": comparison.refusal is None,
        "reason": comparison.refusal,
        "sentence": verdict_sentence(comparison),
        "axes": {key: list(values) for key, values in comparison.axes.items()},
        "contests": [
            {
                "setting": dict(contest.setting),
                "baseline": contest.baseline or None,
                "warnings": list(contest.warnings),
                "entries": [_entry(entry, contest) for entry in contest.entries],
            }
            for contest in comparison.contests
        ],
        "failed": [
            {
                "run": str(run.path),
                "strategy": run.strategy,
                "status": run.status,
                "error": to_builtins(run.summary)["error"],
            }
            for run in comparison.failed
        ],
        "warnings": list(comparison.warnings),
        "runs": [
            {
                **to_builtins(entry.run.summary),
                "label": entry.label,
                "verdict": entry.check.kind,
                "deviation": entry.check.deviation,
            }
            for entry in comparison.entries
        ],
    }


def _entry(entry: Entry, contest: Contest) -> dict[str, Any]:
    return {
        "label": entry.label,
        "strategy": entry.strategy,
        "repeats": len(entry.runs),
        "samples_per_second": _interval(entry.rate) if entry.rates else None,
        "rates": list(entry.rates),
        "ratio": _interval(entry.ratio),
        "verdict": "baseline" if entry.label == contest.baseline else entry.finding,
        "share_of_ceiling": entry.share,
        "per_worker": entry.per_worker,
        "per_process": entry.per_process,
        "predicted": entry.predicted,
        "residual": entry.residual,
        "computed": entry.check.kind,
        "deviation": entry.check.deviation,
        "refused": entry.refused,
        "notes": list(entry.notes),
        "runs": [str(run.path) for run in entry.runs],
    }


def _interval(interval: Interval | None) -> dict[str, float] | None:
    return {"low": interval.low, "median": interval.middle, "high": interval.high} if interval else None


def comma_separated(comparison: Comparison) -> str:
    """Return CSV with a header and a line for each entry; an unknown value is empty."""
    rows: list[dict[str, Any]] = []
    for contest in document(comparison)["contests"]:
        setting = {key: _text(value) for key, value in contest["setting"].items()}
        for entry in contest["entries"]:
            for name in ("rates", "notes", "runs"):
                entry[name] = " | ".join(map(str, entry[name]))
            for name in ("samples_per_second", "ratio"):
                interval = entry.pop(name) or {}
                entry |= {f"{name}_{part}": interval.get(part) for part in ("median", "low", "high")}
            rows.append({**setting, "baseline": contest["baseline"], **entry})
    return csv_table(Table([Column(key, itemgetter(key)) for key in (rows[0] if rows else ())], rows))


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value
