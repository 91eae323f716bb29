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

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allreduce.strategy import AllReduce as AllReduce
    from common.context import Context as Context
    from common.context import Optimizer as Optimizer
    from common.errors import CheckFailed as CheckFailed
    from common.errors import ConfigError as ConfigError
    from common.errors import DeadlineExceeded as DeadlineExceeded
    from common.errors import Deadlock as Deadlock
    from common.errors import PeerFailed as PeerFailed
    from common.errors import ProtocolError as ProtocolError
    from common.errors import RunError as RunError
    from common.errors import SyncbenchError as SyncbenchError
    from common.pipeline.engine import EngineStrategy as EngineStrategy
    from common.pipeline.engine import EngineTraits as EngineTraits
    from common.simulate import Outcome as Outcome
    from common.simulate import simulate as simulate
    from common.strategy import Bucket as Bucket
    from common.strategy import Link as Link
    from common.strategy import SyncStrategy as SyncStrategy
    from common.strategy import Traits as Traits
    from common.testing import checks
    from common.transport.virtual.network import Delay as Delay
    from common.transport.virtual.network import Drop as Drop
    from common.transport.virtual.network import Kill as Kill
    from common.transport.virtual.network import Network as Network
    from common.types import Array as Array
    from common.types import Rows as Rows
    from common.types import Vector as Vector
    from experiments.comparison.model import Comparison as Comparison
    from experiments.runs.execute import RunFailed as RunFailed
    from experiments.runs.frames import RunFrames as RunFrames
    from experiments.runs.frames import load_runs as load_runs
    from experiments.runs.run import Run as Run
    from syncbench._verbs import compare as compare
    from syncbench._verbs import run as run
    from syncbench._verbs import sweep as sweep
    from syncbench._verbs import verdict as verdict

    check = checks.check_strategy

_MODULES = {
    "allreduce.strategy": "AllReduce",
    "common.context": "Context Optimizer",
    "common.errors": "CheckFailed ConfigError DeadlineExceeded Deadlock "
    "PeerFailed ProtocolError RunError SyncbenchError",
    "common.pipeline.engine": "EngineStrategy EngineTraits",
    "common.simulate": "Outcome simulate",
    "common.strategy": "Bucket Link SyncStrategy Traits",
    "common.testing.checks": "check",
    "common.transport.virtual.network": "Delay Drop Kill Network",
    "common.types": "Array Rows Vector",
    "experiments.comparison.model": "Comparison",
    "experiments.runs.execute": "RunFailed",
    "experiments.runs.frames": "RunFrames load_runs",
    "experiments.runs.run": "Run",
    "syncbench._verbs": "compare run sweep verdict",
}
_MODULE_OF = dict(sorted((name, module) for module, names in _MODULES.items() for name in names.split()))
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
