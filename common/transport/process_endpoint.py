"""What the endpoints of real processes share: waits that end, and words for what came instead."""

from __future__ import annotations

import errno
import time
from abc import abstractmethod
from collections.abc import Callable
from queue import SimpleQueue

from common.errors import DeadlineExceeded, PeerFailed, ProtocolError, RunError, step_name
from common.place import Place
from common.transport.base import Endpoint
from common.transport.task import Queue, ThreadTask
from common.types import Array

SLICE = 0.1  # seconds that a wait may be deaf to the end of the job
VERDICT = 1.0  # seconds that whoever watches the ranks is given to say which one failed first, and of what


def either(ranks: tuple[int, ...]) -> str:
    """`rank 1 or rank 2`."""
    return " or ".join(f"rank {rank}" for rank in ranks)


GONE = {errno.ENOENT, errno.ESRCH, errno.ENXIO, errno.ECONNRESET, errno.EPIPE, errno.ECONNREFUSED}


class ProcessEndpoint(Endpoint):
    """An endpoint that waits in slices of `SLICE` seconds; after each it calls `watch`, which may end it by raising.

    What it spawns is a thread.
    """

    def __init__(self, place: Place, deadline: float, watch: Callable[[], None]) -> None:
        super().__init__(place, deadline)
        self.watch = watch

    @abstractmethod
    def has(self, from_: int) -> bool:
        """Whether a message from `from_` is there to be received. Does not block."""

    def spawn(self, fn: Callable[[], None]) -> ThreadTask:
        return ThreadTask(fn, self.place, self.deadline)

    def queue(self) -> Queue:
        return SimpleQueue()

    def abandon(self) -> None:
        self.watch = self._abandoned

    def _abandoned(self) -> None:
        raise RunError("given up, because this rank has failed elsewhere", **self.place.fields())

    def check(self, end: float, whom: str, peers: tuple[int, ...]) -> None:
        """Raise if the job is over, or the wait for `whom`, that is `peers`, has lasted until `end` (monotonic)."""
        self.watch()
        if time.monotonic() > end:
            cause = f"waited {self.deadline:g} s for {whom}"
            raise DeadlineExceeded(cause, peers=peers, **self.place.fields())

    def wanted(self, expected: Array) -> str:
        """What would be right here and now, in words."""
        place = self.place
        return f"{step_name(place.step)}, bucket {place.bucket}, {expected.nbytes} bytes of {expected.dtype}"

    def unexpected(self, from_: int, got: object, wanted: str) -> ProtocolError:
        """The error that says what was wanted from `from_`, and what came."""
        return ProtocolError(f"expected {wanted} from rank {from_}, got {got}", **self.place.fields())

    def lost(self, rank: int, error: OSError) -> RunError:
        """The error that says that `rank` cannot be reached: PeerFailed if that is because it is gone.

        Then it blocks for a moment, in which `watch` may raise a better one. A rank that fails closes its sockets
        before it can say why: without that moment its peers would be quicker to complain, and be taken for the
        culprits.
        """
        reason = error.strerror or error
        if error.errno not in GONE and not isinstance(error, ConnectionError):
            return RunError(f"cannot reach rank {rank}: {reason}", **self.place.fields())
        end = time.monotonic() + min(VERDICT, self.deadline)
        self.watch()
        while time.monotonic() < end:
            self.sleep(SLICE / 10)
            self.watch()
        return PeerFailed(f"lost rank {rank}: {reason}", **self.place.fields())
