"""The ZeroMQ endpoint: strangers are dropped, lying peers are named, and no wait exceeds its deadline."""

import contextlib
import json
import socket
import threading
import tracemalloc

import numpy as np
import pytest
import zmq
from transports import JOB, ZMQ, endpoint, endpoints, in_threads, private_folder

from common.errors import SETUP, DeadlineExceeded, ProtocolError
from common.place import Place
from common.runtime.rendezvous import Rendezvous, file_store
from common.transport.base import Message
from common.transport.wire import SEGMENT_BYTES, Header, dtype_code, encode

every_transport = pytest.mark.parametrize("transport", ZMQ)

REAL = np.arange(8, dtype=np.float32)
FLOAT32, UINT32 = dtype_code(REAL.dtype), dtype_code(np.dtype(np.uint32))
CORRECT = Header(FLOAT32, sender=1, job=JOB, seq=0, after=0, step=SETUP, bucket=0, length=REAL.nbytes, offset=0)


def header(**changes):
    """Return the bytes of a correct header with some fields changed."""
    return encode(CORRECT._replace(**changes))


@contextlib.contextmanager
def listening(transport, ranks=2, **more):
    """Give rank 0's endpoint and the address at which it listens to each other rank. The other ranks do not run."""
    with private_folder() as folder, contextlib.closing(endpoint(transport, folder, 0, ranks, **more)) as end:
        store = file_store(folder, ranks)
        found = {peer: Rendezvous(store, Place(peer), 10.0).lookup(0, lambda: None) for peer in range(1, ranks)}
        yield end, {peer: json.loads(each)[0] for peer, each in found.items()}


@contextlib.contextmanager
def pushing(*addresses):
    """Give a bare PUSH socket for each address."""
    context = zmq.Context()
    try:
        sockets = [context.socket(zmq.PUSH) for _ in addresses]
        for each, address in zip(sockets, addresses, strict=True):
            each.connect(address)
        yield sockets
    finally:
        context.destroy(linger=0)


def raw_connection(address):
    """Open a connection without ZeroMQ."""
    kind, _, where = address.partition("://")
    if kind == "tcp":
        host, _, port = where.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=10)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(where)
    return connection


def drop(end, count):
    """Let `end` receive from rank 1 until it has dropped `count` messages of strangers."""
    for _ in range(100):
        if end.strangers >= count:
            break
        with contextlib.suppress(DeadlineExceeded):
            end.recv_into(1, REAL.copy())
    assert end.strangers == count


# --- strangers ---

GARBAGE = {
    "nothing": [b""],
    "short": [b"sync"],
    "a header's length": [bytes(range(56))],
    "long": [bytes(SEGMENT_BYTES)],
    "another job": [header(job=JOB + 1), REAL.tobytes()],
    "another sender": [header(sender=0), REAL.tobytes()],
    "a header's start": [header()[:-1], REAL.tobytes()],
    "a wrong checksum": [header()[:-1] + bytes([header()[-1] ^ 1]), REAL.tobytes()],
    "many frames": [b"x"] * 500,
    "a correct header, but not first": [b"", header(), REAL.tobytes()],
}


@every_transport
@pytest.mark.parametrize("frames", GARBAGE.values(), ids=GARBAGE)
def test_a_strangers_messages_are_dropped_and_counted_and_the_real_message_arrives(transport, frames):
    with listening(transport, deadline=0.05) as (end, address), pushing(address[1], address[1]) as (stranger, peer):
        for _ in range(3):
            stranger.send_multipart(frames)
        drop(end, 3)
        peer.send_multipart([header(), REAL.tobytes()])
        end.deadline = 10.0
        out = np.zeros_like(REAL)
        end.recv_into(1, out)
        assert np.array_equal(out, REAL)


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
RAW = {
    "closes at once": b"",
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(10_000),
    "half a greeting": GREETING[:20],
    "a frame of 2**62 bytes": GREETING
    + b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH\x02"
    + b"\x40"
    + bytes(7),
}


@every_transport
@pytest.mark.parametrize("garbage", RAW.values(), ids=RAW)
def test_a_stranger_that_does_not_speak_zeromq_changes_nothing(transport, garbage):
    with listening(transport) as (end, address):
        with contextlib.closing(raw_connection(address[1])) as stranger, pushing(address[1]) as (peer,):
            stranger.sendall(garbage)
            peer.send_multipart([header(), REAL.tobytes()])
            out = np.zeros_like(REAL)
            end.recv_into(1, out)
        assert np.array_equal(out, REAL)
        assert end.strangers == 0


@every_transport
def test_a_frame_larger_than_a_segment_is_never_received(transport):
    with listening(transport) as (end, address), pushing(address[1], address[1]) as (stranger, peer):
        stranger.send_multipart([header(job=JOB + 1), bytes(SEGMENT_BYTES + 1)])
        peer.send_multipart([header(), REAL.tobytes()])
        out = np.zeros_like(REAL)
        end.recv_into(1, out)
        assert np.array_equal(out, REAL)
        end.deadline = 0.3
        with pytest.raises(DeadlineExceeded):
            end.recv_into(1, out)
        assert end.strangers == 0


@every_transport
def test_a_stranger_at_one_peers_socket_does_not_hide_another_peers_message(transport):
    with listening(transport, 3) as (end, address), pushing(address[1], address[2]) as (stranger, peer):
        stranger.send(b"garbage")
        assert end._incoming[1].socket.poll(10_000)
        peer.send_multipart([header(sender=2), REAL.tobytes()])
        assert end._incoming[2].socket.poll(10_000)
        out = np.zeros_like(REAL)
        end.deadline = 1.0
        assert end.recv_any((1, 2), out) == Message(sender=2, step=SETUP, bucket=0, size=8)
        assert end.strangers == 1


def test_peers_take_turns():
    with listening("ipc", 3) as (end, address), pushing(address[1], address[2]) as peers:
        for seq in range(4):
            for sender, peer in enumerate(peers, start=1):
                peer.send_multipart([header(sender=sender, seq=seq), REAL.tobytes()])
        served = []
        for _ in range(6):
            assert all(end._incoming[sender].socket.poll(10_000) for sender in (1, 2))
            served.append(end.recv_any((1, 2), REAL.copy()).sender)
        assert served == [1, 2, 1, 2, 1, 2]


@pytest.mark.parametrize("call", ["recv_into", "recv_any"])
def test_a_flood_of_strangers_does_not_delay_the_deadline(call):
    over = threading.Event()

    def flood(stranger):
        stranger.sndtimeo = 100
        for _ in range(1_000_000):
            if over.is_set():
                return "to the end"
            with contextlib.suppress(zmq.Again):
                stranger.send(b"garbage")
        return "gave up"

    def wait(end):
        try:
            with pytest.raises(DeadlineExceeded):
                end.recv_into(1, REAL.copy()) if call == "recv_into" else end.recv_any((1, 2), REAL.copy())
        finally:
            over.set()

    with listening("ipc", 3, deadline=0.3) as (end, address), pushing(address[1]) as (stranger,):
        assert in_threads([lambda: flood(stranger), lambda: wait(end)])[0] == "to the end"


@pytest.mark.parametrize("call", ["recv_into", "recv_any"])
def test_a_peer_that_sends_slowly_does_not_delay_the_deadline(call):
    over, count = threading.Event(), 30

    def trickle(peer):
        for seq in range(count):
            peer.send_multipart(
                [header(length=count * SEGMENT_BYTES, offset=seq * SEGMENT_BYTES, seq=seq), bytes(SEGMENT_BYTES)]
            )
            if over.wait(0.2):  # longer than WAIT_SLICE, shorter than the deadline
                return "interrupted"
        return "to the end"

    def wait(end):
        out = np.zeros(count * SEGMENT_BYTES // 4, np.float32)
        try:
            with pytest.raises(DeadlineExceeded):
                getattr(end, call)((1,) if call == "recv_any" else 1, out)
        finally:
            over.set()

    with listening("ipc", deadline=0.5) as (end, address), pushing(address[1]) as (peer,):
        assert in_threads([lambda: trickle(peer), lambda: wait(end)])[0] == "interrupted"


# --- lying peers ---

LIES = {
    "no payload": ([header()], "announced 32 bytes and sent 0"),
    "short payload": ([header(), bytes(8)], "announced 32 bytes and sent 8"),
    "long payload": ([header(), bytes(33)], "announced 32 bytes and sent 33"),
    "another frame": ([header(), REAL.tobytes(), b""], "announced 32 bytes and sent 0"),
    "a terabyte": (
        [header(length=1 << 40), bytes(SEGMENT_BYTES)],
        "expected .*32 bytes of float32 .*got .*1099511627776 bytes",
    ),
    "half an element": ([header(length=30), bytes(30)], "expected .*32 bytes of float32 .*got .*30 bytes"),
    "the middle first": (
        [header(length=SEGMENT_BYTES + 4, offset=SEGMENT_BYTES), bytes(4)],
        f"expected .*32 bytes of float32 .*got .*{SEGMENT_BYTES + 4} bytes",
    ),
    "a gap": ([header(seq=2), REAL.tobytes()], "segment 0 from rank 1 was lost: segment 2 came instead"),
}


@every_transport
@pytest.mark.parametrize(("frames", "cause"), LIES.values(), ids=LIES)
@pytest.mark.parametrize("call", ["recv_into", "recv_add", "recv_any"])
def test_a_lying_peer_is_a_protocol_error_and_costs_no_memory(transport, frames, cause, call):
    with listening(transport) as (end, address), pushing(address[1]) as (peer,):
        peer.send_multipart(frames)
        out = np.zeros_like(REAL)
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match=cause):
                getattr(end, call)((1,) if call == "recv_any" else 1, out)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        assert not out.any()
        assert end.strangers == 0


@pytest.mark.parametrize("call", ["recv_into", "recv_add", "recv_any"])
@pytest.mark.parametrize(
    ("second", "cause"),
    [
        ({"seq": 0}, "segment 1 from rank 1 was lost: segment 0 came instead"),
        ({"seq": 2}, "segment 1 from rank 1 was lost: segment 2 came instead"),
        ({"step": 5}, "expected .*got step 5"),
        ({"bucket": 5}, "expected .*got .*bucket 5"),
        ({"dtype": UINT32}, "expected .*got .*uint32"),
        ({"length": SEGMENT_BYTES + 8}, f"expected .*got .*{SEGMENT_BYTES + 8} bytes"),
        ({"offset": 0}, r"expected .*got|announced"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_segments_that_do_not_belong_together_are_a_protocol_error(call, second, cause):
    size = SEGMENT_BYTES + 4
    first = {"length": size, "offset": 0}
    rest = {"length": size, "offset": SEGMENT_BYTES, "seq": 1, **second}
    payload = min(SEGMENT_BYTES, rest["length"] - rest["offset"])
    with listening("ipc") as (end, address), pushing(address[1]) as (peer,):
        peer.send_multipart([header(**first), bytes(SEGMENT_BYTES)])
        peer.send_multipart([header(**rest), bytes(payload)])
        with pytest.raises(ProtocolError, match=cause):
            getattr(end, call)((1,) if call == "recv_any" else 1, np.zeros(size // 4, np.float32))


def test_a_message_that_starts_with_a_later_segment_is_a_protocol_error():
    size = SEGMENT_BYTES + 4
    with listening("ipc") as (end, address), pushing(address[1]) as (peer,):
        peer.send_multipart([header(length=size, offset=SEGMENT_BYTES), bytes(4)])
        with pytest.raises(ProtocolError, match=r"expected .* got"):
            end.recv_any((1,), np.zeros(size // 4, np.float32))


@every_transport
def test_arrays_of_another_byte_order_or_of_objects_cannot_be_sent(transport):
    with endpoints(transport, 2) as (end, _):
        for array in (REAL.astype(">f4"), REAL.astype(complex), REAL.astype(object)):
            for call in (end.send, end.lend):
                with pytest.raises(ValueError, match="cannot be sent"):
                    call(1, array)
