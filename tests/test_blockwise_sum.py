"""Block-wise sums equal plain sums for every size."""

import numpy as np
import pytest

from common.transport.shm.blockwise_sum import BLOCK_BYTES, add_up

PER_BLOCK = BLOCK_BYTES // 4  # float32 in a block


def addends(count, size):
    """Return floats whose sum depends on the order."""
    random = np.random.default_rng(size)
    return [random.standard_normal(size, np.float32) * np.float32(10.0**number) for number in range(count)]


@pytest.mark.parametrize("size", [0, 1, PER_BLOCK - 1, PER_BLOCK, PER_BLOCK + 1, 3 * PER_BLOCK + 7])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_terms_are_added_in_their_order(count, size):
    terms = addends(count, size)
    expected = terms[0].copy()
    for term in terms[1:]:
        expected += term
    out = np.full(size, np.nan, np.float32)
    add_up(terms, out)
    assert np.array_equal(out, expected)


def test_the_sum_may_overwrite_the_first_term_and_copies_the_others():
    first, second, third = addends(3, 2 * PER_BLOCK + 1)
    expected = 2 * ((first + second) + third)
    add_up([first, second, third], first, lambda part: np.multiply(part, 2, out=part), [third, second])
    for array in (first, second, third):
        assert np.array_equal(array, expected)


def test_each_block_is_finished_once_and_in_order():
    out = np.arange(2 * PER_BLOCK + 5, dtype=np.float32)
    seen = []
    add_up([out.copy()], out, lambda part: seen.append(part.copy()))
    assert [part.size for part in seen] == [PER_BLOCK, PER_BLOCK, 5]
    assert np.array_equal(np.concatenate(seen), out)
