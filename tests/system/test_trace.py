"""TracedEndpoint runs of real processes: a file that holds to its schema, and the one who was waited for."""

import json
from pathlib import Path

import pytest
from traces import check_schema

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def run(box, *words):
    done = box.run("run", *words, "--trace", "--results", "results", "--json")
    assert done.code == 0, done.err
    summary = done.json()
    folder = box.folder / Path(summary["results_dir"])
    return summary, folder, json.loads((folder / "trace.json").read_text())


def messages(document):
    """Of a trace: its sends, and its arrows."""
    events = document["traceEvents"]
    return sum(event.get("cat") == "send" for event in events), sum(event["ph"] == "s" for event in events)


def test_a_slow_worker_is_named_with_its_training(box):
    words = ("--strategy", "ring", "--workers", 4, "--steps", 12, "--slow-worker", "3:4", "--train-seconds", 0.04)
    summary, folder, document = run(box, *words, "--transport", "shm")
    assert summary["trace"] is True
    check_schema(document, [f"worker {rank}" for rank in range(4)])
    assert document["otherData"]["clocks"] == 1
    sent, arrows = messages(document)
    assert sent == arrows >= sum(summary["messages_sent"]["per_worker"])
    said = box.run("trace", folder, "--json").json()
    assert (said["waited_for"]["rank"], said["waited_for"]["stage"]) == ("worker 3", "train")
    assert said["steps"] == 10


def test_overlap_colocated_servers_and_sockets_are_traced_too(box):
    words = ("--strategy", "ps-bsp", "--workers", 2, "--servers", 2, "--placement", "colocated", "--steps", 10)
    buckets = ("--hidden", "64,64", "--bucket", "16KiB", "--overlap", "on", "--transport", "tcp")
    summary, _, document = run(box, *words, *buckets)
    check_schema(document, ["worker 0", "worker 1", "server 2", "server 3"])
    sent, arrows = messages(document)
    assert sent == arrows
    in_steps = sum(
        event.get("cat") == "send" and isinstance(event["args"]["step"], int) for event in document["traceEvents"]
    )
    assert in_steps == sum(map(sum, summary["messages_sent"].values()))
    names = {event["name"] for event in document["traceEvents"] if event.get("cat") == "stage" and event["pid"] == 3}
    assert names == {"update"}


def test_a_run_that_fails_leaves_its_trace(box):
    done = box.run("run", "--strategy", "ring", "--workers", 2, "--lr", 1e30, "--trace", "--results", "results")
    assert done.code == 1
    (folder,) = (box.folder / "results").iterdir()
    assert box.summary()["status"] == "failed"
    assert box.run("trace", folder).code == 0
