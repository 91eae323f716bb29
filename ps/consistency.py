"""When may a worker go on: one small class per consistency, over what the shard knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ps.shard import Shard


class BSP:
    """Bulk synchronous parallel (Valiant 1990): nobody starts the next step before everybody has finished this one.

    Pushes are taken in rank order, so the sum has one order and the result one set of bits, whoever comes first; the
    others wait in their own queues and cost the server no memory.
    """

    def may_push(self, shard: Shard) -> tuple[int, ...]:
        """The workers whose next push may be taken now."""
        waiting = [worker for worker in shard.workers if shard.clock[worker] == shard.version]
        return tuple(waiting[:1])

    def closes(self, shard: Shard) -> bool:
        """Whether the pushes taken so far make a step."""
        return all(shard.clock[worker] > shard.version for worker in shard.workers)
