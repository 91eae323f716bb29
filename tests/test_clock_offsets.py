"""Clocks that are apart are put right from messages alone; after that none arrives before it was sent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traces import Hand

from experiments.trace.clock_offsets import estimate, least_delays
from experiments.trace.timeline import timeline

INF = np.inf


def corrected(least, offsets):
    """The least delays, by clocks that have been put right."""
    return least - (offsets.ahead[None, :] - offsets.ahead[:, None])


def test_equal_delays_both_ways_give_the_offset_exactly():
    planted, delay = 3.5, 0.25
    offsets = estimate(np.array([[0.0, delay + planted], [delay - planted, 0.0]]))
    assert offsets.ahead.tolist() == [0.0, planted]
    assert offsets.uncertainty.tolist() == [0.0, delay]


def test_a_chain_of_clocks_is_followed_to_its_end():
    planted = np.array([0.0, 5.0, -2.0, 40.0])
    least = np.full((4, 4), INF)
    for a, b in ((0, 1), (1, 2), (2, 3)):
        least[a, b], least[b, a] = 0.1 + planted[b] - planted[a], 0.1 + planted[a] - planted[b]
    np.fill_diagonal(least, 0.0)
    assert estimate(least).ahead == pytest.approx(planted)


@pytest.mark.parametrize(
    ("least", "ahead"),
    [
        ([[0.0, 0.5], [INF, 0.0]], 0.0),  # it may be right, so it is
        ([[0.0, -2.0], [INF, 0.0]], -2.0),
        ([[0.0, INF], [-3.0, 0.0]], 3.0),
        ([[0.0, INF], [INF, 0.0]], 0.0),
    ],
)
def test_with_messages_one_way_a_clock_is_moved_no_further_than_it_must(least, ahead):
    offsets = estimate(np.array(least))
    assert offsets.ahead.tolist() == [0.0, ahead]
    assert offsets.uncertainty[1] == INF


@given(st.data())
def test_whatever_the_delays_no_message_arrives_before_it_was_sent_and_the_error_is_bounded(data):
    count = data.draw(st.integers(2, 5))
    seconds = st.floats(0.0, 10.0)
    planted = np.array([0.0, *(data.draw(st.floats(-100.0, 100.0)) for _ in range(count - 1))])
    delays = np.array([[data.draw(st.one_of(seconds, st.just(INF))) for _ in planted] for _ in planted])
    np.fill_diagonal(delays, 0.0)
    least = delays + planted[None, :] - planted[:, None]
    offsets = estimate(least)
    assert (corrected(least, offsets) >= -1e-9).all()
    for clock in range(count):
        assert abs(offsets.ahead[clock] - planted[clock]) <= 2 * offsets.uncertainty.sum() + 1e-9


def test_the_least_delay_of_each_pair_counts():
    least = least_delays(2, [0, 0, 1], [1, 1, 0], np.array([3.0, 2.0, 7.0]))
    assert least.tolist() == [[0.0, 2.0], [7.0, 0.0]]


def exchange(ahead):
    """Tapes of two ranks on clocks of their own, the second `ahead`; 1 s each way, once in either 4 s."""
    zero, one = Hand(0, clock=11), Hand(1, clock=22)
    for began in (0.0, 10.0):
        zero.send(1, began, began + 0.1)
        one.receive(0, began + ahead, began + 1.0 + ahead)
        one.send(0, began + 2 + ahead, began + 2.1 + ahead)
        zero.receive(1, began + 2, began + 3)
    zero.send(1, 20.0, 20.1)
    one.receive(0, 20.0 + ahead, 24.0 + ahead)
    return [zero.trace, one.trace]


@pytest.mark.parametrize("ahead", [0.0, 1234.5, -7.25])
def test_planted_offsets_are_recovered_from_traces_and_taken_out(ahead):
    found = timeline(exchange(ahead))
    assert found.offsets.ahead.tolist() == pytest.approx([0.0, ahead])
    assert found.traces[1].messages["ended"].tolist() == pytest.approx([1.0, 2.1, 11.0, 12.1, 24.0])


def test_ranks_that_read_one_clock_are_left_as_they_are():
    zero, one = Hand(0, clock=5).send(1, 0.0, 0.1), Hand(1, clock=5).receive(0, 0.0, 4.0)
    one.send(0, 4.0, 4.1)
    zero.receive(1, 4.0, 4.2)
    found = timeline([zero.trace, one.trace])
    assert found.offsets.ahead.tolist() == [0.0]
    assert found.traces[1].messages["ended"].tolist() == [4.0, 4.1]
