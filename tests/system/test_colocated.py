"""Servers in the workers' processes: the same bits as in their own, and a process ends as one, whoever of it fails."""

import functools
import os
import re
import signal

import pytest

from experiments.runs.find import load_run
from system.leftovers import PROMPT, Box

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ENDLESS = ("--steps", 100000, "--results", "results")
STEPS = 20

RAISES = """
from ps.strategy import PsBsp

class Raises(PsBsp):
    def serve(self, ctx, params, buckets):
        optimizer = ctx.optimizer

        def planted(params):
            inner = optimizer(params)
            step = inner.step

            def raising(*words, **more):
                if ctx.rank == 4 and ctx.place.step == 3:
                    raise ZeroDivisionError("a planted bug")
                step(*words, **more)

            inner.step = raising
            return inner

        ctx.optimizer = planted
        super().serve(ctx, params, buckets)
"""

HANGS = """
import time
from ps.strategy import PsBsp

class Hangs(PsBsp):
    def synchronize(self, ctx, bucket):
        while ctx.rank == 2 and ctx.place.step == 3:
            time.sleep(1)
        super().synchronize(ctx, bucket)
"""

NUMB = """
import time
from ps.strategy import PsBsp

class Numb(PsBsp):
    def setup(self, ctx, params):
        while ctx.rank == 1:
            time.sleep(1)
        super().setup(ctx, params)

    def serve(self, ctx, params, buckets):
        if ctx.rank == 4:
            raise ZeroDivisionError("a planted bug")
        super().serve(ctx, params, buckets)
"""


@pytest.fixture(scope="module")
def bits():
    """The hash that a ps-bsp job ends with; each asked for once."""
    with Box() as box:

        @functools.cache
        def bits(workers, servers, placement, transport, *words):
            options = ("--workers", workers, "--servers", servers, "--placement", placement, "--transport", transport)
            few = ("--steps", STEPS, "--results", box.results, "--json")
            done = box.run("run", "--strategy", "ps-bsp", *options, *few, *words)
            assert (done.code, done.errors) == (0, [])
            summary = done.json()
            assert summary["processes"] == workers + (servers if placement == "dedicated" else 0)
            assert len(set(summary["params_sha256"])) == 1
            return summary["params_sha256"][0]

        yield bits


@pytest.mark.parametrize(
    ("transport", "workers", "servers"),
    [
        *(("shm", workers, servers) for workers, servers in ((1, 1), (2, 1), (4, 4))),
        *(("ipc", workers, servers) for workers, servers in ((3, 1), (3, 3))),
        *(("tcp", workers, servers) for workers, servers in ((1, 1), (2, 5), (4, 4))),
    ],
)
def test_colocated_servers_end_with_the_bits_of_dedicated_ones(bits, workers, servers, transport):
    assert bits(workers, servers, "colocated", transport) == bits(workers, 1, "dedicated", "shm")


@pytest.mark.parametrize("transport", ["shm", "tcp"])
def test_so_they_do_on_several_hosts_and_beside_backward(bits, transport):
    overlapped = ("--bucket", "4KiB", "--overlap", "on", "--hosts", 2)
    assert bits(3, 3, "colocated", transport, *overlapped) == bits(3, 1, "dedicated", "shm")


@pytest.mark.parametrize("transport", ["shm", "tcp"])
@pytest.mark.parametrize("words", [("--bucket", "4KiB", "--overlap", "off"), ("--strategy.segment", 100)])
def test_so_they_do_in_many_small_pieces(bits, transport, words):
    assert bits(3, 3, "colocated", transport, *words) == bits(3, 1, "dedicated", "shm")


@pytest.mark.parametrize("transport", ["shm", "tcp"])
def test_so_they_do_where_only_the_touched_rows_travel(bits, transport):
    rows = ("--model", "embedding", "--data", "clicks", "--momentum", 0)
    assert bits(3, 3, "colocated", transport, *rows) == bits(3, 2, "dedicated", "shm", *rows)


@pytest.mark.parametrize(("overlap", "crews"), [("off", [[3], [4], [5]]), ("on", [[], [], []])])
def test_parameters_are_not_shared_while_backward_may_read_them(box, overlap, crews):
    told = "class Told(PsBsp):\n    def setup(self, ctx, params):\n"
    told += "        print('crew', ctx.rank, sorted(ctx.fast.colocated))\n"
    box.module("planted_crew", f"from ps.strategy import PsBsp\n\n{told}        super().setup(ctx, params)\n")
    options = ("--workers", 3, "--servers", 3, "--placement", "colocated", "--overlap", overlap, "--bucket", "4KiB")
    done = box.run("run", "--strategy", "planted_crew:Told", *options, "--steps", 2, "--results", "results")
    assert done.code == 0, done.err
    assert sorted(re.findall(r"crew \d .*", done.err)) == [f"crew {rank} {crew}" for rank, crew in enumerate(crews)]


def start(box, *words, strategy="ps-bsp"):
    options = ("--workers", 3, "--servers", 3, "--placement", "colocated", *ENDLESS)
    return box.start("run", "--strategy", strategy, *options, *words)


@pytest.mark.parametrize("transport", ["shm", "ipc", "tcp"])
def test_a_killed_process_is_the_death_of_its_worker_and_ends_the_run_promptly(box, transport):
    start(box, "--transport", transport, "--json")
    box.await_rows(4, "server")
    assert box.rank(4, "server") == box.rank(1)
    box.strike(1)
    done = box.end(PROMPT)
    summary = box.summary()

    assert done.code == 1
    assert (summary["error"]["type"], summary["error"]["rank"], summary["error"]["role"]) == ("PeerFailed", 1, "worker")
    assert summary["error"]["cause"] == "killed by signal 9 (SIGKILL)"
    assert done.json() == summary
    assert [entry["rank"] for entry in summary["servers_detail"]] == [3, 4, 5]
    run = load_run(box.result())
    assert run.worker_rows
    assert run.server_rows


@pytest.mark.parametrize("words", [(), ("--overlap", "on", "--bucket", "4KiB", "--transport", "tcp")])
def test_an_interrupt_ends_workers_and_servers(box, words):
    agent = start(box, *words)
    box.await_rows(5, "server")
    os.killpg(agent.pid, signal.SIGINT)
    done = box.end(PROMPT)

    assert done.code == 130
    assert done.errors == ["syncbench: interrupted; all ranks have ended"]
    assert box.summary()["status"] == "partial"


@pytest.mark.parametrize("words", [(), ("--overlap", "on", "--bucket", "4KiB", "--transport", "tcp")])
def test_a_server_that_raises_is_named_not_the_worker_that_it_takes_along(box, words):
    box.module("raises", RAISES)
    start(box, *words, strategy="raises:Raises")
    done = box.end()

    assert done.code == 1
    assert done.err.count("Traceback (most recent call last)") == 1
    assert done.errors[0] == "traceback of server rank 4:"
    assert done.complaint.startswith("syncbench: server rank 4, stage synchronize, step 3")
    assert done.complaint.endswith("ZeroDivisionError: a planted bug")


def test_who_waits_in_vain_for_a_hanging_worker_names_it_though_its_server_answers(box):
    box.module("hangs", HANGS)
    start(box, "--deadline", 1, strategy="hangs:Hangs")
    done = box.end()
    error = box.summary()["error"]

    assert done.code == 1
    assert (error["type"], error["peers"]) == ("DeadlineExceeded", [2])
    assert done.complaint.endswith("; worker rank 2 was in stage synchronize, step 3")


def test_a_process_ends_with_its_server_though_its_worker_hears_of_nothing(box):
    box.module("numb", NUMB)
    start(box, strategy="numb:Numb")
    done = box.end()

    assert done.code == 1
    assert done.complaint == "syncbench: server rank 4, stage setup, setup: ZeroDivisionError: a planted bug"
