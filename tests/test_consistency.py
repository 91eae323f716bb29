"""The four consistencies, over the clocks of a shard: when a worker may push and when it may go on."""

import numpy as np
import pytest

from ps.consistency import ASP, BSP, SSP, Backup
from ps.shard import Shard


def shard(consistency, workers, clock=(), version=0, taken=()):
    """Return a shard in this state."""
    made = Shard(np.zeros(1, np.float32), workers, lambda *update: None, consistency)
    made.clock.update(zip(workers, clock, strict=False))
    made.version, made.taken = version, list(taken)
    return made


@pytest.mark.parametrize(
    ("workers", "taken", "due"),
    [
        ((0,), (), (0,)),
        ((0, 1, 2), (), (0,)),
        ((0, 1, 2), (0,), (1,)),
        ((0, 1, 2), (0, 1), (2,)),
        ((1, 3), (), (1,)),
        ((1, 3), (1,), (3,)),
        ((), (), ()),
    ],
)
def test_bsp_takes_the_push_of_the_lowest_rank_that_has_not_pushed(workers, taken, due):
    assert BSP().due(shard(BSP(), workers, taken=taken)) == due


@pytest.mark.parametrize("workers", [(0,), (0, 1), (0, 1, 2), (2, 5)])
def test_a_bsp_step_closes_when_all_have_pushed_and_not_before(workers):
    for count in range(len(workers)):
        assert not BSP().closes(shard(BSP(), workers, taken=workers[:count]))
    assert BSP().closes(shard(BSP(), workers, taken=workers))


@pytest.mark.parametrize(("backups", "closing"), [(0, 4), (1, 3), (3, 1)])
def test_a_step_with_backups_closes_with_that_many_fewer(backups, closing):
    one = Backup(backups)
    assert [one.closes(shard(one, range(4), taken=range(count))) for count in range(5)] == [
        count == closing for count in range(5)
    ]


def test_workers_may_push_at_any_time_except_under_bsp():
    for consistency in (ASP(), SSP(2), Backup(1)):
        assert consistency.due(shard(consistency, (0, 1, 2), taken=(0,))) == (0, 1, 2)


@pytest.mark.parametrize(
    ("step", "decision"),
    [(3, "drop"), (4, "drop"), (5, "add"), (6, "wait")],
)
def test_with_backups_the_open_step_counts_and_earlier_ones_are_late(step, decision):
    one = Backup(1)
    assert one.decide(shard(one, (0, 1, 2), version=5, taken=(1,)), 0, step) == decision


def test_with_backups_a_push_that_is_in_the_sum_is_not_added_again():
    one = Backup(1)
    assert one.decide(shard(one, (0, 1, 2), version=5, taken=(1,)), 1, 5) == "duplicate"


@pytest.mark.parametrize("one", [ASP(), SSP(2)])
@pytest.mark.parametrize(("step", "decision"), [(3, "duplicate"), (4, "apply"), (5, "refuse")])
def test_pushes_that_are_applied_at_once_come_in_order_and_once(one, step, decision):
    assert one.decide(shard(one, (0, 1), clock=(4, 4)), 0, step) == decision


@pytest.mark.parametrize("staleness", [1, 3])
def test_under_ssp_a_worker_further_ahead_than_the_staleness_waits(staleness):
    one = SSP(staleness)
    for lead in range(6):
        assert one.may_go_on(shard(one, (0, 1, 2), clock=(2 + lead, 2, 4)), 0) == (lead <= staleness)


def test_under_asp_every_worker_may_always_go_on():
    assert ASP().may_go_on(shard(ASP(), (0, 1), clock=(100, 0)), 0)


def test_only_a_step_that_has_closed_lets_its_workers_go_on():
    for one in (BSP(), Backup(1)):
        assert not one.may_go_on(shard(one, (0, 1), clock=(6, 5), version=5), 0)
        assert one.may_go_on(shard(one, (0, 1), clock=(6, 5), version=6), 0)


def test_damping_divides_by_one_more_than_the_staleness():
    assert [ASP("inverse").damping(staleness) for staleness in (0, 1, 3)] == [1, 1 / 2, 1 / 4]
    assert [each.damping(3) for each in (BSP(), SSP(2), ASP(), Backup(1))] == [1, 1, 1, 1]


def test_an_answer_carries_the_step_it_answers_and_with_backups_the_one_to_go_on_at():
    assert [each.stamp(shard(each, (0, 1), version=7), 4) for each in (BSP(), SSP(2), ASP(), Backup(1))] == [4, 4, 4, 7]


def test_the_names_are_those_of_the_traits():
    assert [each.name for each in (BSP(), SSP(2), ASP(), Backup(1))] == ["bsp", "ssp(2)", "asp", "backup(1)"]
