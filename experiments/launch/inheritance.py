"""What ranks inherit from the agent: environment, limits, signals."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

# Without these, every large message is mapped, faulted in and unmapped by its receiver (glibc).
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 31)}
FORBIDDEN_TO_RANKS = {signal.SIGINT}  # Ctrl-C reaches every process of a terminal; the agent answers it for all


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Let no Ctrl-C come in between; it is answered afterwards.

    By handlers: a mask holds for one thread, and numpy has others, which the signal would then come in through.
    """
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda which, frame: caught.append(which)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def raise_file_limit() -> None:
    """Let this process and its ranks open as many files as they may: a rank needs about seven for each peer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def rank_environment(threads: int, folder: Path) -> Iterator[None]:
    """The environment that ranks inherit: few threads, no malloc trap, no Ctrl-C, temporary files in our folder."""
    threading = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    changes = {**MALLOC, **threading, "TMPDIR": str(folder)}  # torch alone puts a folder there when it is imported
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update({name: value for name, value in changes.items() if name not in MALLOC or before[name] is None})
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORBIDDEN_TO_RANKS)
    # multiprocessing's own folder for the fork server's socket: inside ours, so that it goes with it
    multiprocessing.current_process()._config["tempdir"] = str(folder)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
