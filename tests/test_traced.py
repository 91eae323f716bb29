"""The traced endpoint records messages and changes nothing."""

import numpy as np
import pytest
from spies import Spy

from common.context import Context
from common.records.stage_clock import STAGES, StageClock
from common.records.trace_buffer import ALSO, RECEIVE, SEND, SETTLE, STAGE, VIRTUAL_CLOCK, TraceBuffer
from common.simulate import simulate
from common.transport.virtual.network import Network
from common.transport.wrappers.traced import TracedEndpoint
from experiments.ranks.trace_recorder import TraceRecorder, Untraced

X = np.zeros(5, np.float32)


def test_sums_are_forwarded_and_recorded_by_sender():
    class Sums(Spy):
        def recv_add_all(self, from_, into):
            self.calls.append(("recv_add_all", list(from_)))

        def recv_sum(self, from_, out):
            self.calls.append(("recv_sum", list(from_)))

    spy, buffer = Sums(), TraceBuffer(9)
    traced = TracedEndpoint(spy, buffer)
    traced.recv_add_all(iter((1, 2)), X)
    traced.recv_sum(iter((2, 1, 4)), X)
    assert spy.calls == [("recv_add_all", [1, 2]), ("recv_sum", [2, 1, 4])]
    records = buffer.records()
    assert records["kind"].tolist() == [RECEIVE, ALSO, RECEIVE, ALSO, ALSO]
    assert records["peer"].tolist() == [1, 2, 2, 1, 4]
    assert records["seq"].tolist() == [0, 0, 1, 1, 0]
    assert set(records["nbytes"].tolist()) == {20}


def test_an_answer_is_recorded_as_received_from_each_rank_and_then_sent_to_each():
    """It counts as sent when its last part was finished, since it may arrive before the call returns."""
    times = iter(range(100))
    parts = []

    class Answering(Spy):
        def now(self):
            return float(next(times))

        def recv_add_answer(self, from_, into, finish):
            finish(into[:2])
            finish(into[2:])
            self.calls.append(("recv_add_answer", from_, into, float(next(times))))

    spy, buffer = Answering(), TraceBuffer(9)
    traced = TracedEndpoint(spy, buffer)
    traced.expose(2, X)
    traced.recv_add_answer(iter((1, 2)), X, lambda part: parts.append(part.size))
    assert parts == [2, 3]
    (_, senders, into, answered) = spy.calls[1]
    assert (spy.calls[0], senders, into is X) == (("expose", 2, X), [1, 2], True)
    records = buffer.records()
    assert (records["began"][3:] == answered - 1).all()
    assert (records["ended"][1:] == answered - 1).all()
    assert records["kind"].tolist() == [SEND, RECEIVE, ALSO, SEND, SEND]
    assert records["peer"].tolist() == [2, 1, 2, 1, 2]
    assert records["seq"].tolist() == [0, 0, 0, 0, 1]
    assert set(records["nbytes"].tolist()) == {20}


def test_a_failed_send_is_not_recorded():
    class Broken(Spy):
        def send(self, to, array):
            raise ValueError("no")

    buffer = TraceBuffer(9)
    with pytest.raises(ValueError, match="no"):
        TracedEndpoint(Broken(), buffer).send(1, X)
    assert len(buffer.records()) == 0


def test_both_ends_record_the_same_messages_with_times_steps_and_numbers():
    traces = [TraceBuffer(99) for _ in range(2)]

    def program(ctx):
        traced = Context(TracedEndpoint(ctx.endpoint, traces[ctx.rank]), workers=2)
        for ctx.place.step in range(2):
            ctx.place.bucket = 7
            if ctx.rank == 0:
                traced.send(1, X)
                traced.lend(1, X[:2])
                traced.settle()
            else:
                traced.recv_into(0, X.copy())
                traced.recv_any((0,), X.copy())

    simulate(program, 2, network=Network(latency=1.0))
    sent, received = (buffer.records() for buffer in traces)
    assert sent["kind"].tolist() == [SEND, SEND, SETTLE] * 2
    assert received["kind"].tolist() == [RECEIVE] * 4
    sends = sent[sent["kind"] == SEND]
    for field, values in (("step", [0, 0, 1, 1]), ("seq", [0, 1, 2, 3]), ("nbytes", [20, 8] * 2), ("bucket", [7] * 4)):
        assert sends[field].tolist() == received[field].tolist() == values
    assert (received["ended"] - sends["began"]).tolist() == [1.0] * 4


def test_a_clock_notes_each_stretch_of_a_stage():
    moments = iter(range(9))
    place = Spy().place
    recording = TraceRecorder(None, place, 1, VIRTUAL_CLOCK)
    clock = recording.clock(StageClock, lambda: next(moments), place.enter)
    with clock("load"), clock("preprocess"):
        pass
    records = recording.stages.records()
    assert [STAGES[kind - STAGE] for kind in records["kind"]] == ["load", "preprocess", "load"]
    assert list(zip(records["began"].tolist(), records["ended"].tolist(), strict=True)) == [(0, 1), (1, 2), (2, 3)]
    assert clock.take()["load"] == 2


def test_an_untraced_run_has_no_traced_endpoint():
    spy = Spy()
    with Untraced() as recording:
        assert recording.endpoint(spy) is spy
        assert type(recording.clock(StageClock, spy.now, print)) is StageClock
