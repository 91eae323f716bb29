"""The base class of real transports: waits that end, spawned threads, and errors in words."""

import errno
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from queue import SimpleQueue

from common.errors import DeadlineExceeded, PeerFailed, ProtocolError, RunError, step_name
from common.place import Place
from common.transport.base import Endpoint, Queue
from common.types import Array

WAIT_SLICE = 0.1  # seconds between two checks, in a wait, whether the job is over
FAILURE_GRACE = 1.0  # seconds that the supervisor of the ranks gets to report which rank failed first, and why
PEER_GONE = {errno.ENOENT, errno.ESRCH, errno.ENXIO, errno.ECONNRESET, errno.EPIPE, errno.ECONNREFUSED}


def any_of(ranks: tuple[int, ...]) -> str:
    """Name the ranks as alternatives: `rank 1 or rank 2`."""
    return " or ".join(f"rank {rank}" for rank in ranks)


class ThreadTask:
    """A function in a daemon thread."""

    def __init__(self, fn: Callable[[], None], place: Place, deadline: float) -> None:
        self._place, self._deadline = place, deadline
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(fn,), name=f"beside rank {place.rank}", daemon=True)
        self._thread.start()

    def _run(self, fn: Callable[[], None]) -> None:
        try:
            fn()
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        self._thread.join(self._deadline)
        if self._thread.is_alive():
            cause = f"waited {self._deadline:g} s for a thread of its own"
            raise DeadlineExceeded(cause, peers=(self._place.rank,), **self._place.fields())
        if self._error is not None:
            raise self._error


class ProcessEndpoint(Endpoint):
    """An endpoint that waits in slices of `WAIT_SLICE` seconds and calls `watch` after each; `watch` may raise."""

    def __init__(self, place: Place, deadline: float, watch: Callable[[], None]) -> None:
        super().__init__(place, deadline)
        self.watch = watch
        self._last_served = 0  # the rank whose message `recv_any` took last: the ranks take turns

    @abstractmethod
    def has(self, from_: int) -> bool:
        """Return whether a message from `from_` is ready to be received. Does not block."""

    def spawn(self, fn: Callable[[], None]) -> ThreadTask:
        return ThreadTask(fn, self.place, self.deadline)

    def queue(self) -> Queue:
        return SimpleQueue()

    def abandon(self) -> None:
        def watch() -> None:
            raise RunError("given up, because this rank has failed elsewhere", **self.place.fields())

        self.watch = watch

    def check(self, end: float, awaited: str, peers: tuple[int, ...]) -> None:
        """Raise if the job is over, or if the time is past `end` (monotonic). `awaited` names `peers` in the error."""
        self.watch()
        if time.monotonic() > end:
            cause = f"waited {self.deadline:g} s for {awaited}"
            raise DeadlineExceeded(cause, peers=peers, **self.place.fields())

    def describe_expected(self, expected: Array) -> str:
        """Describe the message that fits `expected` at this rank's step and bucket."""
        place = self.place
        return f"{step_name(place.step)}, bucket {place.bucket}, {expected.nbytes} bytes of {expected.dtype}"

    def unexpected(self, from_: int, got: object, expected: str) -> ProtocolError:
        """Return the error for a message `got` from `from_` that is not as `expected`."""
        return ProtocolError(f"expected {expected} from rank {from_}, got {got}", **self.place.fields())

    def unreachable(self, rank: int, error: OSError) -> RunError:
        """Return the error for a `rank` that cannot be reached: PeerFailed if its process is gone.

        A failing rank closes its sockets before the supervisor has reported it. So first block for up to
        `FAILURE_GRACE` seconds, in which `watch` may raise that report: otherwise this rank would look like the cause.
        """
        reason = error.strerror or error
        if error.errno not in PEER_GONE and not isinstance(error, ConnectionError):
            return RunError(f"cannot reach rank {rank}: {reason}", **self.place.fields())
        end = time.monotonic() + min(FAILURE_GRACE, self.deadline)
        self.watch()
        while time.monotonic() < end:
            self.sleep(WAIT_SLICE / 10)
            self.watch()
        return PeerFailed(f"lost rank {rank}: {reason}", **self.place.fields())
