"""Data and calls of the tests of large loans between endpoints of ipc and tcp."""

import numpy as np
import pytest

from common.transport.sockets.endpoint import STREAM_FROM

ZEROS = np.zeros(8, np.float32)
LARGE = np.arange(STREAM_FROM, dtype=np.float32)
MUCH = np.random.default_rng(0).integers(0, 256, 40_000_001, np.uint8)  # more than the kernel buffers
every_recv = pytest.mark.parametrize("recv", ["recv_into", "recv_add", "recv_any"])


def receive(end, call, from_, like):
    """Return the next message from `from_`, received by any of the three calls."""
    out = np.zeros_like(like)
    getattr(end, call)((from_,) if call == "recv_any" else from_, out)
    return out
