"""The part of a shared-memory endpoint that is open: mailbox, doorbell, memory and peers, its waits, and its end."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from numpy.typing import DTypeLike

from common.errors import ConfigError
from common.runtime.rendezvous import Rendezvous
from common.transport.process_endpoint import WAIT_SLICE, ProcessEndpoint, any_of
from common.transport.shm.arena import LendableMemory, memory_errors, reason_against
from common.transport.shm.doorbell import ANY_EVENT, Doorbell
from common.transport.shm.mailbox import Lane, Peer, Slot, mailbox
from common.transport.shm.outbox import Outbox
from common.types import Array

LOOKS = 40  # before a wait sleeps: they take about as long as falling asleep and waking up


@dataclass(slots=True)
class Inbox:
    """One peer's lane in this rank's mailbox, and how many of its slots this rank has finished with."""

    lane: Lane
    seq: int = 0

    def slot(self) -> Slot:
        """Return the next slot, which must be filled."""
        return self.lane.get(self.seq)


class MailboxEndpoint(ProcessEndpoint):
    """One rank's mailbox and doorbell, the memory that it lends, and its peers, opened when they are first needed.

    Nothing here refers back to the endpoint, so that closed files and mappings are released at once and not by a
    garbage collection. `watch` raises when the job is over.
    """

    def __init__(self, ranks: int, rendezvous: Rendezvous, watch: Callable[[], None]) -> None:
        super().__init__(rendezvous.place, rendezvous.deadline, watch)
        self.rendezvous = rendezvous
        if reason := reason_against():
            raise ConfigError(f"transport shm cannot be used here: {reason}; use ipc")
        self._memory = LendableMemory(self.place)
        self._peers: dict[int, Peer] = {}
        self._outboxes: dict[int, Outbox] = {}
        self._closed = False
        others = [rank for rank in range(ranks) if rank != self.place.rank]
        with contextlib.ExitStack() as undo, memory_errors(self.place):
            # A mapping keeps a file open for as long as anything refers to it, and an error refers to this object. The
            # lambda is needed: a mention of `__dict__` here would slow down every later access to an attribute.
            undo.callback(lambda: self.__dict__.clear())  # noqa: PLW0108
            self._mailbox = mailbox(ranks)
            undo.callback(self._mailbox.close)
            self.doorbell = Doorbell(self._mailbox.memory)
            undo.callback(self.doorbell.close)
            self._inboxes = {rank: Inbox(Lane(self._mailbox.memory, rank)) for rank in others}
            rendezvous.publish(dict.fromkeys(others, f"{os.getpid()} {self._mailbox.fd} {self.doorbell.wake_write}"))
            undo.pop_all()

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
        return self._memory.alloc(shape, dtype)

    def trim(self) -> None:
        for peer in self._peers.values():
            peer.trim()

    def _inbox(self, rank: int) -> Inbox:
        try:
            return self._inboxes[rank]
        except KeyError:
            raise ValueError(f"rank {rank} is no peer of rank {self.place.rank}") from None

    def _outbox(self, to: int) -> Outbox:
        if (found := self._outboxes.get(to)) is None:
            if to not in self._inboxes:
                raise ValueError(f"rank {self.place.rank} cannot send to rank {to}")
            found = self._outboxes[to] = Outbox(self._peer(to), self.place.rank, self._memory.new_arena)
        return found

    def _peer(self, rank: int) -> Peer:
        """Return the peer `rank`. The first time, block until it has started."""
        if (found := self._peers.get(rank)) is None:
            pid, mailbox_fd, doorbell_fd = map(int, self.rendezvous.lookup(rank, self.watch).split())
            with self._peer_errors(rank):
                found = self._peers[rank] = Peer(pid, mailbox_fd, doorbell_fd)
        return found

    @contextlib.contextmanager
    def _peer_errors(self, rank: int) -> Iterator[None]:
        """Turn the OSError of a `rank` whose process is gone into a RunError."""
        try:
            yield
        except OSError as error:
            raise self.unreachable(rank, error) from None

    def _wait(
        self, ready: Callable[[], bool], event: int, peers: tuple[int, ...], why: str = "", end: float | None = None
    ) -> None:
        """Block until `ready`, at most until `end` (monotonic). `event` wakes this rank; errors name `peers`."""
        for _ in range(LOOKS):
            if ready():
                return
            os.sched_yield()
        if end is None:
            end = time.monotonic() + self.deadline
        while not ready():
            if not self.doorbell.sleep(ready, event, WAIT_SLICE):
                self.check(end, any_of(peers) + why, peers)

    def close(self, *, linger: float = 0.0) -> None:
        """Release all memory. What was sent lies there, so first wait up to `linger` seconds for peers to read it."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + linger

        def all_read() -> bool:
            return not any(outbox.unread for outbox in self._outboxes.values())

        while not all_read() and (left := end - time.monotonic()) > 0:
            self.doorbell.sleep(all_read, ANY_EVENT, min(left, WAIT_SLICE))
        for outbox in self._outboxes.values():
            outbox.close()
        for peer in self._peers.values():
            peer.doorbell.close()
        self._memory.close()
        self._mailbox.close()
        self.doorbell.close()
        self._outboxes, self._peers = {}, {}
