"""A server's history through its restarts: it is written whole, fits the model, and a tampered one does not."""

import numpy as np
import pytest
from histories import replay

from ps.consistency import ASP, SSP
from ps.push_history import PushHistory
from ps.shard import Refused, Shard

WORKERS = range(2)
NOTHING = np.empty(0, np.float32)


class Server:
    """A shard, its history, and a clock that goes on by one second with every look at it."""

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
        """Go on from what was saved; worker w0 from step `w0` on, and so on."""
        del self.events[self.kept :]
        self.history = PushHistory(self.events.append, self.now)
        self.shard.restore(self.saved)
        self.events.append({"event": "resumed", "version": self.shard.version})
        for worker in WORKERS:
            first = self.shard.clock.get(worker)
            if lost := self.shard.catch_up(worker, steps[f"w{worker}"]):
                self.events.append({"event": "lost", "worker": worker, "step": first, "pushes": lost})


def came_back():
    """Worker 1's pushes of steps 0 and 1 are lost; worker 0, which waited, pushes step 1 once more."""
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


def test_whatever_is_left_out_of_it_or_doubled_does_not_fit():
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
def test_a_restart_that_is_told_otherwise_does_not_fit(key, value, complaint):
    events = [{**event, **value} if event["event"] == key else event for event in came_back()]
    with pytest.raises(Refused, match=complaint):
        replay(events, 2, SSP(1))


def test_who_was_done_before_the_server_came_back_says_so_once_more():
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


def test_what_is_written_for_a_checkpoint_has_waited_until_then_and_the_rest_follows():
    server = Server(SSP(1))
    server.push(0, 0)
    server.push(0, 1)  # waits from second 1 on
    server.save()
    assert [event["waited"] for event in server.events] == [0.0, 1.0]
    server.push(1, 0)
    assert [event["event"] for event in server.events[2:]] == ["answered", "push"]
    assert server.events[2]["waited"] == 1.0
    assert replay(server.events, 2, SSP(1)).version == 3
