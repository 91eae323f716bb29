"""A rank goes on at the right step, with the right state and counts, after a server has come back."""

import numpy as np
import pytest

from common.records.recorder import Recorder, StepRecord
from common.records.stage_clock import STAGES
from common.runtime.checkpoint import Checkpoints, versions
from common.runtime.job import Job
from common.runtime.status_board import PostedPlace, StatusBoard
from experiments.launch.incarnation import CarriedState, Incarnation
from experiments.launch.rank_process import JobOrder
from experiments.ranks.recording import Resumption, added

FIRST = 77
JOB = Job("ps-bsp", 2, 1, batch=2, steps=50, checkpoint_every=10, restarts=1)


@pytest.fixture
def board(tmp_path):
    board = StatusBoard(tmp_path / "board", 3, create=True)
    yield board
    board.close()


SENT = {"bytes_to": {2: 100}, "messages_to": {2: 4}}


def resumption(board, tmp_path, incarnation, past, role="worker"):
    place = PostedPlace(board, 2 if role == "server" else 0, role)
    notes = {**SENT, "rows": 5, "events": 0}
    order = JobOrder(job={}, workers=2, servers=1, placement="dedicated", id=FIRST, results=str(tmp_path), epoch=0.0)
    return Resumption(JOB, order, place, incarnation, past, lambda: notes)


def test_the_first_incarnation_begins_at_the_beginning(board, tmp_path):
    found = resumption(board, tmp_path, Incarnation(0, tmp_path, FIRST), CarriedState())
    assert (found.start, found.sent, found.checkpoints) == (0, {}, None)


def test_a_worker_rolls_back_to_the_common_step_and_to_the_counts_of_that_step(board, tmp_path):
    past = CarriedState(steps=27)
    for steps in (10, 20):
        past.remember(steps, {"bytes_to": {2: steps}, "messages_to": {2: 1}})
    back = Incarnation(1, tmp_path / "1", 1, resumed=True, step=20)
    found = resumption(board, tmp_path, back, past)
    assert (found.start, found.sent["bytes_to"]) == (20, {2: 20})
    anew = resumption(board, tmp_path, Incarnation(1, tmp_path / "1", 1), past)
    assert (anew.start, anew.sent) == (0, {})


def test_a_worker_that_was_late_skips_to_the_common_step_from_its_own(board, tmp_path):
    back = Incarnation(1, tmp_path / "1", 1, resumed=True, step=20)
    found = resumption(board, tmp_path, back, CarriedState(steps=17, sent=SENT))
    assert (found.start, found.sent) == (17, SENT)


def test_checkpoints_after_the_common_step_are_removed(board, tmp_path):
    before = resumption(board, tmp_path, Incarnation(0, tmp_path, FIRST), CarriedState(), "server").checkpoints
    for version in (10, 20):
        before.save(version, {"version": np.array(version)})
    resumption(board, tmp_path, Incarnation(1, tmp_path / "1", 1, True, 10), CarriedState(), "server")
    assert versions(before.folder) == [10]
    resumption(board, tmp_path, Incarnation(2, tmp_path / "2", 1), CarriedState(), "server")
    assert versions(before.folder) == []


def test_without_rollback_a_worker_goes_on_at_its_own_step(board, tmp_path):
    past = CarriedState(steps=27, sent=SENT)
    found = resumption(board, tmp_path, Incarnation(1, tmp_path / "1", 1, resumed=True, step=None), past)
    assert (found.start, found.sent) == (27, SENT)


def test_a_server_loads_its_checkpoint_of_the_common_step_with_its_counts(board, tmp_path):
    before = resumption(board, tmp_path, Incarnation(0, tmp_path, FIRST), CarriedState(), "server").checkpoints
    for version in (10, 20):
        before.save(version, {"version": np.array(version)})
    found = resumption(board, tmp_path, Incarnation(1, tmp_path / "1", 1, True, 10), CarriedState(), "server")
    assert (found.start, found.sent) == (10, SENT)
    assert found.checkpoints.take_restored()["version"] == 10


def test_a_server_that_lives_on_keeps_its_state_and_one_that_died_takes_its_newest(board, tmp_path):
    Checkpoints(tmp_path / "checkpoints" / "2", 10, PostedPlace(board, 2, "server"), FIRST, lambda: SENT).save(
        20, {"version": np.array(20)}
    )
    on = Incarnation(1, tmp_path / "1", 1, True, None)
    alive = resumption(
        board, tmp_path, on, CarriedState(steps=25, sent=SENT, state={"version": np.array(25)}), "server"
    )
    died = resumption(board, tmp_path, on, CarriedState(), "server")
    assert (alive.start, alive.checkpoints.take_restored()["version"]) == (25, 25)
    assert (died.start, died.checkpoints.take_restored()["version"]) == (20, 20)


def test_rows_of_steps_that_are_done_again_are_removed(board, tmp_path):
    recorder = Recorder(tmp_path / "0.jsonl")
    for step in range(5):
        recorder.write(StepRecord(step, "worker", 0, 0.0, 1.0, dict.fromkeys(STAGES, 0.0), 0.5))
    events = Recorder(tmp_path / "events.jsonl")
    resumption(board, tmp_path, Incarnation(1, tmp_path, 1, True, 3), CarriedState()).rewind(recorder, events)
    assert recorder.path.read_bytes().count(b"\n") == 3
    resumption(board, tmp_path, Incarnation(1, tmp_path, 1, True, None), CarriedState(steps=3)).rewind(recorder, events)
    assert recorder.path.read_bytes().count(b"\n") == 3
    recorder.close()
    events.close()


def test_sent_counts_are_added_up_by_receiver():
    assert added({}, SENT) == SENT
    assert added({"bytes_to": {3: 5}}, SENT) == {"bytes_to": {2: 100, 3: 5}, "messages_to": {2: 4}}
