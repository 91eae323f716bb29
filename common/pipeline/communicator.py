"""The communication thread of a worker: it synchronises one bucket after the other while stage 4 goes on."""

import contextlib

from common.context import Context
from common.strategy import Bucket, SyncStrategy

Span = tuple[float, float]  # seconds on the rank's clock: began, ended


class Communicator:
    """One task for a worker's whole life that calls `strategy.synchronize` for each submitted bucket, in order.

    From the first `submit` until `wait_all` returns, the task owns the context and its place. Meanwhile the worker may
    only ask `now`.
    """

    def __init__(self, ctx: Context, strategy: SyncStrategy) -> None:
        self.ctx, self.strategy = ctx, strategy
        self._submitted, self._done = ctx.fast.queue(), ctx.fast.queue()
        self._open = 0  # submitted and not waited for
        self._task = ctx.fast.spawn(self._run)

    def submit(self, bucket: Bucket) -> None:
        """Queue `bucket` behind the earlier ones; returns at once."""
        if not self._open:
            self.ctx.place.enter("synchronize")
        self._open += 1
        self._submitted.put(bucket)

    def wait_all(self) -> list[Span]:
        """Block until every submitted bucket is synchronised; returns when each of them began and ended.

        Raises what the strategy raised. The strategy's calls have deadlines, so this call needs none of its own.
        """
        spans = []
        while self._open:
            outcome = self._done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            spans.append(outcome)
            self._open -= 1
        self.ctx.place.bucket = 0
        return spans

    def _run(self) -> None:
        """Synchronise until the queue ends. The first error ends the task: no step can follow an incomplete one."""
        ctx = self.ctx
        while (bucket := self._submitted.get()) is not None:
            ctx.place.bucket = bucket.index
            began = ctx.now()
            try:
                self.strategy.synchronize(ctx, bucket)
            except BaseException as error:
                self._done.put(error)
                return
            self._done.put((began, ctx.now()))

    def close(self) -> None:
        """End the task and wait for it. If buckets are open, the worker has failed: tell the task to stop."""
        self._submitted.put(None)
        if not self._open:
            self._task.join()
            return
        self.ctx.fast.abandon()
        with contextlib.suppress(BaseException):
            self._task.join()
