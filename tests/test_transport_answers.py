"""Answers on every transport: the finished sum goes back to each rank that sent to it."""

import numpy as np
import pytest
from transports import TRANSPORTS, on

from common.transport.wire import SEGMENT_BYTES

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.mark.parametrize("size", [0, 1, 1000, SEGMENT_BYTES // 4 + 1])
@pytest.mark.parametrize(
    "calls",
    [
        ("send",) * 3,
        ("lend",) * 3,
        ("expose",) * 3,
        ("lend", "expose", "send"),
        ("expose", "send", "lend"),
        ("expose", "lend", "expose"),
    ],
)
def test_each_sender_gets_the_finished_sum_of_the_requested_order(transport, calls, size):
    """1e8 + 1 is 1e8 in float32."""

    def program(ctx):
        x = ctx.alloc(size, np.float32)
        x[:] = (0, 1e8, 1, -1e8)[ctx.rank]
        finished = []

        def finish(part):
            finished.append(part.size)
            part *= 5

        if ctx.rank:
            call = calls[ctx.rank - 1]
            getattr(ctx.endpoint, call)(0, x)
            answer = x if call == "expose" else np.empty_like(x)
            ctx.recv_into(0, answer)
            assert call == "expose" or set(x.tolist()) <= {1e8, 1, -1e8}, "the lent array was overwritten"
        else:
            ctx.fast.recv_add_answer((1, 3, 2), answer := x, finish)
            assert sum(finished) == size
        ctx.settle()
        return answer.tolist()

    assert on(transport, program, 4) == [[5] * size] * 4


def test_recv_add_answer_reads_a_loan_before_it_waits_for_the_next_sender(transport):
    """Rank 1 sends only after the loan of rank 2 was read."""

    def program(ctx):
        x = ctx.alloc(SEGMENT_BYTES // 4 + 1, np.float32)
        x[:] = 1
        if ctx.rank == 0:
            ctx.fast.recv_add_answer((2, 1), x, lambda part: None)
            ctx.settle()
            return x[-1]
        if ctx.rank == 2:
            ctx.lend(0, x)
            ctx.settle()
            ctx.send(1, x[:0])
        else:
            ctx.recv(2, x[:0])
            ctx.fast.expose(0, x)
        return ctx.recv(0, x)[-1]

    assert on(transport, program, 3) == [3, 3, 3]


def test_two_messages_of_one_rank_are_both_added_and_both_answered(transport):
    def program(ctx):
        x = ctx.alloc(1000, np.float32)
        y = ctx.alloc(1000, np.float32)
        x[:], y[:] = 1, 10
        if ctx.rank:
            ctx.fast.expose(0, x)
            ctx.fast.expose(0, y)
            ctx.recv_into(0, x)
            ctx.recv_into(0, y)
            return x[-1], y[-1]
        ctx.fast.recv_add_answer((1, 1), x, lambda part: None)
        ctx.settle()
        return x[-1]

    assert on(transport, program, 2) == [12, (12, 12)]


def test_unread_answers_wait_in_their_order(transport):
    """Rank 1 reads its first answer after rank 2 has told it that the last one has come."""
    count = 100

    def program(ctx):
        x = ctx.alloc((count, 8), np.float32)
        x[:] = np.arange(count)[:, None]
        nothing = x[0, :0]
        if ctx.rank == 0:
            for row in x:
                ctx.fast.recv_add_answer((1,), row, lambda part: None)
            ctx.send(2, nothing)
            ctx.settle()
        elif ctx.rank == 1:
            for row in x:
                ctx.fast.expose(0, row)
            ctx.recv(2, nothing)
            for row in x:
                ctx.recv_into(0, row)
        else:
            ctx.recv(0, nothing)
            ctx.send(1, nothing)
        return x[:, -1].tolist()

    expected = [2.0 * number for number in range(count)]
    assert on(transport, program, 3)[:2] == [expected, expected]


def test_recv_add_answer_without_senders_finishes_the_own_array(transport):
    def program(ctx):
        x = np.ones(3, np.float32)
        ctx.fast.recv_add_answer((), x, lambda part: np.negative(part, part))
        return x.tolist()

    assert on(transport, program, 1) == [[-1] * 3]
