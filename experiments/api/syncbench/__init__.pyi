"""The public names of syncbench, for type checkers and for `__init__.py`: each stands here, once."""

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
from common.testing.checks import check_strategy
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

check = check_strategy
