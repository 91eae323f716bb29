"""Large loans between endpoints of ipc and tcp: order and waits."""

import contextlib
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from streams import LARGE, MUCH, ZEROS, every_recv, receive
from transports import ZMQ, endpoint, endpoints, in_threads, job_is_over

from common.errors import SETUP, DeadlineExceeded, PeerFailed, ProtocolError
from common.transport import process_endpoint, wire
from common.transport.base import Message
from common.transport.sockets.endpoint import SCRATCH_BYTES, STREAM_FROM
from common.transport.sockets.stream_set import StreamSet

pytestmark = pytest.mark.parametrize("transport", ZMQ)


@pytest.fixture(autouse=True)
def _short_failure_grace(monkeypatch):
    monkeypatch.setattr(process_endpoint, "FAILURE_GRACE", 0.1)


# --- data ---


@every_recv
@pytest.mark.parametrize(
    "nbytes", [STREAM_FROM - 1, STREAM_FROM, SCRATCH_BYTES, SCRATCH_BYTES + 1, 3 * SCRATCH_BYTES + 5]
)
def test_sizes_around_each_limit_arrive_whole(transport, recv, nbytes):
    with endpoints(transport, 2) as (end, peer):
        peer.lend(0, MUCH[:nbytes])
        got, _ = in_threads([lambda: receive(end, recv, 1, MUCH[:nbytes]), peer.settle])
        assert np.array_equal(got, MUCH[:nbytes])


def test_sent_and_lent_messages_to_one_rank_keep_their_order(transport):
    parts = np.array_split(MUCH, 9)

    def give(end):
        for number, part in enumerate(parts):
            (end.lend if number % 2 else end.send)(0, part)
        end.settle()

    def take(end):
        return all(np.array_equal(receive(end, "recv_into", 1, part), part) for part in parts)

    with endpoints(transport, 2) as (end, peer):
        assert in_threads([lambda: take(end), lambda: give(peer)])[0]


def test_recv_any_of_streamed_messages_returns_each_sender(transport):
    with endpoints(transport, 3) as (end, *peers):
        for rank, peer in enumerate(peers, start=1):
            peer.place.step = 10 + rank
            peer.lend(0, LARGE * rank)
        out = np.zeros(2 * LARGE.size, np.float32)
        seen = {}

        def serve():
            for _ in peers:
                message = end.recv_any((1, 2), out)
                seen[message] = out[: message.size].copy()

        in_threads([serve, *(peer.settle for peer in peers)])
        assert sorted(seen, key=lambda each: each.sender) == [
            Message(sender=rank, step=10 + rank, bucket=0, size=LARGE.size) for rank in (1, 2)
        ]
        assert all(np.array_equal(got, LARGE * message.sender) for message, got in seen.items())


WAITS = {
    "recv_into": lambda end: end.recv_into(1, ZEROS.copy()),
    "recv_add": lambda end: end.recv_add(1, ZEROS.copy()),
    "recv_any": lambda end: end.recv_any((1, 2), ZEROS.copy()),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_rank_that_waits_for_an_answer_sends_on_its_loans(transport, wait):
    def answer(peer):
        got = receive(peer, "recv_into", 0, MUCH)
        peer.lend(0, ZEROS)
        return np.array_equal(got, MUCH)

    with endpoints(transport, 3) as (end, peer, _):
        end.lend(1, MUCH)
        assert in_threads([lambda: answer(peer), lambda: wait(end)])[0]


def test_a_rank_that_waits_for_a_stream_sends_on_its_loans(transport, monkeypatch):
    late = []

    def answer(peer):
        monkeypatch.setattr(peer._streams, "lend", lambda *stream: late.append(stream))
        peer.lend(0, LARGE)  # announced, but the stream connects late
        got = receive(peer, "recv_into", 0, MUCH)
        StreamSet.lend(peer._streams, *late[0])
        peer.settle()
        return np.array_equal(got, MUCH)

    with endpoints(transport, 2) as (end, peer):
        end.lend(1, MUCH)
        answered, got = in_threads([lambda: answer(peer), lambda: receive(end, "recv_into", 1, LARGE)])
        assert answered
        assert np.array_equal(got, LARGE)


def test_both_ranks_may_lend_much_before_they_receive(transport):
    def swap(end, other):
        end.lend(other, MUCH)
        got = receive(end, "recv_add", other, MUCH)
        end.settle()
        return np.array_equal(got, MUCH)

    with endpoints(transport, 2) as (end, peer):
        assert in_threads([lambda: swap(end, 1), lambda: swap(peer, 0)]) == [True, True]


def test_the_last_loan_still_leaves_within_the_linger(transport):
    with endpoints(transport, 2) as (end, peer):
        end.lend(1, MUCH)
        got, _ = in_threads([lambda: receive(peer, "recv_into", 0, MUCH), lambda: end.close(linger=10.0)])
        assert np.array_equal(got, MUCH)


def test_ranks_meet_in_a_folder_with_a_blank_in_its_name(transport):
    with tempfile.TemporaryDirectory(prefix="s b ") as name:
        ends = [endpoint(transport, Path(name), rank, 2) for rank in (0, 1)]
        with contextlib.closing(ends[0]), contextlib.closing(ends[1]):
            ends[0].lend(1, LARGE)
            got, _ = in_threads([lambda: receive(ends[1], "recv_into", 0, LARGE), ends[0].settle])
            assert np.array_equal(got, LARGE)


# --- ends of waits ---


def test_settle_names_the_ranks_that_have_not_read(transport):
    with endpoints(transport, 4) as (end, *peers):
        for rank in (1, 2, 3):
            end.lend(rank, MUCH)

        def settle():
            end.deadline = 0.5
            for _ in range(100):
                with pytest.raises(DeadlineExceeded) as caught:
                    end.settle()
                if len(caught.value.peers) < 3:
                    return caught.value
            raise AssertionError("no rank has read")

        error = in_threads([settle, lambda: receive(peers[1], "recv_into", 0, MUCH)])[0]
        assert error.peers == (1, 3)
        assert str(error).endswith("waited 0.5 s for rank 1 or rank 3 to take what was sent to it")


@every_recv
def test_a_stalled_stream_ends_the_wait_at_the_deadline_and_its_rest_is_no_other_message(transport, recv):
    with endpoints(transport, 2) as (end, peer):
        peer.lend(0, MUCH)  # the kernel takes a part; the rest needs another call of the sender
        end.deadline = 0.3
        with pytest.raises(DeadlineExceeded) as caught:
            receive(end, recv, 1, MUCH)
        assert caught.value.peers == (1,)
        peer.lend(0, LARGE)
        end.deadline = 10.0
        with pytest.raises(ProtocolError, match=r"\d+ bytes of the last message from rank 1 were never read"):
            receive(end, recv, 1, LARGE)


def test_the_payload_of_a_refused_message_is_not_taken_for_the_next_message(transport):
    with endpoints(transport, 2) as (end, peer):
        peer.lend(0, LARGE)
        peer.lend(0, -LARGE)
        end.place.step = 5
        with pytest.raises(ProtocolError, match="expected step 5"):
            receive(end, "recv_into", 1, LARGE)
        end.place.step = SETUP
        with pytest.raises(ProtocolError, match=f"{LARGE.nbytes} bytes of the last message from rank 1 were never"):
            receive(end, "recv_into", 1, LARGE)


@every_recv
def test_the_end_of_the_job_ends_the_wait_for_the_rest_of_a_stream(transport, recv):
    with endpoints(transport, 2) as (end, peer):
        peer.lend(0, MUCH)
        end.deadline, end.watch = 3600.0, job_is_over(after=3, rank=7)
        with pytest.raises(PeerFailed, match=r"rank 7.*killed"):
            receive(end, recv, 1, MUCH)


# --- two ways, one order ---


@every_recv
def test_sent_and_lent_messages_come_in_the_order_of_the_calls(transport, recv):
    small, count = np.ones(3, np.float32), 6
    with endpoints(transport, 2) as (end, peer):
        for value in range(count):
            peer.send(0, value * small)
            peer.lend(0, value * LARGE)
            peer.lend(0, value * LARGE)

        def hear():
            for value in range(count):
                assert np.array_equal(receive(end, recv, 1, small), value * small)
                assert np.array_equal(receive(end, recv, 1, LARGE), value * LARGE)
                assert np.array_equal(receive(end, recv, 1, LARGE), value * LARGE)

        in_threads([hear, peer.settle])


def test_a_peer_whose_stream_has_ended_is_still_heard_over_zeromq(transport):
    with endpoints(transport, 2) as (end, peer):
        peer.lend(0, LARGE)
        in_threads([lambda: receive(end, "recv_into", 1, LARGE), peer.settle])
        peer._streams.close(0.0)
        peer.send(0, ZEROS + 1)
        assert receive(end, "recv_into", 1, ZEROS).all()


def error_for_header(transport, **changes):
    """Send a streamed header with some fields changed; return the text of the receiver's error."""
    with endpoints(transport, 2) as (end, peer):
        channel = peer._channel_to(0)
        correct = wire.decode(channel.stream_header(peer.place, peer.job, wire.dtype_code(LARGE.dtype), LARGE.nbytes))
        peer._streams.lend(0, channel.invitation, wire.encode(correct._replace(**changes)), LARGE.data.cast("B"))
        with pytest.raises(ProtocolError) as caught:
            receive(end, "recv_into", 1, LARGE)
        return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"seq": 4}, "segment 0 from rank 1 was lost: segment 4 came instead"),
        ({"sender": 7}, "of rank 1"),
        ({"job": 7}, "of rank 1"),
        ({"step": 7}, "got step 7"),
        ({"length": 8}, "got .*8 bytes"),
        ({"offset": wire.SEGMENT_BYTES, "length": 2 * wire.SEGMENT_BYTES}, "got"),
    ],
    ids=str,
)
def test_a_header_in_a_stream_is_checked_like_any_other(transport, changes, cause):
    assert re.search(cause, error_for_header(transport, **changes))
