"""The communication thread of a worker: the strategy at work on one bucket after the other, beside stage 4."""

from __future__ import annotations

import contextlib

from common.context import Context
from common.strategy import Bucket, SyncStrategy

Span = tuple[float, float]  # seconds on the rank's clock: began, ended


class Communicator:
    """One task for a worker's whole life, which calls `strategy.synchronize` for what it is given, in that order.

    From the first `give` until `take_back` returns the context is the task's, its place too; the worker may ask `now`.
    """

    def __init__(self, ctx: Context, strategy: SyncStrategy) -> None:
        self.ctx, self.strategy = ctx, strategy
        self._given, self._done = ctx.fast.queue(), ctx.fast.queue()
        self._open = 0  # given and not taken back
        self._task = ctx.fast.spawn(self._run)

    def give(self, bucket: Bucket) -> None:
        """Let `bucket` be synchronised after all those given before; returns at once."""
        if not self._open:
            self.ctx.place.enter("synchronize")
        self._open += 1
        self._given.put(bucket)

    def take_back(self) -> list[Span]:
        """Block until all that was given is synchronised; returns when each of them began and ended.

        Raises what the strategy raised. The strategy's calls have deadlines, so this one needs none of its own.
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
        """The task's life. It ends with the first error: a step that lacks a bucket has no next one."""
        ctx = self.ctx
        while (bucket := self._given.get()) is not None:
            ctx.place.bucket = bucket.index
            began = ctx.now()
            try:
                self.strategy.synchronize(ctx, bucket)
            except BaseException as error:
                self._done.put(error)
                return
            self._done.put((began, ctx.now()))

    def close(self) -> None:
        """End the task and wait for its end. If it is still at work, the worker has failed: then it is told to stop.

        A worker that has failed has an error to tell, so nothing is raised then.
        """
        failed = self._open > 0
        self._given.put(None)
        if not failed:
            self._task.join()
            return
        self.ctx.fast.abandon()
        with contextlib.suppress(BaseException):
            self._task.join()
