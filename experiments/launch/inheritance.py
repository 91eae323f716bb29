"""Set up what ranks inherit from the agent: environment, limits, signals."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Without these, glibc maps the memory of every large message, faults it in and unmaps it again at its receiver.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 31)}


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Defer SIGINT and SIGTERM until this context ends, by handlers: a mask would not hold for numpy's threads."""
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


@contextlib.contextmanager
def rank_environment(threads: int, folder: Path) -> Iterator[None]:
    """Set the environment for ranks: `threads` threads, lean malloc, no Ctrl-C, temporary files in `folder`."""
    before = dict(os.environ)
    threading = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    os.environ.update({**MALLOC, **before, **threading, "TMPDIR": str(folder)})  # torch makes a folder in TMPDIR
    # Ctrl-C reaches every process of a terminal; the agent answers it for all
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # multiprocessing's folder for the socket of its fork server: inside `folder`, so that it is removed with it
    multiprocessing.current_process()._config["tempdir"] = str(folder)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
