"""Opening and closing the shared-memory endpoint, and the death of its peers."""

import gc
import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
from transports import endpoint, endpoints, in_threads, on, private_folder

from common.context import Context
from common.errors import PeerFailed, RunError
from common.place import Place
from common.transport.shm import mailbox_endpoint
from common.transport.shm.mailbox import Peer, mailbox

ZEROS = np.zeros(8, np.float32)


def test_a_sender_is_opened_before_it_learns_that_its_message_was_read():
    with endpoints("shm", 2) as ends:
        ends[0].send(1, np.empty(0, np.float32))
        lane = ends[1]._inboxes[0].lane
        real = ends[1].rendezvous.lookup

        def lookup(peer, watch):
            assert lane.words[lane.taken] == 0, "the sender could have exited before it was looked up"
            return real(peer, watch)

        ends[1].rendezvous.lookup = lookup
        ends[1].recv_into(0, np.empty(0, np.float32))


@pytest.fixture
def no_collection():
    """Keep the garbage collector from closing anything during the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def no_more_files(*_, **__):
    raise OSError(24, "files")


@pytest.mark.parametrize(
    "call",
    [
        "os.memfd_create",
        "os.fchmod",
        "os.ftruncate",
        "mmap.mmap",
        "os.pipe2",
        "select.poll",
        "common.runtime.rendezvous.Rendezvous.publish",
    ],
)
def test_a_failed_constructor_leaves_no_file_open(monkeypatch, no_collection, call):
    monkeypatch.setattr(mailbox_endpoint, "reason_against", lambda: None)  # it would fail first
    monkeypatch.setattr(call, no_more_files)
    errors = []  # kept, because they refer to the failed objects
    with private_folder() as folder:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(RunError, match="files") as caught:
                endpoint("shm", folder, 0, 2)
            errors.append(caught)
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("gone", ["mailbox", "doorbell"])
def test_a_peer_whose_mailbox_or_doorbell_is_gone_leaves_no_file_open(no_collection, gone):
    arena, (read_end, write_end) = mailbox(1), os.pipe()
    try:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(FileNotFoundError) as caught:
            Peer(os.getpid(), 10_000 if gone == "mailbox" else arena.fd, 10_000 if gone == "doorbell" else write_end)
        assert len(os.listdir("/proc/self/fd")) == before, caught
    finally:
        arena.close()
        os.close(read_end)
        os.close(write_end)


def test_close_lingers_until_the_message_is_read():
    with endpoints("shm", 2) as ends:
        sender, receiver = (Context(end, workers=2) for end in ends)
        array = np.ones(1_000_000, np.float32)
        sender.send(1, array)
        got = in_threads([lambda: sender.endpoint.close(linger=10.0), lambda: receiver.recv(0, array)])
    assert np.array_equal(got[1], array)


def test_close_does_not_linger_for_a_closed_peer():
    with endpoints("shm", 2) as ends:
        sender = Context(ends[0], workers=2)
        sender.send(1, ZEROS)
        ends[1].close()
        in_threads([lambda: ends[0].close(linger=1000.0)])


def test_close_leaves_no_file_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        on("shm", lambda ctx: [ctx.alloc(8, float), ctx.send(1 - ctx.rank, ZEROS), ctx.recv(1 - ctx.rank, ZEROS)], 2)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # one file store


def test_close_leaves_no_shared_arena_open():
    def shares(rank, end):
        ctx = Context(end, workers=2)
        for _ in range(2):
            if rank:
                ctx.fast.recv_shared(0, ZEROS)
            else:
                ctx.fast.share(1, ctx.alloc(8, np.float32))
        ctx.settle()

    opened = []
    for _ in range(4):
        with endpoints("shm", 2, crew=(0, 1)) as ends:
            in_threads([lambda rank=rank, end=end: shares(rank, end) for rank, end in enumerate(ends)])
        del ends
        gc.collect()
        opened.append(len(os.listdir("/proc/self/fd")))
    assert opened[1] == opened[2] == opened[3]


def _sender(folder):
    end = endpoint("shm", Path(folder), 0, 2)
    Context(end, workers=2).send(1, np.ones(100_000, np.float32))
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.timeout(60)
def test_a_sender_killed_before_its_message_was_read_is_named():
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        receiver = endpoint("shm", Path(folder), 1, 2)
        process = multiprocessing.get_context("spawn").Process(target=_sender, args=(folder,))
        process.start()
        process.join()
        with pytest.raises(PeerFailed, match="lost rank 0: No such file") as caught:
            receiver.recv_into(0, np.zeros(100_000, np.float32))
        receiver.close()
    assert caught.value.rank == Place(1).rank
