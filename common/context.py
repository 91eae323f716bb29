"""The context: one rank's view of the job, and its blocking messages to the other ranks.

Ranks 0 … W-1 are workers, ranks W … W+S-1 are servers. Messages from one rank to another arrive complete, once and in
order, or an error is raised. Each message carries its sender's step and bucket. A receiver that is at another step or
bucket, or asks for another dtype or size, raises ProtocolError. Arrays are C-contiguous and of any numeric dtype; only
their elements travel, their shape does not.

A call that blocks ends within `deadline` seconds: it returns or raises a RunError, which is DeadlineExceeded,
PeerFailed or ProtocolError. After an error, the array to be filled may be half filled. A rank outside the job and a
strided array are ValueErrors.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from common.barrier import barrier
from common.fast_paths import FastPaths
from common.transport.wrappers.subgroup import SubgroupEndpoint
from common.types import Array, Rows, Vector

if TYPE_CHECKING:
    from common.runtime.checkpoint import Checkpoints
    from common.transport.base import Endpoint, Message


class Optimizer(Protocol):
    """Stage 6: the rule that updates some flat parameters, on a worker or on a server."""

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """Update the parameters in place from `grad`, float32 of the same shape, which is not changed.

        `at` is the step in which the gradient was computed; the schedule of the learning rate reads it. `damping`,
        above 0 and up to 1, multiplies the learning rate of this one update.
        """

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        """Update only the touched rows of the parameters in place. ValueError unless the rule is plain SGD."""
        raise ValueError("this rule needs a dense gradient")

    def state(self) -> dict[str, Array]:
        """Return what the next update needs besides the parameters, as views by name. By default: nothing."""
        return {}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Restore `state`; later updates are bit-identical. Copies it."""
        return


class Context:
    """One rank's handle on the job. One thread uses it at a time; other threads may only call `now`.

    rank, role       this rank's number, and "worker" or "server"
    place            its stage, step and bucket of the moment: every message and every error is stamped with it
    workers          the ranks of the workers, a range; an all-reduce runs over these
    servers          the ranks of the servers, a range, often empty
    size             how many ranks there are, workers and servers together
    hosts            the ranks of the workers of each host; every worker is on one host
    deadline         seconds that a blocking call may take
    fast             calls that save a copy or a wait; no strategy needs them: see `common.fast_paths`

    What the harness tells a strategy that has servers:

    tensors          elements of each tensor of the model, in their order; empty: not known
    record(event)    write an event, JSON values by name, to this rank's history; may raise RunError
    departed()       the workers that have died so far and that the job goes on without
    checkpoints      where a server saves its state; None: nowhere
    resumed          None; after a restart of the servers the step at which this worker continues, with the parameters
                     that the servers hold
    skipped_to       the worker does not train the steps before this one: see `skip_to`
    endpoint         this rank's end of the transport, for the harness
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        workers: int,
        servers: int = 0,
        optimizer: Callable[[Vector], Optimizer] | None = None,
        hosts: Sequence[Sequence[int]] | None = None,
        record: Callable[[Mapping[str, Any]], None] = lambda event: None,
        departed: Callable[[], frozenset[int]] = frozenset,
        checkpoints: Checkpoints | None = None,
        resumed: int | None = None,
        overlaps: bool = False,
    ) -> None:
        """Make the context of the rank that `endpoint` belongs to. By default all workers are on one host.

        `overlaps`: stage 4 may read the parameters while a bucket is synchronised, so no ranks share parameters.
        ValueError unless each worker is on one host and each host has a worker.
        """
        self.endpoint = endpoint
        self.place = endpoint.place
        self.rank, self.role = endpoint.place.rank, endpoint.place.role
        self.deadline = endpoint.deadline
        self.workers = range(workers)
        self.servers = range(workers, workers + servers)
        self.size = workers + servers
        self.hosts = tuple(tuple(host) for host in hosts or (self.workers,))
        if not all(self.hosts) or sorted(itertools.chain(*self.hosts)) != list(self.workers):
            raise ValueError(f"hosts {self.hosts}: each of the {workers} workers belongs to one host; no host is empty")
        self.fast = FastPaths(endpoint, frozenset() if overlaps else endpoint.crew)
        self.tensors: Sequence[int] = ()  # known once the model is built
        self.record = record
        self.departed = departed
        self.checkpoints = checkpoints
        self.resumed = resumed
        self.skipped_to = 0
        self._optimizer = optimizer

    def send(self, to: int, array: Array) -> None:
        """Send a copy of `array`; the caller may change the array at once. Blocks only until `to` is connected."""
        self.endpoint.send(to, array)

    def lend(self, to: int, array: Array) -> None:
        """Send `array` without a copy. Blocks only until `to` is connected.

        Nobody may write to the array until `settle` has returned, or until this rank has received a message that `to`
        can only have sent after it read this one.
        """
        self.endpoint.lend(to, array)

    def settle(self) -> None:
        """Block until every array lent by this rank has been read: it may be changed then."""
        self.endpoint.settle()

    def recv(self, from_: int, like: Array) -> Array:
        """Return the next message from `from_` in fresh memory of the shape and dtype of `like`. Blocks."""
        out = np.empty_like(like)
        self.recv_into(from_, out)
        return out

    def recv_into(self, from_: int, out: Array) -> None:
        """Receive the next message from `from_` into `out`, which it must fill exactly. Blocks."""
        self.endpoint.recv_into(from_, out)

    def recv_add(self, from_: int, into: Array) -> None:
        """Receive the next message from `from_` and add it to `into`, element by element. Blocks."""
        self.endpoint.recv_add(from_, into)

    def recv_any(self, from_: Iterable[int], out: Array) -> Message:
        """Receive the next message from any rank of `from_`, for any step, into the start of `out`. Blocks.

        Return the message's sender, step, bucket and size. A message larger than `out` is a ProtocolError.
        """
        return self.endpoint.recv_any(tuple(from_), out)

    def barrier(self) -> None:
        """Block until every worker has called `barrier`: see `common.barrier`. ValueError on a server."""
        if self.rank not in self.workers:
            raise ValueError(f"rank {self.rank} is a server: a barrier is the workers'")
        barrier(self.endpoint, self.rank, len(self.workers))

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return zeroed memory that the transport moves fastest."""
        return self.endpoint.alloc(shape, dtype)

    def now(self) -> float:
        """Return the seconds on this rank's monotonic clock: real, or virtual in a simulation."""
        return self.endpoint.now()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass on the clock of `now`."""
        self.endpoint.sleep(seconds)

    def among(self, ranks: Sequence[int]) -> Context:
        """Return this rank's context among `ranks` alone: there they are workers 0, 1, … in the order given.

        An algorithm runs in it as in a job of its own. Messages use the links of this context, in one order with its
        messages. ValueError unless this rank is one of `ranks`.
        """
        if self.rank not in ranks:
            raise ValueError(f"rank {self.rank} is none of {list(ranks)}")
        group = Context(SubgroupEndpoint(self.endpoint, ranks), workers=len(ranks))
        group.rank = ranks.index(self.rank)
        return group

    def optimizer(self, params: Vector) -> Optimizer:
        """Return the job's update rule (stage 6) over `params`, flat float32, which its `step` changes in place."""
        if self._optimizer is None:
            raise ValueError("this context was made without an optimizer")
        return self._optimizer(params)

    def skip_to(self, step: int) -> None:
        """Let this worker continue at `step`, because the other workers are there already; no effect on past steps."""
        self.skipped_to = max(self.skipped_to, step)
