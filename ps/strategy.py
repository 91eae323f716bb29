"""The worker's side of the parameter server (Li et al., OSDI 2014): push the gradient, pull the parameters.

    steps       2, pipelined: the servers answer the first segments while the next ones still come in
    bytes sent  M by every worker; n·M/S by each of S servers
    time        2α + (1 + 1/k)·max(1, n/S)·Mβ + (n/S)·Mγ for k segments a server: with few servers their links are the
                bottleneck (*incast*)

Four consistencies share one wire protocol: they differ in when a server answers (consistency.py). Of an embedding
table only the rows that a gradient touches are pushed and pulled, if the optimizer allows it (row_messages.py).
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from common.context import Context
from common.errors import ConfigError, ProtocolError
from common.strategy import Bucket, Link, SyncStrategy, Traits
from common.types import EMPTY, FLOAT_BYTES, Vector
from common.util.values import byte_size, whole_number
from ps.consistency import ASP, BSP, SSP, Backup, Consistency, Damping
from ps.row_messages import exchange_rows
from ps.segments import BYTES, cut, elements_ahead, route
from ps.server import serve
from ps.sharding import SHARDINGS, Sharding, check_name, even

Sparse = Literal["auto", "on", "off"]  # whether the gradient of a table is pushed by rows; auto: if that is possible
ASK_AGAIN = 0.02  # seconds until a worker that has finished asks again whether the others have, too


class ParameterServer(SyncStrategy):
    """What the four strategies share. `consistency` says when a worker may go on, `sharding` what each server owns.

    `segment`: at most so many bytes are pushed, updated and answered at a time.

    If a server has a worker in its process and `consistency.lockstep` holds, the two share one copy of the parameters.
    The server updates it when the worker has pushed and waits for the answer. So the worker itself must not write to
    the parameters between `setup` and the end of the last worker's `finish`.
    """

    consistency: Consistency
    _sharding: Sharding

    def __init__(self, sharding: str = "even", sparse: Sparse = "auto", segment: str | int = BYTES) -> None:
        self.sharding, self.sparse, self.segment = check_name(sharding), sparse, _segment_bytes(segment)

    def setup(self, ctx: Context, params: Vector) -> None:
        """Make worker 0's parameters the servers', and pull them on every worker.

        Each server first says which parts of the model it owns: pairs of a start and a size. Servers that have come
        back have the parameters already; then each worker says at which step it continues.
        """
        self._sharding = self._sharding_of(ctx, params.size)
        self._routes: dict[tuple[int, int], list[tuple[int, slice]]] = {}
        for server in self._sharers(ctx, ctx.servers):
            ctx.fast.share(server, params)
        self._owned: list[tuple[int, Vector]] = []  # server, part of `params`
        for server in ctx.servers:
            count = int(ctx.recv(server, np.empty(1, np.int64))[0])
            table = ctx.recv(server, np.empty((count, 2), np.int64))
            self._owned += [(server, params[start : start + size]) for start, size in table.tolist()]
            if ctx.resumed is not None:
                ctx.send(server, np.array([ctx.resumed], np.int64))
        if ctx.rank == 0 and ctx.resumed is None:
            for server, part in self._owned:
                ctx.lend(server, part)
        self._pull_all(ctx)

    def synchronize(self, ctx: Context, bucket: Bucket) -> None:
        """Leave the new parameters in `bucket.params`. The servers read what was lent before they answer."""
        if bucket.rows is not None:
            exchange_rows(ctx, bucket, bucket.rows, self._reached)
            return
        for server, part in self._push(ctx, bucket):
            self._pull(ctx, server, bucket.params[part])

    def finish(self, ctx: Context) -> None:
        """Tell the servers that this worker pushes no more; pull the final parameters if workers hold different ones.

        They are final when all workers have finished. A slow worker may need longer than a deadline for the rest of
        its steps, so this one asks again and again.
        """
        for server in ctx.servers:
            ctx.send(server, EMPTY)
        if self.traits.replicas_equal:
            return
        asked = list(ctx.servers)
        while asked := [server for server in asked if ctx.recv_any((server,), EMPTY).bucket]:  # workers still at work
            ctx.sleep(ASK_AGAIN)
            for server in asked:
                ctx.send(server, EMPTY)
        self._pull_all(ctx)

    def serve(self, ctx: Context, params: Vector, buckets: Sequence[Bucket]) -> None:
        """Serve this server's part of every bucket until all workers have finished."""
        if sharers := self._sharers(ctx, ctx.workers):
            (worker,) = sharers
            params = ctx.fast.recv_shared(worker, params)
            parts = [slice(bucket.start, bucket.start + bucket.params.size) for bucket in buckets]
            buckets = [replace(bucket, params=params[part]) for bucket, part in zip(buckets, parts, strict=True)]
        serve(ctx, buckets, self.consistency, self._sharding_of(ctx, params.size), self.segment)

    def _sharding_of(self, ctx: Context, size: int) -> Sharding:
        """Return which server owns what of a model of `size` elements: one tensor, if its tensors are not known."""
        return SHARDINGS[self.sharding](ctx.tensors or (size,), len(ctx.servers))

    def _sharers(self, ctx: Context, ranks: range) -> list[int]:
        """Return those of `ranks` with which this rank shares one copy of the parameters."""
        return sorted(ctx.fast.colocated.intersection(ranks)) if self.consistency.lockstep else []

    def _push(self, ctx: Context, bucket: Bucket) -> Iterator[tuple[int, slice]]:
        """Lend the gradient to the servers; yield (server, part of the bucket) of each answer that is to be taken now.

        With more than `elements_ahead` a server on their way, the oldest answers come first: a part that is sent long
        before its turn has left the cache by then.
        """
        key = bucket.start, bucket.params.size
        if key not in self._routes:
            way = route(bucket, self._sharding, self.segment, ctx.rank)
            self._routes[key] = [(ctx.servers[number], part) for number, part in way]
        answers, under_way, limit = iter(self._routes[key]), 0, elements_ahead(self.segment) * len(ctx.servers)
        for server, part in self._routes[key]:
            ctx.lend(server, bucket.grad[part])
            under_way += part.stop - part.start
            while under_way > limit:
                answer = next(answers)
                yield answer
                under_way -= answer[1].stop - answer[1].start
        yield from answers

    def _pull(self, ctx: Context, server: int, target: Vector) -> None:
        ctx.recv_into(server, target)

    def _reached(self, ctx: Context, step: int) -> None:
        """Take note of the step of an answer. ProtocolError if it is not this worker's."""
        if step != ctx.place.step:
            cause = f"expected step {ctx.place.step}, got an answer for step {step}"
            raise ProtocolError(cause, **ctx.place.fields())

    def _pull_all(self, ctx: Context) -> None:
        for server, part in self._owned:
            ctx.recv_into(server, part)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> int | None:
        if rank < workers:
            return FLOAT_BYTES * size
        if self.sharding != "even":
            return None  # it depends on the tensors
        return FLOAT_BYTES * workers * len(range(size)[even(size, servers)[rank - workers]])

    def seconds(self, workers: int, servers: int, nbytes: int, link: Link) -> float | None:
        if self.sharding != "even":
            return None
        load = workers / servers
        parts = len(cut([slice(0, nbytes // FLOAT_BYTES // servers)], self.segment))
        busy = (1 + 1 / parts) * max(1.0, load) * nbytes
        return 2 * link.alpha + busy * link.beta + load * nbytes * link.gamma


class PsBsp(ParameterServer):
    """Parameter server, bulk synchronous: servers sum the gradients in rank order and update their shards."""

    traits = Traits(update="server", servers=True, sparse=True, on_server_death="rollback")
    consistency = BSP()


class PsSsp(ParameterServer):
    """Parameter server, stale synchronous: no worker is more than `staleness` steps ahead; with 0 it is ps-bsp."""

    traits = replace(
        PsBsp.traits, consistency="ssp(3)", replicas_equal=False, on_worker_death="optional", on_server_death="continue"
    )

    def __init__(
        self, staleness: int = 3, sharding: str = "even", sparse: Sparse = "auto", segment: str | int = BYTES
    ) -> None:
        super().__init__(sharding, sparse, segment)
        self.traits, self.consistency = PsBsp.traits, PsBsp.consistency
        if whole_number("--strategy.staleness", staleness, 0):
            self.consistency = SSP(staleness)
            self.traits = replace(PsSsp.traits, consistency=self.consistency.name)


class PsAsync(ParameterServer):
    """Parameter server, asynchronous: every push is applied and answered at once, damped by its staleness or not."""

    traits = replace(PsSsp.traits, consistency="asp")

    def __init__(
        self, damping: Damping = "none", sharding: str = "even", sparse: Sparse = "auto", segment: str | int = BYTES
    ) -> None:
        super().__init__(sharding, sparse, segment)
        if damping not in ("none", "inverse"):
            raise ConfigError(f"--strategy.damping is {damping!r}: give none or inverse")
        self.consistency = ASP(damping)


class PsBackup(ParameterServer):
    """Parameter server with backup workers: a step closes without the gradients of the slowest `backups`."""

    traits = replace(PsBsp.traits, consistency="backup(1)", replicas_equal=False)

    def __init__(
        self, backups: int = 1, sharding: str = "even", sparse: Sparse = "auto", segment: str | int = BYTES
    ) -> None:
        super().__init__(sharding, sparse, segment)
        self.backups = whole_number("--strategy.backups", backups, 0)
        self.consistency = Backup(backups)
        self.traits = replace(PsBackup.traits, consistency=self.consistency.name)

    def check(self, workers: int) -> None:
        """ConfigError if no worker is left to close a step."""
        if self.backups >= workers:
            raise ConfigError(f"--strategy.backups is {self.backups} of {workers} workers: give fewer than workers")

    def _pull(self, ctx: Context, server: int, target: Vector) -> None:
        """Take the parameters of whatever step the servers are at; this worker continues there."""
        message = ctx.recv_any((server,), target)
        if (message.bucket, message.size) != (ctx.place.bucket, target.size):
            got = f"bucket {message.bucket}, {message.size} elements"
            wanted = f"bucket {ctx.place.bucket}, {target.size} elements"
            raise ProtocolError(f"expected {wanted} from rank {server}, got {got}", **ctx.place.fields())
        self._reached(ctx, message.step)

    def _reached(self, ctx: Context, step: int) -> None:
        ctx.skip_to(step)

    def bytes_sent(self, rank: int, workers: int, servers: int, size: int) -> None:
        """No promise: a worker that comes too late skips steps and sends nothing in them."""


def _segment_bytes(value: str | int) -> int:
    with contextlib.suppress(ValueError):
        if (nbytes := byte_size(value)) >= FLOAT_BYTES:
            return nbytes
    raise ConfigError(
        f"--strategy.segment is {value!r}: give a size from {FLOAT_BYTES} bytes, like 65536, 64KiB or 1MiB"
    )
