"""`bench` as a user runs it: what it measures, and how it ends when something goes wrong."""

import os
import signal

import pytest

from allreduce.ring import Ring
from ps.strategy import PsBsp
from system.leftovers import PROMPT, parse
from system.test_bad_disk import fill, small_disk  # noqa: F401 - a fixture

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

SHORT = ("--sizes", "4KiB,64KiB", "--workers", 2, "--results", "results")
ENDLESS = ("bench", "--strategies", "ring,ps-bsp", *SHORT, "--transport", "ipc", "--repeats", 1000)

WRONG = """
from allreduce.star import Star

class Wrong(Star):
    def all_reduce(self, ctx, x):
        super().all_reduce(ctx, x)
        ctx.settle()
        if ctx.rank == 1 and x.size > 2000:
            x[7] += 1
"""

HANGS = """
import time
from allreduce.star import Star

class Hangs(Star):
    def all_reduce(self, ctx, x):
        while ctx.rank == 1:
            time.sleep(1)
        super().all_reduce(ctx, x)
"""


def saved(box):
    """The document in the only result folder."""
    return parse((box.result() / "bench.json").read_text())


def test_every_contestant_is_verified_and_measured_at_every_size_over_every_transport(box):
    words = ("--strategies", "ring,ps-bsp", *SHORT, "--transport", "ipc,tcp", "--repeats", 2, "--json")
    done = box.run("bench", *words)
    assert done.code == 0, done.err
    found = done.json()
    rows = {(row["strategy"], row["transport"], row["bytes"]): row for row in found["rows"]}

    assert set(rows) == {(s, t, n) for s in ("ring", "ps-bsp") for t in ("ipc", "tcp") for n in (4096, 65536)}
    for (strategy, _, nbytes), row in rows.items():
        cls, servers = (Ring, 0) if strategy == "ring" else (PsBsp, 1)
        sent = sum(cls().bytes_sent(rank, 2, servers, nbytes // 4) for rank in range(2 + servers))
        assert (row["workers"], row["servers"], row["wrong"], row["wire_bytes"]) == (2, servers, 0, sent)
        assert len(row["samples"]) == 2
        assert row["seconds_ci95"][0] <= row["seconds_median"] <= row["seconds_ci95"][1]
        assert 2 <= row["iterations"] <= 1000
        assert row["algbw_GBps"] == pytest.approx(nbytes / row["seconds_median"] / 1e9)
        assert row["limit_fraction"] > 0
        assert row["seconds_predicted"] > 0
        assert (row["busbw_GBps"] is None) == (strategy == "ps-bsp") == (row["server_ingress_GBps"] is not None)
        if strategy == "ring":
            assert row["ratio"] == 1
    assert (found["schema"], found["status"], found["baseline"]) == (1, "ok", "ring")
    assert found["limits"]["copy_GBps_per_core"] > 0
    assert found["environment"]["threads_per_rank"] == 1

    folder = box.result()
    assert found == saved(box)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "env.json", "bench.json", "plots/time.png", "plots/bandwidth.svg", "plots/bench.csv"} < names
    assert "-bench-w2-" in folder.name


@pytest.mark.extras("mpi")
def test_engines_take_part_once_whatever_the_transports_and_servers_may_too(box):
    words = ("--strategies", "ps-bsp,gloo,mpi", "--transport", "ipc,tcp", "--sizes", "4KiB", "--repeats", 1, "--json")
    done = box.run("bench", *words, "--workers", 2, "--results", "results")
    assert done.code == 0, done.err
    rows = {(row["strategy"], row["transport"]): row for row in done.json()["rows"]}
    assert set(rows) == {("ps-bsp", "ipc"), ("ps-bsp", "tcp"), ("gloo", "gloo"), ("mpi", "mpi")}
    assert {row["wrong"] for row in rows.values()} == {0}
    assert [row["wire_bytes"] for row in rows.values()] == [4 * 4096, 4 * 4096, None, None]
    assert done.json()["baseline"] == "gloo"


def test_with_the_update_every_worker_ends_with_the_parameters_that_a_server_would_give_it(box):
    words = ("--strategies", "ring,direct,ps-bsp,gloo", "--with-update", *SHORT, "--transport", "ipc,shm", "--json")
    done = box.run("bench", *words, "--servers", 2, "--placement", "colocated", "--repeats", 1)
    assert done.code == 0, done.err
    rows = done.json()["rows"]
    assert len(rows) == 2 * (3 * 2 + 1)
    assert {(row["wrong"], row["update"], row["busbw_GBps"]) for row in rows} == {(0, True, None)}


def test_a_strategy_takes_part_once_for_each_set_of_options(box):
    words = ("--strategies", "ring,ps-bsp,ps-bsp(segment=1024)", *SHORT, "--transport", "shm", "--repeats", 1, "--json")
    done = box.run("bench", *words)
    assert done.code == 0, done.err
    rows = done.json()["rows"]
    assert [row["strategy"] for row in rows] == 2 * ["ring", "ps-bsp", "ps-bsp(segment=1024)"]
    assert {row["wrong"] for row in rows} == {0}
    assert rows[4]["wire_bytes"] == rows[5]["wire_bytes"]
    assert rows[4]["seconds_predicted"] > rows[5]["seconds_predicted"]  # more of the pipeline is filled


def test_two_engines_of_torch_take_part_in_one_benchmark(box):
    box.module("planted_bench", "from allreduce.engines import Gloo\n\nclass Another(Gloo):\n    pass\n")
    words = ("--strategies", "gloo,planted_bench:Another", *SHORT, "--transport", "ipc", "--repeats", 1, "--json")
    done = box.run("bench", *words)
    assert done.code == 0, done.err
    assert {(row["strategy"], row["wrong"]) for row in done.json()["rows"]} == {
        ("gloo", 0),
        ("planted_bench:Another", 0),
    }


def test_people_get_tables(box):
    done = box.run("bench", "--strategies", "star", "--sizes", "4KiB", "--workers", 3, "--transport", "ipc")
    assert done.code == 0, done.err
    assert "4 KiB, 3 workers" in done.out
    assert f"plots:   {next((box.folder / 'results').iterdir()).relative_to(box.folder)}/plots" in done.out


def test_a_result_that_is_wrong_is_listed_and_is_exit_code_3(box):
    box.module("planted_bench", WRONG)
    words = ("--strategies", "ring,planted_bench:Wrong", *SHORT, "--transport", "ipc", "--repeats", 1, "--json")
    done = box.run("bench", *words)
    assert done.code == 3, done.err
    wrong = {(row["strategy"], row["bytes"]): row["wrong"] for row in done.json()["rows"]}
    assert wrong == {
        ("ring", 4096): 0,
        ("ring", 65536): 0,
        ("planted_bench:Wrong", 4096): 0,
        ("planted_bench:Wrong", 65536): 2,  # one element, in each of the two exchanges that are verified
    }
    assert done.complaint == "syncbench: wrong results: planted_bench:Wrong over ipc at 65536 bytes (2 elements)"


@pytest.mark.parametrize(("rank", "role"), [(1, "worker"), (2, "server")])
def test_a_rank_that_is_killed_is_named_and_nothing_is_left(box, rank, role):
    box.start(*ENDLESS)
    box.strike(rank, role)
    done = box.end(PROMPT)
    assert (done.code, done.out) == (1, "")
    assert f"{role} rank {rank}" in done.complaint
    assert "killed by signal 9 (SIGKILL)" in done.complaint
    assert "(during " in done.complaint
    found = saved(box)
    assert (found["status"], found["error"]["rank"]) == ("failed", rank)
    assert {row["strategy"] for row in found["rows"]} <= {"ring", "ps-bsp"}


@pytest.mark.extras("mpi")
@pytest.mark.parametrize(("rank", "role"), [(1, "worker"), (2, "server")])
def test_a_rank_that_is_killed_beside_mpirun_is_named_and_nothing_is_left(box, rank, role):
    box.start("bench", "--strategies", "mpi,ps-bsp", *SHORT, "--transport", "ipc", "--repeats", 1000)
    box.strike(rank, role)
    done = box.end(PROMPT)
    assert (done.code, done.out) == (1, "")
    assert f"{role} rank {rank}" in done.complaint
    assert "killed by signal 9 (SIGKILL)" in done.complaint
    assert saved(box)["error"]["rank"] == rank


def test_a_rank_that_hangs_ends_the_benchmark_at_the_deadline(box):
    box.module("planted_bench", HANGS)
    words = ("--strategies", "planted_bench:Hangs", *SHORT, "--transport", "ipc", "--deadline", 1)
    done = box.run("bench", *words)
    assert (done.code, done.out) == (1, "")
    assert "waited 1 s for rank 1" in done.complaint
    assert "during Hangs" not in done.complaint
    assert "during planted_bench:Hangs over ipc, 4 KiB, verification" in done.complaint


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_benchmark_keeps_what_it_has(box, number, code):
    command = box.start(*ENDLESS)
    box.await_rows(rows=8)
    os.killpg(command.pid, number)
    done = box.end(PROMPT)
    assert (done.code, done.out) == (code, "")
    assert done.complaint == "syncbench: interrupted; all ranks have ended"
    found = saved(box)
    assert found["status"] == "partial"
    assert found["rows"]


@pytest.mark.parametrize("pages", [0, 3], ids=["before", "in the middle"])
def test_a_full_disk_ends_the_benchmark_with_one_line(box, small_disk, pages):  # noqa: F811 - the fixture
    fill(small_disk)
    os.truncate(small_disk / "filler", (small_disk / "filler").stat().st_size - pages * 4096)
    words = ("--strategies", "ring", "--sizes", "4KiB", "--workers", 2, "--transport", "ipc", "--repeats", 1000)
    done = box.run("bench", *words, "--results", small_disk)
    assert done.code in (1, 2)
    assert "no space left on device" in done.complaint.lower()
    assert done.out == ""
    assert not list(small_disk.rglob("*.part"))
    assert len(list(small_disk.rglob("*.jsonl"))) == (2 if pages else 0)  # three pages: config, env, the first row
