"""`spawn` runs a function beside its caller on every transport, and `join` raises its error."""

import threading

import numpy as np
import pytest
from transports import TRANSPORTS, on

from common.errors import DeadlineExceeded
from common.simulate import simulate
from common.transport.process_endpoint import ThreadTask
from common.transport.virtual.network import Network

EVERY = pytest.mark.parametrize("transport", TRANSPORTS)


@EVERY
def test_a_spawned_function_exchanges_items_with_its_caller_through_queues(transport):
    def program(ctx):
        def double():
            while (item := requests.get()) is not None:
                replies.put(2 * item)

        requests, replies = ctx.fast.queue(), ctx.fast.queue()
        task = ctx.fast.spawn(double)
        for item in range(3):
            requests.put(item)
        answers = [replies.get() for _ in range(3)]
        requests.put(None)
        task.join()
        return answers

    assert on(transport, program, 2) == [[0, 2, 4]] * 2


@EVERY
def test_each_join_raises_the_error_of_the_function(transport):
    def program(ctx):
        def fails():
            raise error

        error = ZeroDivisionError("planted")
        task = ctx.fast.spawn(fails)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError) as caught:
                task.join()
            assert caught.value is error

    on(transport, program, 1)


@EVERY
def test_a_spawned_function_may_send_and_receive_for_its_rank(transport):
    def program(ctx):
        def exchange():
            ctx.send(1 - ctx.rank, np.array([ctx.rank]))
            ctx.recv_into(1 - ctx.rank, got)

        got = np.array([-1])
        ctx.fast.spawn(exchange).join()
        return got[0]

    assert on(transport, program, 2) == [1, 0]


def test_joining_a_thread_that_does_not_end_exceeds_the_deadline():
    def program(ctx):
        end = threading.Event()
        task = ThreadTask(end.wait, ctx.place, deadline=0.05)
        with pytest.raises(DeadlineExceeded, match="a thread of its own") as caught:
            task.join()
        end.set()
        assert caught.value.peers == (0,)

    on("ipc", program, 1)


# --- virtual time ---

SECOND = Network(latency=1.0)


def test_a_rank_computes_while_its_spawned_function_waits():
    def program(ctx):
        if ctx.rank:
            ctx.sleep(4.0)
            return ctx.send(0, np.zeros(1))
        task = ctx.fast.spawn(lambda: heard.append((ctx.recv(1, np.zeros(1)), ctx.now())))
        ctx.sleep(2.0)
        assert heard == []
        ctx.sleep(6.0)
        task.join()
        return [when for _, when in heard], ctx.now()

    heard = []
    assert simulate(program, 2, network=SECOND).results[0] == ([5.0], 8.0)


def test_a_function_that_is_never_joined_ends_with_the_simulation():
    def program(ctx):
        def waits():
            try:
                ctx.fast.queue().get()
            finally:
                ended.append(ctx.rank)

        ctx.fast.spawn(waits)
        ctx.sleep(1.0)

    ended = []
    simulate(program, 2)
    assert sorted(ended) == [0, 1]


def test_a_deadline_holds_for_the_fiber_that_waits():
    def program(ctx):
        if ctx.rank:
            return ctx.sleep(100.0)
        task = ctx.fast.spawn(lambda: ctx.recv(1, np.zeros(1)))
        ctx.sleep(50.0)  # waits for no peer, so no deadline applies
        with pytest.raises(DeadlineExceeded):
            task.join()
        return ctx.now()

    assert simulate(program, 2, deadline=10.0).results[0] == 50.0
