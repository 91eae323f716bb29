"""The status board shows every rank's place to other processes and outlives the ranks."""

import math
import struct

import pytest

from common.errors import FINISH, SETUP, PeerFailed
from common.records.stage_clock import STAGES
from common.runtime.status_board import PostedPlace, Reincarnated, Status, StatusBoard

NONE = dict.fromkeys(STAGES, 0.0)
SECONDS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.fixture
def board(tmp_path):
    board = StatusBoard(tmp_path / "board", 3, create=True)
    yield board
    board.close()


@pytest.fixture
def other(board, tmp_path):
    """The same board as another process opens it."""
    other = StatusBoard(tmp_path / "board", 3)
    yield other
    other.close()


def test_every_rank_of_a_new_board_is_in_setup(other):
    for rank in range(3):
        assert other.read(rank) == Status(SETUP, "setup", 0, 0.0, NONE)


@pytest.mark.parametrize("stage", ["setup", *STAGES, "finish"])
@pytest.mark.parametrize("step", [SETUP, 0, 12, 2**40, FINISH])
def test_others_see_step_and_stage_of_that_rank_at_once(board, other, stage, step):
    board.enter(1, step, stage)
    assert other.read(1) == Status(step, stage, 0, 0.0, NONE)
    assert other.read(0) == other.read(2) == Status(SETUP, "setup", 0, 0.0, NONE)


def test_others_see_a_ranks_progress_which_leaves_its_stage_unchanged(board, other):
    board.enter(2, 7, "update")
    board.done(2, 8, 0.25, SECONDS)
    assert other.read(2) == Status(7, "update", 8, 0.25, dict(zip(STAGES, SECONDS, strict=True)))
    assert other.read(1) == Status(SETUP, "setup", 0, 0.0, NONE)


def test_entering_a_stage_leaves_the_progress_unchanged(board, other):
    board.done(2, 8, 0.25, SECONDS)
    board.enter(2, 8, "load")
    assert other.read(2) == Status(8, "load", 8, 0.25, dict(zip(STAGES, SECONDS, strict=True)))


def test_a_loss_need_not_be_finite(board, other):
    board.done(0, 1, math.inf, SECONDS)
    assert other.read(0).loss == math.inf


def test_a_stage_that_does_not_exist_is_refused(board):
    with pytest.raises(KeyError):
        board.enter(0, 0, "lunch")


def test_while_the_job_runs_there_is_no_culprit(board, other):
    board.enter(0, 5, "train")
    assert other.culprit() is None


@pytest.mark.parametrize("role", ["worker", "server"])
@pytest.mark.parametrize(("rank", "stage", "step"), [(0, "train", 12), (2, "setup", SETUP), (1, "synchronize", FINISH)])
def test_the_rank_that_ends_the_job_is_named_to_all(board, other, role, rank, stage, step):
    error = PeerFailed("killed by signal 9", rank=rank, role=role, stage=stage, step=step)
    board.abort(error)
    for view in (board, other):
        assert type(view.culprit()) is PeerFailed
        assert view.culprit().record() == error.record()


def test_the_failed_rank_is_written_last_so_that_no_reader_sees_half_a_failure(board, other, monkeypatch):
    seen, pack_into = [], struct.pack_into

    def spy(layout, buffer, *rest):
        seen.append((other.culprit(), b"killed" in buffer[:]))
        pack_into(layout, buffer, *rest)

    monkeypatch.setattr(struct, "pack_into", spy)
    board.abort(PeerFailed("killed", rank=1, role="server", stage="train", step=3))
    assert seen == [(None, True)]


def test_a_long_cause_is_cut_between_two_characters(board, other):
    cause = "x" * 219 + "ßß"
    board.abort(PeerFailed(cause, rank=1, role="worker", stage="train", step=3))
    assert other.culprit().cause == "x" * 219


def test_the_last_bytes_of_the_head_do_not_reach_into_the_first_slot(board, other):
    board.enter(0, 3, "train")
    board.abort(PeerFailed("x" * 500, rank=1, role="worker", stage="train", step=3))
    assert other.read(0) == Status(3, "train", 0, 0.0, NONE)


def test_the_last_rank_fits(board, other):
    board.enter(2, 3, "finish")
    board.done(2, 4, 0.5, SECONDS)
    assert other.read(2).stage_seconds["update"] == 6.0


def test_a_board_does_not_replace_an_existing_file(board, tmp_path):
    board.enter(0, 3, "train")
    with pytest.raises(FileExistsError):
        StatusBoard(tmp_path / "board", 3, create=True)
    assert board.read(0).step == 3


def test_a_board_that_does_not_exist_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        StatusBoard(tmp_path / "nowhere", 3)
    assert not (tmp_path / "nowhere").exists()


def test_a_slot_remains_after_its_writer_has_closed_the_board(board, tmp_path):
    writer = StatusBoard(tmp_path / "board", 3)
    writer.enter(1, 9, "synchronize")
    writer.close()
    assert board.read(1) == Status(9, "synchronize", 0, 0.0, NONE)


def test_a_posted_place_shows_its_stage(board, other):
    place = PostedPlace(board, 1, "worker")
    place.step = 4
    place.enter("train")
    assert other.read(1) == Status(4, "train", 0, 0.0, NONE)
    assert str(place) == "worker rank 1, stage train, step 4"


def test_a_posted_place_begins_in_setup(board):
    place = PostedPlace(board, 2, "server")
    assert place.fields() == {"rank": 2, "role": "server", "stage": "setup", "step": SETUP}


def test_all_see_a_new_incarnation_and_no_culprit(board, other):
    assert (other.incarnation, other.dismissed) == (0, False)
    board.enter(0, 3, "train")
    for number in (1, 2):
        board.reincarnate(number)
        assert (other.incarnation, other.dismissed, other.culprit()) == (number, False, None)
    board.dismiss()
    assert (other.incarnation, other.dismissed, other.culprit()) == (2, True, None)
    assert other.read(0) == Status(3, "train", 0, 0.0, NONE)


def test_reincarnated_passes_through_handlers_of_exception():
    assert not issubclass(Reincarnated, Exception)
    assert Reincarnated(3).number == 3
