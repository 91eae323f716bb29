"""Overlap of stages 4 and 5: every bucket is synchronised as soon as backward has filled it, and backward goes on.

What may be touched while backward runs? A gradient that is final is not read again by backward, so a strategy may
change it in place. Parameters are: the hook of a tensor says that its gradient is there, not that its values are no
longer needed (another layer may have used them detached, or computes its part again from a checkpoint). Autograd would
not notice, as it does not see what NumPy writes. So new parameters from a server go to a vector of their own, and into
the model when backward is over.
"""

from __future__ import annotations

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
    """Hears of every tensor whose gradient is final and gives away full buckets, always in the order of `pieces`.

    `give(index)` is called from inside backward. A fixed order is what lets all ranks agree, whatever order the hooks
    come in. A sparse gradient is gathered after backward, and its bucket, the last one, is given away then.
    """

    def __init__(self, model: FlatModel, pieces: Sequence[slice], give: Callable[[int], None]) -> None:
        self._give = give
        self._tensors = [0] * len(pieces)  # in each bucket, those that get a gradient
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

    def rest(self) -> None:
        """Backward is over: give away what is left. Parameters that had no part in it have a gradient of zero."""
        while self._given < len(self._missing):
            self._give_next()

    def _give_next(self) -> None:
        self._given += 1
        self._give(self._given - 1)

    def close(self) -> None:
        """Hear of nothing any more."""
        for handle in self._handles:
            handle.remove()


class Overlapped:
    """Stage 5 beside stage 4, in a communication thread."""

    def __init__(self, ctx: Context, strategy: SyncStrategy, model: FlatModel, pieces: Sequence[slice]) -> None:
        self.ctx, self.model = ctx, model
        self._buckets = make_buckets(model.grad, model.params, pieces, model.rows)
        self._pulled = None
        if strategy.traits.update == "server":
            self._pulled = ctx.alloc(model.dense.size, model.params.dtype)
            self._pulled[:] = model.dense
            for bucket in self._buckets:
                if bucket.rows is None:  # those of a table are read no more when they are given away
                    start = bucket.start - model.table
                    bucket.params = self._pulled[start : start + bucket.params.size]
        self._communicator = Communicator(ctx, strategy)
        self._filling = BucketFiller(model, pieces, lambda index: self._communicator.give(self._buckets[index]))
        self._trained = 0.0  # when the last backward was over
        self._train_failed = False

    @contextlib.contextmanager
    def backward(self) -> Iterator[None]:
        """Around stage 4: gives away every bucket that it fills."""
        self._filling.begin()
        try:
            yield
        except BaseException:
            self._train_failed = True  # for `close` to say: until then the place is the communicator's
            raise
        self._filling.rest()
        self._trained = self.ctx.now()

    def wait(self) -> float:
        """Block until all buckets are synchronised; returns the seconds of it that stage 4 has hidden."""
        spans = self._communicator.take_back()
        if self._pulled is not None:
            self.model.dense[:] = self._pulled
        return sum(max(0.0, min(ended, self._trained) - began) for began, ended in spans)

    def close(self) -> None:
        """End the communication thread. After a failed stage 4, that is then where this rank is."""
        self._filling.close()
        try:
            self._communicator.close()
        finally:
            if self._train_failed:  # whatever the communicator was doing
                self.ctx.place.bucket = 0
                self.ctx.place.enter("train")
