"""The trace of a run as a file: trace.json in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.trace.load import read_traces
from experiments.trace.perfetto import trace_events
from experiments.trace.timeline import Timeline, timeline

NAME = "trace.json"
VIEWERS = "https://ui.perfetto.dev or chrome://tracing"


def write_trace(folder: Path) -> Timeline:
    """Put together what the ranks of the run in `folder` have noted, and write it; atomic. ConfigError, OSError."""
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
    """What a reader of the trace should know: what is missing in it, and how the clocks were put right."""
    clock_of = {clock: number for number, clock in enumerate(found.clocks)}
    apart = [clock_of[tape.clock] for tape in found.traces]
    return {
        "schema": 1,
        "made_by": "syncbench",
        "cut": cut_line(found),
        "seconds": round(found.window[1] - found.window[0], 7),
        "clocks": len(found.clocks),
        "clock_offset_seconds": {
            str(tape.rank): round(float(found.offsets.ahead[clock]), 9)
            for tape, clock in zip(found.traces, apart, strict=True)
        },
        "clock_uncertainty_seconds": {
            str(tape.rank): _finite(float(found.offsets.uncertainty[clock]))
            for tape, clock in zip(found.traces, apart, strict=True)
        },
    }


def _finite(value: float) -> float | None:
    return round(value, 9) if abs(value) != float("inf") else None


def cut_line(found: Timeline) -> str | None:
    """What was left out of a long run, in words; None if nothing was."""
    if not found.cut:
        return None
    began, ended = found.window
    kept = [tape.stages["step"][tape.stages["began"] >= began] for tape in found.traces if tape.role == "worker"]
    first = min((int(steps[steps >= 0].min()) for steps in kept if (steps >= 0).any()), default=None)
    since = "" if first is None else f", from step {first} on"
    return f"a long run, of which only the last {ended - began:.3g} s are in the trace{since}"
