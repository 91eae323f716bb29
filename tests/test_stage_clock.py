"""The watch of the stages: every second counts for one stage, the innermost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.records.stage_clock import STAGES, StageClock


class Time:
    """A clock that goes on when it is told to."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds

    def pass_(self, seconds):
        self.seconds += seconds


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def entered():
    return []


@pytest.fixture
def clock(time, entered):
    return StageClock(time, entered.append)


def times(**seconds):
    """Those seconds, and none in the other stages."""
    return {**dict.fromkeys(STAGES, 0.0), **seconds}


def test_the_stages_are_those_of_the_book_in_its_order():
    assert STAGES == ("preprocess", "partition", "load", "train", "synchronize", "update")


def test_a_stage_gets_the_seconds_that_pass_in_it(clock, time):
    time.pass_(100.0)
    with clock("train"):
        time.pass_(2.0)
    time.pass_(100.0)
    with clock("train"):
        time.pass_(0.5)
    assert clock.take() == times(train=2.5)


def test_a_stage_inside_another_stops_the_outer_ones_watch(clock, time):
    with clock("load"):
        time.pass_(1.0)
        with clock("partition"):
            time.pass_(2.0)
        time.pass_(4.0)
        with clock("preprocess"):
            time.pass_(8.0)
            with clock("load"):
                time.pass_(16.0)
            time.pass_(32.0)
    assert clock.take() == times(load=21.0, partition=2.0, preprocess=40.0)


TREES = st.recursive(
    st.just([]),
    lambda inner: st.lists(st.tuples(st.sampled_from(STAGES), st.integers(0, 9), inner), max_size=3),
    max_leaves=12,
)


@given(TREES)
def test_however_stages_nest_every_second_in_them_counts_once(tree):
    time, expected = Time(), times()
    clock = StageClock(time)

    def walk(tree):
        for stage, seconds, inner in tree:
            with clock(stage):
                time.pass_(seconds)
                walk(inner)
                time.pass_(seconds)
                expected[stage] += 2 * seconds

    walk(tree)
    taken = clock.take()
    assert taken == expected
    assert sum(taken.values()) == time.seconds


def test_every_change_of_stage_is_told(clock, entered):
    with clock("load"):
        with clock("partition"):
            pass
        with clock("preprocess"):
            pass
    with clock("train"):
        pass
    assert entered == ["load", "partition", "load", "preprocess", "load", "train"]


def test_an_error_keeps_the_stage_in_which_it_happened_and_stops_every_watch(clock, time, entered):
    def load():
        with clock("load"):
            time.pass_(1.0)
            with clock("preprocess"):
                time.pass_(2.0)
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load()
    assert entered[-1] == "preprocess"
    time.pass_(100.0)
    assert clock.take() == times(load=1.0, preprocess=2.0)


def test_after_an_error_that_was_answered_the_watch_goes_on(clock, time, entered):
    with clock("load"):
        with pytest.raises(ZeroDivisionError), clock("preprocess"):
            raise ZeroDivisionError
        time.pass_(1.0)
    with clock("train"):
        time.pass_(2.0)
    assert clock.take() == times(load=1.0, train=2.0)
    assert entered[-1] == "train"


def test_taken_seconds_are_not_returned_again(clock, time):
    with clock("train"):
        time.pass_(2.0)
    first = clock.take()
    with clock("update"):
        time.pass_(1.0)
    assert first == times(train=2.0)
    assert clock.take() == times(update=1.0)
    assert clock.take() == times()


@pytest.mark.parametrize("stage", ["lunch", "setup", "finish", ""])
def test_an_unknown_stage_is_refused(clock, stage, entered):
    with pytest.raises(KeyError):
        clock(stage)
    assert entered == []
    assert clock.take() == times()
