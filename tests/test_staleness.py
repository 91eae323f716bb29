"""Staleness in updates, and the totals of pushes, from the events of servers."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.metrics.staleness import UpdateStaleness, read_pushes
from experiments.schema.documents import PushCounts
from experiments.schema.records import DepartedEvent, PushEvent, ResumedEvent
from ps.consistency import ASP, SSP
from ps.shard import Shard


def push(worker, step, version, **more):
    known = {"applied": step, "staleness": 0, "waited": 0.0, "outcome": "applied"}
    return PushEvent(worker=worker, step=step, version=version, **(known | more))


def taken(workers, consistency, *events):
    behind = UpdateStaleness(workers, consistency)
    return [found for event in events if (found := behind.take(event)) is not None]


def test_workers_that_keep_pace_are_behind_by_the_updates_of_all_others():
    events = [push(worker, step, 3 * step + worker) for step in range(3) for worker in range(3)]
    assert taken(3, "asp", *events) == [0, 1, 2] + 6 * [2]


def test_a_waiting_worker_gets_the_version_of_the_moment_the_slowest_moves():
    events = [
        push(0, 0, 0),
        push(0, 1, 1, waited=0.5),  # two ahead: waits for worker 1
        push(1, 0, 2),  # lets it go, with version 3
        push(0, 2, 3, waited=0.5),
        push(1, 1, 4),
    ]
    assert taken(2, "ssp(1)", *events) == [0, 0, 2, 0, 1]


def test_a_worker_that_waits_for_a_departing_one_gets_the_version_of_that_moment():
    events = [push(0, 0, 0), push(0, 1, 1, waited=0.5), push(2, 0, 2), DepartedEvent(worker=1)]
    assert taken(3, "ssp(1)", *events, push(0, 2, 3)) == [0, 0, 2, 0]


def test_after_a_server_has_come_back_all_workers_have_its_saved_version():
    events = [push(0, 0, 0), push(1, 0, 1), ResumedEvent(version=1), push(1, 0, 1), push(0, 1, 2)]
    assert taken(2, "asp", *events) == [0, 1, 0, 1]


@pytest.mark.parametrize("consistency", ["bsp", "backup(1)"])
def test_a_gradient_that_is_added_to_the_open_step_has_missed_nothing(consistency):
    events = [push(worker, step, step, waited=0.1) for step in range(3) for worker in range(2)]
    assert taken(2, consistency, *events) == 6 * [0]


@given(data=st.data(), workers=st.integers(1, 4), bound=st.integers(0, 3))
def test_staleness_agrees_with_the_model_of_a_shard(data, workers, bound):
    """The model of a shard knows whom it answers when: SSP with this bound, with 0 ASP."""
    one = SSP(bound) if bound else ASP()
    shard = Shard(np.empty(0, np.float32), range(workers), lambda gradient, step, damping: None, one)
    has, pushes = [0] * workers, []
    for _ in range(data.draw(st.integers(0, 30))):
        free = [worker for worker in range(workers) if worker not in shard.waiting]
        worker = data.draw(st.sampled_from(free))
        step = shard.clock[worker]
        pushed = shard.push(worker, step, np.empty(0, np.float32))
        waited = 0.0 if worker in pushed.answer else 0.5
        pushes.append((push(worker, step, pushed.version, waited=waited), pushed.version - has[worker]))
        for each in pushed.answer:
            has[each] = shard.version
    assert taken(workers, one.name, *(event for event, _ in pushes)) == [behind for _, behind in pushes]


# --- the totals of all servers ---


def event(worker, step, **more):
    """A push as ps.push_history notes it."""
    known = {"event": "push", "worker": worker, "step": step, "applied": step, "staleness": 0, "version": step}
    return {"at": 0.1, **known, "waited": 0.0, "outcome": "applied", **more}


def history(folder, rank, *events, tail=""):
    path = folder / f"{rank}-server.events.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in events) + tail)
    return path


def test_histories_add_up_over_servers(tmp_path):
    first = [event(0, 0), event(1, 0, staleness=2, waited=0.5), event(0, 1, outcome="dropped", staleness=9)]
    second = [
        event(0, 0, staleness=2, waited=0.25),
        event(0, 1, outcome="duplicate"),
        {"event": "finished", "worker": 0, "step": 2},
    ]
    second.append({"event": "lost", "worker": 0, "step": 0, "pushes": 3})
    files = [history(tmp_path, 2, *first), history(tmp_path, 3, *second), tmp_path / "4-server.events.jsonl"]
    pushes = read_pushes(files, 2, "ssp(3)")
    assert pushes.summary(2) == {
        "staleness_max": 2,
        "staleness_histogram": {0: 1, 2: 2},
        "staleness_updates_max": 0,
        "staleness_updates_histogram": {0: 3},
        "pushes": PushCounts(applied=3, dropped=1, lost=3),
        "waited_seconds": (0.125, 0.25),
    }
    assert [pushes.share_dropped(0, step) for step in (0, 1)] == [0.0, 0.5]


def test_without_servers_nothing_is_known_of_pushes(tmp_path):
    assert read_pushes([], 2, "asp").summary(2) == {}


def test_waits_that_no_server_saw_are_unknown(tmp_path):
    assert read_pushes([history(tmp_path, 2, event(0, 0, waited=None))], 1, "bsp").summary(1)["waited_seconds"] is None


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    assert read_pushes([history(tmp_path, 2, event(0, 0), tail='{"event": "pu')], 1, "asp").outcomes == {"applied": 1}
