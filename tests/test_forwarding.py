"""Endpoints in front of another endpoint forward every call."""

import numpy as np
import pytest
from spies import Spy

from common.records.trace_buffer import TraceBuffer
from common.transport.base import Message
from common.transport.wrappers.forwarding import ForwardingEndpoint
from common.transport.wrappers.metered import MeteredEndpoint
from common.transport.wrappers.traced import TracedEndpoint


def traced(inner):
    return TracedEndpoint(inner, TraceBuffer(9))


FRONTS = (MeteredEndpoint, traced)
X = np.zeros(5, np.float32)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    "call",
    [
        ("send", 1, X),
        ("lend", 1, X),
        ("expose", 1, X),
        ("settle",),
        ("trim",),
        ("recv_into", 1, X),
        ("recv_add", 1, X),
        ("recv_any", (1,), X),
        ("sleep", 0.5),
        ("spawn", print),
        ("queue",),
        ("abandon",),
    ],
    ids=lambda call: call[0],
)
def test_every_call_is_forwarded_unchanged(front, call):
    spy = Spy()
    getattr(front(spy), call[0])(*call[1:])
    assert spy.calls == [call]
    assert all(forwarded is given for forwarded, given in zip(spy.calls[0][1:], call[1:], strict=True))


@pytest.mark.parametrize("front", FRONTS)
def test_results_are_returned_unchanged(front):
    wrapper = front(Spy())
    assert wrapper.recv_any((1,), X) == Message(1, 2, 3, 4)
    assert wrapper.alloc((2, 3), np.int32) == ("memory", (2, 3), np.int32)
    assert wrapper.now() == 42.0
    assert wrapper.place.rank == 3
    assert wrapper.deadline == 7.0


@pytest.mark.parametrize("front", FRONTS)
def test_close_is_forwarded_with_its_linger(front):
    spy = Spy()
    front(spy).close(linger=2.0)
    assert spy.calls == [("close", 2.0)]


def test_a_plain_forwarding_endpoint_forwards_recv_add_answer():
    spy = Spy()
    ForwardingEndpoint(spy).recv_add_answer([1, 2], X, print)
    assert spy.calls == [("recv_add_answer", [1, 2], X, print)]
