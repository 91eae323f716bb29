"""Whole jobs in virtual time: every strategy runs, repeats give the same seconds, failures name a rank."""

import numpy as np
import pytest
from virtual_jobs import run

from allreduce.ring import Ring
from common.pipeline.engine import engine_traits
from common.strategy import SyncStrategy
from experiments.config.strategies import BUILTIN, create

OURS = [
    name
    for name in BUILTIN
    if name != "sparse-all-gather" and engine_traits(create(name, {}).traits).own_transport is None
]
BANDWIDTH, LATENCY = 125e6, 50e-6
PARAMETERS = (64 * 64 + 64) + (64 * 10 + 10)
CLICKS = {"data": "clicks:rows=1000", "model": "embedding", "momentum": 0.0, "batch": 96}


@pytest.mark.parametrize("strategy", OURS)
def test_every_strategy_of_ours_trains_in_virtual_time(tmp_path, strategy):
    ran = run(tmp_path, strategy=strategy, workers=3, hosts=2)
    workers = 1 if strategy == "single" else 3
    assert ran.ok
    assert ran.totals(workers).steps == 4
    assert ran.reports[0]["test_accuracy"] > 0.3
    assert np.load(ran.folder / "params.npy").size == PARAMETERS
    if create(strategy, {}).traits.replicas_equal:
        assert len({ran.reports[rank]["params_sha256"] for rank in range(workers)}) == 1


@pytest.mark.parametrize("strategy", ["ps-bsp", "ps-ssp", "ps-async", "ps-backup"])
@pytest.mark.parametrize("placement", ["dedicated", "colocated"])
def test_servers_may_live_on_machines_of_their_own_or_on_the_workers(tmp_path, strategy, placement):
    ran = run(tmp_path, strategy=strategy, workers=3, servers=3, placement=placement)
    assert ran.ok
    assert sum(ran.reports[rank]["parameters"] for rank in (3, 4, 5)) == PARAMETERS


@pytest.mark.parametrize("strategy", ["ps-bsp", "ps-async", "sparse-all-gather"])
def test_the_rows_of_a_table_travel_alone(tmp_path, strategy):
    ran = run(tmp_path, strategy=strategy, workers=3, **CLICKS)
    assert ran.ok
    assert 0 < sum(ran.reports[0]["bytes_to"].values()) < 4 * 4 * np.load(ran.folder / "params.npy").size


def test_a_bsp_step_takes_what_the_formula_of_the_link_says(tmp_path):
    ran = run(tmp_path, strategy="ps-bsp", workers=2)
    seconds = [row["seconds"]["synchronize"] for row in ran.rows("0-worker")][1:]
    wire = 4 * PARAMETERS / BANDWIDTH
    # Worker 1 is always one answer behind; worker 0 waits for its push, and then gets the first answer.
    assert seconds == pytest.approx([2 * LATENCY + 2 * wire + wire] * 3, rel=1e-3)
    assert [row["seconds"]["train"] for row in ran.rows("1-worker")] == pytest.approx([0.01] * 4)


def test_a_colocated_server_saves_its_worker_the_way(tmp_path):
    apart = run(tmp_path / "apart", strategy="ps-bsp", workers=2, servers=2)
    together = run(tmp_path / "together", strategy="ps-bsp", workers=2, servers=2, placement="colocated")
    half = 4 * PARAMETERS / 2 / BANDWIDTH
    assert together.totals(2).stage_seconds["synchronize"] == pytest.approx(4 * (2 * LATENCY + 2 * half), rel=1e-3)
    assert apart.totals(2).stage_seconds["synchronize"] > together.totals(2).stage_seconds["synchronize"]
    assert apart.reports[0]["params_sha256"] == together.reports[0]["params_sha256"]


def test_a_straggler_trains_longer_in_virtual_time_and_the_others_wait_for_it(tmp_path):
    ran = run(tmp_path, strategy="ring", workers=3, slow_worker="1:5")
    assert [row["seconds"]["train"] for row in ran.rows("1-worker")] == pytest.approx([0.05] * 4)
    for row in ran.rows("0-worker"):
        assert row["seconds"]["train"] == pytest.approx(0.01)
        assert row["seconds"]["synchronize"] >= 0.04


def test_the_same_seed_gives_the_same_bits_seconds_and_order_of_pushes(tmp_path):
    options = {"strategy": "ps-async", "workers": 5, "servers": 2, "jitter": "exponential:0.01", "steps": 12}
    first, again, other = (
        run(tmp_path / name, seed=seed, **options) for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    assert first.files == again.files
    assert first.reports[0]["params_sha256"] == again.reports[0]["params_sha256"]
    pushes = [[event.get("worker") for event in ran.rows("5-server.events")] for ran in (first, other)]
    assert pushes[0] != pushes[1]


def test_hosts_share_a_link_among_their_workers(tmp_path):
    """Two of four workers on each of two hosts: half of the ring's messages stay inside one."""
    apart, together = (run(tmp_path / str(n), strategy="ring", workers=4, hosts=n) for n in (1, 2))
    each = [ran.totals(4).stage_seconds["synchronize"] for ran in (apart, together)]
    assert each[1] < each[0]
    assert apart.reports[0]["params_sha256"] == together.reports[0]["params_sha256"]


def test_where_seconds_are_measured_the_bits_of_a_synchronous_strategy_do_not_drift(tmp_path):
    measured = run(tmp_path / "measured", strategy="ring", workers=3, train_seconds=0.0)
    told = run(tmp_path / "told", strategy="ring", workers=3)
    assert measured.reports[0]["params_sha256"] == told.reports[0]["params_sha256"]
    costs = measured.reports[0]["costs"]
    assert costs["measured"]
    assert not told.reports[0]["costs"]["measured"]
    for row in measured.rows("2-worker"):
        assert {stage: row["seconds"][stage] for stage in ("preprocess", "load", "train", "update")} == pytest.approx(
            {stage: costs[stage] for stage in ("preprocess", "load", "train", "update")}, abs=2e-7
        )


def test_seconds_count_from_the_beginning_of_virtual_time(tmp_path):
    ran = run(tmp_path, strategy="noop", workers=2)
    assert 0 <= ran.rows("0-worker")[0]["began"] < 0.01


# --- ends ---


class Broken(Ring):
    """Rank 1 fails in step 2."""

    def synchronize(self, ctx, bucket):
        if (ctx.rank, ctx.place.step) == (1, 2):
            raise ZeroDivisionError("planted")
        super().synchronize(ctx, bucket)


class Lonely(SyncStrategy):
    """Rank 1 fails in step 2; nobody waits for it."""

    def synchronize(self, ctx, bucket):
        if (ctx.rank, ctx.place.step) == (1, 2):
            raise ZeroDivisionError("planted")


class Exits(Ring):
    """Rank 1 would end the whole process in step 2."""

    def synchronize(self, ctx, bucket):
        if (ctx.rank, ctx.place.step) == (1, 2):
            raise SystemExit(4)
        super().synchronize(ctx, bucket)


class Waiting(SyncStrategy):
    """Everybody waits for a message that nobody sends."""

    def synchronize(self, ctx, bucket):
        ctx.recv_into((ctx.rank + 1) % ctx.size, bucket.grad)


class Late(Ring):
    """Rank 1 comes after the deadline."""

    def synchronize(self, ctx, bucket):
        ctx.sleep(70.0 if ctx.rank == 1 else 0.0)
        super().synchronize(ctx, bucket)


@pytest.mark.parametrize("strategy", ["Broken", "Lonely"])
def test_a_rank_that_fails_ends_the_job_and_is_named(tmp_path, strategy):
    ran = run(tmp_path, strategy=f"test_virtual_job:{strategy}", workers=3, steps=50)
    assert not ran.ok
    assert ran.error["cause"] == "ZeroDivisionError: planted"
    assert [ran.error[key] for key in ("rank", "role", "stage", "step")] == [1, "worker", "synchronize", 2]
    assert len(ran.rows("0-worker")) <= 3
    assert not [rank for rank, report in ran.reports.items() if rank != 1]


def test_a_rank_that_wants_the_process_to_end_is_named_too(tmp_path):
    ran = run(tmp_path, strategy=f"{__name__}:Exits", workers=4)
    assert not ran.ok
    assert (ran.error["rank"], ran.error["step"]) == (1, 2)
    assert ran.error["cause"] == "SystemExit: 4"


def test_a_deadlock_ends_the_job_and_names_each_rank_and_its_peer(tmp_path):
    ran = run(tmp_path, strategy="test_virtual_job:Waiting", workers=2)
    assert not ran.ok
    assert ran.error["type"] == "Deadlock"
    assert "worker rank 0 (step 0) waits for 1; worker rank 1 (step 0) waits for 0" in ran.error["cause"]


def test_a_deadline_is_in_virtual_seconds(tmp_path):
    ran = run(tmp_path, strategy="test_virtual_job:Late", workers=2)
    assert ran.error["type"] == "DeadlineExceeded"
    assert (ran.error["rank"], ran.error["peers"], ran.error["cause"]) == (0, [1], "waited 60 s for rank 1")


def test_training_that_diverges_is_said_at_its_step(tmp_path):
    ran = run(tmp_path, strategy="ring", workers=2, lr=1e30, steps=20)
    assert "training diverged" in ran.error["cause"]
