"""Ranks find each other in any order of start, and every look-up ends."""

import threading

import pytest
from transports import in_threads

from common.errors import DeadlineExceeded, PeerFailed
from common.place import Place
from common.runtime import rendezvous
from common.runtime.rendezvous import Rendezvous, file_store


def rank_of(folder, rank, ranks=3, deadline=10.0, place=None):
    """Return one rank's rendezvous with its own store, as in a separate process."""
    return Rendezvous(file_store(folder, ranks), place or Place(rank), deadline)


def no_watch():
    """A watch that never raises."""


def test_each_rank_finds_the_address_at_which_a_peer_listens_to_it(tmp_path):
    ranks = [rank_of(tmp_path, rank) for rank in range(3)]
    for rank, rendezvous_of in enumerate(ranks):
        rendezvous_of.publish({peer: f"address of {rank} for {peer}" for peer in range(3) if peer != rank})
    for rank, rendezvous_of in enumerate(ranks):
        for peer in {0, 1, 2} - {rank}:
            assert rendezvous_of.lookup(peer, no_watch) == f"address of {peer} for {rank}"


def test_a_look_up_waits_for_a_peer_that_starts_later(tmp_path):
    looking = threading.Event()

    def start():
        assert looking.wait(10.0)
        rank_of(tmp_path, 1).publish({0: "here"})

    def look():
        return rank_of(tmp_path, 0).lookup(1, looking.set)

    assert in_threads([start, look])[1] == "here"


def test_a_started_peer_is_found_without_waiting(tmp_path):
    rank_of(tmp_path, 1).publish({0: "here"})

    def watch():
        raise AssertionError("waited")

    assert rank_of(tmp_path, 0, deadline=0.0).lookup(1, watch) == "here"


def test_a_peer_can_be_looked_up_again(tmp_path):
    one, other = rank_of(tmp_path, 0), rank_of(tmp_path, 1)
    other.publish({0: "here"})
    assert [one.lookup(1, no_watch) for _ in range(3)] == ["here"] * 3


def test_a_peer_that_never_starts_is_named_at_the_deadline(tmp_path):
    place = Place(0, stage="synchronize", step=4)
    with pytest.raises(DeadlineExceeded) as caught:
        rank_of(tmp_path, 0, deadline=0.02, place=place).lookup(2, no_watch)
    assert str(caught.value) == "worker rank 0, stage synchronize, step 4: waited 0.02 s for rank 2 to start"
    assert caught.value.peers == (2,)


def test_the_end_of_the_job_ends_the_wait(tmp_path):
    def watch():
        raise PeerFailed("killed", rank=1, role="worker", stage="train", step=3)

    with pytest.raises(PeerFailed, match=r"rank 1.*killed"):
        rank_of(tmp_path, 0, deadline=3600.0).lookup(1, watch)


def test_the_watch_is_called_repeatedly(tmp_path, monkeypatch):
    monkeypatch.setattr(rendezvous, "POLL", 0.0)
    calls = iter(range(5))

    def watch():
        if next(calls, None) is None:
            raise PeerFailed("killed", rank=1, role="worker", stage="train", step=3)

    with pytest.raises(PeerFailed):
        rank_of(tmp_path, 0, deadline=3600.0).lookup(1, watch)


def test_the_store_is_one_file_in_the_private_folder(tmp_path):
    rank_of(tmp_path, 0).publish({1: "here"})
    one = rank_of(tmp_path, 1)
    assert one.lookup(0, no_watch) == "here"
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
