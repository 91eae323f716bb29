"""A job: everything that a rank must know, in one frozen value that travels as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

TRANSPORTS = ("shm", "ipc", "tcp")
VIRTUAL = "virtual"  # all ranks in one process, in virtual time
AUTO = "auto"  # the fastest transport that this machine can use
DEDICATED, COLOCATED = PLACEMENTS = ("dedicated", "colocated")  # of servers: in their own processes, or in the workers'
# Bytes. With the 25 MiB of DDP, most models here would be one bucket, and no exchange could overlap with backward.
# 4 MiB take milliseconds to exchange, so the latency of a message is small against them.
BUCKET = 4 << 20
ONE_BUCKET = 1 << 40  # more than any model: one bucket


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """The update rule of stage 6: `sgd` or `adam`, and its schedule (see `common.pipeline.lr_schedule`)."""

    name: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    schedule: str = "constant"
    warmup: int = 0  # steps
    decay: float = 0.1  # schedule `step`: the factor after every `decay_every` steps
    decay_every: int = 1
    steps: int = 0  # 0: unknown; only the schedules `constant` and `step` work then

    @property
    def plain(self) -> bool:
        """Whether the rule leaves a parameter without a gradient unchanged: neither momentum nor adam."""
        return self.name == "sgd" and self.momentum == 0


@dataclass(frozen=True, slots=True)
class Job:
    """One strategy, W workers and S servers, and what they train.

    `partition` and `preprocess` are names of `common.pipeline.partition` and `.transform_names`. `batch` is the number
    of samples of a step over all workers. A bucket of `bucket` bytes of the gradient is synchronised alone: during the
    backward of the other buckets if `overlap` is "on", else after it. `sparse`: the gradient of the model's table has
    its touched rows only. `slow_worker`, `jitter` and `train_seconds` lengthen stage 4 (`common.pipeline.straggler`).
    """

    strategy: str
    workers: int
    servers: int
    batch: int
    steps: int
    seed: int = 0
    data: str = "digits"
    model: str = "mlp"
    hidden: tuple[int, ...] = (64,)
    partition: str = "shuffled"
    preprocess: str = "normalise"
    optimizer: OptimizerSpec = OptimizerSpec()
    transport: str = "ipc"
    link: str | None = None  # in virtual time: the machines' links, in the form of common.transport.virtual.link_spec
    interface: str = "127.0.0.1"
    placement: str = DEDICATED
    hosts: int = 1  # the ranks are divided into so many groups on this machine; between groups they use tcp
    deadline: float = 60.0
    threads: int = 1
    bucket: int = BUCKET
    overlap: str = "on"
    slow_worker: str = ""
    jitter: str = ""
    train_seconds: float = 0.0
    on_worker_death: str = "abort"  # or "continue" with the others
    sparse: bool = False
    strategy_options: dict[str, Any] = field(default_factory=dict)
    checkpoint_every: int = 0  # steps after which a server saves its state; 0: never
    restarts: int = 0  # how often dead servers are restarted
    trace: bool = False  # whether each rank records its messages and stages

    def to_dict(self) -> dict[str, Any]:
        """Return the job as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """Return the job whose `to_dict` is `values`."""
        fixed = {"optimizer": OptimizerSpec(**values["optimizer"]), "hidden": tuple(values["hidden"])}
        return cls(**{**values, **fixed})
