"""Buckets partition the flat vector into whole tensors, last ones first, and hold as much as they may."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.pipeline.buckets import bucket_slices, make_buckets

SIZES = st.lists(st.integers(0, 50), max_size=12)
NBYTES = st.integers(4, 400)


@given(SIZES, NBYTES)
def test_the_buckets_are_the_vector_from_its_end_to_its_beginning(sizes, nbytes):
    pieces = bucket_slices(sizes, nbytes)
    assert pieces[0].stop == sum(sizes)
    assert pieces[-1].start == 0
    assert all(later.stop == earlier.start for earlier, later in itertools.pairwise(pieces))


@given(SIZES, NBYTES)
def test_a_bucket_ends_where_tensors_do(sizes, nbytes):
    edges = {0, *itertools.accumulate(sizes)}
    assert all({piece.start, piece.stop} <= edges for piece in bucket_slices(sizes, nbytes))


@given(SIZES, NBYTES)
def test_a_bucket_is_no_larger_than_asked_for_unless_it_is_one_tensor(sizes, nbytes):
    for piece in bucket_slices(sizes, nbytes):
        assert 4 * (piece.stop - piece.start) <= nbytes or piece.stop - piece.start in sizes


@given(SIZES, NBYTES)
def test_a_bucket_is_as_full_as_whole_tensors_make_it(sizes, nbytes):
    pieces = bucket_slices(sizes, nbytes)
    assert all(piece.stop > piece.start for piece in pieces) or pieces == [slice(0, 0)]
    starts = [start for start, size in zip(itertools.accumulate(sizes, initial=0), sizes, strict=False) if size]
    for full, following in itertools.pairwise(pieces):
        last = max(start for start in starts if start < following.stop)  # of the next bucket, the tensor that is first
        assert 4 * (full.stop - last) > nbytes


@pytest.mark.parametrize(
    ("sizes", "nbytes", "pieces"),
    [
        ([3, 2, 5], 40, [(0, 10)]),  # all of it fits
        ([3, 2, 5], 39, [(3, 10), (0, 3)]),
        ([3, 2, 5], 20, [(5, 10), (0, 5)]),
        ([3, 2, 5], 4, [(5, 10), (3, 5), (0, 3)]),  # a tensor is not cut
        ([2, 100, 2], 16, [(102, 104), (2, 102), (0, 2)]),
        ([0, 2], 4, [(0, 2)]),  # an empty tensor begins no bucket
        ([], 4, [(0, 0)]),
    ],
)
def test_some_layouts(sizes, nbytes, pieces):
    assert [(piece.start, piece.stop) for piece in bucket_slices(sizes, nbytes)] == pieces


def test_buckets_are_views_of_gradient_and_parameters_in_order():
    grad, params = np.arange(6, dtype=np.float32), np.arange(6, 12, dtype=np.float32)
    first, second = make_buckets(grad, params, [slice(4, 6), slice(0, 4)])
    assert (first.index, second.index) == (0, 1)
    assert (first.grad.tolist(), second.params.tolist()) == ([4, 5], [6, 7, 8, 9])
    first.grad[:], second.params[:] = 0, 1
    assert grad.tolist() == [0, 1, 2, 3, 0, 0]
    assert params.tolist() == [1, 1, 1, 1, 10, 11]
