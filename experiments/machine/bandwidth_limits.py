"""Measure what this machine can do at best, and compute the shortest possible time of an all-reduce from it.

In any all-reduce each of W ranks must send, and receive, at least 2(W-1)/W·M bytes (Patarasuk & Yuan 2009). Together:

    shared memory, ipc   t = W·2(W-1)/W·M / (min(W, cores)·copy bandwidth of one core)
    loopback tcp         t = W·2(W-1)/W·M / (bytes/s of as many plain streams at once as saturate the machine)

The time to add up is not in the limit. A share may be above 1: data in a cache is copied faster, and a rank that adds
straight out of a peer's memory saves the copy. A parameter server is held to the same bytes, so that shares compare.
"""

import contextlib
import socket
import time
import timeit
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from common.errors import ConfigError
from experiments.machine.environment import cores
from experiments.schema.documents import BenchLimits

COPY_BYTES = 128 << 20  # of each buffer: well above the caches
STREAM_BYTES = 256 << 20  # of all streams
STREAM_CHUNK = 1 << 20
ATTEMPTS = 3
PATIENCE = 30.0  # seconds that a call on a plain socket may take
RESOURCE = {"ipc": "copy", "shm": "copy", "mpi": "copy", "tcp": "stream", "gloo": "stream"}


def least_seconds(limits: BenchLimits, transport: str, workers: int, nbytes: int) -> float | None:
    """Return the least time of an all-reduce of `nbytes` bytes; None for a transport whose limit is not measured."""
    if transport not in RESOURCE:
        return None
    best = {"copy": min(workers, limits.cores) * limits.copy_GBps_per_core, "stream": limits.tcp_stream_GBps}
    return 2 * (workers - 1) * nbytes / 1e9 / best[RESOURCE[transport]]


def measure() -> BenchLimits:
    """Measure both limits. Blocks for about two seconds and uses all cores. ConfigError if the loopback fails."""
    available = cores()
    counts = [1 << power for power in range(available.bit_length())]
    try:
        best, streams = max((stream_bandwidth(count), count) for count in counts)
    except OSError as error:
        raise ConfigError(f"plain tcp over 127.0.0.1 does not work here: {error.strerror or error}") from None
    return BenchLimits(
        copy_GBps_per_core=copy_bandwidth() / 1e9, tcp_stream_GBps=best / 1e9, tcp_streams=streams, cores=available
    )


def copy_bandwidth(nbytes: int = COPY_BYTES) -> float:
    """Return the bytes per second that one core copies, best of a few attempts after one that touches the pages."""
    source, target = np.ones(nbytes, np.uint8), np.zeros(nbytes, np.uint8)
    np.copyto(target, source)
    return nbytes / min(timeit.repeat(lambda: np.copyto(target, source), number=1, repeat=ATTEMPTS))


def stream_bandwidth(streams: int, nbytes: int = STREAM_BYTES) -> float:
    """Return bytes/s of `streams` loopback connections at once, two threads each. Raises OSError."""
    with contextlib.ExitStack() as undo:
        server = undo.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(PATIENCE)
        pairs = []
        for _ in range(streams):
            sender = undo.enter_context(socket.create_connection(server.getsockname(), PATIENCE))
            receiver = undo.enter_context(server.accept()[0])
            receiver.settimeout(PATIENCE)
            pairs.append((sender, receiver))
        pool = undo.enter_context(ThreadPoolExecutor(2 * streams))
        return max(_race(pool, pairs, nbytes // streams) for _ in range(ATTEMPTS))


def _race(pool: ThreadPoolExecutor, pairs: list[tuple[socket.socket, socket.socket]], nbytes: int) -> float:
    """Send `nbytes` bytes over each pair at once; return the bytes per second of all together."""
    began = time.perf_counter()
    calls = [pool.submit(_send, sender, nbytes) for sender, _ in pairs]
    calls += [pool.submit(_receive, receiver, nbytes) for _, receiver in pairs]
    for call in calls:
        call.result()
    return len(pairs) * nbytes / (time.perf_counter() - began)


def _send(end: socket.socket, nbytes: int) -> None:
    data = memoryview(bytes(STREAM_CHUNK))
    for sent in range(0, nbytes, STREAM_CHUNK):
        end.sendall(data[: nbytes - sent])


def _receive(end: socket.socket, nbytes: int) -> None:
    buffer = memoryview(bytearray(STREAM_CHUNK))
    while nbytes:
        if not (got := end.recv_into(buffer[: min(nbytes, STREAM_CHUNK)])):
            raise ConnectionError("a plain loopback stream ended early")
        nbytes -= got
