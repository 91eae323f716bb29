"""Every sample belongs to one worker, and every process computes the same batches, whatever the strategy."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.pipeline.partition import PARTITIONERS, Batches, canonical_partition, partition, partitioner
from common.records.ledger import digest

SEEDS = st.integers(0, 2**64 - 1)


@st.composite
def jobs(draw):
    """Parts for some workers, a batch that fits, steps and a seed."""
    workers, batch = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    samples = draw(st.integers(workers * batch, 80))
    seed = draw(SEEDS)
    return partition(samples, workers, seed), batch, draw(st.integers(0, 30)), seed


def drawn(parts, mine, batch, steps, seed):
    """All batches, as lists of indices, and the digests after each."""
    batches = Batches(parts, mine, batch, steps, seed)
    return [(indices, batches.digests) for indices in batches]


# --- the parts ---


@given(st.integers(0, 300), st.integers(1, 20), SEEDS)
def test_every_sample_belongs_to_exactly_one_worker_and_sizes_differ_by_one_at_most(samples, workers, seed):
    parts = partition(samples, workers, seed)
    sizes = [len(part) for part in parts]
    assert len(parts) == workers
    assert sorted(np.concatenate(parts)) == list(range(samples))
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 300), st.integers(1, 20), SEEDS)
def test_every_process_computes_the_same_parts(samples, workers, seed):
    np.random.seed(0)
    here = partition(samples, workers, seed)
    np.random.seed(1)
    there = partition(samples, workers, seed)
    for one, other in zip(here, there, strict=True):
        assert np.array_equal(one, other)


def test_samples_are_dealt_at_random_and_not_in_their_order():
    parts = partition(1000, 4, seed=0)
    for part in parts:
        assert not np.array_equal(part, np.sort(part))
        assert abs(part.mean() - 499.5) < 100  # each has its share of old and of new ones


def test_another_seed_deals_anew():
    assert not np.array_equal(partition(100, 2, seed=0)[0], partition(100, 2, seed=1)[0])


# --- the batches ---


@given(jobs())
def test_one_process_draws_the_workers_batches_one_after_the_other(job):
    parts, batch, steps, seed = job
    whole = drawn(parts, range(len(parts)), batch, steps, seed)
    each = [drawn(parts, (worker,), batch, steps, seed) for worker in range(len(parts))]
    assert len(whole) == steps
    for step, (indices, digests) in enumerate(whole):
        assert indices == list(itertools.chain.from_iterable(worker[step][0] for worker in each))
        assert digests == [worker[step][1][0] for worker in each]


@given(jobs())
def test_a_worker_draws_only_its_own_samples_and_none_twice_in_an_epoch(job):
    parts, batch, steps, seed = job
    per_epoch = min(len(part) for part in parts) // batch
    for worker, part in enumerate(parts):
        batches = [indices for indices, _ in drawn(parts, (worker,), batch, steps, seed)]
        assert all(len(indices) == batch for indices in batches)
        for start in range(0, steps, per_epoch):
            epoch = list(itertools.chain.from_iterable(batches[start : start + per_epoch]))
            assert len(set(epoch)) == len(epoch)
            assert set(epoch) <= set(part.tolist())


@given(jobs())
def test_the_digests_are_those_of_the_batch_drawn_last(job):
    parts, batch, steps, seed = job
    for indices, digests in drawn(parts, range(len(parts)), batch, steps, seed):
        rows = np.array(indices, np.int64).reshape(len(parts), batch)
        assert digests == [digest(row) for row in rows]


@given(jobs())
def test_the_number_of_steps_does_not_change_the_samples_of_a_step(job):
    parts, batch, steps, seed = job
    assert drawn(parts, (0,), batch, steps, seed) == drawn(parts, (0,), batch, steps + 10, seed)[:steps]


def test_the_remainder_is_dropped_so_that_all_workers_have_as_many_steps_an_epoch():
    parts = partition(31, 3, seed=0)  # 11, 10 and 10 samples
    for worker in range(3):
        batches = Batches(parts, (worker,), 4, 100, 0)
        assert batches.steps_per_epoch == 2
        first = list(itertools.islice(batches, 2))
        assert len(set(itertools.chain.from_iterable(first))) == 8


def test_every_epoch_has_a_fresh_order_and_other_leftovers():
    (part,) = partition(11, 1, seed=0)
    batches = [tuple(indices) for indices, _ in drawn([part], (0,), 5, 40, 0)]
    epochs = list(zip(batches[::2], batches[1::2], strict=True))
    assert len(set(epochs)) == len(epochs) == 20
    assert set(itertools.chain.from_iterable(batches)) == set(range(11))


def test_another_seed_gives_another_order_of_the_same_part():
    (part,) = partition(40, 1, seed=0)
    (one, _), *_ = drawn([part], (0,), 40, 1, 0)
    (other, _), *_ = drawn([part], (0,), 40, 1, 1)
    assert one != other
    assert sorted(one) == sorted(other)


def test_workers_with_the_same_part_would_still_draw_in_orders_of_their_own():
    part = np.arange(40)
    (one, _), *_ = drawn([part, part], (0,), 40, 1, 0)
    (other, _), *_ = drawn([part, part], (1,), 40, 1, 0)
    assert one != other


def test_the_length_is_the_number_of_steps():
    assert len(Batches(partition(20, 2, 0), (0,), 5, 7, 0)) == 7


def test_a_batch_larger_than_a_part_is_refused_with_both_sizes():
    with pytest.raises(ValueError, match="a batch of 11 samples a worker, but a worker has only 10"):
        Batches(partition(21, 2, 0), (0,), 11, 1, 0)


@given(jobs(), st.data())
def test_a_worker_that_starts_later_draws_the_same_batches_from_its_step_on(job, data):
    parts, batch, steps, seed = job
    start = data.draw(st.integers(0, steps))
    batches = Batches(parts, (0,), batch, steps, seed, start)
    assert len(batches) == steps - start
    assert [(indices, batches.digests) for indices in batches] == drawn(parts, (0,), batch, steps, seed)[start:]


# --- the partitioners ---

HOW = ["shuffled", "contiguous", "strided", "dirichlet:0.001", "dirichlet:0.1", "dirichlet:1", "dirichlet:1000000"]
LABELS = np.arange(1200) % 10  # 120 of each of ten classes


@given(st.lists(st.integers(0, 6), max_size=120), st.integers(1, 20), SEEDS, st.sampled_from(HOW))
def test_every_partitioner_gives_each_sample_to_exactly_one_worker_and_sizes_differ_by_one_at_most(
    labels, workers, seed, how
):
    parts = partition(len(labels), workers, seed, how, np.array(labels, np.int64))
    sizes = [len(part) for part in parts]
    assert len(parts) == workers
    assert all(part.dtype == np.int64 for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    assert max(sizes) - min(sizes) <= 1


@given(SEEDS, st.sampled_from(HOW))
def test_every_process_computes_the_same_parts_with_every_partitioner(seed, how):
    np.random.seed(0)
    here = partition(1200, 7, seed, how, LABELS)
    np.random.seed(1)
    there = partition(1200, 7, seed, how, LABELS)
    for one, other in zip(here, there, strict=True):
        assert np.array_equal(one, other)


def test_the_usual_partition_is_what_it_always_was():
    """Ledgers of earlier runs stay comparable."""
    dealt = np.random.default_rng((5, 0)).permutation(11)
    for part, worker in zip(partition(11, 3, 5), range(3), strict=True):
        assert np.array_equal(part, dealt[worker::3])


def test_contiguous_pieces_and_strides_are_in_the_order_of_the_data():
    assert [part.tolist() for part in partition(7, 3, 0, "contiguous")] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [part.tolist() for part in partition(7, 3, 0, "strided")] == [[0, 3, 6], [1, 4], [2, 5]]


@pytest.mark.parametrize("how", ["shuffled", "dirichlet:1"])
def test_another_seed_splits_anew(how):
    assert not np.array_equal(partition(1200, 2, 0, how, LABELS)[0], partition(1200, 2, 1, how, LABELS)[0])


def shares(alpha, workers=6, seed=0):
    """The share of each class at each worker, (workers, 10)."""
    parts = partition(len(LABELS), workers, seed, f"dirichlet:{alpha}", LABELS)
    return np.array([np.bincount(LABELS[part], minlength=10) / len(part) for part in parts])


def test_the_less_alpha_the_fewer_classes_a_worker_has():
    largest = [np.mean([shares(alpha, seed=seed).max(1).mean() for seed in range(5)]) for alpha in (0.1, 5, 1000)]
    assert largest[0] > 0.5 > largest[1] > largest[2]


def test_with_a_large_alpha_all_workers_have_the_classes_of_the_data():
    np.testing.assert_allclose(shares(1e6), 0.1, atol=0.08)


def test_with_the_smallest_alpha_the_first_worker_has_one_class_as_long_as_it_lasts():
    assert shares(0.001, workers=10)[0].max() == 1.0
    assert sorted(shares(0.001, workers=5)[0])[-1] == 0.5  # 120 of 240: then it is used up


def test_the_proportions_of_the_data_are_what_dirichlet_draws_around():
    labels = np.repeat([0, 1], [900, 100])
    parts = partition(1000, 50, 0, "dirichlet:1000", labels)
    assert np.mean([labels[part].mean() for part in parts[:25]]) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("shufled", "unknown partition 'shufled': did you mean shuffled?"),
        ("strided:2", "strided has no parameter; leave :2 out"),
        ("dirichlet", "--partition dirichlet: give a number"),
        ("dirichlet:", "give a number"),
        ("dirichlet:0", "give a number"),
        ("dirichlet:nan", "give a number"),
        ("dirichlet:much", "give a number"),
    ],
)
def test_an_unknown_partition_is_refused_in_one_line(how, complaint):
    with pytest.raises(ConfigError, match=complaint) as refused:
        partitioner(how)
    assert "\n" not in str(refused.value)


def test_a_partition_has_one_name():
    assert [canonical_partition(how) for how in ("dirichlet:.50", "dirichlet:5e-1", "strided")] == [
        "dirichlet:0.5",
        "dirichlet:0.5",
        "strided",
    ]
    assert {name.partition(":")[0] for name in PARTITIONERS} == {how.partition(":")[0] for how in HOW}
