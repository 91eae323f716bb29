"""What a job is: everything that a rank must know, in one frozen value that travels as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

TRANSPORTS = ("shm", "ipc", "tcp")
VIRTUAL = "virtual"  # all ranks in one process, in virtual time
AUTO = "auto"  # the fastest of them that this machine can do
DEDICATED, COLOCATED = PLACEMENTS = ("dedicated", "colocated")  # servers: in processes of their own, or in the workers'
# Bytes. DDP's 25 MiB would leave most models here one bucket, with nothing to hide; 4 MiB take milliseconds to
# exchange, so that the latency of a message is small beside them. A smaller model is one bucket.
BUCKET = 4 << 20
WHOLE = 1 << 40  # more than any model: one bucket


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """The update rule of stage 6: `sgd` (with momentum) or `adam`, and its learning rate over the `steps` of the job.

    See `common.pipeline.lr_schedule` for `schedule` and what follows it.
    """

    name: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    schedule: str = "constant"
    warmup: int = 0  # steps
    decay: float = 0.1  # of `step`: the factor, every `decay_every` steps
    decay_every: int = 1
    steps: int = 0  # 0: unknown, which only `constant` and `step` can do with

    @property
    def plain(self) -> bool:
        """Whether a parameter without a gradient stays as it is: neither momentum nor adam."""
        return self.name == "sgd" and self.momentum == 0


@dataclass(frozen=True, slots=True)
class Job:
    """One strategy, W workers, S servers, and what they train.

    `partition` and `preprocess` are in the words of `common.pipeline.partition` and `.transform_names`.

    `batch` is the samples of a step over all workers, `bucket` the bytes of a piece of the gradient that is
    synchronised by itself, beside the backward of the others if `overlap` is "on", after it if "off". `sparse`: the
    gradient of the model's table is its touched rows. `slow_worker`, `jitter` and `train_seconds` lengthen stage 4, in
    the words of `common.pipeline.straggler`.
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
    link: str | None = (
        None  # in virtual time: what connects the machines, as common.transport.virtual.link_spec reads it
    )
    interface: str = "127.0.0.1"
    placement: str = DEDICATED
    hosts: int = 1  # that the ranks are shared out over, though all are here: between them it is tcp
    deadline: float = 60.0
    threads: int = 1
    bucket: int = BUCKET
    overlap: str = "on"
    slow_worker: str = ""
    jitter: str = ""
    train_seconds: float = 0.0
    on_worker_death: str = "abort"  # or "continue" with those that live
    sparse: bool = False
    strategy_options: dict[str, Any] = field(default_factory=dict)
    checkpoint_every: int = 0  # steps after which a server saves its state; 0: never
    restarts: int = 0  # how often servers that died are started again
    trace: bool = False  # whether each rank notes what it does when

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """The inverse of `to_dict`."""
        fixed = {"optimizer": OptimizerSpec(**values["optimizer"]), "hidden": tuple(values["hidden"])}
        return cls(**{**values, **fixed})
