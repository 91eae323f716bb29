"""Stragglers sleep in stage 4 as long as asked, with every strategy, in real and in virtual time."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from jobs import job, run

from common.pipeline.straggler import Jitter, StragglerModel, jitter, slow_workers
from common.records.stage_clock import STAGES

FLOOR = 0.5  # seconds of virtual time, in which computing takes none


def train_seconds(result):
    """Of each process, what stage 4 lasted in each step."""
    return [[record.seconds["train"] for record in records] for records in result.records]


@pytest.mark.parametrize("strategy", ["ring", "noop", "ps-bsp"])
@pytest.mark.parametrize("overlap", ["on", "off"])
def test_stage_4_lasts_factor_times_the_floor_on_that_worker_alone(strategy, overlap):
    servers = int(strategy == "ps-bsp")
    how = {"slow_worker": "1:4", "train_seconds": FLOOR, "overlap": overlap, "bucket": 4096}
    for rank, seconds in enumerate(train_seconds(run(job(strategy, servers=servers, steps=3, **how)))):
        assert seconds == pytest.approx([4 * FLOOR if rank == 1 else FLOOR] * 3)


def test_a_straggler_changes_no_result():
    assert np.array_equal(run(job("ring", steps=5)).params, run(job("ring", steps=5, slow_worker="2:3")).params)


def test_one_process_for_all_workers_does_the_part_of_each():
    slow = run(job("single", steps=2, slow_worker="1:4,2:3", train_seconds=FLOOR))
    assert train_seconds(slow) == [pytest.approx([(1 + 4 + 3) * FLOOR] * 2)]
    assert StragglerModel({0: 4.0}).seconds((0, 1), 0, computed=2.0) == 4.0 + 1.0


def test_a_synchronous_strategy_waits_for_the_slowest_and_an_independent_one_does_not():
    how = {"steps": 3, "slow_worker": "1:4", "train_seconds": FLOOR}
    waits = {name: run(job(name, **how)).records[0][-1].ended for name in ("ring", "noop")}
    assert waits["noop"] == pytest.approx(3 * FLOOR)
    assert waits["ring"] >= 3 * 4 * FLOOR


def test_the_sleep_is_as_long_as_the_step_before_computed_and_stands_before_it():
    clock, sleeps, costs = [0.0], [], iter([1.0, 2.0, 5.0])

    def sleep(seconds):
        sleeps.append(seconds)
        clock[0] += seconds

    def train(model, batch):
        clock[0] += next(costs)
        return 0.0

    ctx = SimpleNamespace(sleep=sleep, now=lambda: clock[0], place=SimpleNamespace(step=0))
    late = StragglerModel({0: 4.0}).around(train, ctx, (0,))
    for _ in range(3):
        late(None, None)
    assert sleeps == [0.0, 3.0, 6.0]


def test_a_worker_that_nothing_lengthens_trains_as_ever():
    def train(model, batch):
        return 0.0

    assert StragglerModel({1: 4.0}).around(train, None, (0,)) is train
    assert StragglerModel({1: 1.0}).around(train, None, (1,)) is train


def test_no_bucket_leaves_before_the_sleep_is_over():
    result = run(job("ring", steps=2, slow_worker="0:2", train_seconds=FLOOR, overlap="on", bucket=4096))
    for records in result.records:
        assert all(record.hidden_seconds == 0.0 for record in records)  # virtual backward takes no time to hide in


# --- jitter ---


def test_jitter_depends_on_seed_worker_and_step_alone():
    drawn = {(s, w, k): Jitter("exponential", (1.0,)).draw(s, w, k) for s in (0, 1) for w in (0, 1) for k in (0, 1)}
    assert len(set(drawn.values())) == len(drawn)
    assert drawn == {key: Jitter("exponential", (1.0,)).draw(*key) for key in drawn}


def test_jitter_has_the_mean_and_the_bounds_that_were_asked_for():
    drawn = [jitter("exponential:0.02").draw(0, 0, step) for step in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.02, rel=0.1)
    assert min(drawn) >= 0
    even = [jitter("uniform:1,3").draw(0, 0, step) for step in range(200)]
    assert 1 <= min(even) < 1.1
    assert 2.9 < max(even) <= 3


def test_jitter_is_added_and_not_multiplied_and_drawn_anew_each_step():
    how = {"steps": 4, "jitter": "exponential:0.1", "train_seconds": FLOOR, "slow_worker": "0:4"}
    seconds = train_seconds(run(job("ring", **how)))
    for rank, factor in enumerate((4, 1, 1)):
        drawn = [Jitter("exponential", (0.1,)).draw(0, rank, step) for step in range(4)]
        assert seconds[rank] == pytest.approx([factor * FLOOR + late for late in drawn])
        assert all(a != b for a, b in pairwise(drawn))
    one_for_all = train_seconds(run(job("single", **how)))[0]
    assert one_for_all == pytest.approx(np.sum(seconds, axis=0))


def test_jitter_lengthens_no_other_stage():
    result = run(job("noop", steps=2, jitter="uniform:1,1"))
    for record in result.records[0]:
        assert {stage: record.seconds[stage] for stage in STAGES if stage != "train"} == dict.fromkeys(
            [stage for stage in STAGES if stage != "train"], 0.0
        )


# --- what was asked for ---


def test_slow_workers_are_read_as_they_are_written():
    assert slow_workers("") == {}
    assert slow_workers("3:4") == {3: 4.0}
    assert slow_workers("3:4, 1:1.5") == {3: 4.0, 1: 1.5}
    assert jitter("") is None


@pytest.mark.parametrize("text", ["3", "3:", ":4", "a:b", "3:0.5", "3:nan", "3:inf", "3:-1", "1:2,1:3", "1:2:3"])
def test_an_invalid_slow_worker_is_refused(text):
    with pytest.raises(ValueError, match=r"RANK:FACTOR|1 or more|named twice"):
        slow_workers(text)


@pytest.mark.parametrize(
    "text",
    ["0.1", "normal:1", "exponential", "exponential:", "exponential:-1", "exponential:1,2", "uniform:1", "uniform:2,1"],
)
def test_an_invalid_jitter_is_refused(text):
    with pytest.raises(ValueError, match=r"exponential:MEAN or uniform:LOW,HIGH|LOW is not above HIGH"):
        jitter(text)
