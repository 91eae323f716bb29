"""A server's part of a table: it is updated like a dense shard, and each worker gets exactly the changed rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.models.sparse_rows import merge
from common.testing.trial import SGD
from common.types import Rows
from ps.consistency import ASP, BSP, SSP, Backup
from ps.row_shard import RowShard
from ps.shard import Refused, Shard

ROWS, WIDTH = 8, 3
TOUCHED = st.sets(st.integers(0, ROWS - 1))
ROUNDS = st.lists(st.lists(TOUCHED, min_size=3, max_size=3), min_size=1, max_size=6)


def table():
    return np.arange(ROWS * WIDTH, dtype=np.float32)


def gradient(touched, seed=0):
    """Return rows of small integers, which float32 adds up exactly."""
    index = np.array(sorted(touched), np.int64)
    values = np.random.default_rng(seed).integers(1, 50, (index.size, WIDTH)).astype(np.float32)
    return Rows(WIDTH, index, values)


def dense(rows):
    whole = np.zeros((ROWS, WIDTH), np.float32)
    whole[rows.index] = rows.values
    return whole.ravel()


def shards(consistency, workers=3):
    """Return the same part of a table as a row shard and as a dense shard."""
    by_rows, whole = table(), table()
    return (
        RowShard(by_rows, WIDTH, range(workers), SGD(by_rows, 0.125).step_rows, consistency),
        Shard(whole, range(workers), SGD(whole, 0.125).step, consistency),
    )


def apply(replica, rows):
    replica.reshape(-1, WIDTH)[rows.index] = rows.values


@pytest.mark.parametrize("make", [BSP, lambda: Backup(1), ASP, lambda: ASP("inverse"), lambda: SSP(2)])
@given(rounds=ROUNDS, order=st.permutations(range(3)))
def test_a_row_shard_updates_like_a_dense_one_and_sends_each_worker_all_changed_rows(make, rounds, order):
    by_rows, whole = shards(make())
    replicas = [table() for _ in range(3)]
    if isinstance(by_rows.consistency, BSP):
        order = range(3)
    for step, touched in enumerate(rounds):
        for worker in order:
            rows = gradient(touched[worker], seed=10 * step + worker)
            other = whole.push(worker, step, dense(rows))
            pushed = by_rows.push(worker, step, rows)
            assert pushed == other
            for ready in pushed.answer:
                apply(replicas[ready], by_rows.pull(ready))
                assert np.array_equal(replicas[ready], by_rows.params)
    np.testing.assert_allclose(by_rows.params, whole.params, rtol=1e-5, atol=1e-5)


@given(ROUNDS)
def test_under_bsp_an_answer_is_the_union_of_the_rows_of_the_step(rounds):
    shard, _ = shards(BSP())
    for step, touched in enumerate(rounds):
        total = merge([gradient(each, seed) for seed, each in enumerate(touched)])
        assert shard.push_all(step, total) == (0, 1, 2)
        answers = [shard.pull(worker) for worker in range(3)]
        for answer in answers:
            assert answer.index.tolist() == sorted(set().union(*touched))
            assert answer is answers[0]  # gathered once for all


@given(ROUNDS)
def test_push_all_gives_the_bits_of_single_pushes(rounds):
    once, turns = shards(BSP())[0], shards(BSP())[0]
    for step, touched in enumerate(rounds):
        random = np.random.default_rng(step)
        parts = [gradient(each) for each in touched]
        for part in parts:
            part.values = random.standard_normal(part.values.shape, np.float32)
        once.push_all(step, merge(parts))
        for worker, part in enumerate(parts):
            turns.push(worker, step, part)
        assert once.params.tobytes() == turns.params.tobytes()


def test_unchanged_rows_are_not_sent_again():
    shard, _ = shards(ASP())
    for step in range(2):
        shard.push(0, step, gradient({1, 5}))
        assert shard.pull(0).index.tolist() == [1, 5]
    shard.push(1, 0, gradient({2}))
    assert shard.pull(1).index.tolist() == [1, 2, 5]
    assert shard.pull(1).index.tolist() == []
    shard.push(2, 0, gradient(set()))
    assert shard.pull(2).index.tolist() == [1, 2, 5]
    assert shard.pull(0).index.tolist() == [2]


def test_an_answer_stays_as_it_is_when_the_table_changes():
    shard, _ = shards(ASP())
    shard.push(0, 0, gradient({1}))
    answer = shard.pull(0)
    before = answer.values.copy()
    shard.push(1, 0, gradient({1}))
    assert np.array_equal(answer.values, before)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (Rows(WIDTH, np.array([3, 1]), np.ones((2, WIDTH), np.float32)), "rows that are not in order"),
        (Rows(WIDTH, np.array([3, 3]), np.ones((2, WIDTH), np.float32)), "rows that are not in order"),
        (Rows(WIDTH, np.array([-1]), np.ones((1, WIDTH), np.float32)), "not of the 8 that this shard has"),
        (Rows(WIDTH, np.array([ROWS]), np.ones((1, WIDTH), np.float32)), "not of the 8 that this shard has"),
        (Rows(WIDTH, np.array([1]), np.ones((2, WIDTH), np.float32)), r"values of shape \(2, 3\) for 1 rows of 3"),
    ],
)
def test_impossible_rows_are_refused_and_change_nothing(rows, complaint):
    shard, _ = shards(BSP())
    with pytest.raises(Refused, match=complaint):
        shard.push(0, 0, rows)
    assert shard.clock[0] == 0
    assert np.array_equal(shard.params, table())


@pytest.mark.parametrize("steps", [0, 2])
def test_after_a_restart_every_worker_gets_the_whole_table_and_the_open_step_is_kept(steps):
    shard, again = (shards(Backup(1))[0] for _ in range(2))
    for step in range(steps):
        for worker in (0, 1):
            shard.push(worker, step, gradient({worker}, step))
    shard.push(0, steps, gradient({2, 3}))
    again.restore(shard.state())
    assert again.pull(2).index.tolist() == list(range(ROWS))
    assert np.array_equal(again.params, shard.params)
    for each in (shard, again):
        each.push(1, steps, gradient({3, 4}, 7))
    assert again.params.tobytes() == shard.params.tobytes()
    assert again.pull(2).index.tolist() == [2, 3, 4]


def test_a_restored_shard_does_not_answer_with_rows_of_lost_updates():
    shard, _ = shards(ASP())
    shard.push(0, 0, gradient({1}))
    shard.pull(0)
    before = shard.state()
    shard.push(0, 1, gradient({2}))
    assert shard.pull(0).index.tolist() == [2]
    shard.restore(before)
    shard.pull(0)
    shard.push(0, 1, gradient({5}))
    assert shard.pull(0).index.tolist() == [5]


def test_a_checkpoint_of_another_size_is_refused():
    small = np.zeros(WIDTH, np.float32)
    other = RowShard(small, WIDTH, range(3), SGD(small).step_rows, BSP())
    with pytest.raises(Refused, match="this shard has 24"):
        shards(BSP())[0].restore(other.state())
