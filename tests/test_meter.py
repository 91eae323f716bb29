"""The meter counts what is sent, and is otherwise not there."""

import numpy as np
import pytest
from spies import Spy

from common.transport.meter import Metered
from common.transport.virtual import simulate

X = np.zeros(5, np.float32)


def test_sent_and_lent_bytes_and_messages_are_counted_per_receiver():
    meter = Metered(Spy())
    meter.send(1, X)
    meter.send(1, X[:2])
    meter.lend(2, X.astype(np.float64))
    assert meter.bytes_to == {1: 28, 2: 40}
    assert meter.messages_to == {1: 2, 2: 1}
    assert meter.bytes_sent == 68


def test_an_empty_message_is_a_message_without_bytes():
    meter = Metered(Spy())
    meter.send(1, X[:0])
    assert meter.messages_to[1] == 1
    assert meter.bytes_sent == 0


def test_nothing_else_is_counted():
    meter = Metered(Spy())
    meter.recv_into(1, X)
    meter.recv_add(1, X)
    meter.recv_any((1,), X)
    meter.settle()
    assert meter.bytes_sent == 0
    assert not meter.messages_to


def test_reset_forgets_bytes_and_messages():
    meter = Metered(Spy())
    meter.send(1, X)
    meter.reset()
    assert meter.bytes_sent == 0
    assert not meter.messages_to


def test_what_could_not_be_sent_is_not_counted():
    class Broken(Spy):
        def send(self, to, array):
            raise ValueError("no")

        lend = send

    meter = Metered(Broken())
    for call in (meter.send, meter.lend):
        with pytest.raises(ValueError, match="no"):
            call(1, X)
    assert meter.bytes_sent == 0
    assert not meter.messages_to


def test_a_run_has_a_meter_for_each_rank():
    def program(ctx):
        for to in range(ctx.rank):
            ctx.send(to, X)

    meters = simulate(program, 4).meters
    assert [meter.bytes_sent for meter in meters] == [0, 20, 40, 60]
