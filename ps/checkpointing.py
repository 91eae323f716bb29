"""A server's state on its way to a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from common.context import Context, Optimizer
from common.types import Array
from ps.shard import Shard


class ServerState:
    """Shards and their optimizers as one state of arrays, `<kind> <number>/<name>`, saved in `ctx.checkpoints` if any.

    `before_save` is called before anything is written.
    """

    def __init__(
        self,
        ctx: Context,
        shards: Sequence[Shard],
        optimizers: Sequence[Optimizer],
        before_save: Callable[[], None] = lambda: None,
    ) -> None:
        self._checkpoints, self._shards, self._optimizers = ctx.checkpoints, shards, optimizers
        self._before_save = before_save
        self._next = 0  # steps after which a checkpoint is due

    def reached(self, steps: int) -> None:
        """So many steps are done: save a checkpoint if one is due. Blocks until it is on the disk; RunError."""
        if self._checkpoints is not None and steps >= self._next:
            self._before_save()
            self._checkpoints.save(steps, self.arrays())
            self._schedule(steps)

    def _schedule(self, steps: int) -> None:
        assert self._checkpoints is not None
        self._next = steps - steps % self._checkpoints.every + self._checkpoints.every

    def keep(self) -> None:
        """Hand this state to the next incarnation of the job, as it is then, if another server dies."""
        if self._checkpoints is not None:
            self._checkpoints.track(self.arrays)

    def arrays(self) -> dict[str, Array]:
        """Return the whole state; the arrays of optimizers are views."""
        parts = {f"shard {number}": shard.state() for number, shard in enumerate(self._shards)}
        parts |= {f"optimizer {number}": optimizer.state() for number, optimizer in enumerate(self._optimizers)}
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def restore(self) -> None:
        """Continue from the checkpoint of the job; the parameters are written in place."""
        assert self._checkpoints is not None
        state = self._checkpoints.take_restored()
        for number, (shard, optimizer) in enumerate(zip(self._shards, self._optimizers, strict=True)):
            shard.restore(_part(state, f"shard {number}/"))
            optimizer.restore(_part(state, f"optimizer {number}/"))
        self._schedule(self._shards[-1].consistency.progress(self._shards[-1]))


def _part(state: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
