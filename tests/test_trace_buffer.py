"""A trace buffer keeps the latest records, and says so when it has lost earlier ones."""

import numpy as np
import pytest

from common.records.trace_buffer import CUT, RECORD, TraceBuffer, clock_id


def noted(limit, count):
    """The records of a buffer with room for `limit`, of which record i has the number i, from second i to i + 0.5."""
    buffer = TraceBuffer(limit)
    for number in range(count):
        buffer.note((1, 2, 3, 4, number, 5, number, number + 0.5))
    return buffer.records()


def test_a_record_comes_back_as_it_was_noted():
    buffer = TraceBuffer(2)
    buffer.note((1, 70, 3, -2, 1 << 40, 5, 6.25, 7.5))
    (record,) = buffer.records()
    assert record.item() == (1, 70, 3, -2, 1 << 40, 5, 6.25, 7.5)


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_a_tape_that_is_not_full_keeps_all(count):
    assert noted(7, count)["seq"].tolist() == list(range(count))


@pytest.mark.parametrize("more", [0, 1, 23])
def test_a_full_tape_keeps_the_latest_and_says_since_when(more):
    cut, *records = noted(7, 7 + more)
    assert [record["seq"] for record in records] == list(range(more, 7 + more))
    assert (cut["kind"], cut["began"]) == (CUT, more)


def test_processes_of_one_machine_read_one_clock():
    assert clock_id() == clock_id() > 0
    assert np.iinfo(RECORD["seq"]).max >= clock_id()
