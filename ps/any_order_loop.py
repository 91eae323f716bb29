"""The server's loop where pushes are taken from any worker as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from common.context import Context
from common.errors import FINISH, DeadlineExceeded, Departed, PeerFailed, ProtocolError
from common.transport.base import Message
from common.types import EMPTY, Rows, Vector
from ps.push_history import History
from ps.row_messages import rest, send
from ps.row_shard import RowShard
from ps.segments import Segment
from ps.shard import Gradient, Refused, Shard


class Arrivals:
    """Takes pushes as they come and answers with copies: the next update may come before an answer is read.

    Each worker pushes its segments in one order, so the server knows which one a message is. Workers that have
    finished ask again and again whether all have, and then get the final parameters.
    """

    def __init__(
        self,
        ctx: Context,
        segments: Sequence[Segment],
        shards: Sequence[Shard],
        reached: Callable[[int], None],
        history: History,
    ) -> None:
        """`reached` is told how many steps are done, in the sense of the consistency, after every push."""
        self._reached = reached
        self._ctx, self._segments, self._shards = ctx, segments, shards
        self._next = dict.fromkeys(ctx.workers, 0)  # the segment that each pushes next
        self._asked: list[dict[int, int]] = [{} for _ in segments]  # for each: who waits, and the step it pushed
        # By worker: segment, step and gradient of a push that is early.
        self._kept: dict[int, tuple[int, int, Gradient]] = {}
        self._working = list(ctx.workers)
        self._here = list(ctx.workers)  # at work, or waiting for the others to finish
        self._heard = dict.fromkeys(ctx.workers, ctx.now())
        self._look_at = ctx.now() + ctx.deadline  # when to look who is silent
        self._history = history

    def serve(self) -> None:
        """Serve until all workers have the final parameters. Blocks; raises RunError."""
        scratch = np.empty(max(each.most for each in self._segments), np.float32)
        try:
            while self._here:
                self._drop_departed()
                if (message := self._receive(scratch)) is not None:
                    self._take(message, scratch)
        finally:
            self._history.close()

    def _take(self, message: Message, scratch: Vector) -> None:
        ctx = self._ctx
        ctx.place.step, ctx.place.bucket = message.step, message.bucket
        self._heard[message.sender] = now = ctx.now()
        if now > self._look_at:  # where nobody waits for the silent one, the others would go on to their end
            self._look_at = now + ctx.deadline / 4
            self._refuse_silence()
        try:
            if message.step == FINISH:
                self._finish(message.sender)
            else:
                self._arrived(message, scratch[: message.size])
        except Refused as refusal:
            raise ProtocolError(str(refusal), **ctx.place.fields()) from None

    def _receive(self, scratch: Vector) -> Message | None:
        """The next message; None if a worker has died that the job goes on without.

        Who waits for an answer is not to blame if there is none.
        """
        if not self._here:
            return None
        try:
            return self._ctx.recv_any(self._listening(), scratch)
        except Departed:
            return None
        except PeerFailed:
            if self._ctx.departed().isdisjoint(self._here):
                raise
            return None
        except DeadlineExceeded:
            self._refuse_silence()
            raise

    def _drop_departed(self) -> None:
        """Forget the workers that have died: nobody waits for their clocks any more."""
        for worker in self._ctx.departed().intersection(self._here):
            self._here.remove(worker)
            self._kept.pop(worker, None)
            for asked in self._asked:
                asked.pop(worker, None)
            if worker in self._working:
                self._working.remove(worker)
                self._history.departed(worker)
                for index, shard in enumerate(self._shards):
                    self._answer(index, shard.leave(worker))

    def _listening(self) -> list[int]:
        """Whose next message is to be received: who has been early waits in its own queue."""
        if not self._kept:
            return self._here
        if listening := [worker for worker in self._here if worker not in self._kept]:
            return listening
        ahead = ", ".join(f"worker {worker} step {step}" for worker, (_, step, _) in sorted(self._kept.items()))
        raise ProtocolError(f"nobody can go on: {ahead} came before their step", **self._ctx.place.fields())

    def _arrived(self, message: Message, begun: Vector) -> None:
        """A push has come, or of rows, their numbers."""
        worker, step = message.sender, message.step
        index = self._next[worker]
        if message.bucket != self._segments[index].bucket:
            wanted = self._segments[index].bucket
            raise Refused(f"worker {worker} sent bucket {message.bucket}, its next is bucket {wanted}")
        self._next[worker] = (index + 1) % len(self._segments)
        width = self._segments[index].width
        gradient: Gradient = rest(self._ctx, worker, begun, width) if width else begun
        if self._shards[index].must_wait(worker, step):
            self._kept[worker] = index, step, gradient if isinstance(gradient, Rows) else gradient.copy()
        else:
            self._push(worker, index, step, gradient)

    def _push(self, worker: int, index: int, step: int, gradient: Gradient) -> None:
        shard = self._shards[index]
        pushed = shard.push(worker, step, gradient)
        self._asked[index][worker] = step
        if index == len(self._shards) - 1:
            self._history.push(worker, step, pushed)
        self._answer(index, pushed.answer)
        if index == len(self._shards) - 1:
            self._reached(shard.consistency.progress(shard))
        if self._kept and pushed.version != self._shards[index].version:
            self._take_kept(index)

    def _take_kept(self, index: int) -> None:
        """The version of a shard has changed: maybe somebody was waiting for that."""
        for worker, (which, step, gradient) in list(self._kept.items()):
            if which == index and not self._shards[index].must_wait(worker, step):
                del self._kept[worker]
                self._ctx.place.step, self._ctx.place.bucket = step, self._segments[index].bucket
                self._push(worker, index, step, gradient)

    def _answer(self, index: int, workers: Iterable[int]) -> None:
        ctx, shard = self._ctx, self._shards[index]
        for worker in workers:
            step = self._asked[index].pop(worker)
            ctx.place.step = shard.consistency.stamp(shard, step)
            ctx.place.bucket = self._segments[index].bucket
            try:
                if isinstance(shard, RowShard):
                    send(ctx, worker, shard.pull(worker))
                else:
                    ctx.send(worker, shard.params)
            except PeerFailed:
                if worker not in ctx.departed():  # else it is dropped when the next message is due
                    raise
            self._heard[worker] = ctx.now()
        if index == len(self._shards) - 1:
            self._history.answered(workers)

    def _finish(self, worker: int) -> None:
        """A worker has done its steps, and asks how many are still at work; the bucket of the answer says it."""
        ctx = self._ctx
        if self._next[worker]:
            raise Refused(f"worker {worker} finished in the middle of a step")
        if worker in self._working:
            self._working.remove(worker)
            for index, shard in enumerate(self._shards):
                if worker in shard.workers:  # it may have left before a server came back
                    self._answer(index, shard.leave(worker))
            self._history.finished(worker, self._shards[-1].consistency.progress(self._shards[-1]))
        self._refuse_silence()
        ctx.place.step, ctx.place.bucket = FINISH, len(self._working)
        ctx.send(worker, EMPTY)
        if not self._working:
            ctx.place.bucket = 0
            for segment in self._segments:
                ctx.lend(worker, segment.params)
            self._here.remove(worker)

    def _refuse_silence(self) -> None:
        """DeadlineExceeded if a worker at work has not been heard of for that long.

        Who has finished asks for ever, and so keeps the server from waiting in vain itself.
        """
        ctx = self._ctx
        deadline, owed = ctx.deadline, set().union(self._kept, *self._asked)
        heard = {worker: self._heard[worker] for worker in self._working if worker not in owed}
        if silent := tuple(worker for worker, moment in heard.items() if ctx.now() - moment > deadline):
            names = " or ".join(f"rank {worker}" for worker in silent)
            raise DeadlineExceeded(f"waited {deadline:g} s for {names}", peers=silent, **ctx.place.fields())
