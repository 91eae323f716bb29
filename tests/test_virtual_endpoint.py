"""Virtual time: the clock follows the documented model, and misuse of loans is noticed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import BANDWIDTH, BYTES, LATENCY, NETWORK, OVERHEAD, REDUCE, WIRE, ZEROS, idle, recv, run, send

from allreduce.ring import ring
from common.errors import ProtocolError
from common.simulate import simulate
from common.transport.virtual.network import Network

# --- the model ---


def test_one_message_takes_latency_overhead_and_its_bytes():
    assert run(send(1), recv(0), network=NETWORK).results[1] == [LATENCY + WIRE]


def test_an_empty_message_takes_latency_and_overhead():
    empty = ZEROS[:0]
    outcome = run(send(1, array=empty), recv(0, like=empty), network=NETWORK)
    assert outcome.results[1] == [LATENCY + OVERHEAD]


def test_the_default_network_costs_nothing():
    assert run(send(1), recv(0)).seconds == 0.0


def test_sending_does_not_wait():
    assert run(send(1, times=3), recv(0, 0, 0), network=NETWORK).results[0] == 0.0


def test_messages_on_one_link_leave_one_after_the_other():
    outcome = run(send(1, times=3), recv(0, 0, 0), network=NETWORK)
    assert outcome.results[1] == [LATENCY + k * WIRE for k in (1, 2, 3)]


def test_incast_shares_the_ingress_of_the_receiver():
    outcome = run(recv(1, 2, 3), send(0), send(0), send(0), network=NETWORK)
    assert outcome.results[0] == [LATENCY + k * WIRE for k in (1, 2, 3)]


def test_a_short_message_waits_behind_a_long_one_that_began_to_arrive_earlier():
    long = np.zeros(10 * BYTES, np.uint8)
    busy = OVERHEAD + long.nbytes / BANDWIDTH

    def listen(ctx):
        ctx.recv(2, ZEROS)
        short = ctx.now()
        ctx.recv(1, long)
        return short, ctx.now()

    outcome = run(listen, send(0, array=long), send(0, after=WIRE), network=NETWORK)
    assert outcome.results[0] == (LATENCY + busy + WIRE, LATENCY + busy + WIRE)


def test_the_ingress_is_busy_from_the_beginning_of_a_long_message():
    long = np.zeros(10 * BYTES, np.uint8)
    outcome = run(recv(1, like=long), send(0, array=long), send(0, after=WIRE), network=NETWORK)
    assert outcome.results[0] == [LATENCY + OVERHEAD + long.nbytes / BANDWIDTH]


def deliveries(traffic):
    """Apply the documented model to `traffic` (below); return the sorted (sender, moment of delivery) pairs."""
    arrivals = []
    for sender, messages in enumerate(traffic, start=1):
        now, egress = sender / 8, 0.0
        for pause, service in messages:
            now += pause
            start = max(now, egress)
            egress = start + service
            arrivals.append((start + 16.0, sender, service))
    ingress, delivered = 0.0, []
    for arrival, sender, service in sorted(arrivals, key=lambda arrival: arrival[0]):
        ingress = max(arrival, ingress) + service
        delivered.append((sender, ingress))
    return sorted(delivered)


# For each sender, the (pause before, seconds on the wire) of its messages. The numbers are whole, each sender begins at
# its own eighth of a second, so no two messages of different senders arrive at the same moment.
TRAFFIC = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6),
    min_size=1,
    max_size=5,
)


@given(TRAFFIC)
def test_every_message_is_delivered_at_the_moment_of_the_model(traffic):
    def program(ctx):
        if ctx.rank == 0:
            out = np.zeros(9, np.uint8)
            return sorted((ctx.recv_any(range(1, ctx.size), out).sender, ctx.now()) for _ in expected)
        ctx.sleep(ctx.rank / 8)
        for pause, service in traffic[ctx.rank - 1]:
            ctx.sleep(float(pause))
            ctx.send(0, np.zeros(service, np.uint8))

    expected = deliveries(traffic)
    network = Network(latency=16.0, bandwidth=1.0)
    assert simulate(program, 1 + len(traffic), network=network, deadline=1e4).results[0] == expected


def test_an_empty_message_does_not_overtake_a_message_that_ends_at_the_same_moment():
    def speak(ctx):
        ctx.send(0, ZEROS)
        ctx.sleep(2.0)
        ctx.send(0, ZEROS[:0])

    def listen(ctx):
        ctx.recv(2, ZEROS)
        ctx.recv(2, ZEROS[:0])
        return ctx.now()

    # Both first messages need the ingress for a second, from 4 to 6; the empty one arrives at 6.
    assert run(listen, send(0), speak, network=Network(latency=4.0, bandwidth=BYTES)).results[0] == 6.0


def test_messages_to_several_ranks_share_the_egress_of_the_sender():
    def scatter(ctx):
        for to in (1, 2, 3):
            ctx.send(to, ZEROS)

    outcome = run(scatter, recv(0), recv(0), recv(0), network=NETWORK)
    assert outcome.results[1:] == [[LATENCY + k * WIRE] for k in (1, 2, 3)]


def test_links_are_full_duplex():
    def swap(ctx):
        send(1 - ctx.rank)(ctx)
        return recv(1 - ctx.rank)(ctx)

    assert run(swap, swap, network=NETWORK).results == [[LATENCY + WIRE]] * 2


def test_pairs_of_ranks_do_not_share_a_link():
    outcome = run(send(1), recv(0), send(3), recv(2), network=NETWORK)
    assert outcome.results[1] == outcome.results[3] == [LATENCY + WIRE]


def test_a_message_arrives_while_its_receiver_computes():
    assert run(send(1), recv(0, after=9.0), network=NETWORK).results[1] == [9.0]


def test_a_receiver_waits_for_a_sender_that_computes():
    assert run(send(1, after=9.0), recv(0), network=NETWORK).results[1] == [9.0 + LATENCY + WIRE]


def test_adding_costs_time_for_each_byte():
    def add(ctx):
        ctx.recv_add(0, ZEROS.copy())
        return ctx.now()

    assert run(send(1), add, network=NETWORK).results[1] == LATENCY + WIRE + BYTES * REDUCE


def test_settle_ends_when_the_last_byte_has_left():
    def lend(ctx):
        for _ in range(3):
            ctx.lend(1, ZEROS)
        ctx.settle()
        return ctx.now()

    assert run(lend, recv(0, 0, 0), network=NETWORK).results[0] == 3 * WIRE


def test_the_run_ends_with_its_last_rank():
    def nap(ctx):
        ctx.sleep(float(ctx.rank))

    assert simulate(nap, 5).seconds == 4.0


def test_a_sleep_of_negative_time_returns_at_once():
    assert run(lambda ctx: ctx.sleep(-1.0)).seconds == 0.0


@pytest.mark.parametrize("n", range(1, 10))
def test_a_barrier_takes_log2_n_messages_and_waits_for_the_last(n):
    def meet(ctx):
        ctx.barrier()
        together = ctx.now()
        ctx.sleep(float(ctx.rank))
        ctx.barrier()
        return together, ctx.now()

    rounds = math.ceil(math.log2(n))
    for together, after in simulate(meet, n, network=Network(latency=LATENCY)).results:
        assert together == rounds * LATENCY
        assert after >= together + n - 1


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
