"""Staleness in updates, from the events of a server."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.metrics.behind import UpdateStaleness
from ps.consistency import ASP, SSP
from ps.shard import Shard


def push(worker, step, version, **more):
    return {
        "event": "push",
        "worker": worker,
        "step": step,
        "version": version,
        "waited": 0.0,
        "outcome": "applied",
        **more,
    }


def taken(workers, consistency, *events):
    behind = UpdateStaleness(workers, consistency)
    return [found for event in events if (found := behind.take(event)) is not None]


def test_workers_that_keep_pace_are_behind_by_the_updates_of_all_others():
    events = [push(worker, step, 3 * step + worker) for step in range(3) for worker in range(3)]
    assert taken(3, "asp", *events) == [0, 1, 2] + 6 * [2]


def test_who_waits_gets_what_is_there_when_the_slowest_moves():
    events = [
        push(0, 0, 0),
        push(0, 1, 1, waited=0.5),  # two ahead: waits for worker 1
        push(1, 0, 2),  # lets it go, with version 3
        push(0, 2, 3, waited=0.5),
        push(1, 1, 4),
    ]
    assert taken(2, "ssp(1)", *events) == [0, 0, 2, 0, 1]


def test_who_waits_for_one_that_leaves_gets_what_is_there_then():
    events = [push(0, 0, 0), push(0, 1, 1, waited=0.5), push(2, 0, 2), {"event": "departed", "worker": 1}]
    assert taken(3, "ssp(1)", *events, push(0, 2, 3)) == [0, 0, 2, 0]


def test_after_a_server_has_come_back_all_have_what_it_had_saved():
    events = [push(0, 0, 0), push(1, 0, 1), {"event": "resumed", "version": 1}, push(1, 0, 1), push(0, 1, 2)]
    assert taken(2, "asp", *events) == [0, 1, 0, 1]


@pytest.mark.parametrize("consistency", ["bsp", "backup(1)"])
def test_a_gradient_that_is_added_to_the_open_step_has_missed_nothing(consistency):
    events = [push(worker, step, step, waited=0.1) for step in range(3) for worker in range(2)]
    assert taken(2, consistency, *events) == 6 * [0]


@given(data=st.data(), workers=st.integers(1, 4), bound=st.integers(0, 3))
def test_it_is_what_a_server_itself_would_count(data, workers, bound):
    """The model of a shard knows whom it answers when: SSP with this bound, with 0 ASP."""
    one = SSP(bound) if bound else ASP()
    shard = Shard(np.empty(0, np.float32), range(workers), lambda gradient, step, damping: None, one)
    has, pushes = [0] * workers, []
    for _ in range(data.draw(st.integers(0, 30))):
        free = [worker for worker in range(workers) if worker not in shard.waiting]
        worker = data.draw(st.sampled_from(free))
        step = shard.clock[worker]
        pushed = shard.push(worker, step, np.empty(0, np.float32))
        pushes.append((push(worker, step, pushed.version), pushed.version - has[worker]))
        if worker not in pushed.answer:
            pushes[-1][0]["waited"] = 0.5
        for each in pushed.answer:
            has[each] = shard.version
    assert taken(workers, one.name, *(event for event, _ in pushes)) == [behind for _, behind in pushes]
