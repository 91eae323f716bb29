"""The history that a server notes: it fits the model, and one that was tampered with does not."""

from functools import partial

import pytest
from histories import replay
from servers import every_one, paced, relaxed

from ps.consistency import ASP, BSP, SSP, Backup
from ps.shard import Refused
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp

CONSISTENCIES = {PsBsp: BSP(), PsSsp: SSP(3), PsAsync: ASP(), PsBackup: Backup(1)}


@every_one
def test_the_history_of_a_server_fits_the_model(strategy):
    outcome, events = relaxed(partial(strategy, segment=4 * 7), paced(1.0), paced(1.5), paced(7.0))
    assert outcome.errors == {}
    shard = replay(events, 3, CONSISTENCIES[strategy])
    pushes = [event for event in events if event["event"] == "push"]
    assert len(pushes) == sum(len(trained) for trained, _ in outcome.results[:3])
    assert shard.workers == []


def test_what_a_worker_waited_is_in_the_history():
    _, events = relaxed(lambda: PsSsp(1), paced(1.0), paced(10.0))
    waited = {(each["worker"], each["step"]): each["waited"] for each in events if each["event"] == "push"}
    assert waited[0, 0] == waited[1, 0] == waited[1, 3] == 0
    assert 5.5 < waited[0, 1] < 6.5  # with a second each way, it comes 6 s before the slow worker's first
    assert max(each["staleness"] for each in events if each["event"] == "push") == 1


@every_one
@pytest.mark.parametrize(
    ("key", "value"),
    [("step", 1), ("applied", 7), ("staleness", 2), ("version", 5), ("outcome", "lost"), ("worker", 3)],
)
def test_a_history_that_was_tampered_with_does_not_fit(strategy, key, value):
    _, events = relaxed(strategy, paced(1.0), paced(1.5), paced(7.0))
    with pytest.raises(Refused, match="event 0 of the history does not fit: worker"):
        replay([{**events[0], key: value}, *events[1:]], 3, CONSISTENCIES[strategy])


@every_one
def test_a_history_with_an_event_missing_or_doubled_does_not_fit(strategy):
    _, events = relaxed(strategy, paced(1.0), paced(1.5), paced(7.0))
    for tampered in (events[1:], [events[0], *events]):
        with pytest.raises(Refused, match=r"event \d of the history does not fit"):
            replay(tampered, 3, CONSISTENCIES[strategy])
