"""Large loans between endpoints of ipc and tcp: lost peers, strangers, and what closing leaves."""

import contextlib
import select
import socket
import threading

import numpy as np
import psutil
import pytest
from streams import LARGE, MUCH, ZEROS, every_recv, receive
from transports import ZMQ, endpoint, endpoints, in_threads, job_is_over, private_folder

from common.errors import DeadlineExceeded, PeerFailed, RunError
from common.transport import process_endpoint
from common.transport.sockets.stream_set import StreamSet

pytestmark = pytest.mark.parametrize("transport", ZMQ)


@pytest.fixture(autouse=True)
def _short_failure_grace(monkeypatch):
    monkeypatch.setattr(process_endpoint, "FAILURE_GRACE", 0.1)


# --- lost peers ---


@every_recv
def test_a_sender_that_dies_within_a_message_is_named(transport, recv):
    with endpoints(transport, 2) as (end, peer):
        peer.lend(0, MUCH)
        peer.deadline = 0.1
        with pytest.raises(DeadlineExceeded):
            peer.settle()
        select.select([end._streams._listener.socket], [], [], 10.0)  # its stream has been opened
        peer.close()
        end.place.stage = "synchronize"
        with pytest.raises(
            PeerFailed, match="worker rank 0, stage synchronize, setup: lost rank 1: its stream has ended"
        ):
            receive(end, recv, 1, MUCH)


@every_recv
def test_a_dead_receiver_is_named_by_settle_and_by_the_next_lend(transport, recv):
    with endpoints(transport, 2) as (end, peer):
        end.lend(1, MUCH)
        peer.deadline = 0.2
        with pytest.raises(DeadlineExceeded):
            receive(peer, recv, 0, MUCH)
        peer.close()
        for call in (end.settle, lambda: end.lend(1, LARGE), end.settle):
            with pytest.raises(PeerFailed, match=r"worker rank 0.*lost rank 1: (Broken pipe|Connection reset)"):
                call()


def test_messages_of_others_arrive_after_a_receiver_has_died(transport):
    with endpoints(transport, 3) as (end, dying, other):
        end.lend(1, MUCH)
        dying.close()
        other.send(0, ZEROS + 1)
        assert receive(end, "recv_into", 2, ZEROS).all()
        with pytest.raises(PeerFailed, match="lost rank 1"):
            end.settle()


def test_the_watch_may_name_another_culprit_than_the_lost_peer(transport):
    with endpoints(transport, 2) as (end, peer):
        end.lend(1, MUCH)
        peer.close()
        end.watch = job_is_over(after=3, rank=7)
        with pytest.raises(PeerFailed, match=r"rank 7.*killed"):
            end.settle()


# --- strangers ---


def knock(end):
    """Connect to the address at which an endpoint takes streams."""
    kind, _, place = end._streams.invitation.partition(" ")[2].partition("://")
    if kind == "tcp":
        host, _, port = place.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=10)
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stranger.settimeout(10)  # a full queue at the listener is an error and does not block `connect` for ever
    try:
        stranger.connect(place)
    except OSError:
        stranger.close()
        raise
    return stranger


STRANGERS = {
    "silent": b"",
    "a little": b"x",
    "garbage": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long": bytes(10_000),
}


@pytest.mark.parametrize("words", STRANGERS.values(), ids=STRANGERS)
def test_strangers_do_not_change_a_message(transport, words):
    with endpoints(transport, 2) as (end, peer), contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(knock(end)).sendall(words)
        peer.lend(0, MUCH)
        got, _ = in_threads([lambda: receive(end, "recv_add", 1, MUCH), peer.settle])
        assert np.array_equal(got, MUCH)


def test_a_flood_of_strangers_does_not_delay_the_deadline(transport, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(StreamSet, "lend", lambda *_: None)  # no stream is opened

    def flood(end):
        for _ in range(1_000_000):
            if over.is_set():
                return "to the end"
            with contextlib.suppress(OSError), knock(end) as stranger:
                stranger.sendall(b"x")
        return "gave up"

    def wait(end):
        try:
            with pytest.raises(DeadlineExceeded) as caught:
                receive(end, "recv_into", 1, LARGE)
        finally:
            over.set()
        return caught.value.peers

    with endpoints(transport, 2) as (end, peer):
        peer.lend(0, LARGE)
        end.deadline = 0.3
        assert in_threads([lambda: flood(end), lambda: wait(end)]) == ["to the end", (1,)]


def test_running_out_of_files_for_a_new_stream_is_an_error(transport, monkeypatch):
    def admit(_):
        raise OSError(24, "Too many open files")

    with endpoints(transport, 2) as (end, peer):
        peer.lend(0, LARGE)
        monkeypatch.setattr("common.transport.sockets.stream.Listener.admit", admit)
        with pytest.raises(RunError, match=r"worker rank 0.*cannot take in a stream: Too many open files"):
            receive(end, "recv_into", 1, LARGE)


# --- closing ---


def use_once(transport, folder):
    """Let two ranks exchange a loan while a stranger is connected."""
    with contextlib.ExitStack() as stack:
        end, peer = (stack.enter_context(contextlib.closing(endpoint(transport, folder, rank, 2))) for rank in (0, 1))
        end.lend(1, LARGE)
        in_threads([lambda: receive(peer, "recv_into", 0, LARGE), end.settle])
        stack.enter_context(knock(end))
    (folder / "store").unlink(missing_ok=True)  # torch removes it when the last user is collected


def test_no_stream_stays_open(transport):
    with private_folder() as folder:
        use_once(transport, folder)  # opens what stays open for good
        before = psutil.Process().num_fds()
        use_once(transport, folder)
        assert psutil.Process().num_fds() == before
        assert not [path for path in folder.iterdir() if path.name in ("0-0", "1-1")]
