"""The contract of every transport for errors: misuse is refused with a reason, and every wait ends."""

import numpy as np
import pytest
from transports import TRANSPORTS, on

from common.errors import DeadlineExceeded, ProtocolError
from common.transport.wire import SEGMENT_BYTES

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)

ZEROS = np.zeros(8, np.float32)


# --- unexpected messages ---


@pytest.mark.parametrize("array", [np.zeros(5, np.float32), np.zeros(3), np.zeros(SEGMENT_BYTES, np.float32)], ids=str)
def test_recv_any_refuses_a_larger_message_and_another_dtype(transport, array):
    def program(ctx):
        if ctx.rank:
            ctx.send(0, array)
        else:
            ctx.recv_any((1,), np.zeros(4, np.float32))

    wanted = r"expected at most (4 ×|16 bytes of) float32 from rank 1"
    with pytest.raises(ProtocolError, match=rf"{wanted}, got .*({array.size} ×|{array.nbytes} bytes of) {array.dtype}"):
        on(transport, program, 2)


@pytest.mark.parametrize(
    ("step", "bucket", "array", "got"),
    [
        (4, 1, ZEROS, r"step 4, bucket 1, (8 ×|32 bytes of) float32"),
        (3, 2, ZEROS, r"step 3, bucket 2, (8 ×|32 bytes of) float32"),
        (3, 1, np.zeros(4), r"step 3, bucket 1, (4 ×|32 bytes of) float64"),
        (3, 1, np.zeros(8, np.int32), r"step 3, bucket 1, (8 ×|32 bytes of) int32"),
        (3, 1, np.zeros(7, np.float32), r"step 3, bucket 1, (7 ×|28 bytes of) float32"),
        (
            3,
            1,
            np.zeros(SEGMENT_BYTES, np.float32),
            rf"step 3, bucket 1, ({SEGMENT_BYTES} ×|{4 * SEGMENT_BYTES} bytes of) float32",
        ),
    ],
    ids=["step", "bucket", "dtype and size", "dtype", "size", "segments"],
)
@pytest.mark.parametrize("call", ["recv_into", "recv_add"])
def test_an_unexpected_message_is_refused_and_both_sides_are_printed(transport, call, step, bucket, array, got):
    def program(ctx):
        if ctx.rank == 0:
            ctx.place.step, ctx.place.bucket = step, bucket
            ctx.send(1, array)
        else:
            ctx.place.step, ctx.place.bucket = 3, 1
            getattr(ctx, call)(0, np.zeros(8, np.float32))

    expected = r"expected step 3, bucket 1, (8 ×|32 bytes of) float32 from rank 0"
    with pytest.raises(ProtocolError, match=rf"{expected}, got {got}") as caught:
        on(transport, program, 2)
    assert (caught.value.rank, caught.value.step) == (1, 3)


# --- wrong calls ---

STRIDED = np.zeros((4, 4))[:, :2]
CALLS = {
    "send": lambda ctx, rank, array: ctx.send(rank, array),
    "lend": lambda ctx, rank, array: ctx.lend(rank, array),
    "recv_into": lambda ctx, rank, array: ctx.recv_into(rank, array),
    "recv_add": lambda ctx, rank, array: ctx.recv_add(rank, array),
    "recv_any": lambda ctx, rank, array: ctx.recv_any((rank,), array),
    "recv_any of several": lambda ctx, rank, array: ctx.recv_any((1, rank), array),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_strided_array_is_refused(transport, call):
    def program(ctx):
        if ctx.rank == 0:
            CALLS[call](ctx, 1, STRIDED)
        else:
            ctx.send(0, np.zeros(8))

    with pytest.raises(ValueError, match="contiguous"):
        on(transport, program, 2)


@pytest.mark.parametrize("rank", [-1, 0, 2], ids=["below", "itself", "above"])
@pytest.mark.parametrize("call", CALLS)
def test_a_rank_that_is_not_another_rank_is_refused(transport, call, rank):
    def program(ctx):
        if ctx.rank == 0:
            CALLS[call](ctx, rank, np.zeros(8))

    with pytest.raises(ValueError, match=f"rank {rank}"):
        on(transport, program, 2, deadline=0.3)


def test_recv_any_without_senders_is_refused(transport):
    with pytest.raises(ValueError, match="nobody"):
        on(transport, lambda ctx: ctx.recv_any((), ZEROS.copy()), 2, deadline=0.3)


# --- waiting ---


@pytest.mark.parametrize(
    ("peers", "call"),
    [
        ((1,), lambda ctx: ctx.recv_into(1, ZEROS.copy())),
        ((1,), lambda ctx: ctx.recv_add(1, ZEROS.copy())),
        ((2,), lambda ctx: ctx.recv_any((2,), ZEROS.copy())),
        ((1, 2), lambda ctx: ctx.recv_any((1, 2), ZEROS.copy())),
    ],
    ids=["recv_into", "recv_add", "recv_any of one", "recv_any"],
)
def test_a_wait_for_a_silent_rank_ends_at_the_deadline_and_names_the_rank(transport, peers, call):
    def program(ctx):
        if ctx.rank:
            ctx.sleep(0.4)  # longer than the deadline
            return
        ctx.place.step, ctx.place.stage = 5, "synchronize"
        call(ctx)

    with pytest.raises(DeadlineExceeded) as caught:
        on(transport, program, 3, deadline=0.1)
    names = " or ".join(f"rank {peer}" for peer in peers)
    assert str(caught.value) == f"worker rank 0, stage synchronize, step 5: waited 0.1 s for {names}"
    assert caught.value.peers == peers
