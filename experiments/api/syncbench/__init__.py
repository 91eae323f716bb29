"""The public names of syncbench: everything that plug-ins, notebooks and examples need, and nothing else.

Write a strategy: `SyncStrategy` (or `AllReduce`, for one algorithm on a vector) with its `Traits`; it gets a `Context`
and a `Bucket`, and `Rows` if it is sparse. `EngineStrategy` with `EngineTraits` is for libraries that move the bytes
themselves. `Link` is for predictions, `Optimizer` for servers; `Array` and `Vector` are types of NumPy arrays.

Try a strategy without processes: `check` holds it to its promises, `simulate` runs any program on a `Network` of your
choice in virtual time, with `Kill`, `Drop` and `Delay` as faults, and returns an `Outcome`.

Measure: `run` trains with one strategy and returns a `Run`; `sweep` runs a grid; `compare` gives a `Comparison`, and
`verdict` puts it into words; `load_runs` gives `RunFrames`, the results as pandas frames.

Errors: `SyncbenchError` is the base of `ConfigError` (a wrong option), `CheckFailed` (a broken promise), `RunFailed`
(a run that ended badly) and `RunError` (a rank that failed) with its kinds `PeerFailed`, `DeadlineExceeded`,
`ProtocolError` and `Deadlock`.

Each name is loaded when it is first used, so importing this module takes no time.
"""

import ast
import importlib
from pathlib import Path
from typing import Any

_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_IMPORTS = [node for node in _STUB.body if isinstance(node, ast.ImportFrom)]
_NAMES = {alias.name.replace("check_strategy", "check"): str(node.module) for node in _IMPORTS for alias in node.names}
_MODULE_OF = dict(sorted(_NAMES.items()))
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Load a public name on its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), "check_strategy" if name == "check" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
