"""A server's state is saved when due and restored completely: shards and optimizers."""

import numpy as np
import pytest

from common.errors import FINISH
from common.pipeline.update import FlatOptimizer
from common.place import Place
from common.runtime.checkpoint import Checkpoints, versions
from common.runtime.job import OptimizerSpec
from common.simulate import simulate
from common.strategy import Bucket
from common.testing.trial import SGD
from ps.checkpointing import ServerState
from ps.consistency import ASP, BSP, Backup
from ps.push_history import PushHistory
from ps.shard import Pushed, Shard
from ps.strategy import PsAsync, PsBsp

SIZES, WORKERS = (3, 5), range(2)


class Owner:
    """A server's shards and optimizers, and a context with checkpoints in a folder."""

    def __init__(self, folder, consistency, every=2):
        self.checkpoints = Checkpoints(folder, every, Place(2, "server"), 1)
        self.resumed = None
        self.optimizers = [FlatOptimizer(OptimizerSpec(), np.zeros(size, np.float32)) for size in SIZES]
        self.shards = [Shard(optimizer._params, WORKERS, optimizer.step, consistency) for optimizer in self.optimizers]
        self.saved = ServerState(self, self.shards, self.optimizers, lambda: None)

    def step(self, step):
        for shard in self.shards:
            for worker in WORKERS:
                shard.push(worker, step, np.full(shard.params.size, step + worker + 1, np.float32))
        self.saved.reached(step + 1)

    @property
    def bits(self):
        return [shard.params.tobytes() for shard in self.shards]


@pytest.mark.parametrize("consistency", [BSP(), Backup(0)], ids=["bsp", "backup"])
def test_a_restored_server_continues_bit_for_bit(tmp_path, consistency):
    first = Owner(tmp_path, consistency)
    for step in range(4):
        first.step(step)
    assert versions(tmp_path) == [2, 4]
    second = Owner(tmp_path, consistency)
    second.checkpoints.restored = second.checkpoints.load(2).arrays
    second.saved.restore()
    for step in (2, 3):
        second.step(step)
    assert second.bits == first.bits
    assert versions(tmp_path) == [2, 4]


def test_a_checkpoint_is_due_once_after_each_interval(tmp_path, monkeypatch):
    owner = Owner(tmp_path, BSP(), every=3)
    saved = []
    monkeypatch.setattr(owner.checkpoints, "save", lambda version, state: saved.append(version))
    for steps in (0, 0, 1, 2, 3, 3, 4, 7, 8, 9):
        owner.saved.reached(steps)
    assert saved == [0, 3, 7, 9]


def test_a_state_can_be_restored_once(tmp_path):
    owner = Owner(tmp_path, BSP())
    owner.checkpoints.restored = owner.saved.arrays()
    owner.saved.restore()
    with pytest.raises(ValueError, match="no state to go on from"):
        owner.saved.restore()


def test_pushes_that_the_restored_server_lacks_are_counted_as_lost():
    shard = Shard(np.zeros(1, np.float32), WORKERS, lambda *push: None, ASP())
    for step in range(3):
        shard.push(0, step, np.ones(1, np.float32))
    shard.restore(shard.state())
    assert [shard.catch_up(0, step) for step in (2, 3, 7, 7)] == [0, 0, 4, 0]
    assert shard.clock == {0: 7, 1: 0}
    assert shard.push(0, 6, np.ones(1, np.float32)).outcome == "duplicate"
    assert shard.push(0, 7, np.ones(1, np.float32)).outcome == "applied"
    assert shard.lost == 4


def test_no_push_is_lost_if_all_ranks_go_back_together():
    shard = Shard(np.zeros(1, np.float32), WORKERS, lambda *push: None, BSP())
    assert shard.catch_up(0, 7) == 0
    assert shard.clock == {0: 0, 1: 0}


@pytest.mark.parametrize("strategy", [PsBsp, PsAsync])
def test_after_a_restart_all_workers_pull_the_servers_parameters(tmp_path, strategy):
    size = 7

    def program(ctx):
        ctx.resumed = 0
        grad, params = np.zeros(size, np.float32), np.full(size, ctx.rank, np.float32)
        if ctx.rank in ctx.workers:
            worker = strategy()
            worker.setup(ctx, params)
            pulled = params.copy()
            ctx.place.step = FINISH
            worker.finish(ctx)
            return pulled
        ctx.checkpoints = Checkpoints(tmp_path / str(ctx.rank), 5, ctx.place, 1)
        mine = Shard(np.full(size, 40.0, np.float32)[ctx.rank % 2 * 3 : 3 + ctx.rank % 2 * 4], WORKERS, SGD, BSP())
        ctx.checkpoints.restored = {f"shard 0/{name}": array for name, array in mine.state().items()}
        strategy().serve(ctx, params, [Bucket(grad, params)])

    outcome = simulate(program, 4, servers=2, optimizer=SGD)
    for worker in WORKERS:
        assert outcome.results[worker].tolist() == [40.0] * size


def test_closing_the_history_writes_the_unanswered_pushes():
    written = []
    history = PushHistory(written.append, lambda: 2.0)
    history.push(0, 3, Pushed("applied", 3, 0, 6, answer=()))
    assert written == []
    history.close()
    assert [(event["step"], event["waited"]) for event in written] == [(3, 0.0)]
