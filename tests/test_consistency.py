"""Bulk synchronous: pushes come in rank order, and a step ends when everybody's is in."""

import numpy as np
import pytest

from ps.consistency import BSP
from ps.shard import Shard


def shard(workers, pushed=()):
    """A shard of the workers, some of whom have pushed the step that is open."""
    made = Shard(np.zeros(1, np.float32), workers, lambda grad: None, BSP())
    for worker in pushed:
        made.clock[worker] += 1
    return made


@pytest.mark.parametrize(
    ("workers", "pushed", "due"),
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
def test_the_next_push_is_that_of_the_lowest_rank_that_has_not_pushed(workers, pushed, due):
    assert BSP().may_push(shard(workers, pushed)) == due


@pytest.mark.parametrize("workers", [(0,), (0, 1), (0, 1, 2), (2, 5)])
def test_a_step_closes_when_all_have_pushed_and_not_before(workers):
    for count in range(len(workers)):
        assert not BSP().closes(shard(workers, workers[:count]))
    assert BSP().closes(shard(workers, workers))


def test_it_is_the_version_that_decides_who_is_due_in_later_steps_too():
    later = shard((0, 1))
    later.version = 7
    later.clock = {0: 8, 1: 7}
    assert BSP().may_push(later) == (1,)
    assert not BSP().closes(later)
    later.clock[1] = 8
    assert BSP().closes(later)
