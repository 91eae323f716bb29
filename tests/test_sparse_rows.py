"""Gradients that are the rows they touch: gathered, added up, cut into buckets and applied as dense ones would be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from common.models import build
from common.models.flat import FlatModel
from common.models.sparse_rows import OFTEN, sum_duplicate_rows
from common.pipeline.buckets import bucket_slices, make_buckets
from common.pipeline.train import train
from common.pipeline.update import FlatOptimizer
from common.runtime.job import OptimizerSpec
from common.testing.trial import SGD
from common.types import Rows

ROWS, WIDTH = 12, 4
PLAIN = OptimizerSpec("sgd", lr=0.5, momentum=0.0)
BATCH = torch.tensor([[3, 5, 3], [5, 11, 0]], dtype=torch.int64), torch.tensor([0, 1])


def model(sparse=True):
    return FlatModel(build("embedding", (3,), 2, (WIDTH, 5), 0, ROWS, sparse))


# --- adding up ---


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5))
def test_the_sum_is_that_of_a_dense_table_and_has_each_row_once_in_order(touched, width):
    index = np.array(touched, np.int64)
    values = (np.arange(index.size * width) % 61 + 1).astype(np.float32).reshape(-1, width)
    dense = np.zeros((10, width), np.float32)
    np.add.at(dense, index, values)
    rows, total = sum_duplicate_rows(index, values)
    assert rows.tolist() == sorted(set(touched))
    assert np.array_equal(total, dense[rows])
    assert (total.dtype, rows.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("width", [1, 2, 7, 64])
@pytest.mark.parametrize("times", [2, 5, OFTEN, OFTEN + 1, 10 * OFTEN])
def test_the_values_of_a_row_are_added_in_the_order_given(times, width):
    """Numbers of many magnitudes, whose sum in another order mostly has other bits."""
    random = np.random.default_rng(times)
    values = (random.standard_normal((times, width)) * 10.0 ** random.integers(-4, 5, (times, 1))).astype(np.float32)
    expected = values[0]
    for each in values[1:]:
        expected = expected + each
    mixed = np.stack((values, values), axis=1).reshape(-1, width)  # rows 7 and 2 by turns
    _, total = sum_duplicate_rows(np.array([7, 2] * times), mixed)
    assert total.tolist() == [expected.tolist()] * 2


# --- the model ---


def test_the_gradient_of_the_table_is_its_touched_rows_and_that_of_a_dense_one_elsewhere_zero():
    sparse, dense = model(), model(sparse=False)
    losses = [train(each, BATCH) for each in (sparse, dense)]
    assert losses[0] == losses[1]
    assert dense.rows is None
    table = dense.grad[: sparse.table].reshape(ROWS, WIDTH)
    assert sparse.rows.index.tolist() == [0, 3, 5, 11]
    np.testing.assert_allclose(sparse.rows.values, table[[0, 3, 5, 11]], rtol=1e-6)
    assert np.array_equal(sparse.grad, dense.grad[sparse.table :])
    assert sparse.rows.values.any(axis=1).all()


def test_a_step_forgets_the_rows_of_the_one_before():
    flat = model()
    train(flat, BATCH)
    train(flat, (torch.tensor([[8, 8, 9]]), torch.tensor([0])))
    assert flat.rows.index.tolist() == [8, 9]
    first = flat.rows.values.copy()
    train(flat, (torch.tensor([[8, 8, 9]]), torch.tensor([0])))
    assert np.array_equal(flat.rows.values, first)


def test_a_backward_without_the_table_touches_no_row():
    flat = model()
    train(flat, BATCH)
    flat.clear()
    flat.module.top(torch.ones(2, WIDTH)).sum().backward()
    flat.gather()
    assert flat.rows.index.size == 0
    assert flat.rows.values.shape == (0, WIDTH)


def test_no_memory_is_taken_for_a_dense_gradient_of_the_table():
    flat = model()
    assert (flat.table, flat.params.size - flat.grad.size) == (ROWS * WIDTH, ROWS * WIDTH)
    assert np.shares_memory(flat.dense, flat.params)
    assert flat.dense.size == flat.grad.size


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 2, sparse=True)),
        nn.Sequential(nn.Embedding(3, 2, sparse=True), nn.Embedding(3, 2, sparse=True)),
    ],
)
def test_a_sparse_table_elsewhere_is_refused(module):
    with pytest.raises(ValueError, match="one table with a sparse gradient, as its first parameter"):
        FlatModel(module)


# --- buckets ---


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 60), st.integers(4, 400))
def test_the_table_is_a_bucket_of_its_own_after_all_others(sizes, table, nbytes):
    *others, last = bucket_slices([table, *sizes], nbytes, table)
    assert (last.start, last.stop) == (0, table)
    assert [(each.start - table, each.stop - table) for each in others] == [
        (each.start, each.stop) for each in bucket_slices(sizes, nbytes)
    ]


def test_its_bucket_has_the_rows_and_no_gradient_and_the_others_have_theirs():
    flat = model()
    pieces = bucket_slices([tensor.numel() for tensor in flat.tensors], 4, flat.table)
    *others, last = make_buckets(flat.grad, flat.params, pieces, flat.rows)
    assert last.rows is flat.rows
    assert (last.grad.size, last.params.size, last.start, last.index) == (0, flat.table, 0, len(others))
    assert len(others) == 4
    flat.grad[:] = flat.dense[:] = np.arange(flat.grad.size)
    for bucket in others:
        assert bucket.rows is None
        assert np.array_equal(bucket.grad, bucket.params)
        assert bucket.grad[0] == bucket.start - flat.table


# --- stage 6 ---


@pytest.mark.parametrize("make", [lambda params: FlatOptimizer(PLAIN, params), lambda params: SGD(params, 0.5)])
def test_the_touched_rows_change_as_in_a_dense_step_and_no_others(make):
    start = np.random.default_rng(0).standard_normal(ROWS * WIDTH, np.float32)
    by_rows, dense, grad = start.copy(), start.copy(), np.zeros((ROWS, WIDTH), np.float32)
    rows = Rows(WIDTH, np.array([1, 4, 9]), np.random.default_rng(1).standard_normal((3, WIDTH), np.float32))
    grad[rows.index] = rows.values
    make(by_rows).step_rows(rows, damping=0.5)
    make(dense).step(grad.ravel(), damping=0.5)
    np.testing.assert_allclose(by_rows, dense, rtol=1e-6)
    changed = (by_rows != start).reshape(ROWS, WIDTH).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [1, 4, 9]


@pytest.mark.parametrize("spec", [OptimizerSpec("sgd", momentum=0.9), OptimizerSpec("adam", momentum=0.0)])
def test_a_rule_that_changes_untouched_rows_is_refused(spec):
    optimizer = FlatOptimizer(spec, np.zeros(ROWS * WIDTH, np.float32))
    with pytest.raises(ValueError, match="need a dense gradient"):
        optimizer.step_rows(Rows(WIDTH, np.array([1]), np.ones((1, WIDTH), np.float32)))
