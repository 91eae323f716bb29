"""The file trace.json in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.trace.load import read_traces
from experiments.trace.perfetto import trace_events
from experiments.trace.timeline import Timeline, timeline

NAME = "trace.json"
VIEWERS = "https://ui.perfetto.dev or chrome://tracing"


def write_trace(folder: Path) -> Timeline:
    """Merge the traces of the ranks of the run in `folder` and write them atomically. ConfigError, OSError."""
    found = timeline(read_traces(folder))
    part = folder / f"{NAME}.part"
    try:
        with open(part, "w") as file:
            file.write('{"displayTimeUnit":"ms","otherData":')
            file.write(json.dumps(about(found)))
            file.write(',"traceEvents":[')
            comma = "\n"
            encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
            for event in trace_events(found):
                file.write(comma + encode(event))
                comma = ",\n"
            file.write("\n]}\n")
        part.rename(folder / NAME)
    finally:
        part.unlink(missing_ok=True)
    return found


def about(found: Timeline) -> dict[str, Any]:
    """Return what a reader of the trace should know: missing parts, and the corrections of the clocks."""
    clock_of = {str(trace.rank): found.clocks.index(trace.clock) for trace in found.traces}
    ahead, uncertainty = found.offsets.ahead, found.offsets.uncertainty
    return {
        "schema": 1,
        "made_by": "syncbench",
        "cut": cut_line(found),
        "seconds": round(found.window[1] - found.window[0], 7),
        "clocks": len(found.clocks),
        "clock_offset_seconds": {rank: round(float(ahead[clock]), 9) for rank, clock in clock_of.items()},
        "clock_uncertainty_seconds": {
            rank: round(float(uncertainty[clock]), 9) if np.isfinite(uncertainty[clock]) else None
            for rank, clock in clock_of.items()
        },
    }


def cut_line(found: Timeline) -> str | None:
    """Return a phrase that says what was left out of a long run; None if nothing was."""
    if not found.cut:
        return None
    began, ended = found.window
    kept = [trace.stages["step"][trace.stages["began"] >= began] for trace in found.traces if trace.role == "worker"]
    first = min((int(steps[steps >= 0].min()) for steps in kept if (steps >= 0).any()), default=None)
    since = "" if first is None else f", from step {first} on"
    return f"a long run, of which only the last {ended - began:.3g} s are in the trace{since}"
