"""The critical path names the rank that was waited for, in traces where the rank is known."""

import pytest
import virtual_jobs
from jobs import job
from traces import Hand, check_schema, virtual_traces

from common.records.stage_clock import STAGES
from common.records.trace_buffer import ALSO, STAGE, VIRTUAL_CLOCK
from common.transport.virtual.network import Network
from experiments.trace.critical_path import critical_path
from experiments.trace.perfetto import trace_events
from experiments.trace.timeline import read_traces, timeline

NETWORK = Network(latency=20e-6, bandwidth=125e6, overhead=1e-6)
WARMUP = 1


def path_of(*hands):
    return critical_path(timeline([hand.trace for hand in hands]))


def charged(path):
    """By rank and stage, without what is not on the path."""
    return {key: pytest.approx(seconds) for key, seconds in path.charged.items() if seconds > 1e-12}


def test_the_path_of_a_single_rank_is_its_stages():
    path = path_of(Hand(0).stage("load", 0, 1).stage("train", 1, 4).stage("update", 4.5, 5))
    assert charged(path) == {
        ("worker 0", "load"): 1,
        ("worker 0", "train"): 3,
        ("worker 0", "between stages"): 0.5,
        ("worker 0", "update"): 0.5,
    }
    assert (path.seconds, path.steps, path.waited) == (5, 1, {"worker 0": 0})


def test_from_a_wait_the_path_goes_to_the_sender_and_on_with_what_it_did_before():
    quick, slow = Hand(0).stage("train", 0, 1), Hand(1).stage("train", 0, 7)
    slow.send(0, 7, 7.5).stage("synchronize", 7, 7.5)
    quick.receive(1, 1, 8).stage("synchronize", 1, 8).stage("update", 8, 10)
    path = path_of(quick, slow)
    assert charged(path) == {
        ("worker 1", "train"): 7,
        ("worker 1", "synchronize"): 0.5,
        ("worker 0", "synchronize"): 0.5,
        ("worker 0", "update"): 2,
    }
    assert list(path.waited.values()) == [6.5, 0]


def test_a_message_that_had_come_before_is_not_waited_for():
    late, early = Hand(0).stage("train", 0, 7), Hand(1).stage("train", 0, 1).send(0, 1, 1.5)
    late.receive(1, 7, 8).stage("synchronize", 7, 8)
    path = path_of(late, early)
    assert charged(path) == {("worker 0", "train"): 7, ("worker 0", "synchronize"): 1}
    assert list(path.waited.values()) == [0, 0]


def test_of_several_messages_that_are_added_up_the_one_sent_last_is_waited_for():
    one, two = Hand(1).stage("train", 0, 5).send(0, 5, 5), Hand(2).stage("train", 0, 3).send(0, 3, 3)
    server = Hand(0, "server").receive(1, 0, 6)
    server.receive(2, 0, 6)
    server.rows[-1] = (ALSO, *server.rows[-1][1:])  # in the same call
    server.send(1, 6, 6)
    one.receive(0, 5, 6).stage("update", 6, 7)
    path = path_of(server, one, two)
    assert charged(path) == {("worker 1", "train"): 5, ("server 0", "synchronize"): 1, ("worker 1", "update"): 1}
    assert list(path.waited.values()) == [5, 1, 0]


def test_a_settle_waits_for_the_last_reader():
    lender, reader = Hand(0).stage("train", 0, 1).send(1, 1, 1), Hand(1).stage("train", 0, 4).receive(0, 4, 5)
    lender.rows.append((4, -1, 0, 0, 0, 0, 1, 5))
    lender.stage("synchronize", 1, 5).stage("update", 5, 6)
    path = path_of(lender, reader)
    assert charged(path) == {("worker 1", "train"): 4, ("worker 1", "synchronize"): 1, ("worker 0", "update"): 1}
    assert list(path.waited.values()) == [4, 0]


def test_a_message_on_its_way_is_charged_to_the_end_where_more_of_them_queue():
    """Answers of a server to three workers leave one after the other: the server's link is what they wait for."""
    server = Hand(0, "server")
    workers = [Hand(rank).stage("train", 0, 1) for rank in (1, 2, 3)]
    for worker in workers:
        server.receive(worker.place.rank, 0, 1)
        worker.send(0, 1, 1)
    for number, worker in enumerate(workers):
        server.send(worker.place.rank, 1, 1)
        worker.receive(0, 1, 4 + number).stage("synchronize", 1, 4 + number)
    path = path_of(server, *workers)
    assert charged(path)["server 0", "synchronize"] == 5
    assert sum(seconds for (_, stage), seconds in path.charged.items() if stage == "train") == 1


def test_the_path_accounts_for_the_whole_of_the_steps_without_warm_up():
    for strategy, servers in (("ring", 0), ("ps-bsp", 2), ("ps-async", 1), ("tree", 0)):
        work = job(strategy, workers=4, servers=servers, steps=6, train_seconds=0.002, jitter="uniform:0,0.001")
        path = critical_path(timeline(virtual_traces(work, NETWORK)), warmup=2)
        assert path.steps == 4
        assert sum(path.charged.values()) == pytest.approx(path.seconds)
        assert min(path.charged.values()) >= 0
        assert all(0 <= waited <= path.seconds for waited in path.waited.values())


@pytest.mark.parametrize(
    ("strategy", "servers", "more"),
    [
        ("ring", 0, {}),
        ("tree", 0, {}),
        ("ps-bsp", 1, {}),
        ("ring", 0, {"hidden": (64, 64), "bucket": 16 << 10}),
    ],
    ids=["ring", "tree", "ps-bsp", "overlap"],
)
def test_a_slow_worker_is_named_with_its_training(strategy, servers, more):
    work = job(strategy, workers=4, servers=servers, steps=6, train_seconds=0.005, slow_worker="3:4", **more)
    found = critical_path(timeline(virtual_traces(work, NETWORK)), WARMUP)
    name, stage, seconds, _ = found.most
    assert (name, stage) == ("worker 3", "train")
    assert found.share(seconds) > 0.7
    assert found.share(found.waited["worker 0"]) > 0.5
    assert found.share(found.waited["worker 3"]) < 0.2
    assert found.sentence().startswith("the others waited for worker 3: ")


def test_a_single_server_under_many_workers_is_named():
    work = job("ps-bsp", workers=8, servers=1, steps=4, train_seconds=0.0005)
    found = critical_path(timeline(virtual_traces(work, NETWORK)), WARMUP)
    name, stage, seconds, _ = found.most
    assert (name, stage) == ("server 8", "synchronize")
    assert found.share(seconds) > 0.5
    assert "server 8" in found.sentence()


def test_among_equals_nobody_in_particular_is_named():
    found = critical_path(
        timeline(virtual_traces(job("ring", workers=4, steps=6, train_seconds=0.0001), NETWORK)), WARMUP
    )
    assert found.sentence().startswith("nobody in particular was waited for; most often worker ")


def test_of_a_long_run_its_end_is_followed():
    work = job("ring", workers=3, steps=40, train_seconds=0.001, slow_worker="1:3")
    found = timeline(virtual_traces(work, NETWORK, limit=100))
    path = critical_path(found, warmup=1)
    assert 4 < path.steps < 20
    assert sum(path.charged.values()) == pytest.approx(path.seconds)
    assert path.seconds < found.window[1] - found.window[0]
    assert path.charged["worker 1", "train"] > 0.8 * path.seconds


def test_a_call_that_a_full_buffer_has_cut_in_two_is_left_out():
    server = Hand(1, "server").receive(0, 0, 6)
    server.rows[-1] = (ALSO, *server.rows[-1][1:])
    found = timeline([Hand(0).stage("train", 0, 7).send(1, 3, 3).trace, server.trace])
    assert len(found.traces[1].messages) == 0
    assert found.partner.tolist() == [-1]
    assert charged(critical_path(found)) == {("worker 0", "train"): 7}


def test_a_note_says_that_an_engine_moves_the_bytes_itself():
    hands = [Hand(rank).stage("train", 0, 1 + rank) for rank in range(2)]
    found = critical_path(timeline([hand.trace for hand in hands]), engine="gloo")
    assert found.sentence().endswith("gloo moves the bytes itself, so the trace has stages only")
    assert (found.to_json()["critical_path"], found.to_json()["waited_for"]) == ([], None)


def test_a_trace_without_steps_has_no_path():
    path = path_of(Hand(0).send(1, 0, 1), Hand(1))
    assert (path.charged, path.seconds, path.steps) == ({}, 0, 0)


def test_a_run_in_virtual_time_is_traced_with_what_its_stages_cost(tmp_path):
    ran = virtual_jobs.run(tmp_path, strategy="ring", workers=4, steps=6, slow_worker="2:5", trace=True)
    assert ran.ok
    traces = read_traces(ran.folder)
    assert {trace.clock for trace in traces} == {VIRTUAL_CLOCK}
    check_schema({"traceEvents": trace_events(timeline(traces))}, [f"worker {rank}" for rank in range(4)])
    name, stage, *_ = critical_path(timeline(traces), WARMUP).most
    assert (name, stage) == ("worker 2", "train")
    stages = {STAGES[kind - STAGE] for kind in traces[0].stages["kind"].tolist()}
    assert {"load", "train", "synchronize", "update"} <= stages
