"""A server's shard: each push counts once, in rank order, and what is refused changes nothing."""

import copy

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ps.consistency import BSP
from ps.shard import Refused, Shard

SIZE = 3
WORKERS = st.integers(0, 4)


def rough(worker, step):
    """A gradient whose sum with others has other bits in another order."""
    return np.random.default_rng((worker, step)).standard_normal(SIZE, np.float32)


class Updates:
    """An update rule that keeps what it was given, and changes the parameters in place."""

    def __init__(self, params):
        self.params, self.means = params, []

    def __call__(self, mean):
        self.means.append(mean.copy())
        self.params -= mean


def make(workers):
    """A shard and its updates."""
    params = np.zeros(SIZE, np.float32)
    updates = Updates(params)
    return Shard(params, workers, updates, BSP()), updates


def state(shard, updates):
    """All that a refused event could have changed."""
    return copy.deepcopy(
        (shard.workers, shard.clock, shard.version, shard.total.tolist(), shard.params.tolist(), len(updates.means))
    )


class AnyOrder(RuleBasedStateMachine):
    """Workers try to push and to leave, in whatever order, also out of turn; a model says what must come of it."""

    @initialize(workers=st.integers(1, 4))
    def start(self, workers):
        self.shard, self.updates = make(range(workers))
        self.active = list(range(workers))
        self.version = 0
        self.pushed = []  # of the step that is open, in the order in which they were taken

    @property
    def due(self):
        return next((worker for worker in self.active if worker not in self.pushed), None)

    def refused(self, event, *values):
        before = state(self.shard, self.updates)
        with pytest.raises(Refused, match=f"worker {values[0]} "):
            event(*values)
        assert state(self.shard, self.updates) == before

    @rule(worker=WORKERS)
    def push(self, worker):
        step = self.version + (worker in self.pushed)
        if worker != self.due:
            self.refused(self.shard.push, worker, step, rough(worker, step))
            return
        may_pull = self.shard.push(worker, step, rough(worker, step))
        self.pushed.append(worker)
        if self.due is not None:
            assert may_pull == ()
            return
        assert may_pull == tuple(self.active)
        expected = np.zeros(SIZE, np.float32)
        for each in sorted(self.pushed):
            expected += rough(each, self.version)
        expected /= np.float32(len(self.pushed))
        assert self.updates.means[-1].tobytes() == expected.tobytes()
        self.version += 1
        self.pushed = []

    @rule(worker=WORKERS, off=st.sampled_from([-2, -1, 1, 2]))
    def push_another_step(self, worker, off):
        step = self.version + (worker in self.pushed) + off
        self.refused(self.shard.push, worker, step, rough(worker, 0))

    @rule(worker=WORKERS, size=st.sampled_from([0, 1, SIZE - 1, SIZE + 1]))
    def push_another_size(self, worker, size):
        step = self.version + (worker in self.pushed)
        self.refused(self.shard.push, worker, step, np.ones(size, np.float32))

    @rule(worker=WORKERS)
    def leave(self, worker):
        if worker != self.due or self.pushed:
            self.refused(self.shard.leave, worker)
            return
        self.shard.leave(worker)
        self.active.remove(worker)

    @invariant()
    def only_whole_steps_count(self):
        if hasattr(self, "shard"):
            assert self.shard.version == len(self.updates.means) == self.version
            assert self.shard.may_push() == (() if self.due is None else (self.due,))
            assert self.shard.workers == self.active

    @invariant()
    def the_parameters_change_by_the_means_alone(self):
        if hasattr(self, "shard"):
            expected = np.zeros(SIZE, np.float32)
            for mean in self.updates.means:
                expected -= mean
            assert self.shard.params.tobytes() == expected.tobytes()


AnyOrder.TestCase.settings = settings(max_examples=200, stateful_step_count=30)
TestAnyOrder = AnyOrder.TestCase


def until_taken(shard, attempts, step):
    """Let workers try to push `step`, in the order of `attempts`, again and again until all were taken."""
    waiting = list(attempts)
    while waiting:
        for worker in tuple(waiting):
            try:
                shard.push(worker, step, rough(worker, step))
            except Refused:
                continue
            waiting.remove(worker)


@pytest.mark.parametrize("attempts", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_whoever_tries_first_the_sum_has_the_same_bits(attempts):
    shard, updates = make(range(3))
    for step in range(20):
        until_taken(shard, attempts, step)
        expected = (rough(0, step) + rough(1, step) + rough(2, step)) / np.float32(3)
        assert updates.means[step].tobytes() == expected.tobytes()


def test_the_order_would_matter_to_the_bits():
    assert any(
        (rough(0, step) + rough(1, step) + rough(2, step)).tobytes()
        != (rough(2, step) + rough(1, step) + rough(0, step)).tobytes()
        for step in range(20)
    )


def test_a_pushed_gradient_may_be_changed_at_once_and_is_itself_left_alone():
    shard, updates = make(range(2))
    gradient = np.ones(SIZE, np.float32)
    shard.push(0, 0, gradient)
    assert gradient.tolist() == [1.0] * SIZE
    gradient[:] = 3.0
    shard.push(1, 0, gradient)
    assert updates.means[0].tolist() == [2.0] * SIZE


def test_the_parameters_are_changed_in_place():
    shard, updates = make((0,))
    shard.push(0, 0, np.ones(SIZE, np.float32))
    assert shard.params is updates.params
    assert shard.params.tolist() == [-1.0] * SIZE


def test_a_shard_without_parameters_counts_steps_too():
    shard = Shard(np.zeros(0, np.float32), (0, 1), lambda mean: None, BSP())
    for step in range(3):
        assert shard.push(0, step, np.zeros(0, np.float32)) == ()
        assert shard.push(1, step, np.zeros(0, np.float32)) == (0, 1)
    assert shard.version == 3


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (lambda shard: shard.push(1, 0, rough(1, 0)), "worker 1 sent something when it was the turn of 0"),
        (lambda shard: shard.leave(2), "worker 2 sent something when it was the turn of 0"),
        (lambda shard: shard.push(0, 4, rough(0, 4)), "worker 0 pushed step 4, its next is step 0"),
        (lambda shard: shard.push(0, 0, rough(0, 0)[:1]), "worker 0 pushed 1 elements, this shard has 3"),
    ],
    ids=["turn", "leave", "step", "size"],
)
def test_a_refusal_says_what_came_and_what_was_due(event, message):
    shard, _ = make(range(3))
    with pytest.raises(Refused, match=message):
        event(shard)


def test_who_leaves_while_others_wait_for_its_push_is_refused_with_their_names():
    shard, _ = make(range(3))
    shard.push(0, 0, rough(0, 0))
    with pytest.raises(Refused, match="worker 1 left in step 0, which worker 0 has pushed"):
        shard.leave(1)


def test_when_all_have_left_nobody_is_due():
    shard, _ = make(range(2))
    shard.leave(0)
    shard.leave(1)
    assert shard.may_push() == ()
    with pytest.raises(Refused, match="turn of nobody"):
        shard.push(0, 0, rough(0, 0))
