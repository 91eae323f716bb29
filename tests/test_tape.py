"""A tape keeps how a run begins and how it ends, and says what it has lost in between."""

import numpy as np
import pytest

from common.tape import CUT, RECORD, Tape, this_clock


def noted(limit, count):
    """The records of a tape with room for `limit`, of which record i has the number i, from second i to i + 0.5."""
    tape = Tape(limit)
    for number in range(count):
        tape.note(1, 2, 3, 4, number, 5, number, number + 0.5)
    return tape.records()


def test_a_record_comes_back_as_it_was_noted():
    tape = Tape(2)
    tape.note(1, 70, 3, -2, 1 << 40, 5, 6.25, 7.5)
    (record,) = tape.records()
    assert record.item() == (1, 70, 3, -2, 1 << 40, 5, 6.25, 7.5)


@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_a_tape_that_is_not_full_keeps_all(count):
    assert noted(7, count)["seq"].tolist() == list(range(count))


@pytest.mark.parametrize("limit", [2, 7, 8])
@pytest.mark.parametrize("more", [1, 2, 4, 5, 23])
def test_of_more_it_keeps_the_first_half_and_the_latest_and_counts_the_lost(limit, more):
    count, head = limit + more, limit // 2
    records = noted(limit, count)
    latest = range(count - (limit - head), count)
    kept = records[records["kind"] != CUT]
    assert kept["seq"].tolist() == [*range(head), *latest]
    (cut,) = records[records["kind"] == CUT]
    assert records[head] == cut
    assert cut["seq"] == count - limit
    assert (cut["began"], cut["ended"]) == (head - 0.5, latest[0])


def test_a_tape_needs_room_at_both_ends():
    with pytest.raises(ValueError, match="a tape for 1 records"):
        Tape(1)


def test_processes_of_one_machine_read_one_clock():
    assert this_clock() == this_clock() > 0
    assert np.iinfo(RECORD["seq"]).max >= this_clock()
