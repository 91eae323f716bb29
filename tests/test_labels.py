"""Runs beside each other have short, distinct names."""

from runs import summary

from experiments.runs.labels import labels
from experiments.runs.run import Run


def run_of(path, strategy, **changes):
    return Run(path, summary(strategy, **changes))


def test_labels_are_distinct_and_say_only_what_differs(tmp_path):
    runs = [
        run_of(tmp_path, "single"),
        run_of(tmp_path, "ps-ssp", consistency="ssp", strategy_options={"staleness": 1}),
        run_of(tmp_path, "ps-ssp", consistency="ssp", strategy_options={"staleness": 3}),
        run_of(tmp_path, "ring", workers=2),
        run_of(tmp_path, "ring", workers=4),
        run_of(tmp_path, "gossip.plugin:Gossip"),
        run_of(tmp_path, "star"),
        run_of(tmp_path, "star"),
    ]
    expected = ["single", "ps-ssp staleness=1", "ps-ssp staleness=3", "ring 2w", "ring 4w", "Gossip", "star", "star #2"]
    assert labels(runs) == expected


def test_the_bound_of_a_consistency_is_in_the_label_and_its_option_is_not(tmp_path):
    runs = [
        run_of(tmp_path, "ps-ssp", consistency="ssp(3)"),
        run_of(tmp_path, "ps-ssp", consistency="ssp(8)", strategy_options={"staleness": 8, "sharding": "even"}),
        run_of(tmp_path, "ps-ssp", consistency="ssp(8)", strategy_options={"staleness": 8, "sharding": "hashed"}),
        run_of(tmp_path, "ps-async", consistency="asp"),
    ]
    expected = ["ps-ssp(3)", "ps-ssp(8) sharding=even", "ps-ssp(8) sharding=hashed", "ps-async"]
    assert labels(runs) == expected


def test_settings_that_differ_are_in_the_label_and_never_become_a_number(tmp_path):
    runs = [run_of(tmp_path, "ring", hosts=n) for n in (1, 2)] + [run_of(tmp_path, "ps-bsp", servers=n) for n in (1, 2)]
    assert labels(runs) == ["ring 1 host", "ring 2 hosts", "ps-bsp 1 server", "ps-bsp 2 servers"]


def test_the_placement_of_servers_is_in_the_label_if_it_differs(tmp_path):
    runs = [run_of(tmp_path, "ps-bsp", servers=2, placement=where) for where in ("dedicated", "colocated")]
    runs += [run_of(tmp_path, "ring", servers=0, placement=None)]
    assert labels(runs) == ["ps-bsp dedicated", "ps-bsp colocated", "ring"]


def test_one_process_with_a_server_inside_is_not_alone(tmp_path):
    runs = [run_of(tmp_path, "ps-bsp", servers=1, processes=1, placement="colocated", transport="tcp")]
    runs += [run_of(tmp_path, "ring", transport="ipc", processes=4) for _ in range(2)]
    assert labels(runs)[0] == "ps-bsp tcp"


def test_a_setting_that_most_runs_have_otherwise_is_in_the_label(tmp_path):
    usual = {"bucket": 4 << 20, "overlap": "on", "transport": "ipc", "hosts": 1, "servers": 0, "processes": 4}
    runs = [
        run_of(tmp_path, "single", **{**usual, "processes": 1, "transport": "tcp"}),  # sends nothing
        run_of(tmp_path, "ring", **usual),
        run_of(tmp_path, "ps-bsp", **{**usual, "servers": 1, "processes": 5}),
        run_of(tmp_path, "auto", **{**usual, "bucket": 64 << 10}),
    ]
    assert labels(runs) == ["single", "ring", "ps-bsp", "auto bucket=64KiB"]
    assert labels(runs[2:]) == ["ps-bsp bucket=4MiB", "auto bucket=64KiB"]
