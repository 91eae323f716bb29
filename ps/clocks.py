"""Clocks: how far each worker is, as one server knows it. `Shard` changes them; a `Consistency` only reads them."""

from collections.abc import Iterable


class Clocks:
    """The progress of the workers at one shard.

    workers   the workers that still take part, in rank order
    n         how many took part at the start
    clock     by worker, the step that it pushes next
    version   updates applied to the parameters; if steps are summed up, also the number of the open step
    highest   the highest step that any worker has pushed
    taken     the workers whose gradients are in the sum of the open step, in the order of the additions
    waiting   the workers that have pushed and have no answer yet, in the order of their pushes
    may_jump  the workers whose clock may jump once, because a server's death may have lost pushes of theirs
    lost      how many pushes were lost by those jumps
    """

    def __init__(self, workers: Iterable[int]) -> None:
        self.workers = list(workers)
        self.n = len(self.workers)
        self.clock = dict.fromkeys(self.workers, 0)
        self.version = 0
        self.highest = -1
        self.taken: list[int] = []
        self.waiting: list[int] = []
        self.may_jump: set[int] = set()
        self.lost = 0

    @property
    def slowest(self) -> int:
        """The lowest clock of the workers that take part."""
        return min(self.clock[worker] for worker in self.workers)

    def advance(self, worker: int, step: int) -> None:
        """Note that `worker` has pushed `step`, which may be an old one."""
        self.clock[worker] = max(self.clock[worker], step + 1)
        self.highest = max(self.highest, step)
