"""Shared memory: what lies where, who is woken, and what is left when somebody is gone."""

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
from common.errors import ConfigError, DeadlineExceeded, PeerFailed, RunError
from common.place import Place
from common.transport.shm import arena as arenas
from common.transport.shm import endpoint as shm
from common.transport.shm.arena import Arena, address, forget, peers_arena
from common.transport.shm.blockwise_sum import BLOCK
from common.transport.shm.mailbox import GROWTH, SLOTS

ZEROS = np.zeros(8, np.float32)


# --- memory ---


def test_an_arena_is_private_and_has_no_name():
    arena = Arena(100)
    link = os.readlink(f"/proc/self/fd/{arena.fd}")
    assert os.stat(arena.fd).st_mode & 0o777 == 0o600
    assert link.startswith("/memfd:")
    assert link.endswith("(deleted)")
    arena.close()


def test_a_peer_sees_what_the_owner_writes_also_after_the_owner_has_closed_it():
    arena = Arena(100)
    seen = peers_arena(os.getpid(), arena.fd)
    arena.close()
    arena.array(25, np.float32)[:] = 7
    assert (seen.view(np.float32)[:25] == 7).all()


def test_what_is_forgotten_counts_no_more_and_is_still_there():
    def shared():
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssShmem"))
        return int(line.split()[1]) << 10

    size = 16 << 20
    arena = Arena(size)
    arena.memory[:] = 7
    seen = peers_arena(os.getpid(), arena.fd)
    assert (seen == 7).all()
    before = shared()
    forget(seen)
    assert before - shared() >= size // 2
    assert seen[size - 1] == 7
    arena.close()


def test_an_arena_of_nobody_is_an_error():
    with pytest.raises(FileNotFoundError):
        peers_arena(os.getpid(), 10_000)


@pytest.mark.parametrize("writable", [True, False])
def test_the_address_of_an_array_is_that_of_its_first_element(writable):
    array = np.arange(100)[10:20]
    array.flags.writeable = writable
    assert address(array) == array.ctypes.data


def test_memory_that_is_not_to_be_had_is_an_error_at_once():
    with endpoints("shm", 1) as (end,), pytest.raises(RunError, match="no more shared memory"):
        end.alloc(1 << 50, np.float32)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("sys.platform", "darwin", "Linux"),
        ("platform.machine", lambda: "aarch64", "x86"),
        ("peers_arena", lambda pid, fd: os.open("/nowhere", os.O_RDONLY), "/proc"),
    ],
)
def test_a_machine_that_cannot_do_it_is_told_why(monkeypatch, name, value, why):
    monkeypatch.setattr(f"common.transport.shm.arena.{name}", value)
    assert why in arenas.reason_against()
    with private_folder() as folder, pytest.raises(ConfigError, match=f"{why}.*use ipc"):
        endpoint("shm", folder, 0, 1)


# --- what travels how ---


def where(ctx, from_, like):
    """The address from which a message is read at the receiver, and its content."""
    message = ctx.endpoint._message(from_, like)
    where, content = address(message), message.copy()
    ctx.endpoint._took(from_)
    return where, content


def test_what_lies_in_shared_memory_is_read_in_place_and_all_else_is_copied():
    def program(ctx):
        if ctx.rank:
            before, _ = where(ctx, 0, ZEROS)
            ctx.send(0, ZEROS)  # after this, the owner writes
            ctx.recv(0, ZEROS)
            seen = np.ndarray(8, np.float32, ctx.endpoint._peers[0].arenas[max(ctx.endpoint._peers[0].arenas)])
            return before, address(seen), seen.tolist()
        shared = ctx.alloc(8, np.float32)
        ctx.lend(1, shared)
        ctx.recv(1, ZEROS)
        shared[:] = 5
        ctx.lend(1, shared)
        ctx.settle()

    read_at, lies_at, seen = on("shm", program, 2)[1]
    assert read_at == lies_at
    assert seen == [5.0] * 8


def test_lending_what_is_not_shared_gives_it_back_at_once():
    def program(ctx):
        array = np.ones(100_000, np.float32)
        if ctx.rank == 2:
            ctx.recv(0, ZEROS)
            ctx.send(1, ZEROS)
        elif ctx.rank == 1:
            ctx.recv(2, ZEROS)  # rank 0 has settled, and written to what it lent
            return ctx.recv(0, array).sum()
        else:
            ctx.lend(1, array)
            ctx.settle()
            array[:] = 0
            ctx.send(2, ZEROS)

    assert on("shm", program, 3)[1] == 100_000


def test_more_messages_than_slots_go_out_at_once_and_arrive_in_order():
    count = 5 * SLOTS * GROWTH

    def program(ctx):
        other = 1 - ctx.rank
        for number in range(count):
            ctx.send(other, np.array([number]))
        got = [ctx.recv(other, np.zeros(1, int)).item() for _ in range(count)]
        ctx.settle()
        return got

    assert on("shm", program, 2) == [list(range(count))] * 2


@pytest.mark.parametrize("size", [1, 1000, 3 * BLOCK // 4 + 1])
def test_several_messages_are_added_in_the_order_asked_for(size):
    """Floats whose sum depends on the order."""

    def addend(rank):
        return np.random.default_rng(rank).standard_normal(size, np.float32) * np.float32(10.0**rank)

    def program(ctx):
        mine = ctx.alloc(size, np.float32)
        mine[:] = addend(ctx.rank)
        if ctx.rank:
            ctx.lend(0, mine)
            ctx.settle()
            return None
        ctx.fast.recv_add_all((3, 1, 2), mine)
        return mine

    got = on("shm", program, 4)[0]
    assert np.array_equal(got, ((addend(0) + addend(3)) + addend(1)) + addend(2))


def test_an_answer_lies_where_it_was_exposed_and_nothing_of_the_sums_owner_is_on_loan():
    """Rank 1 takes its answer only after rank 0 has overwritten the sum."""

    def program(ctx):
        x = ctx.alloc(100_000, np.float32)
        x[:] = 1
        if ctx.rank == 0:
            ctx.fast.recv_add_answer((1,), x, lambda part: None)
            x[:] = -1
            ctx.send(2, x[:0])
        elif ctx.rank == 1:
            ctx.fast.expose(0, x)
            ctx.recv(2, x[:0])
            assert (x == 2).all()
            assert where(ctx, 0, x)[0] == address(x), "it would be copied"
        else:
            ctx.recv(0, x[:0])
            ctx.send(1, x[:0])
        return x[0], x[-1]

    assert on("shm", program, 3) == [(-1, -1), (2, 2), (1, 1)]


def test_two_messages_of_one_rank_may_be_added_at_once():
    def program(ctx):
        array = np.ones(BLOCK, np.float32)
        if ctx.rank:
            ctx.send(0, array)
            ctx.send(0, 10 * array)
        else:
            ctx.fast.recv_add_all((1, 1), array)
        return array[0], array[-1]

    assert on("shm", program, 2)[0] == (12, 12)


def test_a_copy_is_kept_until_it_is_read_also_where_the_lane_moves():
    with endpoints("shm", 2) as (sender, receiver):
        for number in range(SLOTS):
            sender.send(1, np.full(16, number, np.float32))
        out = np.zeros(16, np.float32)
        for _ in range(SLOTS - 1):
            receiver.recv_into(0, out)
        assert receiver.has(0)  # steps over the slot that says that the lane goes on elsewhere
        sender.send(1, np.full(1024, -7, np.float32))
        receiver.recv_into(0, out)
    assert out.tolist() == [SLOTS - 1] * 16


# --- waiting ---


def test_nobody_sleeps_through_a_message(monkeypatch):
    """With no looking before sleeping, every wait ends by a bell: none runs into the end of its slice."""
    monkeypatch.setattr(shm, "LOOKS", 0)
    monkeypatch.setattr(shm, "WAIT_SLICE", 20.0)  # a bell that is missed takes longer than the deadline

    def program(ctx):
        array = ctx.alloc(100, np.float32)
        for number in range(3000):
            if number % 2 == ctx.rank:
                ctx.lend(1 - ctx.rank, array)
                ctx.settle()
            else:
                ctx.recv_add(1 - ctx.rank, array)
        return True

    assert on("shm", program, 2) == [True, True]


def test_nobody_sleeps_through_an_answer(monkeypatch):
    """Who has answered sends nothing else."""
    monkeypatch.setattr(shm, "LOOKS", 0)
    monkeypatch.setattr(shm, "WAIT_SLICE", 20.0)

    def program(ctx):
        array = ctx.alloc(100, np.float32)
        for _ in range(1000):
            if ctx.rank:
                ctx.fast.expose(0, array)
                ctx.recv_into(0, array)
            else:
                ctx.fast.recv_add_answer((1,), array, lambda part: None)
        return True

    assert on("shm", program, 2) == [True, True]


def test_any_of_several_wakes_for_each_of_them(monkeypatch):
    monkeypatch.setattr(shm, "LOOKS", 0)
    monkeypatch.setattr(shm, "WAIT_SLICE", 20.0)

    def program(ctx):
        for _ in range(300):
            if ctx.rank:
                ctx.send(0, ZEROS)
                ctx.recv(0, ZEROS)
            else:
                for _ in range(2):
                    ctx.send(ctx.recv_any((1, 2), ZEROS.copy()).sender, ZEROS)
        return True

    assert on("shm", program, 3) == [True] * 3


def test_settling_ends_at_the_deadline_and_names_who_has_not_read():
    def program(ctx):
        if ctx.rank:
            return
        ctx.lend(1, ctx.alloc(8, np.float32))
        ctx.settle()

    with pytest.raises(DeadlineExceeded, match="rank 1 to take what was sent to it") as caught:
        on("shm", program, 2, deadline=0.2)
    assert caught.value.peers == (1,)


def test_a_deadline_is_for_all_that_a_call_waits_for():
    """Two ranks who read one after the other, each within the deadline, together not."""

    def program(ctx):
        if ctx.rank == 0:
            for peer in (1, 2):
                ctx.lend(peer, ctx.alloc(8, np.float32))
            ctx.settle()
        else:
            ctx.sleep(0.3 * ctx.rank)
            ctx.recv(0, ZEROS)

    with pytest.raises(DeadlineExceeded, match="rank 2 to take what was sent to it"):
        on("shm", program, 3, deadline=0.45)


@pytest.mark.parametrize("call", ["lend", "expose"])
def test_a_sum_that_is_answered_has_one_deadline_too(call):
    """Two ranks who send one after the other, each within the deadline, together not; before them one that is there."""

    def program(ctx):
        x = ctx.alloc(8, np.float32)
        if ctx.rank == 0:
            ctx.fast.recv_add_answer((1, 2, 3), x, lambda part: None)
        else:
            ctx.sleep((0, 0.0, 0.3, 0.6)[ctx.rank])
            (ctx.lend if ctx.rank == 2 and call == "lend" else ctx.fast.expose)(0, x)

    with pytest.raises(DeadlineExceeded, match="for rank 3"):
        on("shm", program, 4, deadline=0.45)


# --- the end ---


def test_who_has_read_a_message_needs_its_sender_no_more():
    with endpoints("shm", 2) as ends:
        ends[0].send(1, np.empty(0, np.float32))
        told = ends[1]._in[0].lane
        real = ends[1].rendezvous.lookup

        def lookup(peer, watch):
            assert told.words[told.taken] == 0, "the sender was told, and may be gone, before it was looked up"
            return real(peer, watch)

        ends[1].rendezvous.lookup = lookup
        ends[1].recv_into(0, np.empty(0, np.float32))


def test_an_endpoint_that_cannot_be_made_leaves_nothing_open(monkeypatch):
    monkeypatch.setattr(
        "common.runtime.rendezvous.Rendezvous.publish", lambda *_: (_ for _ in ()).throw(OSError(24, "files"))
    )
    with private_folder() as folder:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(RunError, match="files"):
                endpoint("shm", folder, 0, 2)
        assert len(os.listdir("/proc/self/fd")) == before


def test_closing_lingers_until_what_was_sent_is_read():
    with endpoints("shm", 2) as ends:
        sender, receiver = (Context(end, workers=2) for end in ends)
        array = np.ones(1_000_000, np.float32)
        sender.send(1, array)
        got = in_threads([lambda: sender.endpoint.close(linger=10.0), lambda: receiver.recv(0, array)])
    assert np.array_equal(got[1], array)


def test_closing_does_not_linger_for_who_is_gone():
    with endpoints("shm", 2) as ends:
        sender = Context(ends[0], workers=2)
        sender.send(1, ZEROS)
        ends[1].close()
        in_threads([lambda: ends[0].close(linger=1000.0)])


def test_everything_opened_is_closed():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        on("shm", lambda ctx: [ctx.alloc(8, float), ctx.send(1 - ctx.rank, ZEROS), ctx.recv(1 - ctx.rank, ZEROS)], 2)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # one file store


def test_so_is_what_was_shared():
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
def test_a_rank_that_was_killed_before_it_was_read_is_named():
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        receiver = endpoint("shm", Path(folder), 1, 2)
        process = multiprocessing.get_context("spawn").Process(target=_sender, args=(folder,))
        process.start()
        process.join()
        with pytest.raises(PeerFailed, match="lost rank 0: No such file") as caught:
            receiver.recv_into(0, np.zeros(100_000, np.float32))
        receiver.close()
    assert caught.value.rank == Place(1).rank
