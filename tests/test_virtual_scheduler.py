"""Failures in virtual time: each ends in an error that names the culprit, and no fiber stays behind."""

import gc

import greenlet
import numpy as np
import pytest
from programs import LATENCY, NETWORK, WIRE, ZEROS, idle, recv, run, send

from common.errors import DeadlineExceeded, Deadlock, PeerFailed, ProtocolError
from common.simulate import simulate
from common.transport.virtual.network import Delay, Drop, Kill, Network

# --- deadlock and deadline ---


def test_a_deadlock_names_each_waiting_rank_and_its_peers():
    def wait(ctx):
        ctx.place.step = 3
        recv(2 - ctx.rank)(ctx)

    with pytest.raises(Deadlock) as caught:
        run(wait, idle, wait, servers=1, network=NETWORK)
    assert "worker rank 0 (step 3) waits for 2; server rank 2 (step 3) waits for 0" in caught.value.cause
    assert "rank 1" not in caught.value.cause


def test_a_deadlock_in_recv_any_names_all_its_senders():
    with pytest.raises(Deadlock, match=r"worker rank 0 \(setup\) waits for 1 or 2"):
        run(lambda ctx: ctx.recv_any((1, 2), ZEROS.copy()), idle, idle)


def test_a_recv_any_past_its_deadline_names_all_its_senders():
    with pytest.raises(DeadlineExceeded, match="waited 10 s for rank 1 or rank 2"):
        run(lambda ctx: ctx.recv_any((1, 2), ZEROS.copy()), send(0, after=20.0), idle, deadline=10.0)


def test_a_deadlock_of_many_ranks_is_one_line():
    with pytest.raises(Deadlock, match=r"; and 4 more$") as caught:
        simulate(lambda ctx: recv((ctx.rank + 1) % 20)(ctx), 20)
    assert caught.value.cause.count("waits for") == 16


def test_a_wait_ends_at_the_deadline_and_names_the_peer():
    def wait(ctx):
        ctx.place.stage, ctx.place.step = "synchronize", 4
        try:
            ctx.recv(0, ZEROS)
        finally:
            moments.append(ctx.now())

    moments = []
    with pytest.raises(DeadlineExceeded) as caught:
        run(send(1, after=100.0), wait, deadline=10.0)
    assert str(caught.value) == "worker rank 1, stage synchronize, step 4: waited 10 s for rank 0"
    assert caught.value.peers == (0,)
    assert moments == [10.0]


def test_a_message_slower_than_the_deadline_ends_the_wait_at_the_deadline():
    def wait(ctx):
        try:
            ctx.recv(0, ZEROS)
        finally:
            moments.append(ctx.now())

    moments = []
    with pytest.raises(DeadlineExceeded, match="waited 10 s for rank 0"):
        run(send(1), wait, network=Network(bandwidth=1.0), deadline=10.0)
    assert moments == [10.0]


def test_the_deadline_holds_for_each_call_alone():
    outcome = run(send(2, after=6.0), send(2, after=12.0), recv(0, 1), deadline=10.0)
    assert outcome.results[2] == [6.0, 12.0]


def test_a_long_computation_exceeds_no_deadline():
    assert run(lambda ctx: ctx.sleep(1e6), deadline=1.0).seconds == 1e6


def test_a_rank_past_its_deadline_is_named_to_the_others():
    outcome = run(send(1, after=100.0), recv(0), recv(1), deadline=10.0, check=False)
    assert isinstance(outcome.errors[1], DeadlineExceeded)
    assert isinstance(outcome.errors[2], PeerFailed | DeadlineExceeded)
    assert outcome.errors[2].rank in (1, 2)


# --- faults ---


def test_a_killed_rank_is_named_with_its_stage_and_step():
    def victim(ctx):
        ctx.place.stage, ctx.place.step = "train", 5
        ctx.sleep(10.0)

    outcome = run(victim, recv(0), faults=[Kill(0, at=2.0)], check=False)
    assert isinstance(outcome.errors[1], PeerFailed)
    assert str(outcome.errors[1]) == "worker rank 0, stage train, step 5: killed at 2 s of virtual time"
    assert outcome.seconds == 2.0


def test_the_death_of_a_rank_ends_a_recv_any():
    outcome = run(
        lambda ctx: ctx.recv_any((1, 2), ZEROS.copy()), recv(0), recv(0), faults=[Kill(2, at=1.0)], check=False
    )
    assert outcome.errors[0].rank == outcome.errors[1].rank == 2


def test_messages_sent_before_a_kill_arrive():
    def victim(ctx):
        ctx.send(1, ZEROS)
        ctx.sleep(10.0)

    outcome = run(victim, recv(0, 0), network=NETWORK, faults=[Kill(0, at=LATENCY / 2)], check=False)
    assert outcome.meters[0].messages_to[1] == 1
    assert isinstance(outcome.errors[1], PeerFailed)
    outcome = run(victim, recv(0), network=NETWORK, faults=[Kill(0, at=LATENCY / 2)], check=False)
    assert outcome.results[1] == [LATENCY + WIRE]


def test_each_receive_from_a_dead_rank_raises_the_same_error():
    def receive_again(ctx):
        for _ in range(3):
            with pytest.raises(PeerFailed, match="killed"):
                ctx.recv(0, ZEROS)
        return "raised each time"

    assert run(recv(1), receive_again, faults=[Kill(0, at=1.0)], check=False).results[1] == "raised each time"


def test_a_rank_killed_at_the_start_does_not_get_past_its_first_wait():
    def victim(ctx):
        ctx.sleep(1.0)
        reached.append(ctx.rank)

    reached = []
    outcome = run(victim, recv(0), faults=[Kill(0, at=0.0)], check=False)
    assert reached == []
    assert outcome.errors[1].rank == 0
    assert outcome.seconds == 0.0


def test_killing_a_rank_that_has_ended_changes_nothing():
    outcome = run(send(1), recv(0, after=5.0), faults=[Kill(0, at=1.0)])
    assert outcome.errors == {}


def test_sending_to_a_dead_rank_is_no_error():
    assert run(recv(1), send(0, after=5.0), faults=[Kill(0, at=1.0)], check=False).results[1] == 5.0


def test_a_lost_message_is_reported_when_the_next_one_comes():
    def speak(ctx):
        ctx.send(1, ZEROS)
        ctx.sleep(2.0)
        ctx.send(1, ZEROS)

    with pytest.raises(ProtocolError, match="message 0 from rank 0 was lost: message 1 came instead"):
        run(speak, recv(0), faults=[Drop(0, 1, until=1.0)])


@pytest.mark.parametrize(("faults", "came"), [([Drop(0, 1, at=1.0)], [0.0]), ([Delay(0, 1, 5.0, at=1.0)], [0.0, 7.0])])
def test_messages_before_a_fault_are_unaffected(faults, came):
    def speak(ctx):
        ctx.send(1, ZEROS)
        ctx.sleep(2.0)
        ctx.send(1, ZEROS)

    def listen(ctx):
        for _ in range(2):
            ctx.recv(0, ZEROS)
            moments.append(ctx.now())

    moments = []
    run(speak, listen, faults=faults, deadline=10.0, check=False)
    assert moments == came


def test_a_receive_on_a_dead_link_ends_at_the_deadline():
    with pytest.raises(DeadlineExceeded, match="waited 10 s for rank 0"):
        run(send(1), recv(0), faults=[Drop(0, 1)], deadline=10.0)


def test_a_fault_affects_its_direction_only():
    faults = [Drop(1, 0), Delay(1, 0, 5.0), Delay(0, 2, 5.0)]
    assert run(send(1), recv(0), idle, network=NETWORK, faults=faults).results[1] == [LATENCY + WIRE]


def test_a_delayed_link_takes_exactly_the_delay_longer():
    outcome = run(send(1), recv(0), network=NETWORK, faults=[Delay(0, 1, 5.0)])
    assert outcome.results[1] == [LATENCY + WIRE + 5.0]


def test_a_later_message_does_not_overtake_a_delayed_one():
    def speak(ctx):
        ctx.send(1, np.array([1]))
        ctx.sleep(2.0)
        ctx.send(1, np.array([2]))

    def listen(ctx):
        return [(ctx.recv(0, np.zeros(1, int)).item(), ctx.now()) for _ in range(2)]

    outcome = run(speak, listen, faults=[Delay(0, 1, 5.0, until=1.0)])
    assert outcome.results[1] == [(1, 5.0), (2, 5.0)]


# --- failures of the program ---


def failing(ctx):
    """A program with a bug."""
    ctx.place.stage, ctx.place.step = "train", 2
    raise ZeroDivisionError("by nought")


def test_the_exception_of_a_rank_is_raised_unchanged():
    with pytest.raises(ZeroDivisionError, match="by nought"):
        run(recv(1), failing)


def test_the_exception_of_a_rank_reaches_the_others_even_through_a_third_rank():
    outcome = run(failing, recv(0), recv(1), check=False)
    for rank in (1, 2):
        error = outcome.errors[rank]
        assert isinstance(error, PeerFailed)
        assert str(error) == "worker rank 0, stage train, step 2: ZeroDivisionError: by nought"


def test_errors_keep_their_order_and_failed_ranks_have_no_result():
    outcome = run(recv(2), lambda ctx: "fine", failing, check=False)
    assert list(outcome.errors) == [2, 0]
    assert outcome.results == [None, "fine", None]
    with pytest.raises(ZeroDivisionError):
        outcome.raise_first()


def test_without_an_error_none_is_raised():
    run(idle).raise_first()


def running():
    """Return the greenlets that have begun and not ended, without the main one."""
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is greenlet.greenlet and found and found.parent]


@pytest.mark.parametrize(
    ("programs", "faults", "error"),
    [
        ([recv(1), failing, recv(0)], [], ZeroDivisionError),
        ([recv(1), recv(2), recv(0)], [], Deadlock),
        ([recv(1), recv(2), recv(0)], [Kill(1, at=1.0)], PeerFailed),
        ([recv(1), send(0), lambda ctx: ctx.sleep(5.0)], [Drop(1, 0)], DeadlineExceeded),
    ],
    ids=["bug", "deadlock", "kill", "deadline"],
)
def test_no_greenlet_survives_a_failure(programs, faults, error):
    assert running() == []
    with pytest.raises(error):
        run(*programs, faults=faults)
    assert running() == []


def test_ranks_in_a_deadlock_run_their_clean_up():
    def wait(ctx):
        try:
            ctx.recv(1 - ctx.rank, ZEROS)
        finally:
            cleaned.append(ctx.rank)

    cleaned = []
    with pytest.raises(Deadlock):
        run(wait, wait)
    assert sorted(cleaned) == [0, 1]
