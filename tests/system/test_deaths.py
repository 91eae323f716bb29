"""Whatever dies, hangs or raises: the run ends promptly, names the culprit, and leaves what was recorded, no more."""

import os
import re
import signal

import pytest

from experiments.runs.find import load_run
from system.leftovers import PROMPT

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ENDLESS = ("--steps", 100000, "--results", "results")

HANGS = """
import time
from allreduce.star import Star

class Hangs(Star):
    def synchronize(self, ctx, bucket):
        while ctx.rank == 2 and ctx.place.step == 3:
            time.sleep(1)
        super().synchronize(ctx, bucket)
"""

RAISES = """
from allreduce.star import Star

class Raises(Star):
    def synchronize(self, ctx, bucket):
        super().synchronize(ctx, bucket)
        if ctx.rank == 1 and ctx.place.step == 3:
            raise ZeroDivisionError("a planted bug")
"""


@pytest.mark.parametrize(
    ("words", "rank", "role"),
    [
        (("--strategy", "ring", "--workers", 4), 2, "worker"),
        (("--strategy", "ring", "--workers", 4, "--transport", "ipc", "--hidden", 2048), 2, "worker"),
        (("--strategy", "ps-bsp", "--workers", 2, "--servers", 2, "--transport", "tcp"), 3, "server"),
    ],
    ids=["worker", "worker amid streams", "server"],
)
def test_a_killed_rank_is_named_and_ends_the_run_promptly(box, words, rank, role):
    box.start("run", *words, *ENDLESS, "--json")
    box.strike(rank, role)
    done = box.end(PROMPT)
    summary = box.summary()
    error = summary["error"]

    assert done.code == 1
    assert error == {
        "type": "PeerFailed",
        "rank": rank,
        "role": role,
        "stage": error["stage"],
        "step": error["step"],
        "cause": "killed by signal 9 (SIGKILL)",
    }
    where = f"{role} rank {rank}, stage {error['stage']}, step {error['step']}"
    assert done.errors == [
        f"syncbench: {where}: killed by signal 9 (SIGKILL)",
        f"what was recorded is in {summary['results_dir']}",
    ]
    assert done.json() == summary
    assert summary["status"] == "failed"
    run = load_run(box.result())
    assert list(run.worker_rows) == list(range(summary["workers"]))
    assert list(run.server_rows) == [summary["workers"] + server for server in range(summary["servers"])]
    assert summary["steps_done"] == min(map(len, run.worker_rows.values())) >= 3
    every = (run.worker_rows | run.server_rows).values()
    assert all([row.step for row in rows] == list(range(len(rows))) for rows in every)


def test_ranks_whose_agent_is_killed_end_by_themselves_and_tidy_up(box):
    agent = box.start("run", "--workers", 3, *ENDLESS)
    box.await_rows()
    os.kill(agent.pid, signal.SIGKILL)
    assert box.end(PROMPT).code == -signal.SIGKILL
    box.assert_nothing_left()
    assert not (box.result() / "summary.json").exists()
    assert box.run("compare", box.result()).code == 2


def test_a_rank_that_stands_still_is_named_by_the_one_that_waited_for_it(box):
    box.start("run", "--strategy", "ring", "--workers", 4, "--deadline", 2, *ENDLESS)
    box.strike(1, number=signal.SIGSTOP)
    done = box.end(2 + 2 * PROMPT)
    error = box.summary()["error"]

    assert done.code == 1
    assert (error["type"], error["peers"]) == ("DeadlineExceeded", [1])
    assert error["rank"] in (0, 2)  # its neighbours in the ring: one sends to it, one receives from it
    # To hear from it, or for it to hear: that depends on where it was stopped.
    waited = r"waited 2 s for rank 1(?: to take what was sent to it)?; worker rank 1 was in stage "
    assert re.match(waited, error["cause"])
    assert done.complaint.endswith(error["cause"])
    assert len(done.errors) == 2


def test_a_strategy_that_hangs_is_named_with_its_whereabouts(box):
    box.module("hangs", HANGS)
    done = box.run("run", "--strategy", "hangs:Hangs", "--workers", 3, "--deadline", 1, *ENDLESS)

    assert done.code == 1
    assert done.complaint == (
        "syncbench: worker rank 0, stage synchronize, step 3: "
        "waited 1 s for rank 2; worker rank 2 was in stage synchronize, step 3"
    )
    assert box.summary()["error"]["type"] == "DeadlineExceeded"


def test_a_strategy_that_raises_shows_its_traceback_once_with_its_rank(box):
    box.module("raises", RAISES)
    done = box.run("run", "--strategy", "raises:Raises", "--workers", 3, *ENDLESS)

    assert done.code == 1
    assert done.err.count("Traceback (most recent call last)") == 1
    assert done.err.count('raise ZeroDivisionError("a planted bug")') == 1
    assert done.errors[0] == "traceback of worker rank 1:"
    assert done.complaint == ("syncbench: worker rank 1, stage synchronize, step 3: ZeroDivisionError: a planted bug")
    assert box.summary()["error"]["cause"] == "ZeroDivisionError: a planted bug"
    assert done.out == ""
