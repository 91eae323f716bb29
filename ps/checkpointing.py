"""A server's state on its way to a checkpoint, and back."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from common.context import Context, Optimizer
from common.types import Array
from ps.shard import Shard


class ServerState:
    """Shards and their optimizers as arrays `<kind> <number>/<name>`, saved in `ctx.checkpoints` if any."""

    def __init__(
        self, ctx: Context, shards: Sequence[Shard], optimizers: Sequence[Optimizer], before_save: Callable[[], None]
    ) -> None:
        self._checkpoints, self._shards, self._optimizers = ctx.checkpoints, shards, optimizers
        self._before_save = before_save
        self._saved = -1  # steps done at the last checkpoint

    def reached(self, steps: int) -> None:
        """So many steps are done: save a checkpoint if one is due. Blocks until it is on the disk; RunError."""
        kept = self._checkpoints
        if kept is not None and steps // kept.every > self._saved // kept.every:
            self._before_save()
            kept.save(steps, self.arrays())
            self._saved = steps

    def keep(self) -> None:
        """Hand this state to the next incarnation of the job, as it is then, if another server dies."""
        if self._checkpoints is not None:
            self._checkpoints.live_state = self.arrays

    def arrays(self) -> dict[str, Array]:
        """Return the whole state; the arrays of optimizers are views."""
        parts = {f"shard {number}": shard.state() for number, shard in enumerate(self._shards)}
        parts |= {f"optimizer {number}": optimizer.state() for number, optimizer in enumerate(self._optimizers)}
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def restore(self) -> None:
        """Continue from the checkpoint of the job; the parameters are written in place."""
        assert self._checkpoints is not None
        states: defaultdict[str, dict[str, Array]] = defaultdict(dict)
        for path, array in self._checkpoints.take_restored().items():
            part, _, name = path.partition("/")
            states[part][name] = array
        for number, (shard, optimizer) in enumerate(zip(self._shards, self._optimizers, strict=True)):
            shard.restore(states[f"shard {number}"])
            optimizer.restore(states[f"optimizer {number}"])
        self._saved = self._shards[-1].consistency.progress(self._shards[-1])
