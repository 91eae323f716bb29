"""A server's push history across restarts is complete and fits the model; a history that was tampered with does not."""

from functools import partial

import numpy as np
import pytest
from histories import replay
from servers import every_one, paced, relaxed

from ps.consistency import ASP, BSP, SSP, Backup
from ps.push_history import PushHistory
from ps.shard import Refused, Shard
from ps.strategy import PsAsync, PsBackup, PsBsp, PsSsp

WORKERS = range(2)
NOTHING = np.empty(0, np.float32)


class Server:
    """A shard, its history, and a clock that advances by one second at every reading."""

    def __init__(self, consistency):
        self.events, self.seconds = [], 0.0
        self.shard = Shard(NOTHING.copy(), WORKERS, lambda *_: None, consistency)
        self.history = PushHistory(self.events.append, self.now)

    def now(self):
        self.seconds += 1.0
        return self.seconds

    def push(self, worker, step):
        pushed = self.shard.push(worker, step, NOTHING.copy())
        self.history.push(worker, step, pushed)
        self.history.answered(pushed.answer)

    def finish(self, worker):
        if worker in self.shard.workers:
            self.history.answered(self.shard.leave(worker))
        self.history.finished(worker, self.shard.consistency.progress(self.shard))

    def save(self):
        self.history.flush()
        self.saved, self.kept = self.shard.state(), len(self.events)

    def come_back(self, **steps):
        """Restore the saved state; worker 0 continues at step `w0`, worker 1 at step `w1`."""
        del self.events[self.kept :]
        self.history = PushHistory(self.events.append, self.now)
        self.shard.restore(self.saved)
        self.events.append({"event": "resumed", "version": self.shard.version})
        for worker in WORKERS:
            first = self.shard.clock.get(worker)
            if lost := self.shard.catch_up(worker, steps[f"w{worker}"]):
                self.events.append({"event": "lost", "worker": worker, "step": first, "pushes": lost})


def came_back():
    """Return the events of a restart: worker 1 loses its pushes of steps 0 and 1; worker 0 pushes step 1 once more."""
    server = Server(SSP(1))
    server.push(0, 0)
    server.push(0, 1)
    server.save()
    server.push(1, 0)
    server.push(1, 1)
    server.come_back(w0=1, w1=2)
    server.push(0, 1)
    server.push(1, 2)
    server.push(0, 2)
    server.finish(0)
    server.finish(1)
    return server.events


def test_the_history_of_a_server_that_came_back_fits_the_model():
    events = came_back()
    shard = replay(events, 2, SSP(1))
    assert (shard.workers, shard.version, shard.lost) == ([], 4, 2)
    assert [event["outcome"] for event in events if event["event"] == "push"].count("duplicate") == 1


def test_a_history_with_any_event_left_out_or_doubled_does_not_fit():
    events = came_back()
    for number, event in enumerate(events[:-2]):
        if event["event"] not in ("resumed", "lost") and event.get("outcome") != "duplicate":
            with pytest.raises(Refused, match="of the history does not fit"):
                replay(events[:number] + events[number + 1 :], 2, SSP(1))
    for number in range(len(events)):
        again = [*events[: number + 1], *events[number:]]
        if events[number]["event"] != "resumed" and events[number].get("outcome") != "duplicate":
            with pytest.raises(Refused, match="of the history does not fit"):
                replay(again, 2, SSP(1))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("resumed", {"version": 1}, "the server went on after 1 updates, the model has 2"),
        ("lost", {"step": 1}, "worker 1 lost its pushes from step 1 on, its next is step 0"),
        ("lost", {"pushes": 1}, "worker 1 pushed step 2, its next is step 1"),
        ("lost", {"event": "other"}, "worker 1 pushed step 2; nothing is said of the 2 before it"),
    ],
)
def test_a_restart_with_altered_events_does_not_fit(key, value, complaint):
    events = [{**event, **value} if event["event"] == key else event for event in came_back()]
    with pytest.raises(Refused, match=complaint):
        replay(events, 2, SSP(1))


def test_a_worker_that_was_done_before_the_restart_finishes_once_more():
    server = Server(ASP())
    server.push(0, 0)
    server.finish(0)
    server.push(1, 0)
    server.save()
    server.come_back(w0=1, w1=1)
    server.finish(0)
    server.push(1, 1)
    server.finish(1)
    assert replay(server.events, 2, ASP()).workers == []
    with pytest.raises(Refused, match="event 5 of the history does not fit"):
        replay([*server.events[:5], *server.events[4:]], 2, ASP())


def test_a_push_written_for_a_checkpoint_gets_the_rest_of_its_waiting_later():
    server = Server(SSP(1))
    server.push(0, 0)
    server.push(0, 1)  # waits from second 1 on
    server.save()
    assert [event["waited"] for event in server.events] == [0.0, 1.0]
    server.push(1, 0)
    assert [event["event"] for event in server.events[2:]] == ["answered", "push"]
    assert server.events[2]["waited"] == 1.0
    assert replay(server.events, 2, SSP(1)).version == 3


# --- of servers in virtual time ---


CONSISTENCIES = {PsBsp: BSP(), PsSsp: SSP(3), PsAsync: ASP(), PsBackup: Backup(1)}


@every_one
def test_the_history_of_a_server_fits_the_model(strategy):
    outcome, events = relaxed(partial(strategy, segment=4 * 7), paced(1.0), paced(1.5), paced(7.0))
    assert outcome.errors == {}
    shard = replay(events, 3, CONSISTENCIES[strategy])
    pushes = [event for event in events if event["event"] == "push"]
    assert len(pushes) == sum(len(trained) for trained, _ in outcome.results[:3])
    assert shard.workers == []


def test_the_history_says_how_long_a_worker_waited():
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
