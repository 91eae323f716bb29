"""Other people's all-reduce is refused if it cannot run, and its errors name the rank that is to blame."""

import importlib.util
import stat
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch.distributed as dist

from allreduce.engines import Ddp, Gloo, Mpi, Nccl, translated
from common.errors import ConfigError, DeadlineExceeded, PeerFailed, RunError
from common.place import Place
from common.runtime.engine_host import EngineHost
from common.simulate import simulate
from common.testing.checks import check_strategy
from experiments.config import RunOptions, plan
from experiments.config.strategies import BUILTIN, create

ENGINES = [name for name, target in BUILTIN.items() if target.startswith("allreduce.engines:")]


def test_only_ddp_communicates_in_train():
    assert [cls for cls in (Gloo, Ddp, Nccl, Mpi) if cls.traits.synchronizes_in == "train"] == [Ddp]


@pytest.fixture
def process(tmp_path):
    """Rank 1 of three, with two seconds for each call; `overdue` holds the errors of calls that took longer."""
    overdue = []
    place = Place(1, stage="synchronize", step=7)
    host = EngineHost(tmp_path, 3, place, 2.0, overdue.append)
    return SimpleNamespace(host=host, place=place, overdue=overdue)


def context(process, barrier=lambda: None):
    return SimpleNamespace(place=process.place, barrier=barrier)


@pytest.mark.parametrize(
    "message",
    [
        "[unbound_buffer.cc:78] Timed out waiting 2000ms for recv operation to complete",
        "wait timeout after 2000ms, keys: /default_pg/0",
        "Application timed out and closed the pair",
    ],
)
def test_an_engine_that_ran_out_of_time_waited_for_all_the_others(process, message):
    with pytest.raises(DeadlineExceeded) as raised, translated(context(process), process.host, "gloo"):
        raise RuntimeError(message)
    assert str(raised.value) == "worker rank 1, stage synchronize, step 7: waited 2 s in gloo"
    assert raised.value.peers == (0, 2)


def test_a_broken_connection_is_blamed_on_the_rank_that_is_missing_at_the_barrier(process):
    died = PeerFailed("killed", rank=2, role="worker", stage="train", step=7)

    def barrier():
        raise died

    with pytest.raises(PeerFailed) as raised, translated(context(process, barrier), process.host, "gloo"):
        raise RuntimeError("Connection closed by peer [127.0.0.1]:4711")
    assert raised.value is died


def test_an_engine_that_fails_while_all_ranks_are_alive_failed_by_itself(process):
    with pytest.raises(RunError) as raised, translated(context(process), process.host, "gloo"):
        raise RuntimeError("no luck\nand more of it")
    assert str(raised.value) == "worker rank 1, stage synchronize, step 7: gloo: no luck"


def test_our_own_errors_pass_unchanged(process):
    ours = RunError("diverged", rank=1, role="worker", stage="train", step=7)
    with pytest.raises(RunError) as raised, translated(context(process), process.host, "gloo"):
        raise ours
    assert raised.value is ours


def test_a_call_that_blocks_for_longer_than_the_deadline_is_overdue(tmp_path):
    told = threading.Event()
    errors = []

    def overdue(error):
        errors.append(error)
        told.set()

    with EngineHost(tmp_path, 2, Place(0, stage="synchronize", step=3), 0.0, overdue).limit("MPI_Allreduce"):
        assert told.wait(30)
    assert str(errors[0]) == "worker rank 0, stage synchronize, step 3: waited 0 s in MPI_Allreduce"
    assert errors[0].peers == (1,)


def test_a_call_that_has_returned_is_never_overdue(process):
    for _ in range(2):
        with process.host.limit("a call"):
            pass
    assert process.host._call is None
    assert process.overdue == []


def test_two_engines_of_one_process_have_a_group_each_and_the_last_one_cleans_up(tmp_path):
    place = Place(0)
    ctx = SimpleNamespace(place=place, rank=0, workers=range(1), barrier=lambda: None, settle=lambda: None)
    x = np.arange(5, dtype=np.float32)
    first, second = Gloo(), Gloo()
    first.host = second.host = EngineHost(tmp_path, 1, place, 30.0, lambda error: None)
    try:
        first.setup(ctx, x)
        second.setup(ctx, x)
        assert first.group is not second.group
        first.all_reduce(ctx, x)
        first.finish(ctx)
        second.all_reduce(ctx, x)
        second.finish(ctx)
        assert not dist.is_initialized()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    assert x.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ENGINES)
def test_the_conformance_suite_refuses_engines(name):
    with pytest.raises(ValueError, match="moves the bytes itself: nothing can be checked in virtual time"):
        check_strategy(lambda: create(name, {}))


def test_an_engine_cannot_run_in_virtual_time_where_ranks_have_no_process():
    with pytest.raises(ValueError, match="is no process of its own"):
        simulate(lambda ctx: Gloo().setup(ctx, np.zeros(3, np.float32)), 1)


@pytest.mark.parametrize("given", [0, -1.5, "large", None, float("nan")])
def test_an_impossible_bucket_size_is_refused(given):
    with pytest.raises(ValueError, match=r"bucket_cap_mb is .*: give a number above 0, in MiB"):
        Ddp(bucket_cap_mb=given)


@pytest.mark.parametrize(("gpus", "workers"), [(0, 1), (3, 4)])
def test_nccl_needs_a_gpu_for_each_worker(monkeypatch, gpus, workers):
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    with pytest.raises(ConfigError, match=f"torch sees {gpus}, for {workers} workers; on CPUs, use gloo"):
        Nccl().check(workers)
    Nccl().check(gpus)


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Return a function that sets whether mpi4py is installed, and what `mpirun --version` prints, if anything."""

    def install(*, mpi4py=True, version=None):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if mpi4py else None)
        if version is not None:
            program = tmp_path / "mpirun"
            program.write_text(f"#!/bin/sh\necho '{version}'\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))

    return install


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ({"mpi4py": False}, "needs mpi4py and Open MPI: pip install -e '.[mpi]', apt-get install openmpi-bin"),
        ({}, "strategy 'mpi' needs Open MPI's mpirun: apt-get install openmpi-bin"),
        ({"version": "HYDRA build details"}, "the mpirun here is not Open MPI's: apt-get install openmpi-bin"),
    ],
)
def test_mpi_names_what_is_missing_and_how_to_install_it(installed, what, complaint):
    installed(**what)
    with pytest.raises(ConfigError) as refused:
        plan(RunOptions(strategy="mpi"))
    assert str(refused.value).endswith(complaint)


def test_mpi_accepts_open_mpi(installed):
    installed(version="mpirun (Open MPI) 4.1.4")
    Mpi().check(4)
