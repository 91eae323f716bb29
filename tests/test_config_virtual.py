"""The options of virtual time: what it needs, and which options and strategies it refuses."""

import pytest

from common.errors import ConfigError
from common.runtime.job import ONE_BUCKET
from experiments.bench.plan import BenchOptions, plan_bench
from experiments.config import RunOptions, plan
from experiments.config.options.ranks import MOST_VIRTUAL

VIRTUAL = {"transport": "virtual", "link": "1Gbps,0.05ms"}


def test_a_virtual_job_has_its_link_in_one_spelling_and_no_overlap():
    job = plan(RunOptions(**VIRTUAL)).job
    assert (job.transport, job.link, job.overlap, job.bucket) == ("virtual", "1gbit,50us", "off", ONE_BUCKET)


def test_a_real_job_has_no_link():
    assert plan(RunOptions()).job.link is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"link": "1gbit,50us"}, "--link is the network of virtual time: add --transport virtual"),
        ({"transport": "virtual"}, "--transport virtual needs a network: give --link"),
        ({**VIRTUAL, "link": "fast"}, "--link: 'fast' is not BANDWIDTH,LATENCY"),
        *(
            ({**VIRTUAL, "strategy": name}, f"strategy '{name}' moves its bytes itself")
            for name in ("gloo", "ddp", "nccl", "mpi")
        ),
        ({**VIRTUAL, "overlap": "on"}, "--overlap on: in virtual time"),
        (
            {**VIRTUAL, "strategy": "ps-async", "on_worker_death": "continue"},
            "--on-worker-death continue: in virtual time no worker dies",
        ),
        ({**VIRTUAL, "strategy": "ps-bsp", "checkpoint_every": 5}, "--checkpoint-every: in virtual time"),
        ({**VIRTUAL, "strategy": "ps-bsp", "restarts": 1}, "--restarts: in virtual time"),
        ({**VIRTUAL, "workers": MOST_VIRTUAL + 1}, f"machines in virtual time: at most {MOST_VIRTUAL}"),
    ],
)
def test_what_virtual_time_cannot_do_is_refused_in_one_line(options, why):
    with pytest.raises(ConfigError, match=why) as caught:
        plan(RunOptions(**options))
    assert "\n" not in str(caught.value)


def test_more_machines_than_this_one_can_have_processes_are_possible():
    assert plan(RunOptions(workers=MOST_VIRTUAL, **VIRTUAL)).job.workers == MOST_VIRTUAL


def test_a_benchmark_measures_and_does_not_predict():
    with pytest.raises(ConfigError, match="a benchmark measures, and virtual time is predicted"):
        plan_bench(BenchOptions(transport="shm,virtual"))
