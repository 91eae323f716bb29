"""A rank goes from one incarnation of its job into the next, and carries its state along."""

import pytest

from common.errors import SETUP, DeadlineExceeded, PeerFailed
from common.runtime.job import Job
from common.runtime.status_board import PostedPlace, Reincarnated, StatusBoard
from experiments.launch.incarnation import CarriedState, Incarnation, home_of, live_through

FIRST = 77
JOB = Job("ps-bsp", 2, 1, batch=2, steps=50, checkpoint_every=10, restarts=1)


@pytest.fixture
def board(tmp_path):
    board = StatusBoard(tmp_path / "board", 3, create=True)
    yield board
    board.close()


def announce(board, home, number, **more):
    board.reincarnate(number)
    Incarnation(number, home_of(home, number), FIRST + number, **more).write()


def test_a_rank_lives_one_incarnation_after_the_other_until_one_ends(board, tmp_path):
    place = PostedPlace(board, 0, "worker")
    seen = []

    def live(incarnation, past):
        seen.append((incarnation.number, incarnation.id, incarnation.home, place.step, place.stage, past.steps))
        place.step = 7
        place.enter("train")
        past.steps += 1
        if incarnation.number < 2:
            announce(board, tmp_path, incarnation.number + 1)
            raise Reincarnated(incarnation.number + 1)
        return "done"

    assert live_through(tmp_path, FIRST, board, place, 5.0, live) == "done"
    assert seen == [
        (0, FIRST, tmp_path, SETUP, "setup", 0),
        (1, FIRST + 1, tmp_path / "1", SETUP, "setup", 1),
        (2, FIRST + 2, tmp_path / "2", SETUP, "setup", 2),
    ]


def test_a_rank_that_starts_late_joins_the_present_incarnation(board, tmp_path):
    announce(board, tmp_path, 1)
    announce(board, tmp_path, 2, resumed=True, step=20)
    place = PostedPlace(board, 2, "server")
    found = live_through(tmp_path, FIRST, board, place, 5.0, lambda incarnation, past: incarnation)
    assert found == Incarnation(2, tmp_path / "2", FIRST + 2, True, 20)


def test_an_incarnation_that_is_never_described_ends_with_the_deadline_or_the_job(board, tmp_path):
    board.reincarnate(1)
    place = PostedPlace(board, 0, "worker")
    with pytest.raises(DeadlineExceeded, match=r"worker rank 0, stage setup.*where incarnation 1 meets"):
        live_through(tmp_path, FIRST, board, place, 0.01, lambda incarnation, past: None)
    board.abort(PeerFailed("killed", rank=1, role="worker", stage="train", step=3))
    with pytest.raises(PeerFailed, match="worker rank 1"):
        live_through(tmp_path, FIRST, board, place, 60.0, lambda incarnation, past: None)


def test_carried_state_keeps_the_counts_of_the_latest_checkpoints_only():
    past = CarriedState()
    for steps in range(10, 100, 10):
        past.remember(steps, {})
    assert sorted(past.sent_by) == [60, 70, 80, 90]
