"""Other people's all-reduce computes what ours does, and dies as cleanly."""

import functools
import os
import re
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from experiments.runs.find import load_run
from experiments.schema.documents import PerRank
from system.leftovers import PROMPT, Box

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ENDLESS = ("--workers", 3, "--steps", 1000000, "--results", "results")
TOLERANCE = 1e-4  # relative: they add up in an order of their own
MPI = pytest.param("mpi", marks=pytest.mark.extras("mpi"))
MPIRUN = ("mpirun", "orterun")
# Of a peer that died while its memory was read; of a job that it is ending already.
OPEN_MPI_SAYS = re.compile(r"\[\S+:\d+\] Read -1, |mpirun: abort is already in progress|$")
ENGINES = ["gloo", "ddp", MPI]


@pytest.fixture(scope="module")
def run():
    """Run a strategy, once."""
    with Box() as box:

        @functools.cache
        def run(strategy, *words):
            options = ("--workers", 3, "--steps", 10, "--seed", 1, "--results", box.results, *words)
            done = box.run("run", "--strategy", strategy, *options, "--json")
            assert (done.code, done.errors) == (0, [])
            return load_run(done.json()["results_dir"])

        run.box = box
        yield run


@pytest.fixture
def train(box):
    """Start an endless run and wait until it trains; whatever ends it, its shared memory goes too."""
    shared = []

    def train(strategy, *words):
        box.start("run", "--strategy", strategy, *words, *ENDLESS)
        box.await_rows()
        shared.extend(map(shared_memory, mpiruns(box)))
        assert all(path.is_dir() for path in shared)

    yield train
    box.assert_nothing_left()
    assert [path for path in shared if path.exists()] == []


def mpiruns(box):
    """The box's processes of mpirun."""
    return [process for process in box.processes() if process.name() in MPIRUN]


def shared_memory(mpirun):
    """The folder for the memory that the ranks of this mpirun share."""
    words = mpirun.cmdline()
    return Path(words[words.index("btl_vader_backing_directory") + 1])


def params(run):
    return np.load(run.path / "params.npy", allow_pickle=False)


@pytest.mark.parametrize("strategy", ENGINES)
def test_a_baseline_computes_what_the_ring_does_on_the_same_samples(run, strategy):
    ring, other = run("ring"), run(strategy)
    assert other.summary.ledger_sha256 == ring.summary.ledger_sha256
    assert len(set(other.summary.params_sha256)) == 1
    np.testing.assert_allclose(params(other), params(ring), rtol=TOLERANCE, atol=1e-6)


def test_buckets_of_ddp_so_small_that_each_tensor_has_its_own_change_nothing(run):
    one, many = run("ddp"), run("ddp", "--strategy.bucket_cap_mb", 0.001)
    np.testing.assert_allclose(params(many), params(one), rtol=TOLERANCE, atol=1e-6)


@pytest.mark.parametrize("strategy", ENGINES)
def test_bytes_that_nobody_counted_are_unknown_not_none(run, strategy):
    summary = run(strategy).summary
    assert summary.own_transport == {"ddp": "gloo"}.get(strategy, strategy)
    assert summary.synchronizes_in == ("train" if strategy == "ddp" else "synchronize")
    for name in ("bytes_sent", "messages_sent", "bytes_received"):
        assert getattr(summary, name) == PerRank(per_worker=(None, None, None))
    assert run(strategy).sent_per_step("worker") == []


@pytest.mark.parametrize("strategy", ENGINES)
def test_a_killed_rank_is_named_and_ends_the_run_promptly(box, train, strategy):
    train(strategy)
    box.strike(1)
    done = box.end(PROMPT)
    error = box.summary()["error"]
    assert done.code == 1
    cause = "killed by signal 9 (SIGKILL)"
    if strategy == "mpi":
        cause += ", or crashed in native code: mpirun does not tell which"
    assert (error["type"], error["rank"], error["cause"]) == ("PeerFailed", 1, cause)
    assert done.complaint.endswith(error["cause"])
    assert len([line for line in done.errors if not OPEN_MPI_SAYS.match(line)]) == 2


@pytest.mark.parametrize("strategy", ENGINES)
def test_a_rank_that_stands_still_is_named_once_the_deadline_has_passed(box, train, strategy):
    train(strategy, "--deadline", 2)
    box.strike(1, number=signal.SIGSTOP)
    done = box.end(2 + 2 * PROMPT)
    error = box.summary()["error"]
    assert done.code == 1
    assert error["type"] == "DeadlineExceeded"
    assert "worker rank 1 was in stage " in error["cause"]
    assert 1 in error["peers"]


@pytest.mark.parametrize("strategy", [MPI])
def test_a_killed_mpirun_ends_the_run_promptly(box, train, strategy):
    train(strategy)
    (mpirun,) = mpiruns(box)
    mpirun.kill()
    done = box.end(PROMPT)
    assert done.code == 1
    assert "mpirun that started it, which was killed" in done.complaint
    assert len(done.errors) == 2


@pytest.mark.parametrize("strategy", ENGINES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_an_agent_that_is_ended_leaves_nothing_behind(box, train, strategy, number):
    train(strategy)
    assert listening(box) <= {"127.0.0.1"}
    os.kill(box.commands[-1].pid, number)
    assert box.end(PROMPT).code == (130 if number == signal.SIGINT else -number)


@pytest.mark.parametrize("strategy", [MPI])
def test_what_is_left_when_everybody_is_killed_at_once_goes_with_the_next_run(box, train, strategy):
    train(strategy)
    (mpirun,) = mpiruns(box)
    shared = shared_memory(mpirun)
    assert shared.is_dir()
    # Nobody gets to tidy up: all stand still, and children go first, since those of a stopped group that loses its
    # parent are woken by the kernel.
    for act in ("suspend", "kill"):
        for process in sorted(box.processes(), key=psutil.Process.create_time, reverse=act == "kill"):
            getattr(process, act)()
    box.end(PROMPT)
    assert box.run("run", "--strategy", "noop", "--workers", 2, "--steps", 2, "--results", "more").code == 0
    assert not shared.exists()


def listening(box):
    """The addresses at which the box's processes listen, but for mpirun, which listens everywhere."""
    processes = [process for process in box.processes() if process.name() not in MPIRUN]
    connections = [one for process in processes for one in process.net_connections("inet")]
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def test_nccl_without_enough_gpus_is_refused_in_one_line_before_anything_starts(box):
    done = box.run("run", "--strategy", "nccl", "--workers", 200, "--batch", 200, "--results", "results")
    assert (done.code, done.out, done.errors) == (2, "", [done.complaint])
    assert "needs a CUDA GPU for each worker" in done.complaint
    assert not box.results.exists() or not list(box.results.iterdir())


def test_mpi_without_mpirun_is_refused_in_one_line_that_says_what_to_install(box, monkeypatch):
    monkeypatch.setenv("PATH", str(box.folder))
    done = box.run("run", "--strategy", "mpi", "--results", "results")
    assert (done.code, done.out, done.errors) == (2, "", [done.complaint])
    assert "apt-get install openmpi-bin" in done.complaint
