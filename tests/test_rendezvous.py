"""Ranks find each other, whoever comes first, and nobody looks for ever."""

import threading

import pytest
from transports import in_threads

from common.errors import DeadlineExceeded, PeerFailed
from common.place import Place
from common.runtime import rendezvous
from common.runtime.rendezvous import Rendezvous, file_store


def rank_of(folder, rank, ranks=3, deadline=10.0, place=None):
    """One rank's view, with a store of its own, as in a process of its own."""
    return Rendezvous(file_store(folder, ranks), place or Place(rank), deadline)


def never():
    """A watch that sees nothing."""


def test_each_finds_where_the_other_listens_to_it(tmp_path):
    ranks = [rank_of(tmp_path, rank) for rank in range(3)]
    for rank, each in enumerate(ranks):
        each.publish({peer: f"address of {rank} for {peer}" for peer in range(3) if peer != rank})
    for rank, each in enumerate(ranks):
        for peer in {0, 1, 2} - {rank}:
            assert each.lookup(peer, never) == f"address of {peer} for {rank}"


def test_who_looks_before_the_other_has_come_waits_for_it(tmp_path):
    looking = threading.Event()

    def come():
        assert looking.wait(10.0)
        rank_of(tmp_path, 1).publish({0: "here"})

    def look():
        return rank_of(tmp_path, 0).lookup(1, looking.set)

    assert in_threads([come, look])[1] == "here"


def test_who_is_there_is_found_without_waiting(tmp_path):
    rank_of(tmp_path, 1).publish({0: "here"})

    def watch():
        raise AssertionError("waited")

    assert rank_of(tmp_path, 0, deadline=0.0).lookup(1, watch) == "here"


def test_it_is_found_as_often_as_it_is_looked_for(tmp_path):
    one, other = rank_of(tmp_path, 0), rank_of(tmp_path, 1)
    other.publish({0: "here"})
    assert [one.lookup(1, never) for _ in range(3)] == ["here"] * 3


def test_who_never_comes_is_named_at_the_deadline(tmp_path):
    place = Place(0, stage="synchronize", step=4)
    with pytest.raises(DeadlineExceeded) as caught:
        rank_of(tmp_path, 0, deadline=0.02, place=place).lookup(2, never)
    assert str(caught.value) == "worker rank 0, stage synchronize, step 4: waited 0.02 s for rank 2 to start"
    assert caught.value.peers == (2,)


def test_the_end_of_the_job_ends_the_wait(tmp_path):
    def watch():
        raise PeerFailed("killed", rank=1, role="worker", stage="train", step=3)

    with pytest.raises(PeerFailed, match=r"rank 1.*killed"):
        rank_of(tmp_path, 0, deadline=3600.0).lookup(1, watch)


def test_the_watch_is_asked_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rendezvous, "POLL", 0.0)
    asked = iter(range(5))

    def watch():
        if next(asked, None) is None:
            raise PeerFailed("killed", rank=1, role="worker", stage="train", step=3)

    with pytest.raises(PeerFailed):
        rank_of(tmp_path, 0, deadline=3600.0).lookup(1, watch)


def test_the_store_is_one_file_in_the_private_folder(tmp_path):
    rank_of(tmp_path, 0).publish({1: "here"})
    one = rank_of(tmp_path, 1)
    assert one.lookup(0, never) == "here"
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
