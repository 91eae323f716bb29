"""An endpoint that records its messages for a trace. Runs without a trace do not have it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import count

from common.records.trace_buffer import ALSO, RECEIVE, SEND, SETTLE, TraceBuffer
from common.transport.base import Endpoint, Message
from common.transport.wrappers.forwarding import ForwardingEndpoint
from common.types import Array


class TracedEndpoint(ForwardingEndpoint):
    """An endpoint that notes each message and each `settle` in a buffer. Both ends number a pair's messages alike."""

    def __init__(self, inner: Endpoint, buffer: TraceBuffer) -> None:
        super().__init__(inner)
        self._note = buffer.note
        # The clock itself if the inner endpoint has no other: one call less.
        self._now = time.perf_counter if type(inner).now is Endpoint.now else inner.now
        self._sent: defaultdict[int, count[int]] = defaultdict(count)
        self._received: defaultdict[int, count[int]] = defaultdict(count)

    def send(self, to: int, array: Array) -> None:
        began = self._now()
        self.inner.send(to, array)
        self._note_sent(to, array, began, self._now())

    def lend(self, to: int, array: Array) -> None:
        began = self._now()
        self.inner.lend(to, array)
        self._note_sent(to, array, began, self._now())

    def expose(self, to: int, array: Array) -> None:
        began = self._now()
        self.inner.expose(to, array)
        self._note_sent(to, array, began, self._now())

    def _note_sent(self, to: int, array: Array, began: float, ended: float) -> None:
        place = self.place
        self._note((SEND, to, place.bucket, place.step, next(self._sent[to]), array.nbytes, began, ended))

    def settle(self) -> None:
        began = self._now()
        self.inner.settle()
        place = self.place
        self._note((SETTLE, -1, place.bucket, place.step, 0, 0, began, self._now()))

    def recv_into(self, from_: int, out: Array) -> None:
        began = self._now()
        self.inner.recv_into(from_, out)
        place = self.place
        seq = next(self._received[from_])
        self._note((RECEIVE, from_, place.bucket, place.step, seq, out.nbytes, began, self._now()))

    def recv_add(self, from_: int, into: Array) -> None:
        began = self._now()
        self.inner.recv_add(from_, into)
        place = self.place
        seq = next(self._received[from_])
        self._note((RECEIVE, from_, place.bucket, place.step, seq, into.nbytes, began, self._now()))

    def recv_add_all(self, from_: Iterable[int], into: Array) -> None:
        senders = list(from_)
        began = self._now()
        self.inner.recv_add_all(senders, into)
        self._note_all(senders, into.nbytes, began, self._now())

    def recv_sum(self, from_: Iterable[int], out: Array) -> None:
        senders = list(from_)
        began = self._now()
        self.inner.recv_sum(senders, out)
        self._note_all(senders, out.nbytes, began, self._now())

    def recv_add_answer(self, from_: Iterable[int], into: Array, finish: Callable[[Array], None]) -> None:
        senders = list(from_)
        began = summed = self._now()

        def finished(part: Array) -> None:
            nonlocal summed
            finish(part)
            summed = self._now()

        self.inner.recv_add_answer(senders, into, finished)
        self._note_all(senders, into.nbytes, began, summed)
        for sender in senders:  # sent when the last part was finished, which may be before the call returns
            self._note_sent(sender, into, summed, summed)

    def _note_all(self, senders: Iterable[int], nbytes: int, began: float, ended: float) -> None:
        place, kind = self.place, RECEIVE
        for sender in senders:
            seq = next(self._received[sender])
            self._note((kind, sender, place.bucket, place.step, seq, nbytes, began, ended))
            kind = ALSO

    def recv_any(self, from_: tuple[int, ...], out: Array) -> Message:
        began = self._now()
        message = self.inner.recv_any(from_, out)
        sender, nbytes = message.sender, message.size * out.itemsize
        seq = next(self._received[sender])
        self._note((RECEIVE, sender, message.bucket, message.step, seq, nbytes, began, self._now()))
        return message
