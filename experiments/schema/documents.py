"""The typed content of `summary.json`, `env.json` and `bench.json`; `records.py` has that of the files of lines.

Every attribute has the name of its JSON key. Keys that this version does not know are ignored, so that files of later
versions with the same `schema` can be read. A default is what was true before the key existed, or None for unknown.
Bytes are payload bytes. A float that JSON cannot hold (NaN, infinity) is written as null and read as None.
"""

# ruff: noqa: N815 - keys that end in GBps keep the spelling of the unit

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from common.runtime.job import OptimizerSpec
from common.strategy import Link
from experiments.schema.records import StageSeconds

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Status = Literal["ok", "failed", "partial"]  # partial: interrupted by the user


class Document(Struct, frozen=True, kw_only=True):
    """A file of one JSON object. `schema` is the version of its layout; this program reads `VERSION` alone."""

    VERSION: ClassVar[int] = 1
    schema: int


class ErrorRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first error of a run. The place is None where the user interrupted the run."""

    type: str  # name of the exception's class
    rank: int | None
    role: str | None
    stage: str | None
    step: int | None  # counts from 0; common.errors.SETUP and FINISH lie outside the steps
    bucket: int = 0
    peers: tuple[int, ...] | None = None  # ranks that a DeadlineExceeded waited for
    cause: str


class PerRank(Struct, frozen=True, kw_only=True):
    """One count a rank, workers and servers in order of rank; None where a rank did not live to report it."""

    per_worker: tuple[Count | None, ...] = ()
    per_server: tuple[Count | None, ...] = ()

    def of(self, role: Literal["worker", "server"]) -> tuple[int | None, ...]:
        """Return the counts of the ranks with this role."""
        return self.per_worker if role == "worker" else self.per_server


class PerWorker(Struct, frozen=True, kw_only=True):
    """One count a worker, in order of rank."""

    per_worker: tuple[Count, ...] = ()


class PushCounts(Struct, frozen=True, kw_only=True):
    """Pushes by what became of them; with several servers each push counts at each of them."""

    applied: Count = 0
    dropped: Count = 0  # too late
    lost: Count = 0  # with a server that died


class ServerDetail(Struct, frozen=True, kw_only=True):
    """What one server holds and moves; None where it did not live to report it."""

    rank: int
    process_of: int  # the rank whose process it shares; its own rank if it has a process of its own
    parameters: Count | None = None
    bytes: Count | None = None  # of those parameters
    optimizer_state_bytes: Count | None = None
    bytes_within_process: Count | None = None  # to and from the other ranks of its process
    bytes_sent: Count | None = None
    bytes_received: Count | None = None
    held_share: float | None = None  # its `bytes` over the mean of all servers
    load_share: float | None = None  # its bytes sent and received over the mean of all servers


class Death(Struct, frozen=True, kw_only=True):
    """A worker that died and that the job went on without."""

    rank: int
    step: int
    stage: str
    cause: str


class Restart(Struct, frozen=True, kw_only=True):
    """A server that died and came back."""

    rank: int
    step: int  # in which it died
    stage: str
    at: float  # seconds since the start of the job
    resumed_from: int  # step of the checkpoint; 0: from the beginning
    incarnation: int  # of the job, from 1
    damaged: tuple[str, ...] = ()  # checkpoints that could not be used, a line each


class ComputeCosts(StageSeconds, frozen=True, kw_only=True):
    """Seconds that computing takes in virtual time: those of a worker's stages in one step, and of adding up."""

    reduce_per_byte: float = 0.0  # seconds to add up one byte
    measured: bool = False  # False: the user told them


class Summary(Document, frozen=True, kw_only=True):
    """`summary.json`: what was asked for, what came of it, and how the run ended."""

    status: Status

    # What was asked for: common.job.Job has the meaning of each.
    strategy: str
    strategy_options: dict[str, Any] = {}
    workers: Count
    servers: Count
    steps: Count
    batch: Count  # samples of a step, over all workers
    seed: int
    data: str
    model: str
    hidden: tuple[int, ...] = ()
    partition: str = "shuffled"
    preprocess: str = "normalise"
    optimizer: OptimizerSpec = OptimizerSpec()
    sparse: bool = False
    transport: str
    link: str | None = None
    hosts: Count = 1
    bucket: Count | None = None  # bytes
    overlap: str = "off"  # on or off
    slow_worker: str = ""
    jitter: str = ""
    train_seconds: float = 0.0  # floor of stage train; 0: none
    checkpoint_every: Count = 0  # steps; 0: never
    trace: bool = False
    automatic: tuple[str, ...] = ()  # keys of settings that the user left to the program

    # What the strategy promises: common.strategy.Traits.
    consistency: str = "none"  # bsp, ssp(s), asp, backup(b) or none
    replicas_equal: bool = False
    own_transport: str | None = None
    synchronizes_in: str = "synchronize"  # or train
    placement: str | None = None  # of the servers; None without servers
    processes: Count

    # What the workers recorded.
    warmup_steps: Count = 0  # steps at the start that `samples_per_second` leaves out
    steps_done: Count = 0  # by every worker
    steps_skipped: PerWorker = PerWorker()
    samples_per_second: float | None = None  # of the whole job
    final_loss: float | None = None  # of the last step, mean over the workers that trained in it
    ledger_sha256: str | None = None
    stage_seconds: StageSeconds | None = None  # of all steps, mean over the workers
    hidden_synchronize_seconds: float | None = None  # of all steps, mean over the workers

    # What the servers recorded; None without a history.
    staleness_max: Count | None = None  # steps
    staleness_histogram: dict[int, Count] | None = None  # applied pushes, by their staleness in steps
    staleness_updates_max: Count | None = None  # updates
    staleness_updates_histogram: dict[int, Count] | None = None  # applied pushes, by their staleness in updates
    pushes: PushCounts | None = None
    waited_seconds: tuple[float, ...] | None = None  # that servers held back each worker's answers; mean over servers

    # What the ranks reported at their end.
    test_accuracy: float | None = None  # from 0 to 1
    data_sha256: str | None = None
    strategy_notes: dict[str, Any] = {}  # what the strategy says of its choices; `in_words` is a sentence
    params_sha256: tuple[str, ...] = ()  # one a worker; empty unless all came to their end
    costs: ComputeCosts | None = None  # None in real time
    parameters: Count | None = None  # of the model
    bytes_sent: PerRank | None = None  # of all steps
    messages_sent: PerRank | None = None
    bytes_received: PerRank | None = None
    bytes_between: dict[str, dict[str, Count]] | None = None  # by sender and receiver: `3`, or `0-15` for a group
    servers_detail: tuple[ServerDetail, ...] = ()
    peak_memory_bytes: PerRank | None = None  # of each rank's process

    # How the run ended.
    wall_seconds: float = 0.0
    deaths: tuple[Death, ...] = ()
    incarnations: Count = 1
    restarts: tuple[Restart, ...] = ()
    error: ErrorRecord | None = None  # None if the run is ok
    results_dir: str = ""


class Environment(Document, frozen=True, kw_only=True):
    """`env.json`: what a result depends on besides its configuration. None: the system does not say."""

    schema: int = 1
    python: str | None = None
    platform: str | None = None
    cpu: str | None = None
    cores: Count | None = None  # that the program could use
    memory_bytes: Count | None = None
    threads_per_rank: Count | None = None
    hosts: Count | None = None
    commit: str | None = None  # of the checkout; with + if files were changed
    versions: dict[str, str | None] = {}  # by package; None: not installed
    transport: str | tuple[str, ...] | None = None  # several in a benchmark
    link: str | None = None


class BenchRow(Struct, frozen=True, kw_only=True):
    """One contestant at one size. GB are 10⁹ bytes. docs/bench.md explains the columns."""

    strategy: str
    transport: str
    workers: Count
    servers: Count
    placement: str | None = None  # of the servers
    bytes: Count  # of the vector that is exchanged
    update: bool = False  # the time has the update of the parameters in it
    seconds_median: float  # of one exchange
    seconds_ci95: tuple[float, float] | None = None
    algbw_GBps: float
    busbw_GBps: float | None = None  # None with servers
    server_ingress_GBps: float | None = None  # of the busiest server
    server_egress_GBps: float | None = None
    wire_bytes: Count | None = None  # sent by all ranks in one exchange; None for an engine with its own transport
    wrong: Count | None = None  # elements that differ from the right result
    limit_fraction: float | None = None  # the shortest possible time over this one
    notes: str | None = None  # what the strategy says of its choices
    iterations: Count | None = None
    samples: tuple[float, ...] = ()  # seconds of one exchange, mean of each timed block
    seconds_predicted: float | None = None
    ratio: float | None = None  # the baseline's median time over this one's


class BenchLimits(Struct, frozen=True, kw_only=True):
    """What this machine can do at best."""

    copy_GBps_per_core: float
    tcp_stream_GBps: float
    tcp_streams: Count  # at once
    cores: Count


class Bench(Document, frozen=True, kw_only=True):
    """`bench.json`: exchanges alone."""

    status: Status
    baseline: str
    rows: tuple[BenchRow, ...]
    limits: BenchLimits | None  # None if the benchmark did not live to measure them
    links: dict[str, Link] = {}  # the measured cost of each transport
    environment: Environment
    error: ErrorRecord | None = None
    results_dir: str = ""
