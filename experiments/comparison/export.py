"""A comparison as plain values: one JSON document, or a line of CSV for each entry."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from experiments.comparison.model import Comparison, Contest, Entry
from experiments.comparison.predictions import Predictions, residual
from experiments.comparison.wording import verdict_sentence
from experiments.metrics.intervals import Interval
from experiments.schema.files import to_builtins


def document(comparison: Comparison, predicted: Predictions) -> dict[str, Any]:
    """As JSON values, with the summaries of the runs in the middle; nothing in it is NaN."""
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
                "entries": [_entry(entry, contest, predicted.get((place, entry.label))) for entry in contest.entries],
            }
            for place, contest in enumerate(comparison.contests)
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
            for contest in comparison.contests
            for entry in contest.entries
        ],
    }


def _entry(entry: Entry, contest: Contest, predicted: float | None) -> dict[str, Any]:
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
        "predicted": predicted,
        "residual": residual(entry, predicted),
        "computed": entry.check.kind,
        "deviation": entry.check.deviation,
        "refused": entry.refused,
        "notes": list(entry.notes),
        "runs": [str(run.path) for run in entry.runs],
    }


def _interval(interval: Interval | None) -> dict[str, float] | None:
    return {"low": interval.low, "median": interval.middle, "high": interval.high} if interval else None


def comma_separated(comparison: Comparison, predicted: Predictions) -> str:
    """A header and a line for each entry; what is not known is empty."""
    rows = []
    for contest in document(comparison, predicted)["contests"]:
        setting = {key: _text(value) for key, value in contest["setting"].items()}
        for entry in contest["entries"]:
            rate, ratio = entry.pop("samples_per_second") or {}, entry.pop("ratio") or {}
            for name in ("rates", "notes", "runs"):
                entry[name] = " | ".join(map(str, entry[name]))
            spans = {
                f"{name}_{part}": span.get(part)
                for name, span in (("samples_per_second", rate), ("ratio", ratio))
                for part in ("median", "low", "high")
            }
            rows.append({**setting, "baseline": contest["baseline"], **entry, **spans})
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value
