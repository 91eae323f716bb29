"""Counts what a rank sends: strategies never report their own bytes."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import Any

from common.context import Array
from common.transport.base import Endpoint


def _inner(name: str) -> Any:
    """The inner endpoint's own method: looked up once by the context, so passing on costs nothing per call."""
    return property(attrgetter(f"inner.{name}"))


class Metered(Endpoint):
    """An endpoint that counts the payload bytes and messages it sends, per receiver, and passes everything on."""

    def __init__(self, inner: Endpoint) -> None:
        super().__init__(inner.place, inner.deadline)
        self.inner = inner
        self.bytes_to: defaultdict[int, int] = defaultdict(int)
        self.messages_to: defaultdict[int, int] = defaultdict(int)

    @property
    def bytes_sent(self) -> int:
        """Payload bytes sent to all peers since the last `reset`."""
        return sum(self.bytes_to.values())

    def reset(self) -> None:
        """Forget what was counted."""
        self.bytes_to.clear()
        self.messages_to.clear()

    def send(self, to: int, array: Array) -> None:
        self.inner.send(to, array)
        self.bytes_to[to] += array.nbytes
        self.messages_to[to] += 1

    def lend(self, to: int, array: Array) -> None:
        self.inner.lend(to, array)
        self.bytes_to[to] += array.nbytes
        self.messages_to[to] += 1

    settle = _inner("settle")
    trim = _inner("trim")
    recv_into = _inner("recv_into")
    recv_add = _inner("recv_add")
    recv_add_all = _inner("recv_add_all")
    recv_sum = _inner("recv_sum")
    recv_any = _inner("recv_any")
    alloc = _inner("alloc")
    now = _inner("now")
    sleep = _inner("sleep")
    spawn = _inner("spawn")
    queue = _inner("queue")
    abandon = _inner("abandon")
    close = _inner("close")
