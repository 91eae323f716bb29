"""Streams by themselves: what is offered arrives, nothing waits, and who does not know the token stays outside."""

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
from common.transport.sockets.stream import HELLO_BYTES, STRANGERS, TOKEN_BYTES, Listener, Outflow

MUCH = np.random.default_rng(0).integers(0, 256, 20_000_001, np.uint8)  # more than the system keeps for us


def has_ipv6():
    """Whether this machine has ::1."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as each:
        each.bind(("::1", 0))
        return True
    return False


KINDS = ["ipc", "127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no ::1 here"))]


@pytest.fixture(params=KINDS)
def address(request):
    """Where to listen."""
    with private_folder() as folder:
        yield (ipc_address(folder) if request.param == "ipc" else tcp_address(request.param))(0, 0)


@pytest.fixture
def listener(address):
    """A listener that expects ranks 1 and 2."""
    with contextlib.closing(Listener(address, (1, 2))) as each:
        yield each


def outflow(listener, rank=1):
    return contextlib.closing(Outflow(listener.door, rank))


def knock(listener, words=b""):
    """A connection to the listener that has said `words`, as anybody can make it."""
    where = listener.socket.getsockname()
    stranger = socket.socket(listener.socket.family, socket.SOCK_STREAM)
    stranger.settimeout(10)
    stranger.connect(where)
    stranger.sendall(words)
    return stranger


def admitted(listener, *flows):
    """What `admit` gives, as soon as it gives something; meanwhile `flows` are sent on."""
    for _ in range(100):
        for flow in flows:
            flow.pump()
        if found := listener.admit():
            return found
        select.select(listener.sockets, [], [], 0.1)
    raise AssertionError("nobody came in")


def hello(listener, rank=1):
    """What a sender has to say."""
    return bytes.fromhex(listener.door.partition(" ")[0]) + rank.to_bytes(2, "little")


def is_turned_away(listener, stranger):
    """Whether the listener, who has admitted nobody, has hung up on the stranger."""
    for _ in range(100):
        assert listener.admit() == {}
        if select.select([stranger], [], [], 0.1)[0]:
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(1) == b""
            return True
    return False


# --- what arrives ---


def test_what_is_offered_arrives_in_order_and_nothing_waits(listener):
    parts = np.split(MUCH, [1, 1000, 9_000_000])
    with outflow(listener) as flow:
        for part in parts:
            flow.offer(part.data)
        assert flow.queue
        found = admitted(listener, flow)
        assert list(found) == [1]
        got, filled = np.zeros_like(MUCH), 0
        with contextlib.closing(found[1]) as inflow:
            while filled < got.size:
                flow.pump()
                select.select([inflow.socket], [], [], 10.0)
                filled += inflow.read(got.data[filled:])
            assert not flow.queue
            with pytest.raises(BlockingIOError):
                inflow.read(got.data)
    assert np.array_equal(got, MUCH)


def test_a_poll_wakes_for_less_than_was_hoped_for_if_no_more_is_needed(listener):
    with outflow(listener) as flow:
        flow.offer(MUCH[:100].data)
        with contextlib.closing(admitted(listener, flow)[1]) as inflow:
            for nbytes in (1 << 30, 100):
                inflow.wake_at(nbytes)
            assert select.select([inflow.socket], [], [], 10.0)[0]
            assert inflow.read(bytearray(200)) == 100


def test_what_was_sent_before_the_end_is_read_then_the_end_is_an_error(listener):
    with outflow(listener) as flow:
        flow.offer(MUCH[:100].data)
        (inflow,) = admitted(listener, flow).values()
    with contextlib.closing(inflow):
        assert inflow.read(bytearray(200)) == 100
        with pytest.raises(ConnectionResetError, match="ended"):
            inflow.read(bytearray(200))


def test_to_send_to_somebody_who_is_gone_is_an_error(listener):
    with outflow(listener) as flow:
        flow.offer(MUCH.data)
        admitted(listener, flow)[1].close()
        with pytest.raises(ConnectionError):
            flow.pump()


def test_to_send_to_where_nobody_listens_is_an_error(listener):
    listener.close()
    with outflow(listener) as flow, pytest.raises(OSError, match=r"refused|No such file"):
        offer_until_it_is_heard(flow)


def offer_until_it_is_heard(flow):
    for _ in range(100):
        flow.offer(b"x")
        select.select([], [flow.socket], [], 0.1)


def test_a_sender_does_not_wait_until_a_full_house_has_room(address, monkeypatch):
    monkeypatch.setattr(stream, "BACKLOG", 0)
    with contextlib.closing(Listener(address, (1,))) as listener, contextlib.ExitStack() as stack:
        for _ in range(5):
            stranger = stack.enter_context(socket.socket(listener.socket.family, socket.SOCK_STREAM))
            stranger.setblocking(False)
            stranger.connect_ex(listener.socket.getsockname())
        flow = stack.enter_context(outflow(listener))
        flow.offer(b"x")
        assert len(flow.queue) == 2
        with contextlib.closing(admitted(listener, flow)[1]):
            assert not flow.queue


# --- who comes in ---


def test_senders_are_told_apart(listener):
    with outflow(listener, 2) as two, outflow(listener, 1) as one:
        found = {}
        for flow in (two, one):
            flow.offer(b"x")
            found |= admitted(listener, flow)
        assert list(found) == [2, 1]
        for each in found.values():
            each.close()


def test_a_hello_may_come_in_pieces(listener):
    said = hello(listener)
    with knock(listener, said[:5]) as peer:
        for _ in range(3):
            assert listener.admit() == {}
            select.select(listener.sockets, [], [], 0.1)
        peer.sendall(said[5:] + b"more")
        with contextlib.closing(admitted(listener)[1]) as inflow:
            assert select.select([inflow.socket], [], [], 10.0)[0]
            assert inflow.read(bytearray(10)) == 4


LIES = {
    "another token": lambda said: bytes(TOKEN_BYTES) + said[TOKEN_BYTES:],
    "another last byte": lambda said: said[: TOKEN_BYTES - 1] + bytes([said[TOKEN_BYTES - 1] ^ 1]) + said[TOKEN_BYTES:],
    "the receiver's rank": lambda said: said[:TOKEN_BYTES] + b"\x00\x00",
    "a rank out of range": lambda said: said[:TOKEN_BYTES] + b"\x03\x00",
    "the largest rank": lambda said: said[:TOKEN_BYTES] + b"\xff\xff",
    "http": lambda said: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "much": lambda said: bytes(100_000),
    "as long as a hello": lambda said: bytes(HELLO_BYTES),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_who_says_something_else_is_turned_away(listener, lie):
    with knock(listener, lie(hello(listener))) as stranger:
        assert is_turned_away(listener, stranger)
    assert listener.sockets == [listener.socket]


def test_a_rank_comes_in_once(listener):
    with outflow(listener) as flow:
        flow.offer(b"x")
        with contextlib.closing(admitted(listener, flow)[1]), knock(listener, hello(listener)) as again:
            assert is_turned_away(listener, again)


@pytest.mark.parametrize("words", [b"", b"x" * (HELLO_BYTES - 1)], ids=["nothing", "too little"])
def test_who_says_too_little_holds_nobody_up_and_is_forgotten_with_its_connection(listener, words):
    with knock(listener, words), outflow(listener) as flow:
        flow.offer(b"x")
        admitted(listener, flow)[1].close()
        assert len(listener.sockets) == 2
    for _ in range(100):
        listener.admit()
        if listener.sockets == [listener.socket]:
            return
        select.select(listener.sockets, [], [], 0.1)
    raise AssertionError("kept for ever")


def test_of_many_silent_strangers_the_oldest_have_to_go(listener):
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(knock(listener)) for _ in range(2 * STRANGERS + 5)]
        for _ in range(5):
            assert listener.admit() == {}
            assert len(listener.sockets) <= 1 + STRANGERS
        flow = stack.enter_context(outflow(listener))
        flow.offer(b"x")
        admitted(listener, flow)[1].close()
        for each in strangers[: STRANGERS + 5]:
            assert each.recv(1) == b""
        strangers[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            strangers[-1].recv(1)


def test_who_has_hung_up_before_it_is_looked_at_is_forgotten(listener):
    for words in (b"", b"x", bytes(HELLO_BYTES)):
        knock(listener, words).close()
    for _ in range(3):
        select.select(listener.sockets, [], [], 0.1)
        assert listener.admit() == {}
    assert listener.sockets == [listener.socket]


def test_each_listener_has_a_token_of_its_own():
    with private_folder() as folder:
        ends = [Listener(ipc_address(folder)(rank, rank), ()) for rank in (0, 1)]
        assert len({hello(end) for end in ends}) == 2
        for end in ends:
            end.close()


def test_to_run_out_of_files_is_an_error_not_a_busy_wait():
    def accept():
        raise OSError(errno.EMFILE, "Too many open files")

    with private_folder() as folder, contextlib.closing(Listener(ipc_address(folder)(0, 0), (1,))) as listener:
        listener.socket = SimpleNamespace(accept=accept, close=listener.socket.close)
        with pytest.raises(OSError, match="Too many open files"):
            listener.admit()


# --- what is left ---


def test_nothing_stays_open_and_no_file_stays_behind(address):
    before = psutil.Process().num_fds()
    listener = Listener(address, (1,))
    with knock(listener), outflow(listener) as flow:
        flow.offer(b"x")
        with contextlib.closing(admitted(listener, flow)[1]):
            listener.close()
            listener.close()
    assert psutil.Process().num_fds() == before
    assert not address.startswith("ipc") or not Path(address.removeprefix("ipc://")).exists()


@pytest.mark.parametrize("path", ["/no/such/folder/socket", "/" + "x" * 200], ids=["no folder", "too long"])
def test_where_nobody_can_listen_is_an_error_and_nothing_stays_open(path):
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match=r"No such file|too long"):
        Listener(f"ipc://{path}", ())
    assert psutil.Process().num_fds() == before


@pytest.mark.parametrize("door", ["no token", "00 ipc://socket"])
def test_a_stream_that_cannot_be_made_leaves_nothing_open(monkeypatch, door):
    def setsockopt(*_):
        raise OSError(errno.ENOBUFS, "No buffer space available")

    monkeypatch.setattr(socket.socket, "setsockopt", setsockopt)
    before = psutil.Process().num_fds()
    with pytest.raises((OSError, ValueError)) as caught:
        Outflow(door, 1)
    assert psutil.Process().num_fds() == before, caught
