"""The options of a benchmark become contestants and a schedule; mistakes are refused in one line."""

import json
from dataclasses import replace

import msgspec
import pytest

from allreduce.engines import Mpi
from allreduce.star import Star
from common.errors import ConfigError
from common.pipeline.engine import EngineTraits
from common.strategy import Traits
from experiments.bench import plan as bench
from experiments.bench import rank as bench_rank
from experiments.bench.plan import (
    BenchOptions,
    BenchPlan,
    Block,
    Contestant,
    describe_block,
    parse_sizes,
    plan_bench,
    schedule,
)
from experiments.format.units import size_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4KiB", (4096,)),
        ("4kib, 4096 ,4 KiB", (4096,)),
        ("1MiB,64KiB", (65536, 1 << 20)),
        ("1MB,64KB,1GB", (64000, 10**6, 10**9)),
        ("4,8B", (4, 8)),
        ("1GiB", (1 << 30,)),
    ],
)
def test_sizes_are_bytes_ascending_each_once(text, expected):
    assert parse_sizes(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "--sizes is empty"),
        (" , ", "--sizes is empty"),
        ("4KiB,big", "not 'big'"),
        ("1.5MiB", "not '1.5MiB'"),
        ("-4", "not '-4'"),
        ("4XB", "not '4XB'"),
        ("6", "6 is 6 bytes; vectors are of float32, so give a multiple of 4"),
        ("0", "0 is 0 bytes"),
        ("2GiB", "more than the largest, 1 GiB"),
    ],
)
def test_an_invalid_size_is_refused(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_sizes(text)


@pytest.mark.parametrize("nbytes", [4, 1000, 4096, 25 << 20, 1 << 30])
def test_a_size_reads_back_as_it_is_named(nbytes):
    assert parse_sizes(size_name(nbytes)) == (nbytes,)


def test_each_strategy_is_run_over_each_transport_and_the_servers_are_those_of_the_parameter_server():
    planned = plan_bench(BenchOptions(strategies="ring,ps-bsp,ring", transport="ipc,tcp", sizes="4"))
    assert [one.name for one in planned.contestants] == [
        "ring over ipc",
        "ring over tcp",
        "ps-bsp over ipc",
        "ps-bsp over tcp",
    ]
    assert [one.servers for one in planned.contestants] == [False, False, True, True]
    assert (planned.workers, planned.servers, planned.ranks) == (4, 1, 5)
    assert plan_bench(BenchOptions(strategies="ring", sizes="4")).servers == 0
    assert plan_bench(BenchOptions(strategies="ring,ps-bsp", servers=3, sizes="4")).servers == 3


def test_one_strategy_can_take_part_several_times_with_other_options():
    given = "ps-bsp, ps-bsp(segment=65536), ps-bsp( sharding = hashed, segment=4 ),ring,ps-bsp"
    planned = plan_bench(BenchOptions(strategies=given, transport="ipc", sizes="4", baseline="ps-bsp(segment=65536)"))
    assert [one.name for one in planned.contestants] == [
        "ps-bsp over ipc",
        "ps-bsp(segment=65536) over ipc",
        "ps-bsp(sharding=hashed,segment=4) over ipc",
        "ring over ipc",
    ]
    assert [one.servers for one in planned.contestants] == [True, True, True, False]


def test_an_engine_with_its_own_transport_is_run_once(monkeypatch):
    class Engine(Star):
        traits = EngineTraits(own_transport="gloo")

    create_call = bench.create_call
    monkeypatch.setattr(bench, "create_call", lambda call: Engine() if call == "star" else create_call(call))
    planned = plan_bench(BenchOptions(strategies="star,ring", transport="ipc,tcp", sizes="4"))
    assert [one.name for one in planned.contestants] == ["star over gloo", "ring over ipc", "ring over tcp"]
    assert Contestant("gloo", "ipc", "gloo", False).name == "gloo"
    assert [one.own for one in planned.contestants] == [True, False, False]
    assert planned.contestants[0].transport == "ipc"  # where its context is


def test_each_strategy_is_made_once_to_see_whether_it_can_be_benched(monkeypatch):
    made = []
    create_call = bench.create_call
    monkeypatch.setattr(bench, "create_call", lambda call: made.append(call) or create_call(call))
    plan_bench(BenchOptions(strategies="ring,ps-bsp", transport="ipc,tcp", sizes="4"))
    assert made == ["ring", "ps-bsp"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"strategies": "rnig"}, "did you mean ring?"),
        ({"strategies": ""}, "--strategies is empty"),
        ({"strategies": "ps-bsp(segment=3)"}, "--strategy.segment is 3: give a size from 4 bytes"),
        ({"strategies": "ps-bsp(segmnet=4)"}, "has no option --strategy.segmnet: did you mean segment"),
        (
            {"strategies": "ps-bsp(segment)"},
            r"'ps-bsp\(segment\)' is no strategy with options: give it as name\(option",
        ),
        ({"strategies": "ps-bsp(segment=4"}, r"'ps-bsp\(segment=4' is no strategy with options"),
        ({"strategies": "noop"}, "'noop' cannot be benched: it is no all-reduce and no synchronous server"),
        ({"strategies": "ring,single"}, "'single' cannot be benched"),
        ({"strategies": "ring,sparse-all-gather"}, "'sparse-all-gather' cannot be benched: it sends rows of a table"),
        ({"strategies": "ps-bsp(sparse=on)"}, "cannot be benched: it sends rows of a table"),
        ({"transport": "udp"}, "--transport is 'udp'"),
        ({"workers": 1}, "--workers is 1: give a whole number from 2"),
        ({"workers": 1000}, "at most 256"),
        ({"repeats": 0}, "--repeats is 0"),
        ({"threads": 0}, "--threads is 0"),
        ({"deadline": -1.0}, "--deadline is -1"),
        ({"servers": 0}, "--servers is 0"),
        ({"strategies": "ring", "servers": 2}, "none of the strategies has servers"),
        ({"strategies": "ring", "placement": "colocated"}, "none of the strategies has servers: leave --placement out"),
        ({"strategies": "ps-bsp", "placement": "beside"}, "--placement is 'beside': give dedicated or colocated"),
        ({"interface": "0.0.0.0"}, "loopback only"),
        ({"strategies": "ps-bsp", "with_update": True}, "leave --with-update out, or add ring"),
        ({"baseline": "gloo"}, "--baseline gloo is not among the strategies: ring, ps-bsp"),
    ],
)
def test_options_that_cannot_be_benched_are_refused(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        plan_bench(BenchOptions(**{"strategies": "ring,ps-bsp", "sizes": "4KiB", **changes}))


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({"strategies": "ring", "transport": "ipc"}, 4),
        ({"strategies": "ring,tree", "transport": "ipc,tcp"}, 2 * 4),  # all contestants of a transport share
        ({"strategies": "ring,ps-bsp", "transport": "ipc", "servers": 2}, 2 * 4 + 2 * 2 + 1),
        ({"strategies": "ring", "transport": "ipc", "with_update": True}, 2 * 4),
    ],
)
def test_vectors_that_do_not_fit_into_memory_together_are_refused_before_anything_starts(monkeypatch, changes, held):
    options = BenchOptions(**{"sizes": "4KiB,256MiB", **changes})
    monkeypatch.setattr(bench, "physical_memory", lambda: held << 28)
    assert plan_bench(options).sizes[-1] == 256 << 20
    monkeypatch.setattr(bench, "physical_memory", lambda: (held << 28) - 1)
    with pytest.raises(
        ConfigError, match=f"^--sizes: 256 MiB needs .* ranks hold {held} vectors of it; .*smaller sizes"
    ):
        plan_bench(options)
    monkeypatch.setattr(bench, "physical_memory", lambda: None)
    plan_bench(options)


def test_a_server_that_is_not_synchronous_is_refused(monkeypatch):
    class Ssp:
        traits = Traits(servers=True, update="server", consistency="ssp(3)")

    monkeypatch.setattr(bench, "create_call", lambda call: Ssp())
    with pytest.raises(ConfigError, match="'ps-ssp' cannot be benched"):
        plan_bench(BenchOptions(strategies="ps-ssp"))


def plan_of(**changes):
    contestants = (Contestant("ring", "ipc", "ipc", False), Contestant("ps-bsp", "tcp", "tcp", True))
    given = {"sizes": (4096, 65536), "workers": 2, "servers": 1, "repeats": 2, "deadline": 60.0, "threads": 1}
    return BenchPlan(contestants, ("ipc", "tcp"), interface="127.0.0.1", **{**given, **changes})


def test_the_contestants_take_turns_and_are_verified_first():
    blocks = schedule(plan_of(sizes=(4096,)))
    assert [(block.kind, block.transport, block.contestant, block.repeat) for block in blocks] == [
        ("link", "ipc", -1, 0),
        ("link", "tcp", -1, 0),
        ("verify", "ipc", 0, 0),
        ("verify", "tcp", 1, 0),
        ("time", "ipc", 0, 0),
        ("time", "tcp", 1, 0),
        ("time", "ipc", 0, 1),
        ("time", "tcp", 1, 1),
    ]


def test_every_size_is_verified_before_it_is_timed():
    seen = set()
    for block in schedule(plan_of()):
        if block.kind == "verify":
            seen.add((block.contestant, block.nbytes))
        elif block.kind == "time":
            assert (block.contestant, block.nbytes) in seen
    assert len(seen) == 4


def test_a_plan_survives_the_journey_to_the_ranks():
    planned = plan_of()
    assert msgspec.convert(json.loads(json.dumps(planned.to_dict())), BenchPlan) == planned


def test_a_block_is_described_in_words():
    planned = plan_of()
    assert describe_block(Block("link", "tcp"), planned) == "latency and bandwidth of tcp"
    assert describe_block(Block("verify", "ipc", 0, 4096), planned) == "ring over ipc, 4 KiB, verification"
    assert describe_block(Block("time", "tcp", 1, 65536, 1), planned) == "ps-bsp over tcp, 64 KiB, repeat 2/2"


def test_the_baseline_is_the_one_asked_for_else_gloo_else_the_first():
    assert plan_bench(BenchOptions(strategies="ring,ps-bsp", sizes="4")).baseline == "ring"
    assert plan_bench(BenchOptions(strategies="ring,ps-bsp", sizes="4", baseline="ps-bsp")).baseline == "ps-bsp"
    assert plan_bench(BenchOptions(strategies="ring,ps-bsp,gloo", sizes="4")).baseline == "gloo"


def test_a_block_lasts_about_as_long_as_it_should_whatever_an_exchange_takes():
    target = bench_rank.BLOCK_SECONDS
    assert bench_rank.iterations_for(target / 100) == 100
    assert bench_rank.iterations_for(10 * target) == bench_rank.FEWEST
    assert bench_rank.iterations_for(target / 1e6) == bench_rank.iterations_for(0.0) == bench_rank.MOST_ITERATIONS


def test_long_exchanges_are_warmed_up_less():
    assert [bench_rank.pilots(nbytes) for nbytes in (4, 1 << 20, 1 << 30)] == [20, 4, 2]
    assert [bench_rank.warm_up(count) for count in (2, 50, 1000)] == [2, 5, 10]


def test_a_transport_is_what_it_resolves_to(monkeypatch):
    plan = bench.plan
    monkeypatch.setattr(bench, "plan", lambda options: plan(replace(options, transport="ipc")))
    planned = plan_bench(BenchOptions(strategies="ring", transport="another-name,ipc", sizes="4"))
    assert planned.transports == ("ipc",)
    assert [one.name for one in planned.contestants] == ["ring over ipc"]


def test_one_contestant_that_needs_mpirun_has_all_workers_started_by_it(monkeypatch):
    monkeypatch.setattr(Mpi, "check", lambda self, workers: None)
    planned = plan_bench(BenchOptions(strategies="ring,mpi", transport="ipc,tcp", sizes="4"))
    assert planned.launcher == "mpi"
    assert [one.name for one in planned.contestants] == ["ring over ipc", "ring over tcp", "mpi"]
    assert plan_bench(BenchOptions(strategies="ring,gloo", sizes="4")).launcher == "fork"


def test_ddp_cannot_be_benched():
    with pytest.raises(ConfigError, match="'ddp' cannot be benched"):
        plan_bench(BenchOptions(strategies="ddp", sizes="4"))
