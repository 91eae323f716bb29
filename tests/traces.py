"""Traces of jobs in virtual time, traces that are written by hand, and what a trace.json must be like."""

import numpy as np
from jobs import STRATEGIES

from common.context import Context
from common.pipeline.update import FlatOptimizer
from common.pipeline.worker import Worker, serve
from common.place import Place
from common.records.stage_clock import StageClock
from common.records.trace_buffer import CLOCK, RECEIVE, RECORD, SEND, STAGE_KINDS, VIRTUAL_CLOCK
from common.simulate import simulate
from common.transport.virtual.network import Network
from common.transport.wrappers.metered import MeteredEndpoint
from experiments.ranks.server_optimizer import TimedUpdates
from experiments.ranks.trace_recorder import TraceRecorder
from experiments.trace.perfetto import TRACKS
from experiments.trace.timeline import rank_trace


def virtual_traces(job, network=None, limit=None):
    """The traces of `job`, trained in virtual time; with room for `limit` records each, if that is given."""
    recordings = {}

    def program(ctx):
        recording = recordings[ctx.rank] = TraceRecorder(None, ctx.place, ctx.size, VIRTUAL_CLOCK)
        if limit is not None:
            recording.messages, recording.stages = type(recording.messages)(limit), type(recording.stages)(limit)
        meter = MeteredEndpoint(recording.endpoint(ctx.endpoint))
        clock = recording.clock(StageClock, meter.now, ctx.place.enter)
        updates = TimedUpdates(meter, clock, lambda record: None)
        numbers = {"workers": job.workers, "servers": job.servers}
        rule = lambda params: updates.expect(FlatOptimizer(job.optimizer, params))  # noqa: E731
        traced, strategy = Context(meter, **numbers, optimizer=rule), STRATEGIES[job.strategy]()
        if ctx.rank in ctx.servers:
            serve(job, traced, strategy)
        else:
            Worker(job, traced, strategy, clock).run(lambda record: None)

    simulate(program, job.workers + job.servers, servers=job.servers, network=network or Network())
    roles = ["worker"] * job.workers + ["server"] * job.servers
    return [rank_trace(rank, role, recordings[rank].records()) for rank, role in enumerate(roles)]


class Hand:
    """A trace written by hand: rows in the order in which they are noted."""

    def __init__(self, rank, role="worker", clock=1):
        self.place, self.role, self.rows, self.seq = Place(rank, role), role, [(CLOCK, -1, 0, 0, clock, 0, 0, 0)], {}

    def stage(self, name, began, ended, step=0):
        self.rows.append((STAGE_KINDS[name], -1, 0, step, 0, 0, began, ended))
        return self

    def message(self, kind, peer, began, ended, step=0, nbytes=8):
        seq = self.seq[kind == SEND, peer] = self.seq.get((kind == SEND, peer), -1) + 1
        self.rows.append((kind, peer, 0, step, seq, nbytes, began, ended))
        return self

    def send(self, to, began, ended, **more):
        return self.message(SEND, to, began, ended, **more)

    def receive(self, from_, began, ended, **more):
        return self.message(RECEIVE, from_, began, ended, **more)

    @property
    def trace(self):
        return rank_trace(self.place.rank, self.role, np.array(self.rows, RECORD))


PHASES = {"M", "X", "s", "f", "C"}
NAMES = {"process_name", "process_sort_index", "thread_name", "thread_sort_index"}


def check_schema(document, ranks):
    """AssertionError unless this is a trace in which all is named, in order, paired, and nothing goes back in time.

    `ranks` are the names of its processes.
    """
    events = document["traceEvents"]
    assert {event["ph"] for event in events} <= PHASES
    processes = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert sorted(processes.values()) == sorted(ranks)
    assert sorted(threads.values()) == sorted(TRACKS * len(ranks))
    timed = [event for event in events if event["ph"] != "M"]
    for event in events:
        assert (event["ph"] == "M") == (event["name"] in NAMES)
        assert event["pid"] in processes
        assert (event["pid"], event["tid"]) in threads
    times = [event["ts"] for event in timed]
    assert times == sorted(times)
    assert all(time >= 0 for time in times)
    assert all(event["dur"] > 0 for event in timed if event["ph"] == "X")
    _check_nesting(timed)
    _check_arrows(timed)


def _check_nesting(events):
    """Slices of a thread follow each other, or lie in each other."""
    for thread in {event["tid"] for event in events}:
        open_until = []
        for event in (event for event in events if event["ph"] == "X" and event["tid"] == thread):
            began, ended = round(1e3 * event["ts"]), round(1e3 * (event["ts"] + event["dur"]))
            while open_until and open_until[-1] <= began:
                open_until.pop()
            assert not open_until or ended <= open_until[-1], event
            open_until.append(ended)


def _check_arrows(events):
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    tips = {event["id"]: event for event in events if event["ph"] == "f"}
    assert len(starts) == sum(event["ph"] == "s" for event in events)
    assert len(tips) == sum(event["ph"] == "f" for event in events)
    assert starts.keys() == tips.keys()
    for number, start in starts.items():
        tip = tips[number]
        assert tip["bp"] == "e"
        assert (tip["cat"], tip["name"]) == (start["cat"], start["name"])
        assert tip["ts"] >= start["ts"]
        for arrow in (start, tip):
            assert any(
                event["ts"] <= arrow["ts"] <= event["ts"] + event["dur"]
                for event in events
                if event["ph"] == "X" and event["tid"] == arrow["tid"]
            )
