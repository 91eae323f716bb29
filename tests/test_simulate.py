"""Ranks of one machine share its link, and messages between them cost nothing."""

import numpy as np
import pytest
from programs import LATENCY, NETWORK, WIRE, ZEROS, idle, recv, run, send


def test_messages_inside_a_machine_take_no_time():
    assert run(send(1, times=3), recv(0, 0, 0), network=NETWORK, machines=[[0, 1]]).results[1] == [0.0] * 3


def test_ranks_of_a_machine_share_its_outgoing_link():
    outcome = run(send(2), send(3), recv(0), recv(1), network=NETWORK, machines=[[0, 1]])
    assert outcome.results[2:] == [[LATENCY + WIRE], [LATENCY + 2 * WIRE]]


def test_ranks_of_a_machine_share_its_incoming_link():
    outcome = run(send(2), send(3), recv(0), recv(1), network=NETWORK, machines=[[2, 3]])
    assert outcome.results[2:] == [[LATENCY + WIRE], [LATENCY + 2 * WIRE]]


def test_messages_inside_a_machine_do_not_use_the_link():
    def both(ctx):
        ctx.send(1, ZEROS)
        ctx.send(2, ZEROS)

    outcome = run(both, recv(0), recv(0), network=NETWORK, machines=[[0, 1]])
    assert outcome.results[2] == [LATENCY + WIRE]


def test_messages_inside_a_machine_keep_their_order_with_those_before():
    def program(ctx):
        if ctx.rank == 0:
            for number in range(4):
                ctx.send(1, np.full(1, number))
            return None
        return [int(ctx.recv(0, np.empty(1, np.int64))[0]) for _ in range(4)]

    assert run(program, program, network=NETWORK, machines=[[0, 1]]).results[1] == [0, 1, 2, 3]


def test_recv_any_takes_a_message_from_inside_the_machine_first():
    def listen(ctx):
        ctx.sleep(1.0)
        return [ctx.recv_any([0, 2], np.zeros(64, np.uint8)).sender for _ in range(2)]

    outcome = run(send(1), listen, send(1), network=NETWORK, machines=[[1, 2]])
    assert outcome.results[1] == [2, 0]


@pytest.mark.parametrize("machines", [(), [[0]], [[1], [0]]])
def test_messages_between_machines_take_time(machines):
    assert run(send(1), recv(0), idle, network=NETWORK, machines=machines).results[1] == [LATENCY + WIRE]
