"""trace.json has names, order, paired messages and ascending times; of a cut trace it holds whole calls alone."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from jobs import job
from traces import Hand, check_schema, virtual_traces

from common.records.trace_buffer import CUT, SEND
from common.transport.virtual.network import Network
from experiments.ranks.trace_recorder import trace_file
from experiments.trace.perfetto import TRACKS, cut_line, trace_events, write_trace
from experiments.trace.timeline import timeline

NETWORK = Network(latency=50e-6, bandwidth=125e6, overhead=1e-6)
JOBS = {
    "ring": job("ring", workers=4, steps=3, train_seconds=0.001),
    "ps-bsp": job("ps-bsp", workers=3, servers=2, steps=3, train_seconds=0.001),
    "ps-async": job("ps-async", workers=3, servers=1, steps=3, train_seconds=0.001),
    "overlap": job("ring", workers=3, steps=3, train_seconds=0.001, hidden=(64, 64), bucket=16 << 10),
    "free": job("star", workers=3, steps=3),
}
MICRO = 1e-3 + 1e-9  # a nanosecond, in µs


@pytest.fixture(scope="module", params=JOBS)
def traces(request):
    return virtual_traces(JOBS[request.param], Network() if request.param == "free" else NETWORK)


def shifted(trace, seconds):
    """The trace, as it would be if its rank had a clock of its own that is ahead."""
    parts = {name: getattr(trace, name).copy() for name in ("stages", "messages")}
    for records in parts.values():
        records["began"] += seconds
        records["ended"] += seconds
    return replace(trace, clock=100 + trace.rank, **parts)


def by(events, **fields):
    return [event for event in events if all(event.get(key) == value for key, value in fields.items())]


def test_the_schema_holds(traces):
    check_schema({"traceEvents": trace_events(timeline(traces))}, [trace.name for trace in traces])


def test_the_schema_holds_with_clocks_that_are_apart(traces):
    apart = [shifted(trace, 3.7 * trace.rank * (-1) ** trace.rank) for trace in traces]
    check_schema({"traceEvents": trace_events(timeline(apart))}, [trace.name for trace in traces])


def test_every_message_of_a_run_has_an_arrow(traces):
    sent = sum(int((trace.messages["kind"] == SEND).sum()) for trace in traces)
    assert len(by(trace_events(timeline(traces)), ph="s")) == sent > 0


def test_nothing_is_on_its_way_in_the_end(traces):
    events = trace_events(timeline(traces))
    for process in {event["pid"] for event in events}:
        levels = [event["args"]["bytes"] for event in by(events, pid=process, name="bytes in flight")]
        assert min(levels, default=0) >= 0
        assert not levels or levels[-1] == 0


def test_a_receive_is_a_wait_until_the_message_is_sent():
    hands = [Hand(0).send(1, 5.0, 6.0, step=3), Hand(1).receive(0, 2.0, 7.5, step=3)]
    events = trace_events(timeline([hand.trace for hand in hands]))
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    found = {(tracks[e["tid"]], e["pid"], e["name"], e["ts"], e["dur"]) for e in by(events, ph="X")}
    assert found == {
        ("send", 1, "to 1", 3e6, 1e6),
        ("wait", 2, "for worker 0", 0.0, 4e6),
        ("receive", 2, "from 0", 4e6, 1.5e6),
    }
    (start,), (tip,) = by(events, ph="s"), by(events, ph="f")
    assert start["ts"] == 3e6
    assert tip["ts"] == pytest.approx(5.5e6, abs=MICRO)
    assert [(e["ts"], e["args"]["bytes"]) for e in by(events, name="bytes in flight")] == [(3e6, 8), (5.5e6, 0)]


def test_a_message_that_was_there_is_not_waited_for():
    hands = [Hand(0).send(1, 5.0, 6.0), Hand(1).receive(0, 7.0, 7.5)]
    events = trace_events(timeline([hand.trace for hand in hands]))
    assert by(events, cat="wait") == []


def test_stages_are_on_the_first_track_and_the_clock_follows_the_steps():
    hand = Hand(0).stage("load", 0, 1).stage("train", 1, 3).stage("load", 4, 5, step=1)
    events = trace_events(timeline([hand.trace]))
    assert [(e["name"], e["ts"], e["args"]["step"]) for e in by(events, cat="stage", tid=10)] == [
        ("load", 0, 0),
        ("train", 1e6, 0),
        ("load", 4e6, 1),
    ]
    assert [(e["ts"], e["args"]["step"]) for e in by(events, name="clock")] == [(0, 0), (4e6, 1)]
    assert TRACKS[0] == "train and other stages"


def test_a_message_without_its_other_end_has_no_arrow():
    events = trace_events(timeline([Hand(0).send(1, 0.0, 1.0).trace, Hand(1).receive(2, 0.0, 1.0).trace]))
    assert len(by(events, ph="X")) == 2
    assert by(events, ph="s") == by(events, ph="f") == []


def test_of_a_long_run_only_what_is_whole_everywhere_is_drawn():
    traces = virtual_traces(job("ring", workers=3, steps=40, train_seconds=0.001), NETWORK, limit=100)
    found = timeline(traces)
    assert [len(trace.cuts) for trace in traces] == [2, 2, 2]
    assert {kind for trace in traces for kind in trace.cuts["kind"].tolist()} == {CUT}
    assert found.window[0] == max(trace.cuts["began"].max() for trace in traces)
    events = trace_events(found)
    check_schema({"traceEvents": events}, [trace.name for trace in traces])
    steps = {event["args"]["step"] for event in by(events, name="train")}
    assert max(steps) == 39
    assert 25 < min(steps) < 39
    said = re.fullmatch(
        r"a long run, of which only the last (.*) s are in the trace, from step (\d+) on", cut_line(found)
    )
    assert float(said[1]) == pytest.approx(found.window[1] - found.window[0], rel=0.01)
    assert min(steps) - 1 <= int(said[2]) <= min(steps)


def test_the_file_is_written_whole_and_says_what_was_cut_and_how_the_clocks_were_put_right(tmp_path):
    (tmp_path / "ranks").mkdir()
    traces = {
        0: Hand(0, clock=1).stage("train", 0, 1).send(1, 1, 2),
        1: Hand(1, clock=2).receive(0, 11, 13).send(0, 13, 14),
    }
    traces[0].receive(1, 2, 4)
    for hand in traces.values():
        np.save(trace_file(tmp_path, hand.place), np.array(hand.rows, hand.trace.messages.dtype))
    write_trace(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ranks", "trace.json"]
    document = json.loads((tmp_path / "trace.json").read_text())
    check_schema(document, ["worker 0", "worker 1"])
    about = document["otherData"]
    assert about["clocks"] == 2
    assert about["clock_offset_seconds"] == {"0": 0.0, "1": pytest.approx(10.5)}
    assert about["clock_uncertainty_seconds"] == {"0": 0.0, "1": pytest.approx(1.5)}
    assert (about["cut"], about["seconds"]) == (None, pytest.approx(4.0))
