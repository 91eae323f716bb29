"""Whole jobs with an embedding table: by rows or dense, the same model on the same samples."""

import functools
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import STRATEGIES, job, run
from runs import summary
from transports import on

from allreduce.sparse_all_gather import SparseAllGather, mean_rows
from common.errors import ConfigError, ProtocolError
from common.pipeline.update import FlatOptimizer
from common.pipeline.worker import Worker, serve
from common.records.stage_clock import StageClock
from common.runtime.job import OptimizerSpec
from common.simulate import simulate
from common.strategy import SyncStrategy, Traits
from common.transport.virtual.network import Network
from common.types import Rows
from experiments.config import RunOptions, plan
from experiments.config.options.training import by_rows
from experiments.runs.describe import sparse_line
from ps.row_messages import send_rows
from ps.strategy import PsAsync, PsBackup, PsSsp

PLAIN = OptimizerSpec("sgd", lr=0.5, momentum=0.0)
TABLE, WIDTH = 2000, 16
MAKE = {
    **STRATEGIES,
    "sparse-all-gather": SparseAllGather,
    "ps-ssp": lambda: PsSsp(2),
    "ps-ssp-0": lambda: PsSsp(0),
    "ps-async": PsAsync,
    "ps-backup": PsBackup,
}
SPARSE = [("sparse-all-gather", 0), ("ps-bsp", 1), ("ps-bsp", 3)]
every_sparse = pytest.mark.parametrize(("strategy", "servers"), SPARSE)


@functools.cache
def trained(strategy, servers=0, sparse=False, network=None, **more):
    """A finished job with an embedding table, run once for all tests that only read it."""
    this = job(
        strategy,
        servers=servers,
        steps=16,
        optimizer=PLAIN,
        data=f"clicks:rows={TABLE},samples=4000",
        model="embedding",
        hidden=(WIDTH, 8),
        sparse=sparse,
        **{"overlap": "off", **more},
    )
    return run(this, make=MAKE[strategy], network=network)


@every_sparse
def test_rows_and_dense_gradients_lead_to_the_same_losses_and_parameters(strategy, servers):
    rows, ring = trained(strategy, servers, sparse=True), trained("ring")
    np.testing.assert_allclose(rows.losses, ring.losses, rtol=1e-5)
    np.testing.assert_allclose(rows.params, ring.params, rtol=1e-4, atol=1e-6)
    assert rows.ledger == ring.ledger == trained("single").ledger
    assert rows.losses[-10:].mean() < 0.8 * rows.losses[0]


@every_sparse
def test_all_workers_end_with_the_same_bits_whatever_arrives_first(strategy, servers):
    calm = trained(strategy, servers, sparse=True)
    jittery = trained(strategy, servers, sparse=True, network=Network(latency=1e-3, jitter=0.1, seed=5))
    assert len({each.params_sha256 for result in (calm, jittery) for each in result.trained}) == 1


@every_sparse
@pytest.mark.parametrize("bucket", [64, 1 << 20])
def test_overlap_changes_no_bit(strategy, servers, bucket):
    plain = trained(strategy, servers, sparse=True, bucket=bucket)
    overlapped = trained(strategy, servers, sparse=True, bucket=bucket, overlap="on")
    assert overlapped.params.tobytes() == plain.params.tobytes()


@every_sparse
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_rows_and_dense_gradients_agree_for_other_numbers_of_workers(strategy, servers, workers):
    rows, one = trained(strategy, servers, sparse=True, workers=workers), trained("single", workers=workers)
    np.testing.assert_allclose(rows.losses, one.losses, rtol=1e-5)
    assert rows.ledger == one.ledger


@every_sparse
def test_a_larger_table_costs_no_more_bytes(strategy, servers):
    """48 samples of 8 ids a step touch as many rows of a large table as of a small one."""

    def sent(rows):
        more = {"data": f"clicks:rows={rows},samples=100,skew=0", "model": "embedding", "hidden": (WIDTH,)}
        this = job(strategy, servers=servers, steps=2, optimizer=PLAIN, sparse=True, overlap="off", **more)
        quiet = run(this.from_dict({**this.to_dict(), "steps": 0}), make=MAKE[strategy])
        return run(this, make=MAKE[strategy]).outcome.meters[1].bytes_sent - quiet.outcome.meters[1].bytes_sent

    most = 2 * 3 * (8 + 3 * 16 * 8 * (8 + 4 * WIDTH)) + 2 * 4 * 4 * 2 * (WIDTH + 1)
    assert sent(50_000) < most
    assert sent(50_000) < 0.1 * 2 * 4 * WIDTH * 50_000


def test_with_one_row_in_a_hundred_touched_a_parameter_server_sends_a_thirtieth_of_the_dense_bytes():
    """3 × 16 samples of 8 ids are 384 rows of 40,000 at most."""

    def sent(sparse, steps):
        more = {"data": "clicks:rows=40000,samples=100,skew=0", "model": "embedding", "hidden": (WIDTH,)}
        this = job("ps-bsp", servers=1, steps=steps, optimizer=PLAIN, sparse=sparse, overlap="off", **more)
        return sum(meter.bytes_sent for meter in run(this).outcome.meters)

    rows, dense = (sent(sparse, 2) - sent(sparse, 0) for sparse in (True, False))
    assert 0 < rows <= 0.03 * dense
    assert dense >= 2 * 2 * 3 * 4 * WIDTH * 40_000


@pytest.mark.parametrize("transport", ["shm", "tcp"])
@pytest.mark.parametrize(("strategy", "servers"), [("sparse-all-gather", 0), ("ps-bsp", 2), ("ps-async", 2)])
def test_on_real_transports_all_workers_end_alike_and_synchronous_ones_with_the_bits_of_virtual_time(
    transport, strategy, servers
):
    this = job(
        strategy,
        workers=2,
        servers=servers,
        steps=4,
        optimizer=PLAIN,
        data=f"clicks:rows={TABLE},samples=400",
        model="embedding",
        hidden=(WIDTH, 8),
        sparse=True,
        overlap="off",
    )

    def program(ctx):
        if ctx.rank in ctx.servers:
            return serve(this, ctx, MAKE[strategy]())
        worker = Worker(this, ctx, MAKE[strategy](), StageClock(ctx.now, ctx.place.enter))
        return worker.run(lambda record: None).params_sha256

    optimizer = partial(FlatOptimizer, PLAIN)
    real, virtual = (
        on(each, program, 2 + servers, servers=servers, optimizer=optimizer) for each in (transport, "virtual")
    )
    assert real[0] == real[1]
    assert strategy == "ps-async" or real[:2] == virtual[:2]


# --- parameter servers that do not wait ---


@pytest.mark.parametrize("strategy", ["ps-ssp", "ps-async", "ps-backup"])
@pytest.mark.parametrize("servers", [1, 2])
def test_under_every_consistency_all_workers_end_with_the_servers_table_and_a_lower_loss(strategy, servers):
    network = Network(latency=1e-3, jitter=0.02, seed=3)
    result = trained(strategy, servers, sparse=True, network=network)
    assert len({each.params_sha256 for each in result.trained}) == 1
    assert result.ledger == trained("single").ledger
    losses = [record.loss for records in result.records for record in records if record.loss is not None]
    assert np.mean(losses[-10:]) < 0.8 * losses[0]


@pytest.mark.parametrize("strategy", ["ps-ssp", "ps-async", "ps-backup"])
def test_in_the_same_order_of_arrival_rows_and_dense_gradients_are_the_same(strategy):
    rows, dense = (trained(strategy, 1, sparse=sparse) for sparse in (True, False))
    np.testing.assert_allclose(rows.losses, dense.losses, rtol=1e-5)
    np.testing.assert_allclose(rows.params, dense.params, rtol=1e-4, atol=1e-6)


def test_without_staleness_ssp_is_bsp_by_rows_too():
    assert trained("ps-ssp-0", 1, sparse=True).params.tobytes() == trained("ps-bsp", 1, sparse=True).params.tobytes()


def test_asynchronous_with_one_worker_is_one_process():
    alone, single = trained("ps-async", 1, sparse=True, workers=1), trained("single", workers=1)
    np.testing.assert_allclose(alone.losses, single.losses, rtol=1e-5)


def test_the_number_of_servers_changes_no_bit():
    assert trained("ps-bsp", 1, sparse=True).params.tobytes() == trained("ps-bsp", 3, sparse=True).params.tobytes()


@pytest.mark.parametrize("strategy", ["ps-bsp", "ps-async"])
@pytest.mark.parametrize(
    ("index", "complaint"),
    [
        (np.array([3, TABLE]), f"not of the {TABLE} that this shard has"),
        (np.arange(TABLE + 1), f"at most {TABLE} × float32"),
    ],
)
def test_pushing_rows_outside_the_table_is_a_protocol_error_at_the_server(strategy, index, complaint):
    class Wrong(MAKE[strategy]):
        def synchronize(self, ctx, bucket):
            if bucket.rows is not None and ctx.rank == 1:
                send_rows(ctx, ctx.servers[0], Rows(WIDTH, index, np.ones((index.size, WIDTH), np.float32)))
                ctx.recv(ctx.servers[0], np.empty(1, np.float32))
            else:
                super().synchronize(ctx, bucket)

    this = job(
        "",
        servers=1,
        steps=2,
        optimizer=PLAIN,
        data=f"clicks:rows={TABLE},samples=400",
        model="embedding",
        hidden=(WIDTH,),
        sparse=True,
        overlap="off",
    )
    error = run(this, make=Wrong, check=False).outcome.errors[3]
    assert isinstance(error, ProtocolError)
    assert complaint in error.cause
    assert (error.rank, error.role, error.step) == (3, "server", 0)


# --- the sparse all-gather ---


@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=5), st.integers(1, 3))
def test_the_mean_of_rows_is_that_of_dense_tables(touched, width):
    dense = np.zeros((len(touched), 10, width), np.float32)
    given_ = []
    for rank, some in enumerate(touched):
        index = np.array(sorted(some), np.int64)
        values = np.arange(1, index.size * width + 1, dtype=np.float32).reshape(-1, width) * (rank + 1)
        dense[rank, index] = values
        given_.append(Rows(width, index, values))

    def program(ctx):
        mean_rows(ctx, given_[ctx.rank], 10)
        return given_[ctx.rank]

    for found in simulate(program, len(touched)).results:
        assert found.index.tolist() == sorted(set().union(*touched))
        np.testing.assert_allclose(found.values, dense.mean(0)[found.index], rtol=1e-6)


@pytest.mark.parametrize(
    ("index", "complaint"),
    [
        (np.arange(11), "rank 1 has 11 rows of a table of 10"),
        (np.array([3, 10]), "a row that a table of 10 does not have"),
        (np.array([-1]), "a row that a table of 10 does not have"),
    ],
)
def test_rows_outside_the_table_are_a_protocol_error(index, complaint):
    def program(ctx):
        mine = index if ctx.rank == 1 else np.array([2])
        mean_rows(ctx, Rows(2, mine.astype(np.int64), np.ones((mine.size, 2), np.float32)), 10)

    outcome = simulate(program, 2, check=False)
    assert isinstance(outcome.errors[0], ProtocolError)
    assert complaint in outcome.errors[0].cause


# --- what was asked for ---


class ByRows(SyncStrategy):
    """A strategy for rows and for dense gradients, like the parameter servers."""

    traits = Traits(sparse=True)

    def __init__(self, sparse="auto"):
        self.sparse = sparse

    def synchronize(self, ctx, bucket):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("sparse", "model", "momentum", "expected"),
    [
        ("auto", "embedding", 0.0, True),
        ("auto", "embedding", 0.9, False),
        ("auto", "mlp", 0.0, False),
        ("on", "embedding", 0.0, True),
        ("off", "embedding", 0.0, False),
        (True, "embedding", 0.0, True),  # as YAML reads on and off
        (False, "embedding", 0.0, False),
    ],
)
def test_auto_goes_by_rows_if_model_and_optimizer_allow_it(sparse, model, momentum, expected):
    assert by_rows("ps", ByRows(sparse), model, OptimizerSpec(momentum=momentum)) is expected


@pytest.mark.parametrize(
    ("sparse", "model", "optimizer", "complaint"),
    [
        ("on", "embedding", OptimizerSpec(), "need --optimizer sgd --momentum 0: momentum changes"),
        ("on", "embedding", OptimizerSpec("adam"), "need --optimizer sgd --momentum 0: adam changes"),
        ("on", "mlp", PLAIN, "model 'mlp' has no table: use --model embedding"),
        (True, "embedding", OptimizerSpec(), "need --optimizer sgd --momentum 0"),
        ("maybe", "mlp", PLAIN, "--strategy.sparse is 'maybe': give auto, on or off"),
    ],
)
def test_sparse_is_refused_if_it_cannot_be(sparse, model, optimizer, complaint):
    with pytest.raises(ConfigError, match=complaint):
        by_rows("ps", ByRows(sparse), model, optimizer)


@pytest.mark.parametrize(
    ("fields", "can", "words"),
    [
        ({"model": "mlp", "sparse": False}, True, ""),
        ({"model": "embedding", "sparse": True}, True, "sparse: "),
        ({"model": "embedding", "sparse": False}, False, "dense: .* as this strategy always does"),
        ({"model": "embedding", "sparse": False}, True, "dense: .* as rows alone need --optimizer sgd --momentum 0"),
        (
            {"model": "embedding", "sparse": False, "strategy_options": {"sparse": "off"}},
            True,
            "dense: .* as asked for",
        ),
    ],
)
def test_a_run_says_whether_it_went_by_rows_and_why(fields, can, words):
    import re

    assert re.match(words or "$", sparse_line(summary(**fields), can))


def test_a_configuration_file_repeats_a_sparse_run():
    from experiments.runs.execute import _config

    options = RunOptions(strategy="sparse-all-gather", data="clicks", model="embedding", momentum=0.0)
    assert "sparse:" not in _config(plan(options).job)
