"""The base class of endpoints that stand in front of another endpoint."""

from operator import attrgetter
from typing import Any

from common.transport.base import Endpoint


def _inner(name: str) -> Any:
    """Return a property that is the inner endpoint's own method. Look it up once, and a call costs nothing more."""
    return property(attrgetter(f"inner.{name}"))


class ForwardingEndpoint(Endpoint):
    """An endpoint that forwards every call to the endpoint `inner`. Subclasses override some of the calls."""

    def __init__(self, inner: Endpoint) -> None:
        super().__init__(inner.place, inner.deadline)
        self.inner = inner

    crew = _inner("crew")
    send = _inner("send")
    lend = _inner("lend")
    expose = _inner("expose")
    share = _inner("share")
    settle = _inner("settle")
    trim = _inner("trim")
    recv_into = _inner("recv_into")
    recv_shared = _inner("recv_shared")
    recv_add = _inner("recv_add")
    recv_add_all = _inner("recv_add_all")
    recv_sum = _inner("recv_sum")
    recv_add_answer = _inner("recv_add_answer")
    recv_any = _inner("recv_any")
    alloc = _inner("alloc")
    now = _inner("now")
    sleep = _inner("sleep")
    spawn = _inner("spawn")
    queue = _inner("queue")
    abandon = _inner("abandon")
    close = _inner("close")
