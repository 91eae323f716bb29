"""Numbers for people."""

import pytest

from experiments.format.units import human_bytes, human_count, human_deviation, human_ms, human_seconds


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (human_bytes, 0, "0 B"),
        (human_bytes, 999, "999 B"),
        (human_bytes, 1024, "1.0 KiB"),
        (human_bytes, 19240, "18.8 KiB"),
        (human_bytes, 25 * 2**20, "25.0 MiB"),
        (human_bytes, 175 * 2**20, "175 MiB"),
        (human_bytes, 3000 * 2**30, "3000 GiB"),
        (human_count, 0, "0"),
        (human_count, 999.4, "999"),
        (human_count, 999.6, "1.00k"),
        (human_count, 31234, "31.2k"),
        (human_count, 312345, "312k"),
        (human_count, 999_600, "1.00M"),
        (human_ms, 0.00042, "0.42"),
        (human_ms, 0.0123, "12.3"),
        (human_ms, 0.95, "950"),
        (human_seconds, 1.8e-6, "1.80 µs"),
        (human_seconds, 9.999e-4, "1.00 ms"),
        (human_seconds, 4.561e-3, "4.56 ms"),
        (human_seconds, 0.1234, "123 ms"),
        (human_seconds, 1.5, "1.5 s"),
        (human_seconds, 999.6, "1,000 s"),
        (human_seconds, 12345.0, "12,345 s"),
        (human_deviation, 1.2e-7, "1e-7"),
        (human_deviation, 0.21, "2e-1"),
        (human_deviation, 3.0, "3"),
        (human_deviation, 2e12, "2e+12"),
        (human_deviation, 0.0, "0"),
    ],
)
def test_numbers_are_shown_in_few_digits_with_their_unit(show, value, text):
    assert show(value) == text
