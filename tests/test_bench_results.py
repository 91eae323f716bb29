"""The rows of a benchmark follow from what its ranks wrote."""

import dataclasses
import json

import benches
import pytest
from msgspec import structs

from allreduce.ring import Ring
from common.strategy import Link
from experiments.bench.plan import schedule
from experiments.bench.results import make_rows, measured_links, read_blocks, with_ratios, wrong_results
from experiments.bench.table import notes
from experiments.machine.bandwidth_limits import least_seconds
from experiments.schema.documents import BenchRow
from experiments.schema.files import to_builtins
from experiments.schema.records import BenchBlock


@pytest.fixture
def rows():
    """Of a ring and a parameter server with 2 servers, 4 workers."""
    plan = benches.plan()
    return make_rows(plan, benches.blocks(plan), benches.LIMITS)


def test_each_contestant_has_a_row_at_each_size(rows):
    assert [(row.strategy, row.bytes) for row in rows] == [
        ("ring", 4000),
        ("ps-bsp", 4000),
        ("ring", 40000),
        ("ps-bsp", 40000),
    ]
    for row in rows:
        json.dumps(to_builtins(row), allow_nan=False)


def test_a_sample_is_the_mean_over_the_workers_and_the_row_their_median(rows):
    ring = rows[0]
    assert ring.samples == pytest.approx([4000e-9 * (10 + repeat) + 1.5e-9 for repeat in range(3)])
    assert ring.seconds_median == ring.samples[1]
    low, high = ring.seconds_ci95
    assert ring.samples[0] <= low <= ring.seconds_median <= high <= ring.samples[2]
    assert (ring.iterations, ring.wrong) == (7, 0)


def test_the_bandwidths_of_an_all_reduce_are_those_of_nccl_tests(rows):
    ring = rows[0]
    assert ring.algbw_GBps == pytest.approx(4000 / ring.seconds_median / 1e9)
    assert ring.busbw_GBps == pytest.approx(ring.algbw_GBps * 2 * 3 / 4)
    assert ring.server_ingress_GBps is ring.server_egress_GBps is None
    assert ring.wire_bytes == 4 * 6000


def test_a_parameter_server_has_ingress_and_egress_instead(rows):
    server = rows[1]
    assert server.busbw_GBps is None
    assert server.servers == 2
    through_one = 4 * 2000 / server.seconds_median / 1e9  # half of the vector, from and to 4 workers
    assert server.server_ingress_GBps == pytest.approx(through_one)
    assert server.server_egress_GBps == pytest.approx(through_one)
    assert server.wire_bytes == 2 * 4 * 4000


def test_bytes_within_a_process_are_not_counted():
    """Four workers, and 2 servers in the processes of the first two: half of the vector each, from and to 4 workers."""
    plan = dataclasses.replace(benches.plan(), placement="colocated")
    ring, server, *_ = make_rows(plan, benches.blocks(plan), benches.LIMITS)
    assert (ring.placement, server.placement) == (None, "colocated")
    assert ring.wire_bytes == 4 * 6000
    assert server.wire_bytes == 2 * 4 * 4000 - 2 * 2 * 2000
    assert server.server_ingress_GBps == pytest.approx(3 * 2000 / server.seconds_median / 1e9)


def test_the_share_of_the_limit_is_the_least_time_over_the_measured_one(rows):
    least = least_seconds(benches.LIMITS, "ipc", 4, 4000)
    assert all(row.limit_fraction == pytest.approx(least / row.seconds_median) for row in rows[:2])


def test_the_prediction_is_the_formula_with_what_was_measured(rows):
    assert rows[0].seconds_predicted == Ring().seconds(4, 0, 4000, Link(1e-4, 1e-9, 1e-10))
    plan = benches.plan()
    assert measured_links(plan, benches.blocks(plan)) == {"ipc": Link(1e-4, 1e-9, 1e-10)}


def test_with_the_update_of_its_workers_nothing_is_held_to_what_is_of_an_exchange_alone(rows):
    plan = benches.plan(update=True)
    updated = make_rows(plan, benches.blocks(plan), benches.LIMITS)
    assert [row.update for row in rows[:2]] == [False, True]
    assert [row.update for row in updated[:2]] == [True, True]
    nothing = {"update": True, "busbw_GBps": None, "limit_fraction": None, "seconds_predicted": None}
    assert updated[0] == structs.replace(rows[0], **nothing)
    assert updated[1] == structs.replace(rows[1], **nothing)


def test_an_engine_has_neither_wire_bytes_nor_a_prediction_and_the_limit_of_its_own_transport():
    plan = benches.plan((benches.RING, benches.ENGINE))
    engine = make_rows(plan, benches.blocks(plan), benches.LIMITS)[1]
    assert (engine.transport, engine.wire_bytes, engine.seconds_predicted) == ("gloo", None, None)
    assert engine.limit_fraction == pytest.approx(
        least_seconds(benches.LIMITS, "gloo", 4, 4000) / engine.seconds_median
    )


def test_one_repeat_has_no_interval():
    plan = benches.plan(repeats=1)
    assert {row.seconds_ci95 for row in make_rows(plan, benches.blocks(plan), benches.LIMITS)} == {None}


def test_wrong_elements_are_added_up_over_the_ranks_and_named():
    plan = benches.plan(sizes=(4000,))
    rows = make_rows(plan, benches.blocks(plan, wrong=[(0, 1, 3), (2, 1, 4)]), benches.LIMITS)
    assert [row.wrong for row in rows] == [0, 7]
    assert wrong_results(rows) == "wrong results: ps-bsp over ipc at 4000 bytes (7 elements)"
    assert wrong_results(rows[:1]) is None


def test_the_last_word_of_a_strategy_on_its_choices_stands_under_the_tables():
    plan = benches.plan()
    blocks = benches.blocks(plan)
    verified = [at for at, block in enumerate(schedule(plan)) if block.kind == "verify" and not block.contestant]
    for number, at in enumerate(verified):
        blocks[0][at] = structs.replace(blocks[0][at], notes=f"picked {number}")
    rows = with_ratios(make_rows(plan, blocks, benches.LIMITS), "ring")
    assert [row.notes for row in rows] == ["picked 0", None, "picked 1", None]
    document = benches.document(plan)
    assert notes(structs.replace(document, rows=tuple(rows)))[0] == "ring over ipc picked 1"
    assert notes(document)[0].startswith("limits measured")


def test_a_block_that_some_rank_did_not_finish_is_no_sample():
    plan = benches.plan(sizes=(4000,), repeats=2)
    blocks = benches.blocks(plan)
    last = max(blocks[3])  # the second repeat of the parameter server
    del blocks[3][last]
    ring, server = make_rows(plan, blocks, None)
    assert (len(ring.samples), len(server.samples)) == (2, 1)
    assert ring.limit_fraction is None
    assert make_rows(plan, {rank: {} for rank in range(plan.ranks)}, None) == []


def test_ratios_are_to_the_baseline_at_the_same_size_and_transport():
    def row(strategy, transport, nbytes, seconds):
        given = {"strategy": strategy, "transport": transport, "bytes": nbytes, "seconds_median": seconds}
        return BenchRow(**given, workers=2, servers=0, algbw_GBps=1.0)

    rows = [row("a", "ipc", 4, 1.0), row("a", "tcp", 4, 2.0), row("b", "ipc", 4, 0.5), row("b", "tcp", 4, 4.0)]
    rows += [row("c", "gloo", 4, 0.1), row("b", "ipc", 8, 1.0)]
    ratios = [found.ratio for found in with_ratios(rows, "a")]
    assert ratios == [1.0, 1.0, 2.0, 0.5, pytest.approx(10.0), None]


def test_lines_cut_short_are_left_out(tmp_path):
    plan = benches.plan((benches.RING,))
    (tmp_path / "ranks").mkdir()
    (tmp_path / "ranks" / "0-worker.jsonl").write_text('{"block": 0, "alpha": 1}\n{"block": 1, "wro')
    (tmp_path / "ranks" / "1-worker.jsonl").write_text('{"block": 1, "wrong": 0}\n')
    assert read_blocks(tmp_path, plan) == {
        0: {0: BenchBlock(block=0, alpha=1)},
        1: {1: BenchBlock(block=1, wrong=0)},
        2: {},
        3: {},
    }
