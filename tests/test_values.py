"""Sizes are read as people write them."""

import pytest

from common.util.values import byte_size


@pytest.mark.parametrize(
    ("given_", "nbytes"),
    [("4MiB", 4 << 20), ("64 kib", 64 << 10), ("1MB", 10**6), ("4096", 4096), (4096, 4096), ("512B", 512)],
)
def test_a_size_is_read_with_its_unit(given_, nbytes):
    assert byte_size(given_) == nbytes


@pytest.mark.parametrize("junk", ["", "MiB", "4XB", "-4", "1.5MiB", "4MiBs", None, [4]])
def test_anything_else_is_no_size(junk):
    with pytest.raises(ValueError, match="like 4MiB"):
        byte_size(junk)
