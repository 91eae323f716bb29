"""A server that is killed comes back, and the run ends as if nothing had happened, or says why it cannot."""

import functools
import itertools
import json

import pytest
from histories import replay

from common.errors import FINISH
from common.runtime.checkpoint import SUFFIX
from experiments.runs.find import load_run
from ps.consistency import ASP, SSP
from system.leftovers import PROMPT, Box, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

STEPS, EVERY, WORKERS = 60, 7, 2
LAST = STEPS - STEPS % EVERY
SAME = ("status", "params_sha256", "ledger_sha256", "final_loss", "steps_done", "bytes_sent", "messages_sent")
RUN = ("run", "--strategy", "ps-bsp", "--workers", WORKERS, "--steps", STEPS, "--results", "results", "--json")
COMEBACK = ("--checkpoint-every", EVERY, "--restarts", 2)
UNHURRIED = ("--train-seconds", 0.02)  # so that a run is still there when it is struck from outside
RELAXED = {"ps-async": ASP(), "ps-ssp": SSP(3)}
# One server dies when it makes a certain call in a certain step: the first time, or each time.
DIES = """
import os, signal
from pathlib import Path
from ps.strategy import PsBsp

class Dies(PsBsp):
    def serve(self, ctx, params, buckets):
        mark = Path("died").absolute()
        def deadly(name, real):
            def act(*args, **more):
                here = (name, ctx.rank, ctx.place.step) == ({call!r}, {rank}, {step})
                if here and not ({once} and mark.exists()):
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **more)
            return act
        for name in ("recv_into", "recv_any", "lend", "send", "settle"):
            setattr(ctx, name, deadly(name, getattr(ctx, name)))
        super().serve(ctx, params, buckets)
"""


def dies(call, rank, step, once=True):
    """A strategy for `box.module`."""
    return DIES.format(call=call, rank=rank, step=step, once=once)


@pytest.fixture(scope="module")
def undisturbed():
    """The summary of a run in which nobody dies, once for each set of words."""
    with Box() as box:
        yield functools.cache(lambda *words: box.run(*RUN, *words).json())


def assert_as_if_nothing_had_happened(box, summary, expected):
    assert {key: summary[key] for key in SAME} == {key: expected[key] for key in SAME}
    run = load_run(box.result())
    rows = run.worker_rows | run.server_rows
    assert all([row.step for row in of_one] == list(range(STEPS)) for of_one in rows.values())
    assert not (box.result() / "checkpoints").exists()


WAYS = list(
    itertools.chain.from_iterable(
        [(transport, servers, moment) for moment in moments]
        for transport, servers, moments in (
            (
                "shm",
                1,
                (("recv_into", -1), ("settle", -1), ("lend", 30), ("settle", FINISH)),
            ),
            ("shm", 2, (("lend", 6), ("lend", STEPS - 1))),
            ("tcp", 2, (("recv_any", 1), ("lend", 28), ("settle", FINISH))),
        )
    )
)


@pytest.mark.parametrize(("transport", "servers", "moment"), WAYS)
def test_the_run_ends_with_the_bits_of_an_undisturbed_one(box, undisturbed, transport, servers, moment):
    words = ("--servers", servers, "--transport", transport)
    call, step = moment
    rank = WORKERS + servers - 1
    box.module("dies", dies(call, rank, step))
    words_here = (*words, "--strategy", "dies:Dies", *COMEBACK)
    summary = box.run(*RUN, *words_here).json()
    assert (box.folder / "died").exists()
    assert_as_if_nothing_had_happened(box, summary, undisturbed(*words))
    (restart,) = summary["restarts"]
    assert restart["rank"] == rank
    assert restart["resumed_from"] in {
        max(0, step - step % EVERY - EVERY),
        max(0, step - step % EVERY),
        STEPS - STEPS % EVERY,
    }
    assert summary["incarnations"] == 2


# Worker 1 sleeps between the push and the pull of the step before a checkpoint, which the server does not survive long.
LATE = """
import os, signal
from pathlib import Path
from ps.strategy import {base}

class Late({base}):
    def _push(self, ctx, bucket):
        way = list(super()._push(ctx, bucket))  # of so few parameters all answers are due after the push
        if ctx.rank == 1 and ctx.place.step == {step} and not Path("died").exists():
            Path("slept").touch()
            ctx.sleep(5.0)
        return way

    def serve(self, ctx, params, buckets):
        real = ctx.recv_any
        def act(*args, **more):
            if Path("slept").exists() and not Path("died").exists() and {saved}:
                Path("died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **more)
        ctx.recv_any = act
        super().serve(ctx, params, buckets)
"""


def test_a_step_that_a_worker_has_not_recorded_when_the_server_has_saved_it_is_done_again(box, undisturbed):
    box.module("late", LATE.format(base="PsBsp", step=2 * EVERY - 1, saved=f"ctx.place.step == {2 * EVERY - 1}"))
    summary = box.run(*RUN, "--strategy", "late:Late", *COMEBACK).json()
    assert (box.folder / "died").exists()
    assert_as_if_nothing_had_happened(box, summary, undisturbed())
    assert summary["restarts"][0]["resumed_from"] == EVERY


def test_a_worker_that_was_late_skips_to_the_step_that_the_servers_go_back_to(box):
    box.module("late", LATE.format(base="PsBackup", step=1, saved=f"ctx.place.step >= {3 * EVERY}"))
    summary = box.run(*RUN, "--strategy", "late:Late", *COMEBACK).json()
    assert (box.folder / "died").exists()
    assert summary["restarts"][0]["resumed_from"] == 3 * EVERY
    run = load_run(box.result())
    rows = run.worker_rows | run.server_rows
    assert all(row.skipped for row in run.worker_rows[1][2 : 3 * EVERY])
    assert all([row.step for row in of_one] == list(range(STEPS)) for of_one in rows.values())


@pytest.mark.parametrize(("strategy", "transport"), [("ps-async", "shm"), ("ps-ssp", "tcp")], ids=["async", "ssp"])
def test_without_a_common_step_every_push_is_applied_once_or_counted_as_lost(box, strategy, transport):
    words = ("--strategy", strategy, "--servers", 2, "--transport", transport, "--overlap", "on", "--bucket", "4KiB")
    box.start(*RUN, *words, *UNHURRIED, *COMEBACK)
    box.strike(WORKERS, "server")
    done = box.end()
    summary = done.json()
    assert (summary["status"], summary["steps_done"], summary["incarnations"]) == ("ok", STEPS, 2)
    pushed, lost = 0, 0
    for server in (WORKERS, WORKERS + 1):
        lines = (box.result() / "ranks" / f"{server}-server.events.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        assert replay(events, WORKERS, RELAXED[strategy]).workers == []
        applied = [(each["worker"], each["step"]) for each in events if each.get("outcome") == "applied"]
        assert len(set(applied)) == len(applied)
        pushed += len(applied)
        lost += sum(each["pushes"] for each in events if each["event"] == "lost")
    assert lost == summary["pushes"]["lost"]
    assert pushed + lost == 2 * WORKERS * STEPS


def test_backup_workers_go_back_to_a_common_step(box):
    box.start(*RUN, "--strategy", "ps-backup", "--servers", 2, *UNHURRIED, *COMEBACK)
    box.strike(WORKERS + 1, "server")
    summary = box.end().json()
    assert (summary["status"], summary["steps_done"], summary["incarnations"]) == ("ok", STEPS, 2)
    assert summary["pushes"]["lost"] == 0
    run = load_run(box.result())
    rows = run.worker_rows | run.server_rows
    assert all([row.step for row in of_one] == list(range(STEPS)) for of_one in rows.values())


def test_a_kill_from_outside_amid_overlapped_buckets_and_another_in_the_next_incarnation(box, undisturbed):
    words = ("--servers", 2, "--overlap", "on", "--bucket", "4KiB", "--optimizer", "adam")
    box.start(*RUN, *words, *UNHURRIED, *COMEBACK)
    struck = box.strike(WORKERS, "server")
    until(lambda: box.rank(WORKERS, "server") != struck, lambda: "the server is not back")
    box.strike(WORKERS + 1, "server")
    done = box.end()
    assert_as_if_nothing_had_happened(box, done.json(), undisturbed(*words))
    assert [restart["rank"] for restart in done.json()["restarts"]] == [WORKERS, WORKERS + 1]
    assert "restart" in done.err


def test_a_server_that_dies_again_and_again_ends_the_run_when_no_restart_is_left(box):
    box.module("dies", dies("recv_any", WORKERS, 10, once=False))
    done = box.run(*RUN, "--strategy", "dies:Dies", "--checkpoint-every", 2, "--restarts", 2)
    summary = box.summary()
    assert done.code == 1
    error = summary["error"]
    assert (error["type"], error["rank"], error["role"]) == ("PeerFailed", WORKERS, "server")
    assert (error["step"], error["cause"]) == (10, "killed by signal 9 (SIGKILL)")
    assert [restart["incarnation"] for restart in summary["restarts"]] == [1, 2]
    files = (box.result() / "checkpoints" / str(WORKERS)).iterdir()
    assert sorted(file.name for file in files) == [f"10{SUFFIX}", f"8{SUFFIX}"]  # what was saved stays


def test_the_death_of_a_worker_still_ends_the_run(box):
    box.start(*RUN, "--steps", 100000, *COMEBACK)
    box.strike(1, "worker")
    assert box.end(PROMPT).code == 1
    assert box.summary()["error"]["type"] == "PeerFailed"
    assert box.summary()["restarts"] == []


def test_for_people_a_line_says_which_server_came_back(box):
    box.module("dies", dies("lend", WORKERS, 10))
    words = [word for word in RUN if word != "--json"]
    done = box.run(*words, "--strategy", "dies:Dies", *COMEBACK)
    (line,) = (line for line in done.out.splitlines() if line.startswith("restarts: "))
    assert line.startswith(f"restarts: server rank {WORKERS} died at ")
    assert line.endswith("s in step 10 and came back from step 7")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--restarts", 1), "--restarts 1 needs --checkpoint-every: a server comes back from a checkpoint"),
        (("--checkpoint-every", -1), "--checkpoint-every is -1: give a whole number from 0"),
        (("--checkpoint-every", 5, "--restarts", -1), "--restarts is -1: give a whole number from 0 to 999"),
        (
            ("--servers", 2, "--placement", "colocated", "--checkpoint-every", 5),
            "a colocated server dies with its worker, which cannot come back: leave --checkpoint-every out",
        ),
        (
            ("--strategy", "ring", "--checkpoint-every", 5),
            "strategy 'ring' has no servers: leave --checkpoint-every out, or use ps-bsp",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(box, words, complaint):
    done = box.run(*RUN, *words)
    assert (done.code, done.errors) == (2, [f"syncbench: {complaint}"])
    assert not box.results.exists()
