"""How a vector is cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from allreduce.chunks import Chunks, bounds


@given(size=st.integers(0, 5000), n=st.integers(1, 40))
def test_chunks_are_contiguous_views_whose_sizes_differ_by_one_at_most(size, n):
    x = np.arange(size)
    chunks = Chunks(x, n)
    sizes = [chunk.size for chunk in chunks]
    assert len(sizes) == n
    assert max(sizes) - min(sizes) <= 1
    assert np.array_equal(np.concatenate(list(chunks)), x)
    assert all(chunk.base is x for chunk in chunks)
    assert bounds(size, n) == [0, *np.cumsum(sizes)]
