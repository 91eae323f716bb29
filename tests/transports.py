"""Run a program on any transport. On a real transport each rank is a thread of this process."""

import contextlib
import tempfile
import threading
from pathlib import Path

from common.context import Context
from common.errors import PeerFailed
from common.place import Place
from common.simulate import simulate
from common.transport.connect import connect

JOB = 0x1122334455667788
ZMQ = ("ipc", "tcp")
TRANSPORTS = ("virtual", "shm", *ZMQ)


@contextlib.contextmanager
def private_folder():
    """Give a folder whose path is short enough for sockets. Fails if anything in it cannot be removed."""
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        yield Path(folder)


def endpoint(transport, folder, rank, ranks, *, deadline=10.0, **more):
    """Open the endpoint of one rank."""
    return connect(transport, Place(rank), ranks, folder, job=JOB, deadline=deadline, **more)


@contextlib.contextmanager
def endpoints(transport, ranks, **more):
    """Give the endpoints of all ranks and close them at the end, also after a failure."""
    with private_folder() as folder, contextlib.ExitStack() as stack:
        yield [_closed(stack, endpoint(transport, folder, rank, ranks, **more)) for rank in range(ranks)]


def _closed(stack, opened):
    stack.callback(opened.close)
    return opened


def on(transport, program, ranks, *, deadline=10.0, servers=0, optimizer=None):
    """Return what `program(ctx)` returns on each rank, or raise the first error."""
    if transport == "virtual":
        return simulate(program, ranks, deadline=deadline, servers=servers, optimizer=optimizer).results
    errors = []

    def watch():
        if errors:
            raise PeerFailed("failed before", **Place(0).fields())

    with endpoints(transport, ranks, deadline=deadline, watch=watch) as ends:
        contexts = [Context(end, workers=ranks - servers, servers=servers, optimizer=optimizer) for end in ends]
        return in_threads([lambda ctx=ctx: program(ctx) for ctx in contexts], errors)


def in_threads(calls, errors=None, timeout=60.0):
    """Run each call in a thread. Return their results, or raise the first error."""
    results, errors = [None] * len(calls), [] if errors is None else errors

    def run(number):
        try:
            results[number] = calls[number]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    hanging = [number for number, thread in enumerate(threads) if thread.is_alive()]
    if errors:
        raise errors[0]
    assert not hanging, f"still running after {timeout} s: {hanging}"
    return results


def job_is_over(after, rank=2):
    """Return a watch that raises at its call number `after`: worker `rank` was killed."""
    calls = iter(range(after - 1))

    def watch():
        if next(calls, None) is None:
            raise PeerFailed("killed", rank=rank, role="worker", stage="train", step=4)

    return watch
