"""The public names of syncbench: everything that plug-ins, notebooks and examples need, and nothing else.

Write a strategy: `SyncStrategy` (or `AllReduce`, for one algorithm on a vector) with its `Traits`; it gets a `Context`
and a `Bucket`, and `Rows` if it is sparse. `EngineStrategy` with `EngineTraits` is for libraries that move the bytes
themselves. `Link` is for predictions, `Optimizer` for servers; `Array` and `Vector` are types of NumPy arrays.

Try a strategy without processes: `check` holds it to its promises, `simulate` runs any program on a `Network` of your
choice in virtual time, with `Kill`, `Drop` and `Delay` as faults, and returns an `Outcome`.

Measure: `run` trains with one strategy and returns a `Run`; `sweep` runs a grid; `compare` gives a `Comparison` with
the verdict; `load_runs` gives `RunFrames`, the results as pandas frames.

Errors: `SyncbenchError` is the base of `ConfigError` (a wrong option), `CheckFailed` (a broken promise), `RunFailed`
(a run that ended badly) and `RunError` (a rank that failed) with its kinds `PeerFailed`, `DeadlineExceeded`,
`ProtocolError` and `Deadlock`.

Each name is loaded when it is first used, so importing this module takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allreduce.strategy import AllReduce
    from common.context import Context, Optimizer
    from common.errors import (
        CheckFailed,
        ConfigError,
        DeadlineExceeded,
        Deadlock,
        PeerFailed,
        ProtocolError,
        RunError,
        SyncbenchError,
    )
    from common.pipeline.engine import EngineStrategy, EngineTraits
    from common.simulate import Outcome, simulate
    from common.strategy import Bucket, Link, SyncStrategy, Traits
    from common.testing.checks import check_strategy as check
    from common.transport.virtual.network import Delay, Drop, Kill, Network
    from common.types import Array, Rows, Vector
    from experiments.comparison import Comparison
    from experiments.runs.execute import RunFailed
    from experiments.runs.frames import RunFrames, load_runs
    from experiments.runs.run import Run
    from syncbench._harness import compare, run, sweep

__all__ = [
    "AllReduce",
    "Array",
    "Bucket",
    "CheckFailed",
    "Comparison",
    "ConfigError",
    "Context",
    "DeadlineExceeded",
    "Deadlock",
    "Delay",
    "Drop",
    "EngineStrategy",
    "EngineTraits",
    "Kill",
    "Link",
    "Network",
    "Optimizer",
    "Outcome",
    "PeerFailed",
    "ProtocolError",
    "Rows",
    "Run",
    "RunError",
    "RunFailed",
    "RunFrames",
    "SyncStrategy",
    "SyncbenchError",
    "Traits",
    "Vector",
    "check",
    "compare",
    "load_runs",
    "run",
    "simulate",
    "sweep",
]

_MODULES = {
    "allreduce.strategy": ("AllReduce",),
    "common.context": ("Context", "Optimizer"),
    "common.errors": (
        "CheckFailed",
        "ConfigError",
        "DeadlineExceeded",
        "Deadlock",
        "PeerFailed",
        "ProtocolError",
        "RunError",
        "SyncbenchError",
    ),
    "common.pipeline.engine": ("EngineStrategy", "EngineTraits"),
    "common.simulate": ("Outcome", "simulate"),
    "common.strategy": ("Bucket", "Link", "SyncStrategy", "Traits"),
    "common.testing.checks": ("check",),
    "common.transport.virtual.network": ("Delay", "Drop", "Kill", "Network"),
    "common.types": ("Array", "Rows", "Vector"),
    "experiments.comparison": ("Comparison",),
    "experiments.runs.execute": ("RunFailed",),
    "experiments.runs.frames": ("RunFrames", "load_runs"),
    "experiments.runs.run": ("Run",),
    "syncbench._harness": ("compare", "run", "sweep"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_NAME_THERE = {"check": "check_strategy"}


def __getattr__(name: str) -> Any:
    """Load a public name on its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), _NAME_THERE.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
