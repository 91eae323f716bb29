"""Every way to split the samples gives each of them to one worker, equally many to all, and does what its name says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.pipeline.partition import partition
from common.pipeline.partitioners import PARTITIONERS, canonical, partitioner

HOW = ["shuffled", "contiguous", "strided", "dirichlet:0.001", "dirichlet:0.1", "dirichlet:1", "dirichlet:1000000"]
LABELS = np.arange(1200) % 10  # 120 of each of ten classes
SEEDS = st.integers(0, 2**64 - 1)


@given(st.lists(st.integers(0, 6), max_size=120), st.integers(1, 20), SEEDS, st.sampled_from(HOW))
def test_every_sample_belongs_to_exactly_one_worker_and_sizes_differ_by_one_at_most(labels, workers, seed, how):
    parts = partition(len(labels), workers, seed, how, np.array(labels, np.int64))
    sizes = [len(part) for part in parts]
    assert len(parts) == workers
    assert all(part.dtype == np.int64 for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    assert max(sizes) - min(sizes) <= 1


@given(SEEDS, st.sampled_from(HOW))
def test_every_process_computes_the_same_parts(seed, how):
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
def test_another_seed_deals_anew(how):
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
def test_what_is_no_partition_is_refused_in_one_line(how, complaint):
    with pytest.raises(ConfigError, match=complaint) as refused:
        partitioner(how)
    assert "\n" not in str(refused.value)


def test_a_partition_has_one_name():
    assert [canonical(how) for how in ("dirichlet:.50", "dirichlet:5e-1", "strided")] == [
        "dirichlet:0.5",
        "dirichlet:0.5",
        "strided",
    ]
    assert {name.partition(":")[0] for name in PARTITIONERS} == {how.partition(":")[0] for how in HOW}
