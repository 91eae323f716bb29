"""What this machine can do at best, and how close to it an exchange comes.

In any all-reduce each of W ranks must send, and receive, at least 2(W-1)/W·M bytes (Patarasuk & Yuan 2009).

    shared memory, ipc   every such byte is copied once, by one of min(W, cores) cores:
                         t = W·2(W-1)/W·M / (min(W, cores)·copy bandwidth of one core)
    loopback tcp         every such byte goes through the kernel's loopback, which all ranks share:
                         t = W·2(W-1)/W·M / (bytes/s of as many plain streams at once as saturate the machine)

One stream does not saturate a machine of more than two cores, since its sender and receiver take one each; so streams
are added, up to one a core, and the best total counts. The additions are not in the limit. It is a yardstick, no proof:
what fits the caches is copied faster than here, and adding straight out of a peer's memory saves the copy, so a share
may be above 1. A parameter server is held to the same bytes, so that shares compare.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from experiments.machine.environment import cores

COPY_BYTES = 128 << 20  # of each buffer: well above the caches
STREAM_BYTES = 256 << 20  # of each stream
STREAM_CHUNK = 1 << 20
ATTEMPTS = 3
PATIENCE = 30.0  # seconds that a call on a plain socket may take
RESOURCE = {"ipc": "copy", "shm": "copy", "mpi": "copy", "tcp": "stream", "gloo": "stream"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes per second: of one core that copies, and of all plain loopback streams at once. `cores` may be used."""

    copy: float
    stream: float
    streams: int
    cores: int

    def seconds(self, transport: str, workers: int, nbytes: int) -> float | None:
        """The least time of an all-reduce of `nbytes` bytes; None for a transport whose limit is not measured."""
        moved = 2 * (workers - 1) * nbytes
        match RESOURCE.get(transport):
            case "copy":
                return moved / (min(workers, self.cores) * self.copy)
            case "stream":
                return moved / self.stream
            case _:
                return None

    def record(self) -> dict[str, float | int]:
        """As JSON values, in GB/s (10⁹ bytes per second)."""
        return {
            "copy_GBps_per_core": self.copy / 1e9,
            "tcp_stream_GBps": self.stream / 1e9,
            "tcp_streams": self.streams,
            "cores": self.cores,
        }


def measure() -> Limits:
    """Measure both; blocks for about two seconds and uses all cores, so nothing else should run. OSError."""
    available = cores()
    counts, count = [], 1
    while count <= available:
        counts.append(count)
        count *= 2
    best, streams = max((stream_bandwidth(count), count) for count in counts)
    return Limits(copy_bandwidth(), best, streams, available)


def copy_bandwidth(nbytes: int = COPY_BYTES) -> float:
    """Bytes per second that one core copies, best of a few attempts; the first touches the pages and is no attempt."""
    source, target = np.ones(nbytes, np.uint8), np.zeros(nbytes, np.uint8)
    best = 0.0
    for attempt in range(ATTEMPTS + 1):
        began = time.perf_counter()
        np.copyto(target, source)
        if attempt:
            best = max(best, nbytes / (time.perf_counter() - began))
    return best


def stream_bandwidth(streams: int, nbytes: int = STREAM_BYTES) -> float:
    """Bytes per second of `streams` plain loopback connections at once, two threads each (calls release the GIL)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        pairs = []
        try:
            for _ in range(streams):
                sender = socket.create_connection(server.getsockname(), PATIENCE)
                pairs.append((sender, server.accept()[0]))
                pairs[-1][1].settimeout(PATIENCE)
            return max(_race(pairs, nbytes // streams) for _ in range(ATTEMPTS))
        finally:
            for pair in pairs:
                for end in pair:
                    end.close()


def _race(pairs: list[tuple[socket.socket, socket.socket]], nbytes: int) -> float:
    failed: list[OSError] = []

    def guarded(work: Callable[[socket.socket, int], None], end: socket.socket) -> None:
        try:
            work(end, nbytes)
        except OSError as error:
            failed.append(error)

    threads = [
        threading.Thread(target=guarded, args=(work, end), daemon=True)
        for pair in pairs
        for work, end in zip((_send, _receive), pair, strict=True)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return len(pairs) * nbytes / (time.perf_counter() - began)


def _send(end: socket.socket, nbytes: int) -> None:
    data = memoryview(bytes(STREAM_CHUNK))
    while nbytes:
        piece = data[: min(nbytes, STREAM_CHUNK)]
        end.sendall(piece)
        nbytes -= len(piece)


def _receive(end: socket.socket, nbytes: int) -> None:
    buffer = memoryview(bytearray(STREAM_CHUNK))
    while nbytes:
        if not (got := end.recv_into(buffer[: min(nbytes, STREAM_CHUNK)])):
            raise ConnectionError("a plain loopback stream ended early")
        nbytes -= got
