"""A server's state on its way to a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from common.context import Context, Optimizer
from common.types import Array
from ps.shard import Shard


class Saved:
    """Shards and their optimizers, as one state of arrays `<kind> <number>/<name>`; written where `ctx` says, if so."""

    def __init__(
        self,
        ctx: Context,
        shards: Sequence[Shard],
        optimizers: Sequence[Optimizer],
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """`before` is called before anything is written."""
        self._before = before
        self._checkpoints, self._shards, self._optimizers = ctx.checkpoints, shards, optimizers
        self._next = 0  # steps after which a checkpoint is due

    def reached(self, steps: int) -> None:
        """So many steps are done: write a checkpoint if one is due, and block until it is on the disk. RunError."""
        if self._checkpoints is not None and steps >= self._next:
            self._before()
            self._checkpoints.save(steps, self.state())
            self._after(steps)

    def _after(self, steps: int) -> None:
        assert self._checkpoints is not None
        self._next = steps - steps % self._checkpoints.every + self._checkpoints.every

    def carry(self) -> None:
        """Let this state go into the next incarnation of the job as it is then, should another server die."""
        if self._checkpoints is not None:
            self._checkpoints.keep(self.state)

    def state(self) -> dict[str, Array]:
        """All of it. Optimizers' arrays are views."""
        parts = {f"shard {number}": shard.state() for number, shard in enumerate(self._shards)}
        parts |= {f"optimizer {number}": each.state() for number, each in enumerate(self._optimizers)}
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def restore(self) -> None:
        """Go on from the state that there is to go on from; the parameters are written in place."""
        assert self._checkpoints is not None
        state = self._checkpoints.take()
        for number, (shard, optimizer) in enumerate(zip(self._shards, self._optimizers, strict=True)):
            shard.restore(_part(state, f"shard {number}/"), shard.incarnation + 1)
            optimizer.restore(_part(state, f"optimizer {number}/"))
        self._after(self._shards[-1].consistency.progress(self._shards[-1]))


def _part(state: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
