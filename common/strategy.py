"""The plug-in interface: the one page that the author of a sync strategy reads.

A strategy is plain blocking Python over a `Context`: send, recv, arithmetic. It never sees a socket, so the same
file runs on real transports and in virtual time. Try one with `syncbench run --strategy your_module:YourClass`, and
hold it to its promises with `common.testing.checks.check_strategy`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from common.types import Rows, Vector

if TYPE_CHECKING:
    from common.context import Context


@dataclass(frozen=True, slots=True)
class Traits:
    """What a strategy promises; the conformance suite holds it to that."""

    # What it does, and when.
    exchanges: Literal["gradients", "parameters"] = "gradients"  # parameters: stage 6 runs before stage 5
    update: Literal["worker", "server"] = "worker"  # where stage 6 happens
    servers: bool = False  # needs server ranks
    sparse: bool = False  # can synchronise the touched rows of an embedding table alone: `Bucket.rows`

    # What workers can rely on.
    consistency: str = "bsp"  # bsp, ssp(s), asp, backup(b) or none; where options decide, set `traits` on the instance
    replicas_equal: bool = True  # all workers hold the same bits after every step

    # What becomes of the job. A worker: optional, it goes on where the user wants it to; see `Context.departed`.
    # A server, where the user wants it started again: rollback, all go on from a checkpoint that every server has;
    # continue, the others go on from where they are, and what it had done since its last checkpoint is lost.
    on_worker_death: Literal["abort", "optional", "continue"] = "abort"
    on_server_death: Literal["abort", "rollback", "continue"] = "abort"


@dataclass(frozen=True, slots=True)
class Link:
    """Cost of communication: α seconds a message, β seconds a byte each way, γ seconds to add up one byte."""

    alpha: float = 0.0
    beta: float = 0.0
    gamma: float = 0.0


@dataclass(slots=True)
class Bucket:
    """A contiguous piece of the model: flat float32 views of its gradient and parameters, both shape (size,).

    `start` is where it begins in the flat vector of the whole model. The bucket of a table whose gradient is sparse
    is the last one. It has `rows` instead of `grad`, which is empty then; only where the traits say `sparse`.
    """

    grad: Vector
    params: Vector
    index: int = 0
    start: int = 0
    rows: Rows | None = None


class SyncStrategy(ABC):
    """Stage 5, and the life of the servers if there are any. Options are the typed arguments of `__init__`."""

    traits = Traits()
    sparse: Literal["auto", "on", "off"] = "auto"  # where the traits say sparse; auto: where the optimizer allows it

    def check(self, workers: int) -> None:  # noqa: B027 - optional
        """Before anything starts: ConfigError, one line, if this machine cannot run it with so many workers."""

    def setup(self, ctx: Context, params: Vector) -> None:  # noqa: B027 - optional
        """On every worker, once: make `params` (in place) the same on all of them. Blocks; may raise RunError."""

    @abstractmethod
    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """On every worker, every step, for every bucket in the order of their indices, in place.

        Update at the worker: leave in `bucket.grad` the mean gradient, or in `bucket.rows` its mean, over the union of
        the workers' rows. Update at the server: leave in `bucket.params` the new parameters; who was left behind by the
        others calls `ctx.skip_to`. Blocks until done; raises RunError. With several buckets it may run in another
        thread than `setup` and `finish`, always the same one, while backward goes on: touch nothing of the model but
        the bucket.
        """

    def serve(self, ctx: Context, params: Vector, buckets: Sequence[Bucket]) -> None:
        """On every server: its whole life. `params` has the size of the model; the workers' values count.

        `buckets` are views of it, and of as large a gradient: the same as the workers', in the order of their calls.
        """
        raise NotImplementedError(f"{type(self).__name__} has no servers")

    def finish(self, ctx: Context) -> None:  # noqa: B027 - optional
        """On every worker, once, after the last step."""

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int, itemsize: int = 4) -> int | None:
        """Exact payload bytes that `rank` sends in one step for a bucket of `size` elements; None: no promise.

        For a dense bucket: what is sent of a table by rows depends on the samples, and nothing is promised.
        """
        return None

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float | None:
        """Predicted seconds of one synchronisation of `nbytes` bytes; None: no promise."""
        return None

    def notes(self) -> dict[str, Any]:
        """What a result should say of the strategy's own choices, as JSON values; worker 0 is asked at the end.

        An entry `in_words` is a line for people: `syncbench run` prints it.
        """
        return {}
