"""The server's loop if pushes are taken from any worker as they come."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from common.context import Context
from common.errors import FINISH, DeadlineExceeded, Departed, PeerFailed, ProtocolError
from common.transport.base import Message
from common.types import EMPTY, Rows, Vector
from ps.push_history import PushHistory
from ps.row_messages import receive_values, send_rows
from ps.row_shard import RowShard
from ps.segments import Segment
from ps.shard import Gradient, Refused, Shard


class AnyOrderLoop:
    """Takes pushes as they come, and answers with copies: the next update may come before an answer is read.

    Each worker pushes its segments in one order, so the server knows the segment of each message. A worker that has
    finished asks again and again whether all have; once they have, the answer is the final parameters.
    """

    def __init__(
        self,
        ctx: Context,
        segments: Sequence[Segment],
        shards: Sequence[Shard],
        reached: Callable[[int], None],
        history: PushHistory,
    ) -> None:
        """`reached` is called after every step's push with the number of steps done, as the consistency counts."""
        self._ctx, self._segments, self._shards = ctx, segments, shards
        self._reached, self._history = reached, history
        self._last = len(segments) - 1  # the segment that stands for all others in the history
        self._next = dict.fromkeys(ctx.workers, 0)  # by worker: the segment that it pushes next
        self._unanswered: list[dict[int, int]] = [{} for _ in segments]  # by segment and worker: the step it pushed
        self._early: dict[int, tuple[int, int, Gradient]] = {}  # by worker: segment, step and gradient of an early push
        self._working = list(ctx.workers)
        self._present = list(ctx.workers)  # at work, or waiting for the others to finish
        self._heard = dict.fromkeys(ctx.workers, ctx.now())
        self._look_at = ctx.now() + ctx.deadline  # when to look for silent workers

    def serve(self) -> None:
        """Serve until all workers have the final parameters. Blocks; raises RunError."""
        scratch = np.empty(max(segment.longest for segment in self._segments), np.float32)
        try:
            self._drop_departed()
            while self._present:
                if (message := self._receive(scratch)) is not None:
                    self._take(message, scratch)
                self._drop_departed()
        finally:
            self._history.close()

    def _receive(self, scratch: Vector) -> Message | None:
        """Return the next message, in turn for each worker; None if a dispensable worker has died."""
        listening = [worker for worker in self._present if worker not in self._early]
        if not listening:
            ahead = ", ".join(f"worker {worker} step {step}" for worker, (_, step, _) in sorted(self._early.items()))
            raise ProtocolError(f"nobody can go on: {ahead} came before their step", **self._ctx.place.fields())
        try:
            return self._ctx.recv_any(listening, scratch)
        except Departed:
            return None
        except PeerFailed:
            if self._ctx.departed().isdisjoint(self._present):
                raise
            return None
        except DeadlineExceeded:
            self._refuse_silence()  # a worker that waits for an answer is not to blame
            raise

    def _take(self, message: Message, scratch: Vector) -> None:
        ctx = self._ctx
        ctx.place.step, ctx.place.bucket = message.step, message.bucket
        self._heard[message.sender] = now = ctx.now()
        if now > self._look_at:  # if nobody waits for a silent worker, the others would go on to their end
            self._look_at = now + ctx.deadline / 4
            self._refuse_silence()
        try:
            if message.step == FINISH:
                self._finish(message.sender)
            else:
                self._arrived(message, scratch[: message.size])
        except Refused as refusal:
            raise ProtocolError(str(refusal), **ctx.place.fields()) from None

    def _arrived(self, message: Message, begun: Vector) -> None:
        """Take a push: `begun` is its gradient, or the numbers of its rows."""
        worker, step = message.sender, message.step
        index = self._next[worker]
        segment = self._segments[index]
        if message.bucket != segment.bucket:
            raise Refused(f"worker {worker} sent bucket {message.bucket}, its next is bucket {segment.bucket}")
        self._next[worker] = (index + 1) % len(self._segments)
        gradient: Gradient = receive_values(self._ctx, worker, begun, segment.width) if segment.width else begun
        if self._shards[index].must_wait(worker, step):
            self._early[worker] = index, step, gradient if isinstance(gradient, Rows) else gradient.copy()
        else:
            self._push(worker, index, step, gradient)

    def _push(self, worker: int, index: int, step: int, gradient: Gradient) -> None:
        shard = self._shards[index]
        pushed = shard.push(worker, step, gradient)
        self._unanswered[index][worker] = step
        if index == self._last:
            self._history.push(worker, step, pushed)
        self._answer(index, pushed.answer)
        if index == self._last:
            self._reached(shard.consistency.progress(shard))
        if pushed.version != shard.version:
            self._push_early(index)

    def _push_early(self, index: int) -> None:
        """Push the early gradients of a segment, whose version has changed, as far as their step has come."""
        for worker, (segment, step, gradient) in list(self._early.items()):
            if segment == index and not self._shards[index].must_wait(worker, step):
                del self._early[worker]
                self._ctx.place.step, self._ctx.place.bucket = step, self._segments[index].bucket
                self._push(worker, index, step, gradient)

    def _answer(self, index: int, workers: Iterable[int]) -> None:
        ctx, shard = self._ctx, self._shards[index]
        for worker in workers:
            step = self._unanswered[index].pop(worker)
            ctx.place.step = shard.consistency.stamp(shard, step)
            ctx.place.bucket = self._segments[index].bucket
            try:
                if isinstance(shard, RowShard):
                    send_rows(ctx, worker, shard.pull(worker))
                else:
                    ctx.send(worker, shard.params)
            except PeerFailed:
                if worker not in ctx.departed():  # else it is dropped before the next message
                    raise
            self._heard[worker] = ctx.now()
        if index == self._last:
            self._history.answered(workers)

    def _finish(self, worker: int) -> None:
        """A worker has done its steps: answer how many are still at work, in the bucket of an empty message."""
        ctx, last = self._ctx, self._shards[self._last]
        if self._next[worker]:
            raise Refused(f"worker {worker} finished in the middle of a step")
        if worker in self._working:
            self._working.remove(worker)
            self._leave(worker)
            self._history.finished(worker, last.consistency.progress(last))
        self._refuse_silence()
        ctx.place.step, ctx.place.bucket = FINISH, len(self._working)
        ctx.send(worker, EMPTY)
        if not self._working:
            ctx.place.bucket = 0
            for segment in self._segments:
                ctx.lend(worker, segment.params)
            self._present.remove(worker)

    def _leave(self, worker: int) -> None:
        for index, shard in enumerate(self._shards):
            if worker in shard.workers:  # it may have left before this server came back
                self._answer(index, shard.leave(worker))

    def _drop_departed(self) -> None:
        """Forget the workers that have died: nobody waits for their clocks any more."""
        for worker in self._ctx.departed().intersection(self._present):
            self._present.remove(worker)
            self._early.pop(worker, None)
            for unanswered in self._unanswered:
                unanswered.pop(worker, None)
            if worker in self._working:
                self._working.remove(worker)
                self._history.departed(worker)
                self._leave(worker)

    def _refuse_silence(self) -> None:
        """DeadlineExceeded if a worker at work that waits for no answer has been silent for a whole deadline.

        Workers that have finished ask for ever, so the server's own waits would never end by themselves.
        """
        ctx, waiting = self._ctx, set().union(self._early, *self._unanswered)
        at_work = [worker for worker in self._working if worker not in waiting]
        if silent := tuple(worker for worker in at_work if ctx.now() - self._heard[worker] > ctx.deadline):
            names = " or ".join(f"rank {worker}" for worker in silent)
            raise DeadlineExceeded(f"waited {ctx.deadline:g} s for {names}", peers=silent, **ctx.place.fields())
