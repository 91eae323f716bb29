"""Overlap of stages 4 and 5: each bucket is synchronised as soon as backward has filled it, while backward goes on.

Theory of operation. Backward never reads a final gradient again, so a strategy may change it in place. Parameters are
different: a hook reports that a tensor's gradient is final, not that backward needs the tensor's values no longer.
(Another layer may have used them detached, or may compute its part again from a checkpoint.) Autograd does not notice
when NumPy writes to them. So new parameters from a server go to a vector of their own first, and are copied into the
model when backward is over.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch.utils.hooks import RemovableHandle

from common.context import Context
from common.models.flat import FlatModel
from common.pipeline.buckets import make_buckets
from common.pipeline.communicator import Communicator
from common.strategy import SyncStrategy


class BucketFiller:
    """Watches for final gradients and gives away full buckets, always in the order of `pieces`.

    `give(index)` is called from inside backward. The hooks may come in any order on any rank; the fixed order of
    `pieces` lets all ranks agree. A sparse gradient is gathered after backward, so its bucket, the last, goes then.
    """

    def __init__(self, model: FlatModel, pieces: Sequence[slice], give: Callable[[int], None]) -> None:
        self._give = give
        self._tensors = [0] * len(pieces)  # in each bucket, the tensors that get a gradient
        self._handles: list[RemovableHandle] = []
        offset = 0
        for tensor in model.tensors:
            if tensor.requires_grad and tensor.numel():
                bucket = next(index for index, piece in enumerate(pieces) if piece.start <= offset < piece.stop)
                self._tensors[bucket] += 1
                if offset >= model.table:
                    address = model.grad.ctypes.data + (offset - model.table) * model.grad.itemsize
                    hook = partial(self._filled, len(self._handles), bucket, address)
                    self._handles.append(tensor.register_post_accumulate_grad_hook(hook))
            offset += tensor.numel()
        self.begin()

    def begin(self) -> None:
        """Forget what was filled: a new backward begins."""
        self._missing = list(self._tensors)
        self._seen = [False] * len(self._handles)
        self._given = 0

    def _filled(self, number: int, bucket: int, address: int, tensor: torch.Tensor) -> None:
        if self._seen[number]:
            raise RuntimeError("a gradient grew after it was complete: this model needs --overlap off")
        if tensor.grad is None or tensor.grad.data_ptr() != address:
            raise RuntimeError("backward has replaced a gradient instead of adding to it: this model cannot be flat")
        self._seen[number] = True
        self._missing[bucket] -= 1
        while self._given < len(self._missing) and not self._missing[self._given]:
            self._give_next()

    def finish(self) -> None:
        """Give away the remaining buckets after backward. Parameters that backward did not use have a zero gradient."""
        while self._given < len(self._missing):
            self._give_next()

    def _give_next(self) -> None:
        self._given += 1
        self._give(self._given - 1)

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()


class Overlapped:
    """A `Synchronizer` that runs stage 5 beside stage 4, in a communication thread."""

    def __init__(self, ctx: Context, strategy: SyncStrategy, model: FlatModel, pieces: Sequence[slice]) -> None:
        self.ctx, self.model = ctx, model
        self._buckets = make_buckets(model.grad, model.params, pieces, model.rows)
        self._pulled = None
        if strategy.traits.update == "server":
            self._pulled = ctx.alloc(model.dense.size, model.params.dtype)
            self._pulled[:] = model.dense
            for bucket in self._buckets:
                if bucket.rows is None:  # a table is given away after backward, when nobody reads it
                    start = bucket.start - model.table
                    bucket.params = self._pulled[start : start + bucket.params.size]
        self._communicator = Communicator(ctx, strategy)
        self._filler = BucketFiller(model, pieces, lambda index: self._communicator.submit(self._buckets[index]))
        self._backward_ended = 0.0  # seconds on the rank's clock
        self._train_failed = False

    @contextlib.contextmanager
    def backward(self) -> Iterator[None]:
        """Wrap stage 4: give away every bucket that it fills."""
        self._filler.begin()
        try:
            yield
        except BaseException:
            self._train_failed = True  # `close` restores the place; until then the communicator owns it
            raise
        self._filler.finish()
        self._backward_ended = self.ctx.now()

    def wait(self) -> float:
        """Block until all buckets are synchronised; returns the seconds of synchronisation hidden by stage 4."""
        spans = self._communicator.wait_all()
        if self._pulled is not None:
            self.model.dense[:] = self._pulled
        return sum(max(0.0, min(ended, self._backward_ended) - began) for began, ended in spans)

    def close(self) -> None:
        """End the communication thread. If stage 4 has failed, set this rank's place back to it."""
        self._filler.close()
        try:
            self._communicator.close()
        finally:
            if self._train_failed:
                self.ctx.place.bucket = 0
                self.ctx.place.enter("train")
