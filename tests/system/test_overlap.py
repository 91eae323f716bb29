"""Buckets, overlapped, in real processes: recorded as they should be, and whoever dies is still named promptly."""

import pytest

from experiments.runs.find import load_run
from system.leftovers import PROMPT

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

BUCKETS = ("--hidden", "64,64", "--bucket", "16KiB", "--overlap", "on", "--workers", 2)  # three of them
ENDLESS = (*BUCKETS, "--steps", 100000, "--results", "results")

RAISES = """
from allreduce.ring import Ring

class Raises(Ring):
    def synchronize(self, ctx, bucket):
        super().synchronize(ctx, bucket)
        if (ctx.rank, ctx.place.step, bucket.index) == (1, 3, 1):
            raise ZeroDivisionError("a planted bug")
"""


def run(box, *words):
    done = box.run("run", *BUCKETS, "--steps", 20, "--results", "results", *words, "--json")
    assert done.code == 0, done.err
    return done.json()


def test_overlap_changes_the_time_and_not_a_bit(box):
    on, off = (run(box, "--strategy", "ps-bsp", "--servers", 2, "--overlap", overlap) for overlap in ("on", "off"))
    assert (on["overlap"], off["overlap"], on["bucket"]) == ("on", "off", 16 << 10)
    assert on["params_sha256"] == off["params_sha256"]
    assert on["bytes_sent"] == off["bytes_sent"]
    assert 0 <= on["hidden_synchronize_seconds"] <= on["stage_seconds"]["train"]
    assert off["hidden_synchronize_seconds"] == 0
    done = load_run(box.folder / on["results_dir"])
    for rows in (done.worker_rows | done.server_rows).values():  # servers too: a row a step, not one a bucket
        assert [row.step for row in rows] == list(range(20))
    for by_rank, tolerance in ((done.worker_rows, 1e-6), (done.server_rows, 0.0)):
        for row in (row for rows in by_rank.values() for row in rows):  # a rank may lose its core between two stages
            assert sum(row.seconds.by_stage().values()) <= row.ended - row.began + 1e-6
            assert 0 <= row.hidden_seconds <= row.seconds.train + tolerance


@pytest.mark.parametrize(
    ("words", "rank", "role"),
    [
        (("--strategy", "ring"), 1, "worker"),
        (("--strategy", "ps-bsp", "--servers", 2), 0, "worker"),
        (("--strategy", "ps-bsp", "--servers", 2), 3, "server"),
    ],
    ids=["worker of a ring", "worker of a server", "server"],
)
def test_a_killed_rank_ends_the_run_promptly_and_is_named(box, words, rank, role):
    box.start("run", *words, *ENDLESS)
    box.strike(rank, role)
    done = box.end(PROMPT)
    error = box.summary()["error"]
    assert done.code == 1
    assert (error["type"], error["rank"], error["role"]) == ("PeerFailed", rank, role)
    assert error["cause"] == "killed by signal 9 (SIGKILL)"


def test_a_strategy_that_raises_in_its_thread_shows_its_traceback_and_where_it_was(box):
    box.module("raises", RAISES)
    done = box.run("run", "--strategy", "raises:Raises", *ENDLESS)
    assert done.code == 1
    assert done.err.count("Traceback (most recent call last)") == 1
    assert done.err.count('raise ZeroDivisionError("a planted bug")') == 1
    where = "worker rank 1, stage synchronize, step 3, bucket 1"
    assert done.complaint == f"syncbench: {where}: ZeroDivisionError: a planted bug"
    assert box.summary()["error"]["bucket"] == 1


def test_training_that_diverges_ends_promptly_although_buckets_are_on_their_way(box):
    done = box.run("run", "--strategy", "ring", *ENDLESS, "--lr", "1e25", "--momentum", 0)
    assert done.code == 1
    error = box.summary()["error"]
    assert (error["type"], error["stage"]) == ("RunError", "train")
    assert "training diverged" in error["cause"]
