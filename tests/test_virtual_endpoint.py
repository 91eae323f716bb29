"""The endpoint of virtual time: the order of messages, and misuse of loans, which it notices."""

import math

import numpy as np
import pytest
from programs import BYTES, LATENCY, NETWORK, ZEROS, idle, run, send

from allreduce.ring import ring
from common.errors import ProtocolError
from common.simulate import simulate
from common.transport.virtual.network import Network

# --- messages ---


@pytest.mark.parametrize("bandwidth", [math.inf, 997.0])
@pytest.mark.parametrize("seed", range(10))
def test_messages_of_a_pair_keep_their_order_under_jitter(seed, bandwidth):
    sizes = range(1, 100, 2)

    def count(ctx):
        for size in sizes:
            ctx.send(2, np.full(size, size))

    def listen(ctx):
        return [(ctx.recv(0, np.zeros(size, int))[0], ctx.recv(1, np.zeros(size, int))[0]) for size in sizes]

    # No number here is a power of two: rounding must not reorder the messages either.
    network = Network(latency=0.1, jitter=3.0, bandwidth=bandwidth, overhead=0.001, seed=seed)
    outcome = run(count, count, listen, network=network, deadline=1e6)
    assert outcome.results[2] == [(size, size) for size in sizes]


def arrivals(seed):
    """Return (sender, moment) of the messages of three senders on a network with jitter."""

    def listen(ctx):
        out = np.zeros(BYTES, np.uint8)
        return [(ctx.recv_any((1, 2, 3), out).sender, ctx.now()) for _ in range(12)]

    network = Network(latency=LATENCY, jitter=1.0, seed=seed)
    return run(listen, *[send(0, times=4)] * 3, network=network).results[0]


def test_the_same_seed_gives_the_same_arrivals():
    assert arrivals(1) == arrivals(1)


def test_another_seed_gives_another_order():
    assert len({tuple(sender for sender, _ in arrivals(seed)) for seed in range(5)}) > 1


def test_jitter_adds_at_most_its_share():
    moments = [moment for _, moment in arrivals(0)]
    assert min(moments) >= LATENCY
    assert max(moments) <= LATENCY + 1.0


def test_recv_any_takes_the_first_delivered_message():
    def listen(ctx):
        out = np.zeros(2 * BYTES, np.uint8)
        return [ctx.recv_any((1, 2, 3), out).sender for _ in range(3)]

    assert run(listen, send(0, after=3.0), send(0, after=1.0), send(0, after=2.0)).results[0] == [2, 3, 1]


def test_recv_any_takes_the_first_of_several_waiting_messages():
    def listen(ctx):
        ctx.sleep(9.0)
        return [ctx.recv_any((1, 2), ZEROS.copy()).sender for _ in range(2)]

    assert run(listen, send(0, after=3.0), send(0, after=1.0)).results[0] == [2, 1]


@pytest.mark.parametrize("array", [np.zeros(5, np.float32), np.zeros(3)])
def test_recv_any_refuses_too_much_or_another_dtype(array):
    def listen(ctx):
        ctx.recv_any((1,), np.zeros(4, np.float32))

    with pytest.raises(ProtocolError, match=rf"at most 4 × float32 .*{array.size} × {array.dtype}"):
        run(listen, send(0, array=array))


@pytest.mark.parametrize(
    ("step", "bucket", "array", "got"),
    [
        (4, 1, np.zeros(8, np.float32), "step 4, bucket 1, 8 × float32"),
        (3, 2, np.zeros(8, np.float32), "step 3, bucket 2, 8 × float32"),
        (3, 1, np.zeros(8, np.float64), "step 3, bucket 1, 8 × float64"),
        (3, 1, np.zeros(8, np.int32), "step 3, bucket 1, 8 × int32"),
        (3, 1, np.zeros(7, np.float32), "step 3, bucket 1, 7 × float32"),
    ],
)
@pytest.mark.parametrize("call", ["recv_into", "recv_add"])
def test_an_unexpected_message_is_refused_and_both_sides_are_printed(call, step, bucket, array, got):
    def speak(ctx):
        ctx.place.step, ctx.place.bucket = step, bucket
        ctx.send(1, array)

    def listen(ctx):
        ctx.place.step, ctx.place.bucket = 3, 1
        getattr(ctx, call)(0, np.zeros(8, np.float32))

    with pytest.raises(ProtocolError) as caught:
        run(speak, listen)
    assert f"expected step 3, bucket 1, 8 × float32 from rank 0, got {got}" in caught.value.cause
    assert caught.value.rank == 1


# --- lending ---


def test_a_write_to_a_lent_array_is_noticed_by_the_reader():
    def lend(ctx):
        array = np.array([1, 2])
        ctx.lend(1, array)
        array[1] = 0

    with pytest.raises(ProtocolError, match="rank 0 wrote to an array that it had lent") as caught:
        run(lend, lambda ctx: ctx.recv(0, np.zeros(2, int)))
    assert caught.value.rank == 1


def test_a_write_to_a_lent_array_is_noticed_by_settle():
    def lend(ctx):
        array = np.array([1, 2])
        ctx.lend(1, array)
        array[1] = 0
        ctx.settle()

    with pytest.raises(ProtocolError, match="rank 0 wrote to an array that it had lent") as caught:
        run(lend, idle)
    assert caught.value.rank == 0


def test_an_exposed_array_reads_as_nan_until_its_answer_has_come():
    def expose(ctx):
        array = np.array([1.0, 2.0])
        ctx.fast.expose(1, array)
        before_answer = array.copy()
        ctx.recv_into(1, array)
        ctx.settle()
        return before_answer, array

    before_answer, answered = run(expose, answer).results[0]
    assert np.isnan(before_answer).all()
    assert answered.tolist() == [2, 3]


def test_settle_before_the_answer_is_an_error():
    """On other transports it would wait for rank 1, which may wait for others."""

    def expose(ctx):
        ctx.fast.expose(1, np.ones(2))
        ctx.settle()

    with pytest.raises(ProtocolError, match="it settles before it has received, in its place, rank 1's answer"):
        run(expose, idle)


def answer(ctx):
    ctx.fast.recv_add_answer((0,), np.ones(2), lambda part: None)


def test_a_write_to_an_exposed_array_is_noticed_with_the_answer():
    def expose(ctx):
        array = np.ones(2)
        ctx.fast.expose(1, array)
        array[1] = 0
        ctx.recv_into(1, array)

    with pytest.raises(ProtocolError, match="it wrote to what it had exposed to rank 1, before that was answered"):
        run(expose, answer)


def test_an_answer_received_in_another_array_does_not_end_the_exposure():
    def expose(ctx):
        ctx.fast.expose(1, np.ones(2))
        ctx.recv(1, np.ones(2))
        ctx.settle()

    with pytest.raises(ProtocolError, match="in its place, rank 1's answer"):
        run(expose, answer)


def test_the_first_of_many_loans_is_still_checked():
    def lend(ctx):
        arrays = np.zeros((600, 2))
        for array in arrays:
            ctx.lend(1, array)
        arrays[0] = 1.0
        ctx.settle()

    with pytest.raises(ProtocolError, match="had lent"):
        run(lend, idle)


# --- many ranks ---


def test_a_ring_of_256_ranks_sums_up():
    n = 256

    def program(ctx):
        x = np.full(n, ctx.rank)
        ring(ctx, x)
        ctx.settle()
        return x

    for x in simulate(program, n, network=NETWORK).results:
        assert (x == n * (n - 1) // 2).all()
