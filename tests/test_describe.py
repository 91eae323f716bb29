"""The conditions and the limits of runs are said in one line each."""

import pytest
from runs import summary, write_run

from experiments.charts.throughput import has_straggler
from experiments.runs.describe import conditions, limits_line, slowness
from experiments.runs.find import load_run
from experiments.schema.documents import Environment


def test_the_causes_of_slow_workers_are_in_words(tmp_path):
    slow = load_run(write_run(tmp_path, "ring", slow_worker="3:4"))
    assert slowness([slow]) == "on worker 3 4× as long"
    both = write_run(tmp_path, "tree", slow_worker="1:2,0:1.5", jitter="uniform:0,1", train_seconds=0.02)
    told = ("training takes 20 ms", "on worker 1 2× as long", "on worker 0 1.5× as long")
    assert slowness([load_run(both)]) == ", ".join((*told, "each step 0 to 1000 ms longer (uniform)"))
    random = write_run(tmp_path, "direct", jitter="exponential:0.04")
    assert slowness([load_run(random)]) == "each step 40 ms longer on average (exponential)"
    assert has_straggler(load_run(both))
    assert not has_straggler(load_run(write_run(tmp_path, "star")))


def test_a_long_list_of_conditions_names_its_ends(tmp_path):
    runs = [load_run(write_run(tmp_path, "ring", name=f"{n}", workers=n, parameters=1000 * n)) for n in (1, 2, 4, 8)]
    assert conditions(runs).startswith("1 … 8 workers, batch 128, mlp with 1,000 … 8,000 parameters")
    assert conditions(runs[1:]).startswith("2 / 4 / 8 workers")


def test_conditions_that_differ_are_all_named(tmp_path):
    runs = [load_run(write_run(tmp_path, "ring", workers=n, name=f"{n}")) for n in (1, 2)]
    assert conditions(runs).startswith("1 / 2 workers, ")
    assert conditions(runs[:1]).startswith("1 worker, ")
    assert conditions([]).startswith("? workers, ")


def test_colocated_servers_are_told_with_the_workers(tmp_path):
    run = load_run(write_run(tmp_path, "ps-bsp", servers=2, placement="colocated"))
    assert conditions([run]).startswith("4 workers with 2 servers in their processes, batch 128")
    assert "4 workers (+2 servers in their processes) share 2 cores" in limits_line(run.summary, Environment(cores=2))


def limited(workers, servers=0, processes=None, **fields):
    return summary(workers=workers, servers=servers, processes=processes or workers + servers, **fields)


@pytest.mark.parametrize(
    ("fields", "env", "expected"),
    [
        (
            {"workers": 4, "servers": 1, "transport": "ipc"},
            {"cores": 2},
            "4 workers (+1 server) share 2 cores of one host over loopback (ipc): no network bottleneck here",
        ),
        ({"workers": 2, "transport": "shm"}, {"cores": 8}, "2 workers on 8 cores of one host over shared memory: no"),
        (
            {"workers": 4, "transport": "shm", "hosts": 2},
            {"cores": 8},
            "4 workers on 8 cores of one host over shared memory, and loopback (tcp) between what stands for hosts: no",
        ),
        (
            {"workers": 4, "processes": 1, "transport": "shm"},
            {"cores": 2},
            "1 process on 2 cores of one host: it sends",
        ),
        ({"workers": 1, "transport": "shm"}, {"cores": 2}, "1 process on 2 cores of one host: it sends nothing"),
        ({"workers": 4, "servers": 2, "transport": "tcp"}, {}, "4 workers (+2 servers) share the cores of one host"),
        ({"workers": 4, "transport": "tcp"}, {"hosts": 4, "cores": 2}, "4 workers on 4 hosts over tcp: these figures"),
        (
            {"workers": 4, "transport": "tcp"},
            {"cores": 2, "link": "1gbit"},
            "4 workers share 2 cores of one host over a",
        ),
        ({"workers": 64, "transport": "virtual"}, {"link": "1gbit,50us"}, "64 workers in virtual time on a link of 1g"),
    ],
)
def test_the_limits_of_a_comparison_are_one_line_that_fits_the_set_up(fields, env, expected):
    line = limits_line(limited(**fields), Environment(**env))
    assert line.startswith(expected)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("strategies", "incast", "hops"),
    [
        (["ps-bsp"], True, False),
        (["ring"], False, True),
        (["ps-bsp", "ring", "noop", "single"], True, True),
        (["ps-bsp", "noop", "single"], True, False),
        (["noop", "single"], False, False),
        (["single"], False, False),
    ],
)
def test_the_limits_name_the_effects_that_these_strategies_do_not_show(strategies, incast, hops):
    first, *others = (summary(name, workers=4, servers=int(name == "ps-bsp"), transport="ipc") for name in strategies)
    line = limits_line(first, Environment(cores=2), others)
    assert ("incast" in line, "hops" in line) == (incast, hops)


def test_only_loopback_without_a_shaped_link_is_called_a_matter_of_software():
    words = "software costs, not as cluster results"
    assert words in limits_line(limited(workers=4, transport="ipc"), Environment(cores=2))
    for env in (Environment(hosts=2), Environment(link="1gbit")):
        assert words not in limits_line(limited(workers=4, transport="tcp"), env)
