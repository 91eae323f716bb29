"""A server's shard: the effect of pushes, refusals that change nothing, checkpoints."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ps.consistency import ASP, BSP, SSP, Backup
from ps.shard import Refused, Shard

SIZE = 3
EVERY = [BSP, lambda: SSP(2), ASP, lambda: Backup(1)]
every_consistency = pytest.mark.parametrize("consistency", EVERY, ids=["bsp", "ssp", "asp", "backup"])


def rough(worker, step):
    """Return a gradient; the bits of a sum of several depend on the order of the additions."""
    return np.random.default_rng((worker, step)).standard_normal(SIZE, np.float32)


class Updates:
    """An update rule that keeps what it was given, and changes the parameters in place."""

    def __init__(self, params):
        self.params, self.means, self.steps, self.dampings = params, [], [], []

    def __call__(self, mean, step, damping):
        self.means.append(mean.copy())
        self.steps.append(step)
        self.dampings.append(damping)
        self.params -= mean


def make(workers, consistency=BSP):
    """A shard and its updates."""
    params = np.zeros(SIZE, np.float32)
    updates = Updates(params)
    return Shard(params, workers, updates, consistency()), updates


def known(shard, updates):
    """Return everything that a refused event could have changed."""
    state = {name: array.tolist() for name, array in shard.state().items()}
    return state, list(shard.waiting), set(shard.may_jump), len(updates.means), updates.params.tolist()


# --- steps that are summed up ---


def test_a_step_closes_with_the_last_push_and_releases_all_workers():
    shard, updates = make(range(3))
    assert shard.push(0, 0, rough(0, 0)).answer == ()
    assert shard.push(1, 0, rough(1, 0)).answer == ()
    assert shard.push(2, 0, rough(2, 0)).answer == (0, 1, 2)
    assert updates.means[0].tobytes() == ((rough(0, 0) + rough(1, 0) + rough(2, 0)) / np.float32(3)).tobytes()
    assert (shard.version, shard.clock, shard.highest) == (1, {0: 1, 1: 1, 2: 1}, 0)


def test_a_sum_of_all_workers_is_the_same_as_their_pushes_in_rank_order():
    (one, updates), (other, others) = make(range(3)), make(range(3))
    for step in range(20):
        for worker in range(3):
            one.push(worker, step, rough(worker, step))
        assert other.push_all(step, rough(0, step) + rough(1, step) + rough(2, step)) == (0, 1, 2)
    assert one.params.tobytes() == other.params.tobytes()
    assert known(one, updates) == known(other, others)


def test_a_thousand_orders_of_arrival_give_one_result():
    order, results = np.random.default_rng(0), set()
    for _ in range(1000):
        shard, _ = make(range(4))
        for step in range(3):
            waiting = order.permutation(4).tolist()
            while waiting:  # each tries in its turn, again and again until it is taken
                worker = waiting.pop(0)
                try:
                    shard.push(worker, step, rough(worker, step))
                except Refused:
                    waiting.append(worker)
        results.add(shard.params.tobytes())
    assert len(results) == 1


def test_the_order_would_matter_to_the_bits():
    sums = {
        (rough(a, step) + rough(b, step) + rough(c, step)).tobytes()
        for step in range(20)
        for a, b, c in itertools.permutations(range(3))
    }
    assert len(sums) > 20


def test_a_step_with_backups_closes_with_the_first_and_drops_the_late():
    shard, updates = make(range(3), lambda: Backup(1))
    assert shard.push(2, 0, rough(2, 0)).answer == ()
    assert shard.push(0, 0, rough(0, 0)).answer == (2, 0)
    late = shard.push(1, 0, rough(1, 0))
    assert (late.outcome, late.answer, late.version) == ("dropped", (1,), 1)
    assert len(updates.means) == 1
    assert updates.means[0].tobytes() == ((rough(2, 0) + rough(0, 0)) / np.float32(2)).tobytes()


def test_a_push_of_a_step_that_has_not_come_waits_until_it_has():
    shard, _ = make(range(3), lambda: Backup(1))
    assert shard.must_wait(2, 1)
    with pytest.raises(Refused, match="worker 2 pushed step 1, its next is step 0"):
        shard.push(2, 1, rough(2, 1))
    for worker in (0, 1):
        shard.push(worker, 0, rough(worker, 0))
    assert not shard.must_wait(2, 1)
    assert shard.push(2, 1, rough(2, 1)).outcome == "applied"


# --- pushes that are applied as they come ---


def test_every_push_is_one_update_with_its_share_of_the_mean():
    shard, updates = make(range(4), ASP)
    assert shard.push(3, 0, np.full(SIZE, 8, np.float32)).answer == (3,)
    assert updates.means[0].tolist() == [2.0] * SIZE
    assert (shard.version, updates.steps) == (1, [0])


def test_staleness_is_how_far_a_push_is_behind_the_highest_step_pushed_so_far():
    shard, _ = make(range(2), ASP)
    found = [shard.push(worker, step, rough(0, 0)) for worker, step in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (0, 3)]]
    assert [(each.highest, each.staleness, each.version) for each in found] == [
        (0, 0, 0),
        (1, 0, 1),
        (2, 0, 2),
        (2, 2, 3),
        (2, 1, 4),
        (3, 0, 5),
    ]


def test_a_stale_update_is_damped_if_the_option_says_so():
    shard, updates = make(range(2), lambda: ASP("inverse"))
    for worker, step in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]:
        shard.push(worker, step, rough(worker, step))
    assert updates.dampings == [1, 1, 1, 1 / 3, 1 / 2]
    assert updates.steps == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("staleness", [1, 2, 5])
def test_the_fastest_worker_is_answered_while_it_is_within_the_staleness(staleness):
    shard, _ = make(range(2), lambda: SSP(staleness))
    answers = [shard.push(0, step, rough(0, step)).answer for step in range(staleness + 1)]
    assert answers == [(0,)] * staleness + [()]
    assert shard.push(1, 0, rough(1, 0)).answer == (0, 1)


def test_a_second_push_before_the_answer_to_the_first_is_refused():
    shard, _ = make(range(2), lambda: SSP(1))
    shard.push(0, 0, rough(0, 0))
    shard.push(0, 1, rough(0, 1))
    with pytest.raises(Refused, match="worker 0 pushed step 2 before it had the answer to its last push"):
        shard.push(0, 2, rough(0, 2))


def test_the_clock_of_a_worker_that_has_left_holds_no_other_back():
    shard, _ = make(range(3), lambda: SSP(1))
    for step in range(2):
        shard.push(0, step, rough(0, step))
    shard.push(2, 0, rough(2, 0))
    assert shard.leave(1) == (0,)
    assert shard.workers == [0, 2]


# --- what every consistency does ---


@every_consistency
def test_the_parameters_are_changed_in_place(consistency):
    shard, updates = make(range(2), consistency)
    shard.push(0, 0, np.ones(SIZE, np.float32))
    if shard.version == 0:
        shard.push(1, 0, np.ones(SIZE, np.float32))
    assert shard.params is updates.params
    assert shard.params[0] < 0


@every_consistency
def test_a_shard_without_parameters_counts_steps_too(consistency):
    shard = Shard(np.zeros(0, np.float32), (0, 1), lambda *update: None, consistency())
    for step in range(3):
        for worker in (0, 1):
            shard.push(worker, step, np.zeros(0, np.float32))
    assert shard.clock == {0: 3, 1: 3}


@pytest.mark.parametrize(
    ("consistency", "event", "message"),
    [
        (BSP, lambda shard: shard.push(1, 0, rough(1, 0)), "worker 1 sent something when it was the turn of 0"),
        (BSP, lambda shard: shard.leave(2), "worker 2 sent something when it was the turn of 0"),
        (BSP, lambda shard: shard.push(0, 4, rough(0, 4)), "worker 0 pushed step 4, its next is step 0"),
        (BSP, lambda shard: shard.push(0, 0, rough(0, 0)[:1]), "worker 0 pushed 1 elements, this shard has 3"),
        (BSP, lambda shard: shard.push_all(1, rough(0, 0)), "all workers pushed step 1, their next is step 0"),
        (BSP, lambda shard: shard.push_all(0, rough(0, 0)[:2]), "pushed 2 elements, this shard has 3"),
        (ASP, lambda shard: shard.push(1, 3, rough(1, 3)), "worker 1 pushed step 3, its next is step 0"),
        (ASP, lambda shard: shard.push(7, 0, rough(7, 0)), "worker 7 sent something when it was the turn of 0, 1, 2"),
        (lambda: SSP(2), lambda shard: shard.push(1, 1, rough(1, 1)), "worker 1 pushed step 1, its next is step 0"),
        (BSP, lambda shard: shard.restore({"params": rough(0, 0)[:1]}), "the checkpoint has .* this shard has 3"),
    ],
)
def test_a_refusal_names_the_event_and_what_was_due_and_changes_nothing(consistency, event, message):
    shard, updates = make(range(3), consistency)
    before = known(shard, updates)
    with pytest.raises(Refused, match=message):
        event(shard)
    assert known(shard, updates) == before


def test_a_sum_does_not_mix_with_single_pushes():
    shard, _ = make(range(3))
    shard.push(0, 0, rough(0, 0))
    with pytest.raises(Refused, match="all workers pushed step 0, which worker 0 has begun alone"):
        shard.push_all(0, rough(0, 0))


def test_leaving_is_refused_while_others_wait_for_the_push_and_names_them():
    shard, _ = make(range(3))
    shard.push(0, 0, rough(0, 0))
    with pytest.raises(Refused, match="worker 1 left in step 0, which worker 0 has pushed"):
        shard.leave(1)


@every_consistency
def test_no_worker_is_due_when_all_have_left(consistency):
    shard, _ = make(range(2), consistency)
    shard.leave(0)
    shard.leave(1)
    assert shard.due() == ()
    with pytest.raises(Refused, match="turn of nobody"):
        shard.push(0, 0, rough(0, 0))


# --- checkpoints ---


@every_consistency
@given(steps=st.integers(0, 3), more=st.integers(0, 3))
def test_a_restored_shard_continues_like_the_saved_one(consistency, steps, more):
    def rounds(shard, first, count):
        for step in range(first, first + count):
            for worker in range(3):
                shard.push(worker, step, rough(worker, step))

    shard, _ = make(range(3), consistency)
    rounds(shard, 0, steps)
    saved = shard.state()
    rounds(shard, steps, 1)  # and loses it
    back, _ = make(range(3), consistency)
    back.restore(saved)
    undisturbed, _ = make(range(3), consistency)
    rounds(undisturbed, 0, steps + more)
    rounds(back, steps, more)
    assert back.params.tobytes() == undisturbed.params.tobytes()
    assert (back.clock, back.version, back.lost) == (undisturbed.clock, undisturbed.version, 0)


@every_consistency
def test_a_state_is_plain_arrays_that_later_pushes_leave_alone(consistency):
    shard, _ = make(range(2), consistency)
    saved = shard.state()
    for worker in range(2):
        shard.push(worker, 0, rough(worker, 0))
    assert saved["params"].tolist() == [0.0] * SIZE
    assert saved["clock"].tolist() == [0, 0]
    assert all(array.dtype.kind in "if" for array in saved.values())


def test_the_open_sum_of_a_step_is_saved_too():
    shard, _ = make(range(3), lambda: Backup(1))
    shard.push(2, 0, rough(2, 0))
    back, updates = make(range(3), lambda: Backup(1))
    back.restore(shard.state())
    assert back.push(2, 0, rough(2, 0)).outcome == "duplicate"
    assert back.push(0, 0, rough(0, 0)).answer == (2, 0)
    assert updates.means[0].tobytes() == ((rough(2, 0) + rough(0, 0)) / np.float32(2)).tobytes()


def test_after_a_restart_a_clock_may_jump_once_and_the_steps_between_are_counted_as_lost():
    shard, updates = make(range(2), ASP)
    saved = shard.state()
    shard.restore(saved)
    assert shard.push(0, 3, rough(0, 3)).outcome == "applied"
    assert (shard.lost, shard.clock[0]) == (3, 4)
    with pytest.raises(Refused, match="worker 0 pushed step 6, its next is step 4"):
        shard.push(0, 6, rough(0, 6))
    assert shard.push(1, 0, rough(1, 0)).outcome == "applied"
    assert shard.lost == 3
    assert len(updates.means) == 2


@pytest.mark.parametrize("consistency", [lambda: SSP(2), ASP])
def test_a_push_that_was_applied_before_is_answered_and_not_applied_again(consistency):
    shard, updates = make(range(2), consistency)
    shard.push(0, 0, rough(0, 0))
    shard.restore(shard.state())
    again = shard.push(0, 0, rough(0, 0))
    assert (again.outcome, again.answer) == ("duplicate", (0,))
    assert len(updates.means) == 1


def test_after_a_restart_no_worker_waits_for_an_answer_to_an_earlier_push():
    shard, _ = make(range(2), lambda: SSP(1))
    for step in range(2):
        shard.push(0, step, rough(0, step))
    shard.restore(shard.state())
    assert shard.push(1, 0, rough(1, 0)).answer == (1,)
    assert shard.push(0, 1, rough(0, 1)).answer == (0,)
