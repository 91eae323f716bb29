"""The plug-in interface: all that the author of a sync strategy needs to read, with `common.context`.

A strategy is plain blocking Python over a `Context`: send, receive, add. It never sees a socket, so the same file runs
on real transports and in virtual time. Run one with `syncbench run --strategy your_module:YourClass`; hold it to its
promises with `syncbench.check`.
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

    exchanges: Literal["gradients", "parameters"] = "gradients"  # parameters: stage 6 runs before stage 5
    update: Literal["worker", "server"] = "worker"  # where stage 6 happens
    servers: bool = False  # needs server ranks
    sparse: bool = False  # can synchronise only the touched rows of an embedding table: `Bucket.rows`
    consistency: str = "bsp"  # bsp, ssp(s), asp, backup(b) or none; set `traits` on the instance if options decide
    replicas_equal: bool = True  # all workers hold the same bits after every step
    # When a worker dies. abort: the job ends. continue: it goes on. optional: it goes on if the user wants it to.
    on_worker_death: Literal["abort", "optional", "continue"] = "abort"
    # When a server dies and the user wants it started again. rollback: all ranks go back to a checkpoint that every
    # server has. continue: the others go on, and what the dead server did since its last checkpoint is lost.
    on_server_death: Literal["abort", "rollback", "continue"] = "abort"


@dataclass(frozen=True, slots=True)
class Link:
    """The cost of communication: α seconds a message, β seconds a byte each way, γ seconds to add up one byte."""

    alpha: float = 0.0
    beta: float = 0.0
    gamma: float = 0.0


@dataclass(slots=True)
class Bucket:
    """A contiguous piece of the model: flat float32 views of its gradient and its parameters, both of shape (size,).

    `start` is its first element in the flat vector of the whole model. An embedding table with a sparse gradient is
    the last bucket: it has `rows`, and its `grad` is empty. Only strategies with the trait `sparse` get such a bucket.
    """

    grad: Vector
    params: Vector
    index: int = 0
    start: int = 0
    rows: Rows | None = None


class SyncStrategy(ABC):
    """Stage 5 of 6 (synchronize) on every worker, and the loop of the servers. Options are arguments of `__init__`."""

    traits = Traits()
    sparse: Literal["auto", "on", "off"] = "auto"  # whether tables go by rows; auto: if traits and optimizer allow it

    def check(self, workers: int) -> None:  # noqa: B027 - optional
        """Raise ConfigError, one line, if this machine cannot run the strategy with so many workers."""

    def setup(self, ctx: Context, params: Vector) -> None:  # noqa: B027 - optional
        """On every worker, once: make `params` the same on all workers, in place. Blocks; may raise RunError."""

    @abstractmethod
    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """On every worker, in every step, for every bucket in the order of their indices: synchronise it, in place.

        If `traits.update` is "worker", leave the mean gradient in `bucket.grad`. For a bucket with rows, leave the mean
        over the union of the workers' rows in `bucket.rows`. If it is "server", leave the new parameters in
        `bucket.params`; a worker that fell behind calls `ctx.skip_to`. Blocks until done; may raise RunError. With
        several buckets it runs in a thread of its own while backward goes on: of the model, touch the bucket alone.
        """

    def serve(self, ctx: Context, params: Vector, buckets: Sequence[Bucket]) -> None:
        """On every server, once: serve until all workers have finished. Blocks; may raise RunError.

        `params` has the size of the model; its first values come from the workers. `buckets` are views of `params` and
        of a gradient of that size: the workers' buckets, in the order of their calls.
        """
        raise NotImplementedError(f"{type(self).__name__} has no servers")

    def finish(self, ctx: Context) -> None:  # noqa: B027 - optional
        """On every worker, once, after the last step. Blocks; may raise RunError."""

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int | None:
        """Return the exact payload bytes of `rank` for a bucket of `size` float32 without rows; None: no promise."""
        return None

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float | None:
        """Return the predicted seconds of one synchronisation of `nbytes` bytes; None: no promise."""
        return None

    def notes(self) -> dict[str, Any]:
        """Return the strategy's choices as JSON values, on worker 0 after the last step; `run` prints `in_words`."""
        return {}
