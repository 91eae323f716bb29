"""Wake-ups between processes: a rank sleeps on its doorbell until a peer rings.

Theory of operation. A doorbell is a pipe and the first word of its owner's mailbox, `asleep`. The word says for which
*event* the owner sleeps, or 0 if the owner is awake. The owner alone writes the word, and peers alone ring.

    owner                                      peer
    1. asleep = event                          1. raise a counter, `written` or `taken` (mailbox.py)
    2. fence                                   2. fence
    3. look at the counters again              3. read `asleep`
    4. nothing new: sleep on the pipe          4. it names this event: write a byte into the pipe

Each side stores first and loads second, and the fence keeps this order; taking a lock is such a fence. So at least one
side sees the other's store: the owner finds the new counter and stays awake, or the peer finds the event and rings. A
ring that comes too late wakes a later sleep in vain, and that sleeper looks again. An owner that is awake costs its
peers no system call. If the peer dies between 1 and 4, the owner looks again when its time slice is over. If the owner
dies, its end of the pipe closes: `alive` is then false, and a ring does nothing.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable

from common.transport.base import Bytes

AWAKE = 0
ANY_EVENT = -1


def arrival_from(rank: int) -> int:
    """Return the event that a message from `rank` has arrived."""
    return 1 + rank


def reading_by(rank: int) -> int:
    """Return the event that `rank` has read a message."""
    return -2 - rank


class Doorbell:
    """The owner's side. `mailbox` is the memory of the owner's mailbox."""

    def __init__(self, mailbox: Bytes) -> None:
        self._words = mailbox.data.cast("q")
        self._fence = threading.Lock()
        self._poll = select.poll()
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self.wake_read, select.POLLIN)
        # Moves what another endpoint of this rank still has to send. While any of that is left, it sleeps in place of
        # this doorbell, until it can go on or the file that it is given can be read, and returns True.
        self.other_work: Callable[[int], bool] = lambda wake_read: False

    def sleep(self, ready: Callable[[], bool], event: int, seconds: float) -> bool:
        """Unless `ready`, sleep until `event` or for `seconds`; return whether it is `ready` now."""
        self._words[0] = event
        with self._fence:
            pass
        if ready():
            self._words[0] = AWAKE
            return True
        if self.other_work(self.wake_read) or self._poll.poll(1000 * seconds):
            self._clear()
        self._words[0] = AWAKE
        return ready()

    def sleep_elsewhere(self, ready: Callable[[], bool], sleep: Callable[[int], None]) -> None:
        """Unless `ready`, call `sleep` with a file that can be read as soon as a peer rings for any event."""
        self._words[0] = ANY_EVENT
        with self._fence:
            pass
        if not ready():
            sleep(self.wake_read)
            self._clear()
        self._words[0] = AWAKE

    def _clear(self) -> None:
        """Empty the pipe, so that rings of the past do not wake the next sleep."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_read, 4096)

    def close(self) -> None:
        os.close(self.wake_read)
        os.close(self.wake_write)


class PeerDoorbell:
    """A peer's side: `mailbox` is the owner's, and `wake_write` the owner's pipe, opened here."""

    def __init__(self, mailbox: Bytes, wake_write: int) -> None:
        self._words = mailbox.data.cast("q")
        self._wake_write = wake_write
        self._fence = threading.Lock()

    def ring(self, event: int) -> None:
        """Wake the owner if it sleeps for `event`. Call this after the change that the owner may wait for."""
        with self._fence:
            pass
        if self._words[0] in (event, ANY_EVENT):
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # full: it rings already; broken: owner is gone
                os.write(self._wake_write, b"!")

    @property
    def alive(self) -> bool:
        """Whether the owner's process runs and has not closed the doorbell."""
        poll = select.poll()
        poll.register(self._wake_write, 0)
        return not poll.poll(0)

    def close(self) -> None:
        os.close(self._wake_write)
