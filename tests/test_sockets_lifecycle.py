"""Start and end of ZeroMQ endpoints: addresses, ends of waits, closing."""

import contextlib
import errno
import gc
import json
import socket
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq
from transports import JOB, ZMQ, endpoint, endpoints, in_threads, job_is_over, private_folder

from common.errors import ConfigError, DeadlineExceeded, PeerFailed, RunError
from common.place import Place
from common.runtime.rendezvous import Rendezvous
from common.transport.sockets.address import IPC_PATH_BYTES, ipc_address, tcp_address
from common.transport.sockets.channel import RECEIVE_AHEAD, OutgoingChannel
from common.transport.sockets.endpoint import ZmqEndpoint
from common.transport.wire import SEGMENT_BYTES

every_transport = pytest.mark.parametrize("transport", ZMQ)

ZEROS = np.zeros(8, np.float32)
# More than all queues on the way can hold, including the kernel's. The last segment is short.
MUCH = np.ones((2 * RECEIVE_AHEAD + 8) * SEGMENT_BYTES + 1, np.uint8)


class MemoryRendezvous:
    """A rendezvous of rank 0 that only keeps the published addresses."""

    def __init__(self):
        self.place, self.deadline, self.addresses = Place(0), 1.0, {}

    def publish(self, addresses):
        self.addresses = addresses


# --- addresses ---


@pytest.mark.parametrize(
    "interface", ["0.0.0.0", "::", "*", "", "localhost", "example.org", "192.0.2.1", "127.0.0.1:80", "127.0.0.1;", "lo"]
)
def test_tcp_listens_on_loopback_alone(interface):
    with pytest.raises(ConfigError, match="loopback only") as caught:
        tcp_address(interface)
    assert repr(interface) in str(caught.value)


@pytest.mark.parametrize(
    ("interface", "address"),
    [("127.0.0.1", "tcp://127.0.0.1:*"), ("127.0.0.2", "tcp://127.0.0.2:*"), ("::1", "tcp://[::1]:*")],
)
def test_tcp_takes_a_free_port_of_a_loopback_interface(interface, address):
    assert tcp_address(interface)(0, 1) == address


def listeners():
    """Return the interfaces and tcp ports at which this process listens."""
    connections = psutil.Process().net_connections(kind="inet")
    return {connection.laddr for connection in connections if connection.status == psutil.CONN_LISTEN}


def test_ipc_opens_no_tcp_port():
    before = listeners()
    with endpoints("ipc", 3):
        assert listeners() == before


def test_tcp_opens_a_port_for_each_peer_and_one_for_streams_on_loopback():
    before = listeners()
    with endpoints("tcp", 3):
        new = listeners() - before
    assert len(new) == 6 + 3
    assert {address.ip for address in new} == {"127.0.0.1"}


def test_ipc_makes_a_socket_for_each_peer_and_one_for_streams_in_the_private_folder():
    with private_folder() as folder, contextlib.closing(endpoint("ipc", folder, 1, 3)):
        assert {path.name for path in folder.iterdir() if path.is_socket()} == {"1-0", "1-1", "1-2"}


def test_a_path_too_long_for_a_socket_is_refused_with_a_remedy():
    longest = Path("/" + "x" * (IPC_PATH_BYTES - len("/0-1") - 1))
    assert ipc_address(longest)(0, 1) == f"ipc://{longest}/0-1"
    with pytest.raises(ConfigError, match=r"too long .*107 bytes.*TMPDIR"):
        ipc_address(longest)(10, 1)


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (ipc_address(Path("/" + "x" * 200)), ConfigError),
        (lambda receiver, sender: "ipc:///no/such/folder/socket", RunError),
        (lambda receiver, sender: f"tcp://127.0.0.1:{'*' if receiver == sender else 'x'}", RunError),
    ],
    ids=["path too long", "no such folder", "streams alone"],
)
def test_an_endpoint_that_cannot_listen_is_an_error_and_leaves_no_descriptor(address, error):
    before = psutil.Process().num_fds()
    with pytest.raises(error):
        ZmqEndpoint(2, address, MemoryRendezvous(), JOB, lambda: None)
    assert psutil.Process().num_fds() == before
    gc.collect()  # an open context would warn


@every_transport
@pytest.mark.parametrize("call", ["zmq.Context", "zmq.Context.socket", "zmq.Socket.bind"])
def test_an_endpoint_without_enough_files_is_an_error_and_leaves_no_descriptor(monkeypatch, transport, call):
    def no_more_files(*_, **__):
        raise zmq.ZMQError(errno.EMFILE)

    with private_folder() as folder:
        before = psutil.Process().num_fds()
        monkeypatch.setattr(call, no_more_files)
        with pytest.raises(RunError, match="cannot listen: Too many open files") as caught:
            endpoint(transport, folder, 0, 2)
        assert psutil.Process().num_fds() == before, caught
        assert [path.name for path in folder.iterdir() if path.is_socket()] == []


@every_transport
def test_an_endpoint_that_cannot_publish_its_addresses_leaves_no_descriptor(monkeypatch, transport):
    def publish(*_):
        raise RunError("no store", **Place(0).fields())

    monkeypatch.setattr(Rendezvous, "publish", publish)
    with private_folder() as folder:
        before = psutil.Process().num_fds()
        with pytest.raises(RunError, match="no store") as caught:
            endpoint(transport, folder, 0, 2)
        assert psutil.Process().num_fds() == before, caught


def test_a_sender_that_cannot_connect_leaves_no_socket_open():
    with zmq.Context() as context:
        with pytest.raises(zmq.ZMQError) as caught:
            OutgoingChannel(context, "tcp://127.0.0.1:no-port", "")
        assert [socket for socket in context._sockets if not socket.closed] == [], caught


# --- ends of waits ---

WAITS = {
    "recv_into": lambda end: end.recv_into(1, ZEROS.copy()),
    "recv_add": lambda end: end.recv_add(1, ZEROS.copy()),
    "recv_any of one": lambda end: end.recv_any((1,), ZEROS.copy()),
    "recv_any": lambda end: end.recv_any((1, 2), ZEROS.copy()),
}


@every_transport
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_the_end_of_the_job_ends_a_blocked_receive(transport, wait):
    killed = pytest.raises(PeerFailed, match="worker rank 2, stage train, step 4: killed")
    with endpoints(transport, 3, deadline=3600.0, watch=job_is_over(after=2)) as (end, *_), killed:
        wait(end)


@every_transport
def test_the_end_of_the_job_ends_a_blocked_settle(transport):
    with endpoints(transport, 2, deadline=3600.0, watch=job_is_over(after=2)) as (end, _):
        end.lend(1, MUCH)
        with pytest.raises(PeerFailed, match="rank 2"):
            end.settle()


@every_transport
@pytest.mark.parametrize("call", ["send", "lend"])
def test_the_end_of_the_job_ends_the_wait_for_a_peer_that_never_starts(transport, call):
    with private_folder() as folder:
        end = endpoint(transport, folder, 0, 2, deadline=3600.0, watch=job_is_over(after=3))
        with contextlib.closing(end), pytest.raises(PeerFailed, match="rank 2"):
            getattr(end, call)(1, ZEROS)


@every_transport
def test_the_wait_for_a_peer_that_never_starts_ends_at_the_deadline(transport):
    with private_folder() as folder, contextlib.closing(endpoint(transport, folder, 0, 2, deadline=0.1)) as end:
        with pytest.raises(DeadlineExceeded, match="for rank 1 to start") as caught:
            end.send(1, ZEROS)
        assert caught.value.peers == (1,)


@every_transport
@pytest.mark.parametrize("later", [None, 0, 1, 2**16 - 1, 2**16], ids=str)
def test_settle_waits_for_every_loan_even_if_a_short_one_followed(transport, later):
    with endpoints(transport, 2, deadline=0.3) as (end, _):
        end.lend(1, MUCH)
        if later is not None:
            end.lend(1, MUCH[:later])
        with pytest.raises(DeadlineExceeded, match="rank 1 to take what was sent to it") as caught:
            end.settle()
        assert caught.value.peers == (1,)


@every_transport
def test_settle_returns_when_the_receiver_has_read_the_loan(transport):
    with endpoints(transport, 2) as (end, peer):
        end.lend(1, MUCH)
        out = np.zeros_like(MUCH)
        in_threads([end.settle, lambda: peer.recv_into(0, out)])
        assert out.all()


def test_settle_with_nothing_lent_returns_at_once():
    with endpoints("ipc", 2, deadline=0.0) as (end, peer):
        end.settle()
        end.send(1, ZEROS)
        end.settle()
        peer.deadline = 10.0
        peer.recv_into(0, ZEROS.copy())


# --- closing ---


@every_transport
@pytest.mark.parametrize("linger", [0.0, 0.2])
def test_close_returns_even_if_queued_messages_are_never_read(transport, linger):
    with endpoints(transport, 2) as (end, _):
        end.send(1, MUCH)
        end.lend(1, MUCH)
        in_threads([lambda: end.close(linger=linger)])


@every_transport
def test_the_last_message_still_leaves_within_the_linger(transport):
    with endpoints(transport, 2) as (end, peer):
        end.send(1, ZEROS + 1)
        end.close(linger=10.0)
        out = ZEROS.copy()
        peer.recv_into(0, out)
        assert out.all()


@every_transport
def test_close_can_be_called_twice(transport):
    with endpoints(transport, 2) as (end, _):
        end.close()
        end.close(linger=1.0)


def test_closed_ipc_endpoints_do_not_listen_and_their_folder_can_be_removed():
    with private_folder() as folder:
        ends = [endpoint("ipc", folder, rank, 3) for rank in range(3)]
        ends[0].send(1, ZEROS)
        assert len([path for path in folder.iterdir() if path.is_socket()]) == 9
        for end in ends:
            end.close()
        for path in folder.glob("?-?"):
            with socket.socket(socket.AF_UNIX) as knock, pytest.raises(ConnectionRefusedError):
                knock.connect(str(path))
    assert not folder.exists()


def test_a_closed_tcp_endpoint_leaves_no_port_open():
    meeting = MemoryRendezvous()
    end = ZmqEndpoint(2, tcp_address(), meeting, JOB, lambda: None)
    address, invitation = json.loads(meeting.addresses[1])
    for listening in (address, invitation.partition(" ")[2]):
        host, _, port = listening.removeprefix("tcp://").rpartition(":")
        socket.create_connection((host, int(port)), timeout=10).close()
    end.close()
    for listening in (address, invitation.partition(" ")[2]):
        host, _, port = listening.removeprefix("tcp://").rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=10)
