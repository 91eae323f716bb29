"""The meter counts what is sent, and is otherwise not there."""

import numpy as np
import pytest

from common.context import Place
from common.transport.base import Endpoint, Message
from common.transport.meter import Metered
from common.transport.virtual import simulate


class Spy(Endpoint):
    """Writes down how it was called."""

    def __init__(self):
        super().__init__(Place(3), deadline=7.0)
        self.calls = []

    def send(self, to, array):
        self.calls.append(("send", to, array))

    def lend(self, to, array):
        self.calls.append(("lend", to, array))

    def settle(self):
        self.calls.append(("settle",))

    def recv_into(self, from_, out):
        self.calls.append(("recv_into", from_, out))

    def recv_add(self, from_, into):
        self.calls.append(("recv_add", from_, into))

    def recv_any(self, from_, out):
        self.calls.append(("recv_any", from_, out))
        return Message(1, 2, 3, 4)

    def spawn(self, fn):
        self.calls.append(("spawn", fn))

    def queue(self):
        self.calls.append(("queue",))

    def abandon(self):
        self.calls.append(("abandon",))

    def close(self, *, linger=0.0):
        self.calls.append(("close", linger))

    def alloc(self, shape, dtype):
        return "memory", shape, dtype

    def now(self):
        return 42.0

    def sleep(self, seconds):
        self.calls.append(("sleep", seconds))


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


@pytest.mark.parametrize(
    "call",
    [
        ("send", 1, X),
        ("lend", 1, X),
        ("settle",),
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
def test_every_call_is_passed_on_as_it_is(call):
    spy = Spy()
    getattr(Metered(spy), call[0])(*call[1:])
    assert spy.calls == [call]
    assert all(passed is given for passed, given in zip(spy.calls[0][1:], call[1:], strict=True))


def test_answers_come_back_as_they_are():
    meter = Metered(Spy())
    assert meter.recv_any((1,), X) == Message(1, 2, 3, 4)
    assert meter.alloc((2, 3), np.int32) == ("memory", (2, 3), np.int32)
    assert meter.now() == 42.0
    assert meter.place.rank == 3
    assert meter.deadline == 7.0


def test_close_is_passed_on_with_its_linger():
    spy = Spy()
    Metered(spy).close(linger=2.0)
    assert spy.calls == [("close", 2.0)]


def test_a_run_has_a_meter_for_each_rank():
    def program(ctx):
        for to in range(ctx.rank):
            ctx.send(to, X)

    meters = simulate(program, 4).meters
    assert [meter.bytes_sent for meter in meters] == [0, 20, 40, 60]
