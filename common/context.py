"""What a strategy may touch: who it is, its peers, and blocking messages between them.

A `Context` is one rank's view of the job. Ranks 0 … W-1 are workers, W … W+S-1 are servers. Every call that blocks
ends within `deadline` seconds (`barrier`: each of its rounds; `sleep`: when told), by returning or by raising a
`RunError`: DeadlineExceeded, PeerFailed or ProtocolError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from common.errors import FINISH, SETUP
from common.place import Place
from common.types import Array, Rows, Vector

if TYPE_CHECKING:
    from common.runtime.checkpoint import Checkpoints
    from common.runtime.engine_host import Process
    from common.transport.base import Endpoint, Message

EMPTY = np.empty(0, np.float32)

__all__ = ["EMPTY", "FINISH", "SETUP", "Array", "Context", "Optimizer", "Place"]


class Optimizer(Protocol):
    """Stage 6 on some flat parameters, wherever they live."""

    def step(self, grad: Vector, at: int = 0, damping: float = 1.0) -> None:
        """Update the parameters in place from `grad`, float32 of their shape, which is not changed.

        `at` is the step that the gradient was computed in, for the schedule of the learning rate, which `damping`,
        above 0 and up to 1, multiplies for this update alone.
        """

    def state(self) -> dict[str, Array]:
        """All that the next update depends on besides the parameters: arrays by name, views of what is there now."""

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on, bit for bit, as the one did that gave this `state`, of which copies are taken."""

    def step_rows(self, rows: Rows, at: int = 0, damping: float = 1.0) -> None:
        """Update the touched rows alone of the parameters, a table of `rows.width` columns, in place.

        ValueError where the rule is not plain SGD, as others change rows that are not touched.
        """


class Context:
    """One rank's handle on the job. Not thread-safe: one thread uses it at a time, others may ask `now`.

    `spawn(fn)` runs `fn` beside the caller, who hands the context over to it and back through a `queue()`.

    `rank`, `role`      who this is; `place`, where it is right now
    `workers`           their ranks, a range; `servers` likewise; `size` is the number of both
    `hosts`             the workers of each host, every worker once
    `crew`              the other ranks of this process, with whom parameters can be shared
    `tensors`           elements of each of the model's tensors, as they lie in it; empty: not known
    `record(event)`     notes an event, JSON values by name, in this rank's history; may raise RunError
    `departed()`        the workers that have died so far and that the job goes on without
    `checkpoints`       where a server saves its state; None: nowhere, or this is no server
    `resumed`           None, but where a server was started again: the step that this worker goes on at. The
                        parameters are the servers' then, from the start
    `skipped_to`        the worker trains no step before this one: see `skip_to`
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        workers: int,
        servers: int = 0,
        optimizer: Callable[[Vector], Optimizer] | None = None,
        hosts: Sequence[Sequence[int]] | None = None,
        process: Process | None = None,
        record: Callable[[Mapping[str, Any]], None] = lambda event: None,
        departed: Callable[[], frozenset[int]] = frozenset,
        checkpoints: Checkpoints | None = None,
        resumed: int | None = None,
        overlaps: bool = False,
    ) -> None:
        """`hosts` are by default one, with all workers. ValueError if not every worker has one, or one has none.

        `overlaps`: stage 4 may be reading the parameters while a bucket is synchronised, so nobody shares them.
        """
        self.endpoint = endpoint
        self.place = endpoint.place
        self.rank = endpoint.place.rank
        self.role = endpoint.place.role
        self.workers = range(workers)
        self.servers = range(workers, workers + servers)
        self.size = workers + servers
        self.hosts = tuple(tuple(host) for host in hosts or (self.workers,))
        if not all(self.hosts) or sorted(rank for host in self.hosts for rank in host) != list(self.workers):
            raise ValueError(
                f"hosts {self.hosts}: each of the {workers} workers belongs to one host, and no host is empty"
            )
        self.crew: frozenset[int] = frozenset() if overlaps else endpoint.crew
        self._optimizer = optimizer
        self._process = process
        self.tensors: Sequence[int] = ()  # whoever builds the model, later than this, says it
        self.record = record
        self.departed = departed
        self.checkpoints = checkpoints
        self.resumed = resumed
        self.skipped_to = 0
        # The hot calls are the endpoint's own, without a layer in between.
        self.send = endpoint.send
        self.lend = endpoint.lend
        self.expose = endpoint.expose
        self.share = endpoint.share
        self.settle = endpoint.settle
        self.recv_into = endpoint.recv_into
        self.recv_shared = endpoint.recv_shared
        self.recv_add = endpoint.recv_add
        self.recv_add_all = endpoint.recv_add_all
        self.recv_sum = endpoint.recv_sum
        self.recv_add_answer = endpoint.recv_add_answer
        self.now = endpoint.now
        self.sleep = endpoint.sleep
        self.alloc = endpoint.alloc
        self.spawn = endpoint.spawn
        self.queue = endpoint.queue
        self.abandon = endpoint.abandon

    def recv(self, from_: int, like: Array) -> Array:
        """Receive an array of the shape and dtype of `like` into fresh memory. Blocks."""
        out = np.empty_like(like)
        self.recv_into(from_, out)
        return out

    def recv_any(self, from_: Iterable[int], out: Array) -> Message:
        """Receive the next message from any rank of `from_` into the start of `out`, whatever step it is for. Blocks.

        Returns the message's sender, step, bucket and size; more elements than `out` has is a ProtocolError.
        """
        return self.endpoint.recv_any(tuple(from_), out)

    def barrier(self) -> None:
        """Return once every worker has called it: ⌈log₂n⌉ rounds of empty messages (dissemination barrier). Blocks."""
        if self.rank not in self.workers:
            raise ValueError(f"rank {self.rank} is a server: a barrier is the workers'")
        n, distance = len(self.workers), 1
        while distance < n:
            self.send((self.rank + distance) % n, EMPTY)
            self.recv_into((self.rank - distance) % n, EMPTY)
            distance *= 2

    def skip_to(self, step: int) -> None:
        """The others are at `step`: the worker goes on there after this step, without training those between.

        Nothing happens if it gets there anyway.
        """
        self.skipped_to = max(self.skipped_to, step)

    def among(self, ranks: Sequence[int]) -> Context:
        """This rank's context among `ranks` alone, itself included: in it they are workers 0, 1, … in that order.

        An algorithm runs in it as in a job of its own. Messages go over the same links as this context's, in one
        order with them. ValueError if this rank is not one of them.
        """
        from common.transport.wrappers.subgroup import SubgroupEndpoint  # which is built upon this module

        if self.rank not in ranks:
            raise ValueError(f"rank {self.rank} is none of {list(ranks)}")
        group = Context(SubgroupEndpoint(self.endpoint, ranks), workers=len(ranks))
        group.rank = ranks.index(self.rank)
        return group

    def optimizer(self, params: Vector) -> Optimizer:
        """The job's update rule (stage 6) over `params`, flat float32, which its `step` changes in place."""
        if self._optimizer is None:
            raise ValueError("this context was made without an optimizer")
        return self._optimizer(params)

    @property
    def process(self) -> Process:
        """What engines that move the bytes themselves need of this rank's process. ValueError in virtual time."""
        if self._process is None:
            raise ValueError("this rank is no process of its own: an engine with its own transport cannot run here")
        return self._process
