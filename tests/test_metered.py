"""The metered endpoint counts sent bytes and messages and forwards everything."""

import numpy as np
import pytest
from spies import Spy

from common.simulate import simulate
from common.transport.wrappers.metered import MeteredEndpoint

X = np.zeros(5, np.float32)


def test_sent_and_lent_bytes_and_messages_are_counted_per_receiver():
    meter = MeteredEndpoint(Spy())
    meter.send(1, X)
    meter.send(1, X[:2])
    meter.lend(2, X.astype(np.float64))
    meter.expose(2, X)
    assert meter.bytes_to == {1: 28, 2: 60}
    assert meter.messages_to == {1: 2, 2: 2}
    assert meter.bytes_sent == 88


def test_an_answer_is_counted_for_each_receiver():
    meter = MeteredEndpoint(Spy())
    meter.recv_add_answer(iter((1, 3)), X, print)
    assert meter.inner.calls == [("recv_add_answer", [1, 3], X, print)]
    assert meter.bytes_to == {1: 20, 3: 20}
    assert meter.messages_to == {1: 1, 3: 1}


def test_an_empty_message_is_a_message_without_bytes():
    meter = MeteredEndpoint(Spy())
    meter.send(1, X[:0])
    assert meter.messages_to[1] == 1
    assert meter.bytes_sent == 0


def test_other_calls_are_not_counted():
    meter = MeteredEndpoint(Spy())
    meter.recv_into(1, X)
    meter.recv_add(1, X)
    meter.recv_any((1,), X)
    meter.settle()
    assert meter.bytes_sent == 0
    assert not meter.messages_to


def test_reset_clears_bytes_and_messages():
    meter = MeteredEndpoint(Spy())
    meter.send(1, X)
    meter.reset()
    assert meter.bytes_sent == 0
    assert not meter.messages_to


def test_a_failed_send_is_not_counted():
    class Broken(Spy):
        def send(self, to, array):
            raise ValueError("no")

        lend = expose = send

        def recv_add_answer(self, from_, into, finish):
            raise ValueError("no")

    meter = MeteredEndpoint(Broken())
    for call in (meter.send, meter.lend, meter.expose):
        with pytest.raises(ValueError, match="no"):
            call(1, X)
    with pytest.raises(ValueError, match="no"):
        meter.recv_add_answer([1], X, print)
    assert meter.bytes_sent == 0
    assert not meter.messages_to


def test_a_simulation_has_a_meter_for_each_rank():
    def program(ctx):
        for to in range(ctx.rank):
            ctx.send(to, X)

    meters = simulate(program, 4).meters
    assert [meter.bytes_sent for meter in meters] == [0, 20, 40, 60]
