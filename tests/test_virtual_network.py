"""The clock of virtual time follows the documented model of the network."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import BANDWIDTH, BYTES, LATENCY, NETWORK, OVERHEAD, REDUCE, WIRE, ZEROS, recv, run, send

from common.simulate import simulate
from common.transport.virtual.network import Network


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
