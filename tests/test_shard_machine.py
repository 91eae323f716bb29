"""A server's shard among workers, with a network that reorders, doubles and loses messages, and with crashes.

Every push has an element of its own in the parameters, so the parameters tell how often each push was applied.
"""

import copy

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ps.consistency import ASP, BSP, SSP, Backup
from ps.shard import Refused, Shard

STEPS = 5
MOST = 4  # workers


def element(worker, step):
    """Return the element in which the gradient of this push is 1; all others are 0."""
    return worker * STEPS + step


def gradient(worker, step):
    one = np.zeros(MOST * STEPS, np.float32)
    one[element(worker, step)] = 1
    return one


class World(RuleBasedStateMachine):
    """Workers that compute, push and wait; an ordered channel from each to the server; a server with a shard."""

    least = 1  # workers
    rolls_back = False  # True: the workers go back to the checkpoint with the server. False: it catches up with them
    in_steps = False  # whether checkpoints are made between steps only

    def consistency(self):
        raise NotImplementedError

    @initialize(data=st.data())
    def start(self, data):
        self.n = data.draw(st.integers(self.least, MOST))
        self.workers = range(self.n)
        self.step = dict.fromkeys(self.workers, 0)  # that each worker computes, or whose answer it waits for
        self.waits = dict.fromkeys(self.workers, False)
        self.way = {worker: [] for worker in self.workers}  # (step, incarnation), on the way to the server
        self.left = set()
        self.lossy = False
        self.incarnation = 0
        self.params = np.zeros(MOST * STEPS, np.float32)
        self.shard = self.make()
        self.applied, self.open = [], []  # (worker, step): in the parameters with its weight; in the open sum
        self.checkpoint()

    def make(self):
        def update(mean, step, damping):
            self.params -= mean

        return Shard(self.params, self.workers, update, self.consistency())

    # Events.

    @rule(worker=st.integers(0, MOST - 1))
    def compute_and_push(self, worker):
        if worker in self.workers and not self.waits[worker] and self.step[worker] < STEPS:
            self.check_lead(worker)
            self.way[worker].append((self.step[worker], self.incarnation))
            self.waits[worker] = True

    @rule(worker=st.integers(0, MOST - 1))
    def deliver(self, worker):
        """Hypothesis chooses the worker that comes first: this is the reordering."""
        if self.deliverable(worker):
            self.take(worker, *self.way[worker].pop(0))

    @rule(worker=st.integers(0, MOST - 1), back=st.integers(1, STEPS))
    def deliver_twice(self, worker, back):
        """The server gets an old push once more."""
        step = self.shard.clock.get(worker, 0) - back
        if worker in self.shard.due() and step >= 0:
            before = self.snapshot()
            try:
                pushed = self.shard.push(worker, step, gradient(worker, step))
            except Refused:
                assert self.in_steps
            else:
                assert pushed.outcome in ("duplicate", "dropped")
                self.answer(pushed.answer)
            assert self.snapshot() == before

    @rule(worker=st.integers(0, MOST - 1))
    def lose(self, worker):
        """A push never arrives, so its worker waits for ever."""
        if self.way.get(worker):
            self.way[worker].pop(0)
            self.lossy = True

    @rule(worker=st.integers(0, MOST - 1))
    def leave(self, worker):
        if worker in self.shard.due() and self.step[worker] == STEPS and not self.waits[worker]:
            try:
                answer = self.shard.leave(worker)
            except Refused:
                assert self.open
                return
            self.left.add(worker)
            self.answer(answer)

    @precondition(lambda self: not (self.in_steps and self.open))
    @rule()
    def checkpoint(self):
        self.saved = self.shard.state()
        self.then = copy.deepcopy((self.applied, self.open, self.left))

    @rule()
    def crash_and_restart(self):
        self.incarnation += 1
        self.shard = self.make()
        self.shard.restore(self.saved)
        self.applied, self.open, self.left = copy.deepcopy(self.then)
        for worker in self.workers:
            if self.rolls_back:
                self.step[worker] = self.shard.version if worker not in self.left else STEPS
                self.waits[worker] = False
            elif self.waits[worker]:
                self.way[worker].append((self.step[worker], self.incarnation))

    # Their effects.

    def deliverable(self, worker):
        if not self.way.get(worker):
            return False
        step, incarnation = self.way[worker][0]
        if incarnation != self.incarnation:
            return True
        return worker in self.shard.due() and not self.shard.must_wait(worker, step)

    def take(self, worker, step, incarnation):
        if incarnation != self.incarnation:
            return  # it was sent to the crashed server: each incarnation of a job has connections of its own
        pushed = self.shard.push(worker, step, gradient(worker, step))
        assert pushed.staleness == pushed.highest - step >= 0
        if pushed.outcome == "applied":
            self.note(worker, step)
        self.answer(pushed.answer)

    def note(self, worker, step):
        self.applied.append((worker, step, 1 / self.n))

    def answer(self, workers):
        for worker in workers:
            if self.waits[worker]:
                self.waits[worker] = False
                self.step[worker] = self.next_step(worker)

    def next_step(self, worker):
        return self.step[worker] + 1

    def snapshot(self):
        kept = {name: array.tolist() for name, array in self.shard.state().items()}
        return kept, self.params.tolist()

    def check_lead(self, worker):
        """Assert the consistency's promise when a worker begins to compute."""

    # Invariants.

    @invariant()
    def each_push_is_applied_exactly_once(self):
        if hasattr(self, "shard"):
            assert len({each[:2] for each in self.applied}) == len(self.applied)
            expected = np.zeros_like(self.params)
            for worker, step, weight in self.applied:
                expected[element(worker, step)] -= np.float32(weight)
            np.testing.assert_allclose(self.params, expected, rtol=1e-6)

    @invariant()
    def somebody_can_always_go_on(self):
        if hasattr(self, "shard") and not self.lossy:
            at_work = [worker for worker in self.workers if worker not in self.left]
            idle = [worker for worker in at_work if not self.waits[worker]]
            assert idle or any(map(self.deliverable, at_work)) or not at_work


class Whole(World):
    """Gradients are added up until a step closes. The workers roll back to the checkpoint with the server."""

    rolls_back = True

    def needed(self):
        return self.n

    def note(self, worker, step):
        assert all(other != worker for other, _ in self.open)
        self.open.append((worker, step))
        if len(self.open) == self.needed():
            self.applied += [(*each, 1 / self.needed()) for each in self.open]
            self.open = []
            assert self.shard.version == step + 1

    @invariant()
    def only_whole_steps_count(self):
        if hasattr(self, "shard"):
            assert len(self.applied) == self.shard.version * self.needed()


class Bulk(Whole):
    in_steps = True

    def consistency(self):
        return BSP()

    def check_lead(self, worker):
        assert self.step[worker] == self.shard.version


class WithBackup(Whole):
    least = 2

    def consistency(self):
        return Backup(1)

    def needed(self):
        return self.n - 1

    def next_step(self, worker):
        return self.shard.version  # a late worker continues where the others are

    @invariant()
    def who_computes_is_not_ahead(self):
        if hasattr(self, "shard"):
            assert all(self.step[worker] <= self.shard.version or worker in self.left for worker in self.workers)


class Applied(World):
    """Every push is applied as it comes. The workers keep their step when the server comes back."""

    @invariant()
    def every_clock_is_what_was_applied_and_what_was_lost(self):
        if hasattr(self, "shard"):
            assert sum(self.shard.clock.values()) == len(self.applied) + self.shard.lost
            assert self.shard.version == len(self.applied)


class Stale(Applied):
    staleness = 2

    def consistency(self):
        return SSP(self.staleness)

    def check_lead(self, worker):
        others = [self.step[other] for other in self.workers if other not in self.left]
        assert self.step[worker] - min(others) <= self.staleness

    def take(self, worker, step, incarnation):
        super().take(worker, step, incarnation)
        assert self.shard.highest - step <= self.staleness or incarnation != self.incarnation


class OneAhead(Stale):
    staleness = 1


class Asynchronous(Applied):
    def consistency(self):
        return ASP()

    @invariant()
    def nobody_waits_but_for_its_own_message(self):
        if hasattr(self, "shard") and not self.lossy:
            assert all(self.way[worker] for worker in self.workers if self.waits[worker])


for machine in (Bulk, WithBackup, Stale, OneAhead, Asynchronous):
    machine.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestBulk, TestBackup = Bulk.TestCase, WithBackup.TestCase
TestStale, TestOneAhead, TestAsynchronous = Stale.TestCase, OneAhead.TestCase, Asynchronous.TestCase
