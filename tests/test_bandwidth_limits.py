"""The limit of an exchange follows from what was measured, by the formula in the docstring."""

import pytest
from msgspec import structs

from experiments.machine import bandwidth_limits
from experiments.machine.bandwidth_limits import copy_bandwidth, least_seconds, stream_bandwidth
from experiments.schema.documents import BenchLimits

LIMITS = BenchLimits(copy_GBps_per_core=10.0, tcp_stream_GBps=4.0, tcp_streams=2, cores=2)


@pytest.mark.parametrize(
    ("transport", "workers", "seconds"),
    [
        ("ipc", 2, 2 * 1.0 * 1e6 / (2 * 10e9)),  # each of 2 moves M, on a core of its own
        ("shm", 4, 4 * 1.5 * 1e6 / (2 * 10e9)),  # each of 4 moves 3/2·M, on 2 cores
        ("mpi", 4, 4 * 1.5 * 1e6 / (2 * 10e9)),
        ("tcp", 4, 4 * 1.5 * 1e6 / 4e9),  # through one loopback
        ("gloo", 4, 4 * 1.5 * 1e6 / 4e9),
    ],
)
def test_the_least_time_is_the_least_bytes_at_the_measured_speed(transport, workers, seconds):
    assert least_seconds(LIMITS, transport, workers, 10**6) == pytest.approx(seconds)


def test_more_cores_than_ranks_do_not_help():
    many = structs.replace(LIMITS, cores=64)
    assert least_seconds(many, "ipc", 2, 10**6) == least_seconds(LIMITS, "ipc", 2, 10**6)


def test_a_transport_whose_limit_is_not_measured_has_none():
    assert least_seconds(LIMITS, "nccl", 4, 10**6) is None


def test_the_measured_speeds_are_in_gigabytes_per_second(monkeypatch):
    monkeypatch.setattr(bandwidth_limits, "cores", lambda: 5)
    monkeypatch.setattr(bandwidth_limits, "copy_bandwidth", lambda: 10e9)
    monkeypatch.setattr(bandwidth_limits, "stream_bandwidth", lambda streams: {1: 3e9, 2: 4e9, 4: 2e9}[streams])
    assert bandwidth_limits.measure() == structs.replace(LIMITS, cores=5)


def test_small_measurements_come_to_an_end():
    assert copy_bandwidth(1 << 16) > 0
    assert all(stream_bandwidth(streams, (1 << 20) + 3) > 0 for streams in (1, 2))
