"""Repeats of a strategy must end with the same bits."""

import pytest
from runs import write_run

from common.errors import CheckFailed
from experiments.comparison.repeats import same_bits
from experiments.runs.run import load_run


def test_repeats_with_other_bits_are_refused(tmp_path):
    first, same, other = (
        load_run(write_run(tmp_path, "ring", name=f"{n}", params_sha256=[bits])) for n, bits in enumerate("aab")
    )
    same_bits([first, same])
    with pytest.raises(CheckFailed, match=r"ring: .*other bits"):
        same_bits([first, same, other])
