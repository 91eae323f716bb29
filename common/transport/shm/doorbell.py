"""Sleep until a peer rings: the receiving half of a wake-up between processes."""

from __future__ import annotations

import contextlib
import os
import select

from common.transport.shm.arena import Bytes
from common.transport.shm.mailbox import Fence


class Bell:
    """A receiver's own bell: it sleeps here. `mailbox` is its mailbox."""

    def __init__(self, memory: Bytes) -> None:
        self.words = memory.data.cast("q")
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self.wake_read, select.POLLIN)
        self._fence = Fence()

    def announce(self, what: int) -> None:
        """Say what this rank is about to sleep for: what `Peer.wake` is called with, or ANYTHING. Then look again."""
        self.words[0] = what
        self._fence()

    def sleep(self, seconds: float) -> None:
        """Sleep until somebody rings, or for `seconds`."""
        if self._poll.poll(1000 * seconds):
            self.hear()
        self.words[0] = 0

    def hear(self) -> None:
        """Let the rings that were for nobody, or have been answered, not wake the next sleeper."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_read, 4096)

    def awake(self) -> None:
        """Take back what `announce` said."""
        self.words[0] = 0

    def close(self) -> None:
        os.close(self.wake_read)
        os.close(self.wake_write)
