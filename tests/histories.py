"""Replay the push history of a server on the model of a server, `Shard`: does what happened fit what is allowed?"""

from collections.abc import Iterable

import numpy as np

from ps.consistency import Consistency
from ps.push_history import Event
from ps.shard import Refused, Shard


def replay(events: Iterable[Event], workers: int, consistency: Consistency) -> Shard:
    """Return the model of a server after all `events`; Refused at the first event that it does not allow."""
    shard = Shard(np.empty(0, np.float32), range(workers), lambda gradient, step, damping: None, consistency)
    again: set[int] = set()  # workers that were done before the server came back, and say so once more
    for number, event in enumerate(events):
        try:
            if event["event"] == "resumed":
                again = set(range(workers)) - set(shard.workers)
            if event["event"] == "finished" and event["worker"] in again:
                again.remove(event["worker"])
            else:
                _repeat(shard, event)
        except Refused as refusal:
            raise Refused(f"event {number} of the history does not fit: {refusal}") from None
    return shard


def _repeat(shard: Shard, event: Event) -> None:
    match event["event"]:
        case "departed":
            shard.leave(event["worker"])
        case "finished":
            _finish(shard, event["worker"], event["step"])
        case "resumed":
            if event["version"] != shard.version:
                raise Refused(f"the server went on after {event['version']} updates, the model has {shard.version}")
            shard.restore(shard.state())
        case "lost":
            _lose(shard, event["worker"], event["step"], event["pushes"])
        case "push":
            _push_again(shard, event)


def _finish(shard: Shard, worker: int, step: int) -> None:
    done = shard.clock.get(worker, step)
    if shard.consistency.at_once and step != done:
        raise Refused(f"worker {worker} was done after step {step}, its next is step {done}")
    shard.leave(worker)


def _lose(shard: Shard, worker: int, step: int, pushes: int) -> None:
    if worker not in shard.may_jump or step != shard.clock[worker]:
        raise Refused(f"worker {worker} lost its pushes from step {step} on, its next is step {shard.clock[worker]}")
    shard.catch_up(worker, step + pushes)


def _push_again(shard: Shard, event: Event) -> None:
    worker, step, lost = event["worker"], event["step"], shard.lost
    pushed = shard.push(worker, step, np.empty(0, np.float32))
    want = (event["outcome"], event["applied"], event["staleness"], event["version"])
    if pushed[: len(want)] != want:
        raise Refused(f"worker {worker}'s push of step {step} was {want}, the model says {pushed[:4]}")
    if shard.lost != lost:
        raise Refused(f"worker {worker} pushed step {step}; nothing is said of the {shard.lost - lost} before it")
