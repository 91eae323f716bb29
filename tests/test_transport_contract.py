"""The contract of every transport: what a strategy may rely on."""

import numpy as np
import pytest
from allreduces import TwoToAHost
from transports import TRANSPORTS, on

from allreduce.direct import Direct
from allreduce.double_tree import DoubleTree
from allreduce.halving_doubling import HalvingDoubling
from allreduce.recursive_doubling import RecursiveDoubling
from allreduce.ring import Ring
from allreduce.star import Star
from allreduce.tree import Tree
from common.strategy import Bucket
from common.transport.base import Message
from common.transport.wire import DTYPES, SEGMENT_BYTES

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)

SIZES = [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES + 5]
ZEROS = np.zeros(8, np.float32)


def pattern(size, dtype=np.uint8, seed=0):
    """Return `size` elements of any dtype in which all segments differ."""
    numbers = np.random.default_rng((seed, size)).integers(0, 100, size)
    return (numbers % 2 if dtype == np.bool_ else numbers).astype(dtype)


def receive(ctx, call, from_, like):
    """Return the next message from `from_`, received by any of the three calls."""
    out = np.zeros_like(like)
    if call == "recv_any":
        assert ctx.recv_any((from_,), out).size == like.size
    else:
        getattr(ctx, call)(from_, out)
    return out


every_send = pytest.mark.parametrize("send", ["send", "lend"])
every_recv = pytest.mark.parametrize("recv", ["recv_into", "recv_add", "recv_any"])


# --- messages ---


@every_recv
@every_send
@pytest.mark.parametrize("size", SIZES)
def test_every_size_arrives_whole(transport, size, send, recv):
    array = pattern(size)

    def program(ctx):
        if ctx.rank:
            return receive(ctx, recv, 0, array)
        getattr(ctx, send)(1, array)
        ctx.settle()

    got = on(transport, program, 2)[1]
    assert got.dtype == array.dtype
    assert np.array_equal(got, array)


@every_recv
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_arrives_bit_for_bit(transport, dtype, recv):
    array = pattern(SEGMENT_BYTES // dtype.itemsize + 3, dtype)

    def program(ctx):
        if ctx.rank:
            return receive(ctx, recv, 0, array)
        ctx.send(1, array)

    got = on(transport, program, 2)[1]
    assert got.dtype == dtype
    assert got.tobytes() == array.tobytes()


def test_the_elements_travel_and_the_shape_does_not(transport):
    matrix = np.arange(6, dtype=np.int32).reshape(2, 3)

    def program(ctx):
        if ctx.rank:
            return ctx.recv(0, np.zeros((3, 2), np.int32)).tolist()
        ctx.send(1, matrix)

    assert on(transport, program, 2)[1] == [[0, 1], [2, 3], [4, 5]]


def test_messages_of_a_pair_keep_their_order(transport):
    sizes = [1 + number * 7919 % 300_000 for number in range(60)]

    def program(ctx):
        if ctx.rank == 2:
            return [
                (ctx.recv(peer, pattern(size)) == pattern(size, seed=peer)).all() for size in sizes for peer in (1, 0)
            ]
        for size in sizes:
            array = pattern(size, seed=ctx.rank)
            (ctx.send if size % 2 else ctx.lend)(2, array)
        ctx.settle()

    assert all(on(transport, program, 3)[2])


def test_both_ranks_may_send_much_before_they_receive(transport):
    size = 8 << 20

    def program(ctx):
        other = 1 - ctx.rank
        ctx.send(other, np.full(size, ctx.rank, np.uint8))
        ctx.lend(other, np.full(size, 10 + ctx.rank, np.uint8))
        got = [ctx.recv(other, np.zeros(size, np.uint8)) for _ in range(2)]
        ctx.settle()
        return [(array.min(), array.max()) for array in got]

    assert on(transport, program, 2) == [[(1, 1), (11, 11)], [(0, 0), (10, 10)]]


def test_a_sent_array_may_be_changed_at_once(transport):
    def program(ctx):
        arrays = [np.full(size, 7, np.uint8) for size in (1, 100, 4 * SEGMENT_BYTES)]
        if ctx.rank:
            return [ctx.recv(0, array).min() for array in arrays]
        for array in arrays:
            ctx.send(1, array)
            array[:] = 0

    assert on(transport, program, 2)[1] == [7, 7, 7]


def test_a_lent_array_may_be_changed_after_settle(transport):
    def program(ctx):
        arrays = [np.full(size, 7, np.uint8) for size in (100, 8 * SEGMENT_BYTES, 8 * SEGMENT_BYTES + 1)]
        if ctx.rank:
            return [ctx.recv(0, array).min() for array in arrays]
        for array in arrays:
            ctx.lend(1, array)
            ctx.settle()
            array[:] = 0

    assert on(transport, program, 2)[1] == [7, 7, 7]


def test_a_lent_array_may_be_changed_once_an_answer_proves_that_it_was_read(transport):
    def program(ctx):
        array = np.arange(SEGMENT_BYTES, dtype=np.int32)
        if ctx.rank:
            ctx.send(0, ctx.recv(0, array) * 10)
            return None
        ctx.lend(1, array)
        ctx.recv_into(1, array)
        ctx.settle()
        return array

    assert np.array_equal(on(transport, program, 2)[0], np.arange(SEGMENT_BYTES) * 10)


@every_send
def test_recv_add_adds_the_message_to_the_array(transport, send):
    array = pattern(SEGMENT_BYTES, np.float32)  # four segments

    def program(ctx):
        if ctx.rank:
            getattr(ctx, send)(0, array * ctx.rank)
            ctx.settle()
            return None
        into = np.full_like(array, 0.5)
        ctx.recv_add(2, into)
        ctx.recv_add(1, into)
        return into

    assert np.array_equal(on(transport, program, 3)[0], 3 * array + 0.5)


@every_send
def test_recv_add_all_adds_in_the_requested_order(transport, send):
    big, one = np.full(SEGMENT_BYTES // 4 + 1, 1e8, np.float32), np.float32(1)  # 1e8 + 1 is 1e8 in float32

    def program(ctx):
        if ctx.rank:
            getattr(ctx, send)(0, {1: big, 2: big * 0 + one, 3: -big}[ctx.rank])
            ctx.settle()
            return None
        into = np.zeros_like(big)
        ctx.fast.recv_add_all((1, 3, 2), into)
        ctx.fast.recv_add_all((), into)
        return into

    assert (on(transport, program, 4)[0] == 1).all()


@every_send
@pytest.mark.parametrize(("order", "expected"), [((1, 3, 2), 1), ((1, 2, 3), 0), ((2,), 1)])
def test_recv_sum_adds_only_the_messages_in_the_requested_order(transport, send, order, expected):
    big = np.full(SEGMENT_BYTES // 4 + 1, 1e8, np.float32)  # 1e8 + 1 is 1e8 in float32

    def program(ctx):
        if ctx.rank in order:
            getattr(ctx, send)(0, {1: big, 2: big * 0 + np.float32(1), 3: -big}[ctx.rank])
            ctx.settle()
        elif ctx.rank == 0:
            out = np.full_like(big, np.nan)
            ctx.fast.recv_sum(order, out)
            return out
        return None

    assert (on(transport, program, 4)[0] == expected).all()


@pytest.mark.parametrize("call", ["recv_add_all", "recv_sum"])
@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_message_is_read_before_the_wait_for_the_next_one(transport, size, call):
    """Rank 1 lets rank 2 go on only after rank 0 has read its loan."""

    def program(ctx):
        x = ctx.alloc(size, np.float32)
        x[:] = ctx.rank
        if ctx.rank == 0:
            getattr(ctx.fast, call)((1, 2), x)
        elif ctx.rank == 1:
            ctx.lend(0, x)
            ctx.settle()
            ctx.send(2, ZEROS)
        else:
            ctx.recv(1, ZEROS)
            ctx.send(0, x)
        return x[-1]

    assert on(transport, program, 3)[0] == 3


# --- recv_any ---


def test_recv_any_returns_sender_step_bucket_and_size(transport):
    def program(ctx):
        if ctx.rank:
            ctx.place.step, ctx.place.bucket = 10 + ctx.rank, 20 + ctx.rank
            ctx.send(0, np.full(ctx.rank, ctx.rank, np.float32))
            return None
        seen = []
        for _ in range(3):
            out = np.full(4, -1, np.float32)
            seen.append((ctx.recv_any((1, 2, 3), out), out.tolist()))
        return sorted(seen, key=lambda seen: seen[0].sender)

    assert on(transport, program, 4)[0] == [
        (Message(sender=1, step=11, bucket=21, size=1), [1, -1, -1, -1]),
        (Message(sender=2, step=12, bucket=22, size=2), [2, 2, -1, -1]),
        (Message(sender=3, step=13, bucket=23, size=3), [3, 3, 3, -1]),
    ]


def test_recv_any_takes_all_messages_of_each_sender_in_order(transport):
    count = 20

    def program(ctx):
        if ctx.rank:
            for number in range(count):
                ctx.send(0, np.array([number]))
            return None
        seen = {1: [], 2: [], 3: []}
        for _ in range(3 * count):
            out = np.zeros(1, int)
            seen[ctx.recv_any((3, 1, 2), out).sender].append(out.item())
        return seen

    assert on(transport, program, 4)[0] == {rank: list(range(count)) for rank in (1, 2, 3)}


def test_recv_any_leaves_the_messages_of_other_senders(transport):
    def program(ctx):
        if ctx.rank:
            ctx.send(0, ZEROS + ctx.rank)
            return None
        first = ctx.recv_any((2,), ZEROS.copy()).sender
        return first, ctx.recv(1, ZEROS)[0], ctx.recv_any((1, 3), ZEROS.copy()).sender

    assert on(transport, program, 4)[0] == (2, 1.0, 3)


# --- barriers and strategies ---


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_no_rank_leaves_a_barrier_before_the_last_has_arrived(transport, n):
    came = []

    def program(ctx):
        left = []
        for turn in range(1, 4):
            came.append(ctx.rank)
            ctx.barrier()
            left.append(len(came) >= turn * n)
        return left

    assert on(transport, program, n) == [[True] * 3] * n


def synchronized(transport, strategy, n, size):
    """Return the bytes of each rank after three steps on gradients whose sum depends on the order."""

    def program(ctx):
        grad = np.random.default_rng(ctx.rank).standard_normal(size, np.float32)
        for ctx.place.step in range(3):
            strategy().synchronize(ctx, Bucket(grad, grad))
            grad *= np.float32(1.1 + 0.1 * ctx.rank)
        return grad.tobytes()

    return on(transport, program, n)


@pytest.mark.parametrize(("n", "size"), [(2, 1), (3, 1000), (4, SEGMENT_BYTES), (3, SEGMENT_BYTES + 99), (5, 997)])
@pytest.mark.parametrize("strategy", [Star, Ring, Tree])
def test_a_strategy_gives_the_same_bits_as_in_virtual_time(transport, strategy, n, size):
    assert synchronized(transport, strategy, n, size) == synchronized("virtual", strategy, n, size)


@pytest.mark.parametrize(("n", "size"), [(2, 1), (5, 997), (3, SEGMENT_BYTES // 4 + 99)])
@pytest.mark.parametrize("strategy", [Direct, DoubleTree, RecursiveDoubling, HalvingDoubling, TwoToAHost])
def test_a_strategy_whose_pairs_change_gives_the_same_bits_as_in_virtual_time(transport, strategy, n, size):
    assert synchronized(transport, strategy, n, size) == synchronized("virtual", strategy, n, size)
