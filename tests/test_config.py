"""Every mistake in the options is found before anything starts, and says in one line what would be right."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data import DATASETS
from common.errors import ConfigError
from common.runtime.job import BUCKET, ONE_BUCKET, Job, OptimizerSpec
from common.transport.shm.arena import reason_against
from experiments.config import RunOptions, plan
from experiments.config.checks import sizes
from experiments.config.options.ranks import MOST_PROCESSES, MOST_RANKS
from experiments.config.options.training import BATCH_PER_WORKER
from experiments.machine.environment import cores

SAMPLES = DATASETS["digits"].train_samples
CLICKS = {"data": "clicks", "model": "embedding"}


def job(**options):
    return plan(RunOptions(**options)).job


def test_options_that_were_left_open_are_filled_in():
    assert job(strategy="ring", workers=3, lr=0.5) == Job(
        strategy="ring",
        workers=3,
        servers=0,
        batch=3 * BATCH_PER_WORKER,
        steps=200,
        optimizer=OptimizerSpec("sgd", 0.5, 0.9),
        transport="shm" if reason_against() is None else "ipc",
        overlap="on" if cores() >= 6 else "off",
        bucket=BUCKET if cores() >= 6 else ONE_BUCKET,
    )


def test_where_memory_cannot_be_shared_ipc_is_taken_and_shm_refused(monkeypatch):
    monkeypatch.setattr("common.transport.shm.arena.reason_against", lambda: "it needs another machine")
    assert job(transport="auto").transport == "ipc"
    with pytest.raises(ConfigError, match="shm cannot be used here: it needs another machine; use ipc"):
        job(transport="shm")


def test_an_engine_with_its_own_transport_has_no_hosts():
    with pytest.raises(ConfigError, match="--hosts is about our transports, 'gloo' brings its own"):
        job(strategy="gloo", hosts=2)


@pytest.mark.parametrize(
    ("cores", "asked", "got"),
    [
        (8, {}, ("on", BUCKET)),
        (7, {}, ("off", ONE_BUCKET)),
        (2, {"overlap": "on"}, ("on", BUCKET)),
        (8, {"overlap": "off"}, ("off", BUCKET)),
        (2, {"bucket": 64}, ("off", 64)),
    ],
)
def test_overlap_is_on_if_there_are_cores_to_spare(monkeypatch, cores, asked, got):
    monkeypatch.setattr("experiments.config.options.network.cores", lambda: cores)
    resolved = job(strategy="ring", workers=4, **asked)
    assert (resolved.overlap, resolved.bucket) == got


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({}, ("overlap", "bucket")),
        ({"overlap": "off"}, ("bucket",)),
        ({"bucket": 64}, ("overlap",)),
        ({"overlap": "on", "bucket": 64}, ()),
    ],
)
def test_a_plan_knows_which_settings_were_left_open(asked, left):
    assert plan(RunOptions(**asked)).automatic == left


def test_a_parameter_server_has_one_server_unless_more_are_asked_for():
    assert job(strategy="ps-bsp").servers == 1
    assert job(strategy="ps-bsp", servers=3).servers == 3


def test_colocated_servers_need_no_processes():
    most = plan(RunOptions(strategy="ps-bsp", workers=MOST_PROCESSES, servers=MOST_PROCESSES, placement="colocated"))
    assert (most.processes, most.job.servers, most.job.placement) == (MOST_PROCESSES, MOST_PROCESSES, "colocated")
    assert job(strategy="ps-bsp").placement == "dedicated"


def test_strategies_without_servers_get_none():
    assert job(strategy="ring").servers == job(strategy="ring", servers=0).servers == 0


@pytest.mark.parametrize(("workers", "each"), [(4, BATCH_PER_WORKER), (64, 22)])
def test_a_worker_takes_as_many_samples_a_step_as_there_are_if_they_are_few(workers, each):
    planned = plan(RunOptions(workers=workers))
    assert planned.job.batch == each * workers


def test_single_is_one_process_with_everybodys_batch():
    single, ring = (plan(RunOptions(strategy=name, workers=4)) for name in ("single", "ring"))
    assert (single.processes, ring.processes) == (1, 4)
    assert single.job.batch == ring.job.batch
    assert single.job.workers == ring.job.workers


def test_a_data_set_has_one_name_however_its_parameters_are_written():
    asked = ("clicks:skew=1.50, rows=3_000,ids=8", "clicks:rows=3000,skew=1.5", "clicks:rows=20000")
    found = [job(model="embedding", data=data).data for data in asked]
    assert found == ["clicks:rows=3000,skew=1.5"] * 2 + ["clicks"]


def test_partition_and_transforms_have_one_name_and_are_filled_in():
    assert (job().partition, job().preprocess, job(**CLICKS).preprocess) == ("shuffled", "normalise", "none")
    found = job(partition="dirichlet:0.50", preprocess="flip, normalise")
    assert (found.partition, found.preprocess) == ("dirichlet:0.5", "flip,normalise")


def test_rows_are_synchronised_where_strategy_and_optimizer_can():
    plain = {"momentum": 0.0, **CLICKS}
    assert job(strategy="sparse-all-gather", **plain).sparse
    assert not job(strategy="ring", **plain).sparse


def test_a_job_travels_as_json_values():
    original = job(strategy="ps-bsp", hidden=(8, 4), lr=0.25, bucket=64, overlap="off")
    assert Job.from_dict(original.to_dict()) == original


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"strategy": "rnig"}, "unknown strategy 'rnig': did you mean ring?"),
        ({"model": "mpl"}, "--model is 'mpl': did you mean mlp?"),
        ({"data": "digit"}, "unknown data set 'digit': did you mean digits?"),
        ({"data": "xyz"}, "unknown data set 'xyz': known: clicks, digits, npz, openml, synthetic, text"),
        ({"data": "digit:rows=3"}, "unknown data set 'digit': did you mean digits?"),
        ({"data": "openm:mnist_784"}, "--data openm:mnist_784: the module does not exist"),
        ({"data": "npz:not-there.npz"}, "not-there.npz cannot be read: No such file"),
        ({"data": "synthetic:features=0"}, "--data synthetic: features is 0: give a whole number from 1"),
        ({"data": "synthetic:classes=1"}, "--data synthetic: classes is 1: give a whole number from 2"),
        ({"data": "synthetic:noise=-1"}, "--data synthetic: noise is -1.0: give a number from 0"),
        ({"data": "synthetic:samples=1000000,side=1000"}, "--data synthetic: samples is 1000000: give fewer"),
        ({"data": "synthetic", "model": "cnn"}, "model 'cnn' is for images, and samples of synthetic are 20"),
        ({"data": "synthetic", "model": "resnet"}, "model 'resnet' is for images, and samples of synthetic are 20"),
        ({"data": "synthetic:side=1", "model": "cnn"}, "model 'cnn' halves images, and those of synthetic:side=1"),
        ({"data": "text"}, "text has a label for each byte, model 'mlp' gives one: use --model transformer"),
        ({"data": "text", "model": "embedding"}, "model 'embedding' gives one: use --model transformer"),
        ({"model": "transformer"}, "predicts the next byte of a text, digits is none: use --data text"),
        ({"model": "not_there_at_all:model"}, "--model not_there_at_all:model: the module does not exist"),
        ({"partition": "sorted"}, "unknown partition 'sorted'"),
        ({"data": "text", "model": "transformer", "partition": "dirichlet:1"}, "one for each byte"),
        ({"preprocess": "normalize"}, "unknown transform 'normalize': did you mean normalise?"),
        ({"preprocess": "flip", **CLICKS}, "clicks has ids, which cannot be transformed"),
        ({"data": "digits:rows=3"}, "digits has no parameters; leave :rows=3 out"),
        ({"data": "clicks:rows"}, "'rows' is not of the form key=value"),
        ({"data": "clicks:row=3"}, "--data clicks has no parameter 'row': did you mean rows?"),
        ({"data": "clicks:rows=3,rows=4"}, "--data clicks: rows is given twice"),
        ({"data": "clicks:rows=1.5"}, "--data clicks: rows is 1.5: give a whole number"),
        ({"data": "clicks:rows=0"}, "--data clicks: rows is 0: give a whole number from 1"),
        ({"data": "clicks:ids=0"}, "--data clicks: ids is 0: give a whole number from 1"),
        ({"data": "clicks:samples=0"}, "--data clicks: samples is 0: give a whole number from 1"),
        ({"data": "clicks:skew=much"}, "--data clicks: skew is much: give a number"),
        ({"data": "clicks:skew=nan"}, "--data clicks: skew is nan: give a number from 0"),
        ({"data": "clicks:skew=-1"}, "--data clicks: skew is -1.0: give a number from 0"),
        ({"data": "clicks:ids=1000000,samples=1000000"}, "--data clicks: samples is 1000000: give fewer"),
        ({"data": "clicks"}, "clicks has ids, which model 'mlp' would take for values: use --model embedding"),
        ({"model": "embedding"}, "model 'embedding' looks ids up in a table, digits has values: use --data clicks"),
        ({"strategy": "sparse-all-gather"}, "model 'mlp' has no table: use --model embedding"),
        (
            {"strategy": "sparse-all-gather", **CLICKS},
            "sparse gradients need --optimizer sgd --momentum 0: momentum changes rows that are not touched",
        ),
        (
            {"strategy": "sparse-all-gather", "optimizer": "adam", "momentum": 0.0, **CLICKS},
            "sparse gradients need --optimizer sgd --momentum 0: adam changes rows that are not touched",
        ),
        ({"workers": 5, **CLICKS, "data": "clicks:samples=4"}, "5 workers for the 4 training samples"),
        ({"optimizer": "sdg"}, "--optimizer is 'sdg': did you mean sgd?"),
        ({"transport": "tpc"}, "--transport is 'tpc': did you mean tcp"),
        ({"workers": 0}, "--workers is 0: give a whole number from 1"),
        ({"workers": -2}, "--workers is -2: give a whole number from 1"),
        ({"workers": SAMPLES + 1}, f"{SAMPLES + 1} "),
        ({"workers": MOST_PROCESSES + 1}, f"at most {MOST_PROCESSES}"),
        ({"strategy": "ps-bsp", "servers": MOST_PROCESSES}, f"at most {MOST_PROCESSES}"),
        (
            {"strategy": "ps-bsp", "servers": MOST_RANKS, "placement": "colocated"},
            f"{MOST_RANKS + 4} workers and servers on one machine: at most {MOST_RANKS}",
        ),
        ({"strategy": "ring", "placement": "colocated"}, "strategy 'ring' has no servers to be colocated: leave"),
        ({"placement": "collocated"}, "--placement is 'collocated': did you mean colocated"),
        ({"strategy": "ps-bsp", "strategy_options": {"sharding": "odd"}}, "strategy 'ps-bsp': unknown sharding 'odd'"),
        ({"steps": 0}, "--steps is 0: give a whole number from 1"),
        ({"threads": 0}, "--threads is 0: give a whole number from 1"),
        ({"lr": 0.0}, "--lr is 0: give a number above 0"),
        ({"lr": -1.0}, "--lr is -1: give a number above 0"),
        ({"lr": math.nan}, "--lr is nan: give a number above 0"),
        ({"lr": math.inf}, "--lr is inf: give a number above 0"),
        ({"deadline": -1.0}, "--deadline is -1: give a number above 0"),
        ({"deadline": math.nan}, "--deadline is nan: give a number above 0"),
        ({"momentum": 1.0}, "--momentum is 1: give a number from 0 to below 1"),
        ({"momentum": math.nan}, "--momentum is nan: give a number from 0 to below 1"),
        ({"seed": -1}, "--seed is -1: give a whole number from 0"),
        ({"seed": 1 << 64}, "give a whole number from 0 to below 2**64"),
        ({"hidden": ()}, "--hidden is (): give at least one layer"),
        ({"hidden": (8, 0)}, "--hidden is (8, 0): give at least one layer"),
        ({"strategy": "ring", "servers": 2}, "strategy 'ring' has no servers"),
        ({"strategy": "ps-bsp", "servers": 0}, "--servers is 0"),
        ({"strategy": "ps-bsp", "servers": -1}, "--servers is -1"),
        ({"transport": "tcp", "interface": "0.0.0.0"}, "loopback only"),
        ({"transport": "tcp", "interface": "eth0"}, "loopback only"),
        ({"bucket": 0}, "--bucket is 0: give 4 bytes, one float32, or more"),
        ({"bucket": 3}, "--bucket is 3: give 4 bytes, one float32, or more"),
        ({"overlap": "maybe"}, "--overlap is 'maybe': give auto, on or off"),
        ({"batch": 0}, "--batch is 0: give a whole number from 1"),
        ({"batch": -4}, "--batch is -4: give a whole number from 1"),
        ({"workers": 4, "batch": 10}, "--batch 10 does not divide among 4 workers: 8 or 12 does"),
        ({"workers": 4, "batch": 2}, "--batch 2 does not divide among 4 workers: 4 does"),
        ({"workers": 4, "batch": 4000}, f"at most --batch {SAMPLES // 4 * 4}"),
        ({"strategy_options": {"every": 3}}, "strategy 'ring' has no option --strategy.every"),
        ({"strategy_options": {"every": math.nan}}, "--strategy.every: nan is neither"),
        ({"strategy_options": {"every": {1, 2}}}, "--strategy.every: {1, 2} is neither"),
    ],
)
def test_a_mistake_is_refused_with_what_is_wrong_and_what_would_be_right(options, complaint):
    with pytest.raises(ConfigError) as refused:
        plan(RunOptions(**options))
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_seed_that_is_accepted_is_one_that_torch_takes():
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job(seed=(1 << 64) - 1).seed)


@given(workers=st.integers(1, 64), batch=st.integers(1, 2 * SAMPLES))
def test_a_batch_is_accepted_exactly_if_every_worker_gets_the_same_share_of_what_there_is(workers, batch):
    fits = batch % workers == 0 and batch // workers <= SAMPLES // workers
    try:
        accepted = job(workers=workers, batch=batch).batch == batch
    except ConfigError:
        accepted = False
    assert accepted == fits


@pytest.mark.parametrize(
    ("given_", "layers"),
    [
        ("64", (64,)),
        ("256,128", (256, 128)),
        (" [256, 128] ", (256, 128)),
        ("(64,)", (64,)),
        (64, (64,)),
        ([256, 128], (256, 128)),
        ((256,), (256,)),
    ],
)
def test_layer_sizes_are_read_from_text_number_or_list(given_, layers):
    assert sizes(given_) == layers


@pytest.mark.parametrize("junk", ["junk", "", "12,,3", "-5", "1.5", "8 4", "1e3", [64, "x"], [64, 1.5], None])
def test_other_texts_are_no_layer_sizes(junk):
    with pytest.raises(ValueError, match="whole numbers"):
        sizes(junk)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"slow_worker": "4:2"}, r"^--slow-worker 4: the workers are 0 to 3$"),
        ({"slow_worker": ["0:2", "x"]}, r"^--slow-worker: 'x' is not RANK:FACTOR"),
        ({"slow_worker": "1:0.5"}, r"the factor is 1 or more"),
        ({"jitter": "normal:1"}, r"^--jitter: 'normal:1' is not exponential:MEAN or uniform:LOW,HIGH"),
        ({"train_seconds": -1.0}, r"^--train-seconds is -1: "),
        ({"train_seconds": 20.0, "slow_worker": "1:4"}, r"trains for 80 s: give a --deadline above"),
        ({"jitter": "exponential:60"}, r"trains for 60 s: give a --deadline above"),
        (
            {"jitter": "uniform:0,30", "train_seconds": 15.0, "slow_worker": "1:2"},
            r"trains for 60 s: give a --deadline",
        ),
        ({"schedule": "cosin"}, r"--schedule is 'cosin': did you mean cosine"),
        ({"schedule": "linear", "warmup": 50, "steps": 50}, r"leaves --schedule linear none of the steps"),
        ({"warmup": 201}, r"^--warmup is 201: give a whole number from 0 to the 200 steps"),
        ({"decay": 0.0}, r"^--decay is 0: "),
        ({"decay_every": 0}, r"^--decay-every is 0: "),
    ],
)
def test_impossible_stragglers_and_schedules_are_refused_in_one_line(options, line):
    with pytest.raises(ConfigError, match=line) as refused:
        job(**options)
    assert "\n" not in str(refused.value)


def test_slow_workers_may_be_given_one_by_one_or_together():
    assert job(slow_worker=["1:2", "3:4"]).slow_worker == job(slow_worker="1:2,3:4").slow_worker == "1:2,3:4"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"strategy": "ring"}, r"strategy 'ring' cannot go on without a worker; use ps-async"),
        ({"strategy": "ps-bsp"}, r"strategy 'ps-bsp' cannot go on without a worker"),
        ({"strategy": "ps-ssp", "strategy_options": {"staleness": 0}}, r"'ps-ssp' cannot go on without a worker"),
        ({"strategy": "ps-async", "hosts": 2}, r"is for one host: leave --hosts out"),
        ({"on_worker_death": "ignore"}, r"--on-worker-death is 'ignore': give abort or continue"),
    ],
)
def test_the_death_of_a_worker_is_not_survived_if_others_wait_for_it(options, line):
    with pytest.raises(ConfigError, match=line):
        job(**{"on_worker_death": "continue", **options})


def test_a_worker_may_die_if_no_other_waits_for_it():
    assert job(strategy="ps-async", on_worker_death="continue").on_worker_death == "continue"
    assert job(strategy="ps-ssp", on_worker_death="continue").on_worker_death == "continue"
