"""Streams alone: offered bytes arrive, no call waits, and a stranger without the token stays outside."""

import contextlib
import errno
import select
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from transports import private_folder

from common.transport.sockets import stream
from common.transport.sockets.address import ipc_address, tcp_address
from common.transport.sockets.stream import HELLO_BYTES, STRANGERS, TOKEN_BYTES, Listener, OutgoingStream

MUCH = np.random.default_rng(0).integers(0, 256, 20_000_001, np.uint8)  # more than the kernel buffers


def has_ipv6():
    """Return whether this machine has ::1."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


KINDS = ["ipc", "127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no ::1 here"))]


@pytest.fixture(params=KINDS)
def address(request):
    """An address to listen at."""
    with private_folder() as folder:
        yield (ipc_address(folder) if request.param == "ipc" else tcp_address(request.param))(0, 0)


@pytest.fixture
def listener(address):
    """A listener that expects ranks 1 and 2."""
    with contextlib.closing(Listener(address, (1, 2))) as listening:
        yield listening


def stream_to(listener, rank=1):
    return contextlib.closing(OutgoingStream(listener.invitation, rank))


def knock(listener, words=b""):
    """Connect to the listener as any process could, and send `words`."""
    where = listener.socket.getsockname()
    stranger = socket.socket(listener.socket.family, socket.SOCK_STREAM)
    stranger.settimeout(10)
    stranger.connect(where)
    stranger.sendall(words)
    return stranger


def admitted(listener, *streams):
    """Return what `admit` returns as soon as it is not empty. Meanwhile pump `streams`."""
    for _ in range(100):
        for outgoing in streams:
            outgoing.pump()
        if found := listener.admit():
            return found
        select.select(listener.files(), [], [], 0.1)
    raise AssertionError("no stream was admitted")


def hello(listener, rank=1):
    """Return the hello of a sender."""
    return bytes.fromhex(listener.invitation.partition(" ")[0]) + rank.to_bytes(2, "little")


def is_turned_away(listener, stranger):
    """Return whether the listener disconnects the stranger; meanwhile it must admit no stream."""
    for _ in range(100):
        assert listener.admit() == {}
        if select.select([stranger], [], [], 0.1)[0]:
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(1) == b""
            return True
    return False


# --- bytes ---


def test_offered_bytes_arrive_in_order_and_no_call_waits(listener):
    parts = np.split(MUCH, [1, 1000, 9_000_000])
    with stream_to(listener) as outgoing:
        for part in parts:
            outgoing.offer(part.data)
        assert outgoing.queue
        found = admitted(listener, outgoing)
        assert list(found) == [1]
        got, filled = np.zeros_like(MUCH), 0
        with contextlib.closing(found[1]) as incoming:
            while filled < got.size:
                outgoing.pump()
                select.select([incoming.socket], [], [], 10.0)
                filled += incoming.read(got.data[filled:])
            assert not outgoing.queue
            with pytest.raises(BlockingIOError):
                incoming.read(got.data)
    assert np.array_equal(got, MUCH)


def test_a_poll_wakes_for_as_many_bytes_as_the_last_request(listener):
    with stream_to(listener) as outgoing:
        outgoing.offer(MUCH[:100].data)
        with contextlib.closing(admitted(listener, outgoing)[1]) as incoming:
            for nbytes in (1 << 30, 100):
                incoming.wake_at(nbytes)
            assert select.select([incoming.socket], [], [], 10.0)[0]
            assert incoming.read(bytearray(200)) == 100


def test_bytes_sent_before_the_end_are_read_and_then_the_end_is_an_error(listener):
    with stream_to(listener) as outgoing:
        outgoing.offer(MUCH[:100].data)
        (incoming,) = admitted(listener, outgoing).values()
    with contextlib.closing(incoming):
        assert incoming.read(bytearray(200)) == 100
        with pytest.raises(ConnectionResetError, match="ended"):
            incoming.read(bytearray(200))


def test_sending_to_a_closed_receiver_is_an_error(listener):
    with stream_to(listener) as outgoing:
        outgoing.offer(MUCH.data)
        admitted(listener, outgoing)[1].close()
        with pytest.raises(ConnectionError):
            outgoing.pump()


def test_sending_to_a_closed_listener_is_an_error(listener):
    listener.close()
    with stream_to(listener) as outgoing, pytest.raises(OSError, match=r"refused|No such file"):
        offer_until_an_error(outgoing)


def offer_until_an_error(outgoing):
    for _ in range(100):
        outgoing.offer(b"x")
        select.select([], [outgoing.socket], [], 0.1)


def test_a_sender_does_not_wait_while_the_listeners_queue_is_full(address, monkeypatch):
    monkeypatch.setattr(stream, "BACKLOG", 0)
    with contextlib.closing(Listener(address, (1,))) as listener, contextlib.ExitStack() as stack:
        for _ in range(5):
            stranger = stack.enter_context(socket.socket(listener.socket.family, socket.SOCK_STREAM))
            stranger.setblocking(False)
            stranger.connect_ex(listener.socket.getsockname())
        outgoing = stack.enter_context(stream_to(listener))
        outgoing.offer(b"x")
        assert len(outgoing.queue) == 2
        with contextlib.closing(admitted(listener, outgoing)[1]):
            assert not outgoing.queue


# --- admission ---


def test_each_stream_is_admitted_with_its_senders_rank(listener):
    with stream_to(listener, 2) as two, stream_to(listener, 1) as one:
        found = {}
        for outgoing in (two, one):
            outgoing.offer(b"x")
            found |= admitted(listener, outgoing)
        assert list(found) == [2, 1]
        for each in found.values():
            each.close()


def test_a_hello_may_come_in_pieces(listener):
    words = hello(listener)
    with knock(listener, words[:5]) as peer:
        for _ in range(3):
            assert listener.admit() == {}
            select.select(listener.files(), [], [], 0.1)
        peer.sendall(words[5:] + b"more")
        with contextlib.closing(admitted(listener)[1]) as incoming:
            assert select.select([incoming.socket], [], [], 10.0)[0]
            assert incoming.read(bytearray(10)) == 4


LIES = {
    "another token": lambda hello: bytes(TOKEN_BYTES) + hello[TOKEN_BYTES:],
    "another last byte": lambda hello: (
        hello[: TOKEN_BYTES - 1] + bytes([hello[TOKEN_BYTES - 1] ^ 1]) + hello[TOKEN_BYTES:]
    ),
    "the receiver's rank": lambda hello: hello[:TOKEN_BYTES] + b"\x00\x00",
    "a rank out of range": lambda hello: hello[:TOKEN_BYTES] + b"\x03\x00",
    "the largest rank": lambda hello: hello[:TOKEN_BYTES] + b"\xff\xff",
    "http": lambda hello: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "much": lambda hello: bytes(100_000),
    "as long as a hello": lambda hello: bytes(HELLO_BYTES),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_stranger_with_a_wrong_hello_is_turned_away(listener, lie):
    with knock(listener, lie(hello(listener))) as stranger:
        assert is_turned_away(listener, stranger)
    assert listener.files() == [listener.socket.fileno()]


def test_a_rank_is_admitted_once(listener):
    with stream_to(listener) as outgoing:
        outgoing.offer(b"x")
        with contextlib.closing(admitted(listener, outgoing)[1]), knock(listener, hello(listener)) as again:
            assert is_turned_away(listener, again)


@pytest.mark.parametrize("words", [b"", b"x" * (HELLO_BYTES - 1)], ids=["nothing", "too little"])
def test_a_stranger_with_half_a_hello_blocks_no_sender_and_is_forgotten_when_it_disconnects(listener, words):
    with knock(listener, words), stream_to(listener) as outgoing:
        outgoing.offer(b"x")
        admitted(listener, outgoing)[1].close()
        assert len(listener.files()) == 2
    for _ in range(100):
        listener.admit()
        if listener.files() == [listener.socket.fileno()]:
            return
        select.select(listener.files(), [], [], 0.1)
    raise AssertionError("the stranger was not forgotten")


def test_the_oldest_of_many_silent_strangers_are_turned_away(listener):
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(knock(listener)) for _ in range(2 * STRANGERS + 5)]
        for _ in range(5):
            assert listener.admit() == {}
            assert len(listener.files()) <= 1 + STRANGERS
        outgoing = stack.enter_context(stream_to(listener))
        outgoing.offer(b"x")
        admitted(listener, outgoing)[1].close()
        for each in strangers[: STRANGERS + 5]:
            assert each.recv(1) == b""
        strangers[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            strangers[-1].recv(1)


def test_a_stranger_that_disconnects_early_is_forgotten(listener):
    for words in (b"", b"x", bytes(HELLO_BYTES)):
        knock(listener, words).close()
    for _ in range(3):
        select.select(listener.files(), [], [], 0.1)
        assert listener.admit() == {}
    assert listener.files() == [listener.socket.fileno()]


def test_each_listener_has_a_token_of_its_own():
    with private_folder() as folder:
        ends = [Listener(ipc_address(folder)(rank, rank), ()) for rank in (0, 1)]
        assert len({hello(end) for end in ends}) == 2
        for end in ends:
            end.close()


def test_running_out_of_files_is_an_error_and_not_a_busy_wait():
    def accept():
        raise OSError(errno.EMFILE, "Too many open files")

    with private_folder() as folder, contextlib.closing(Listener(ipc_address(folder)(0, 0), (1,))) as listener:
        listener.socket = SimpleNamespace(accept=accept, close=listener.socket.close)
        with pytest.raises(OSError, match="Too many open files"):
            listener.admit()


# --- closing ---


def test_close_leaves_no_descriptor_and_no_file(address):
    before = psutil.Process().num_fds()
    listener = Listener(address, (1,))
    with knock(listener), stream_to(listener) as outgoing:
        outgoing.offer(b"x")
        with contextlib.closing(admitted(listener, outgoing)[1]):
            listener.close()
            listener.close()
    assert psutil.Process().num_fds() == before
    assert not address.startswith("ipc") or not Path(address.removeprefix("ipc://")).exists()


@pytest.mark.parametrize("path", ["/no/such/folder/socket", "/" + "x" * 200], ids=["no folder", "too long"])
def test_an_unusable_address_is_an_error_and_leaves_no_descriptor(path):
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match=r"No such file|too long"):
        Listener(f"ipc://{path}", ())
    assert psutil.Process().num_fds() == before


@pytest.mark.parametrize("invitation", ["no token", "00 ipc://socket"])
def test_a_stream_that_cannot_be_made_leaves_no_descriptor(monkeypatch, invitation):
    def setsockopt(*_):
        raise OSError(errno.ENOBUFS, "No buffer space available")

    monkeypatch.setattr(socket.socket, "setsockopt", setsockopt)
    before = psutil.Process().num_fds()
    with pytest.raises((OSError, ValueError)) as caught:
        OutgoingStream(invitation, 1)
    assert psutil.Process().num_fds() == before, caught
