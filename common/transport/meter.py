"""Counts what a rank sends: strategies never report their own bytes."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import Any

from common.context import Array
from common.transport.base import Endpoint


def inner_method(name: str) -> Any:
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

    settle = inner_method("settle")
    trim = inner_method("trim")
    recv_into = inner_method("recv_into")
    recv_add = inner_method("recv_add")
    recv_add_all = inner_method("recv_add_all")
    recv_sum = inner_method("recv_sum")
    recv_any = inner_method("recv_any")
    alloc = inner_method("alloc")
    now = inner_method("now")
    sleep = inner_method("sleep")
    spawn = inner_method("spawn")
    queue = inner_method("queue")
    abandon = inner_method("abandon")
    close = inner_method("close")
