"""The charts of sweeps: along workers, servers and sizes, with ideal and prediction, and beside a straggler."""

import math

import pytest
import runs
from charts import Seen, grid, planted, predict, refuse
from runs import BATCH, write_run

from experiments.charts import Absent, ChartData
from experiments.charts.throughput import has_straggler
from experiments.comparison.compare import compare_runs
from experiments.format.words import plural
from experiments.runs.find import load_run

PAIR = ("noop", "ring")
RATES = {"noop": 1000.0, "single": 1100.0, "ring": 800.0, "ps-bsp": 500.0}  # samples/s of one worker


def by_workers(name, workers, repeat):
    return RATES[name] * (1 if name == "single" else workers ** (1.0 if name == "noop" else 0.5)) + repeat


def scaled(folder, counts=(1, 2, 4), **more):
    runs = []
    for count in counts:
        runs += grid(folder, "workers", [count], tuple(RATES), 2, by_workers, processes=count, **more)
    return runs


def test_throughput_against_workers_has_the_ideal_and_every_repeat(tmp_path):
    found_runs = compare_runs(scaled(tmp_path))
    seen = Seen("scaling", found_runs)
    rows = {(row["label"], row["workers"]): row for row in seen.rows}
    assert len(rows) == len(RATES) * 3
    assert [rows["ring", n]["ideal"] for n in (1, 2, 4)] == [1000.5 * n for n in (1, 2, 4)]
    assert list(rows["ring", 4]["repeats"]) == [1600.0, 1601.0]
    assert {"ideal", "ring", "noop (ceiling)", "single (yardstick)"} <= set(seen.texts)
    assert seen.title == "From 1 to 4 workers ring makes 2.0 times the samples/s, ps-bsp 2.0"


def test_efficiency_is_a_share_of_a_lone_workers_throughput_by_worker_and_by_process(tmp_path):
    runs = [
        run
        for workers in (1, 2)
        for name in RATES
        for run in planted(
            tmp_path,
            (name,),
            workers=workers,
            processes=workers + (name == "ps-bsp"),
            samples_per_second=by_workers(name, workers, 0),
        )
    ]
    found_runs = compare_runs(runs)
    seen = Seen("efficiency", found_runs)
    rows = {(row["label"], row["workers"]): row for row in seen.rows}
    assert rows["ps-bsp", 2]["efficiency_per_worker"] == pytest.approx(500 * 2**0.5 / 2 / 1000)
    assert rows["ps-bsp", 2]["efficiency_per_process"] == pytest.approx(500 * 2**0.5 / 3 / 1000)
    assert "per process: servers count" in seen.texts
    assert "single" not in {row["label"] for row in seen.rows}


@pytest.mark.parametrize(
    ("fewest", "shares"),
    [(1, {"ring": 0.4, "ps-bsp": 0.25}), (4, {"ring": 0.2, "ps-bsp": 0.125})],
)
def test_efficiency_is_a_share_of_the_ceiling_with_the_fewest_workers(tmp_path, fewest, shares):
    """A worker of ring does half of what it did among the fewest: the shares are not of that."""
    seen = Seen("efficiency", compare_runs(scaled(tmp_path, (fewest, 4 * fewest))))
    most = {row["label"]: row["efficiency_per_worker"] for row in seen.rows if row["workers"] == 4 * fewest}
    assert {label: most[label] for label in shares} == pytest.approx(shares, abs=0.005)
    assert f"share of noop with {plural(fewest, 'worker')}" in seen.texts


def test_without_a_ceiling_the_shares_are_of_the_fastest_and_of_one_process_only_beside_lone_workers(tmp_path):
    names = ("single", "ring", "ps-bsp")
    for fewest, whose in ((1, "single with 1 worker"), (2, "ring with 2 workers")):
        (folder := tmp_path / whose).mkdir()
        seen = Seen("efficiency", compare_runs(grid(folder, "workers", (fewest, 8), names, 2, by_many)))
        assert f"share of {whose}" in seen.texts


def by_many(name, workers, repeat):
    return RATES[name] * workers**0.5 * (4 if name == "single" else 1) + repeat


def test_entries_with_the_fewest_or_the_most_workers_alone_have_no_growth(tmp_path):
    """One with the fewest workers, another with the most."""
    few = grid(tmp_path, "workers", (1,), ("noop", "ring"), 2, by_workers)
    many = grid(tmp_path, "workers", (4,), ("noop", "ps-bsp"), 2, by_workers)
    assert Seen("scaling", [*few, *many]).title == "ps-bsp: 1.00k samples/s with 4 workers"


def test_a_batch_that_grows_with_the_workers_is_still_one_curve(tmp_path):
    runs = [
        run
        for workers in (1, 2, 4)
        for run in grid(tmp_path, "workers", (workers,), ("noop", "ring"), 1, by_workers, batch=32 * workers)
    ]
    assert {row["workers"] for row in Seen("scaling", compare_runs(runs)).rows} == {1, 2, 4}


def test_settings_that_follow_from_the_workers_do_not_break_a_line(tmp_path):
    made = [
        run
        for workers in (1, 2)
        for run in planted(tmp_path, PAIR, workers=workers, bucket=1 << (20 + workers), automatic=["bucket"])
    ]
    assert {row["label"] for row in Seen("scaling", made).rows} == {"noop", "ring"}
    asked = [
        run
        for workers, transport in ((1, "tcp"), (2, "ipc"))
        for run in planted(tmp_path, PAIR, workers=workers, transport=transport)
    ]
    assert len({row["label"] for row in Seen("scaling", asked).rows}) > 2


def test_many_workers_are_shown_on_logarithmic_axes(tmp_path):
    found_runs = compare_runs(scaled(tmp_path, (1, 8, 64), steps=2))
    seen = Seen("scaling", found_runs)
    assert {"1", "8", "64"} <= set(seen.texts)
    assert "ideal" in seen.texts


def test_many_ranks_are_shown_as_bands_in_a_small_drawing(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "WORKERS", 64)
    seen = Seen("step_times", planted(tmp_path, ("noop", "ring"), workers=64))
    assert "Of many workers: bands and lines" in seen.said
    assert len(seen.rows) == 2 * 64
    assert not seen.figure.axes[0].patches  # no boxes


def test_a_prediction_is_drawn_dashed_and_in_the_file(tmp_path):
    seen = Seen("scaling", predict(compare_runs(scaled(tmp_path)), "ring", 7.0))
    assert {row["predicted"] for row in seen.rows if row["label"] == "ring"} == {7.0}
    assert {row["predicted"] for row in seen.rows if row["label"] != "ring"} == {None}
    assert "Dashed: predicted." in seen.said


def test_a_predicted_exchange_is_what_a_predicted_step_has_more_than_one_of_noop(tmp_path):
    comparison = compare_runs(planted(tmp_path, ("noop", "ring"), samples_per_second=1000.0, batch=100))

    def exchange(comparison, rate):
        entries = ChartData(predict(comparison, "ring", rate)).entries.set_index("label")
        return entries.loc["ring", "predicted_seconds"]

    assert exchange(comparison, 500.0) == pytest.approx(100 / 500 - 100 / 1000)
    assert math.isnan(exchange(comparison, 2000.0))  # faster than without any
    assert math.isnan(exchange(compare_runs(planted(tmp_path, ("ring",))), 500.0))


def test_an_entry_that_is_not_comparable_wins_no_sweep(tmp_path):
    found_runs = refuse(compare_runs(scaled(tmp_path)), "ring")
    seen = Seen("scaling", found_runs)
    assert "ring" not in seen.title
    assert "ring, not comparable" in seen.said


def test_charts_of_one_setting_say_that_there_are_others(tmp_path):
    found_runs = compare_runs(scaled(tmp_path))
    assert "One of 3 settings that were run: 4 workers" in Seen("throughput", found_runs).said
    assert "One of 3 settings" not in Seen("scaling", found_runs).said


def sized(folder, sizes=(1000, 100_000)):
    return [
        run
        for size in sizes
        for repeat in range(2)
        for name, factor in (("single", 0), ("noop", 0), ("ring", 1), ("ps-bsp", 2))
        for run in planted(
            folder,
            (name,),
            model=f"mlp:{size}",
            parameters=size,
            seconds={"synchronize": factor * (size + repeat) * 1e-8, "hidden": 1e-9 if factor else 0.0},
        )
    ]


def test_synchronisation_against_the_size_of_the_model_in_seconds_and_in_bandwidth(tmp_path):
    comparison = compare_runs(sized(tmp_path))
    noop = comparison.contests[0].strategy("noop")
    comparison = predict(comparison, "ring", BATCH / (BATCH / noop.rate.middle + 2e-5), contests=1)
    seen = Seen("size_time", comparison)
    rows = {(row["label"], row["bytes"]): row for row in seen.rows}
    assert set(rows) == {(name, 4 * size) for name in ("ring", "ps-bsp") for size in (1000, 100_000)}
    assert rows["ring", 4000]["repeats_seconds"] == pytest.approx([1000e-8 + 1e-9, 1001e-8 + 1e-9])
    assert rows["ring", 4000]["predicted_seconds"] == pytest.approx(2e-5)
    assert rows["ps-bsp", 4000]["predicted_seconds"] is None
    bandwidth = Seen("size_bandwidth", comparison)
    wide = {(row["label"], row["bytes"]): row["value"] for row in bandwidth.rows}
    assert wide["ring", 400_000] == pytest.approx(400_000 / (sum((100_000e-8, 100_001e-8)) / 2 + 1e-9) / 1e6)


def test_a_synchronisation_without_a_known_time_is_named(tmp_path):
    runs = sized(tmp_path)
    for size in (1000, 100_000):
        runs += planted(tmp_path, ("ddp",), model=f"mlp:{size}", parameters=size, synchronizes_in="train")
    assert "Not shown: ddp (not recorded)." in Seen("size_time", compare_runs(runs)).said


def test_throughput_against_servers_by_placement_beside_what_needs_none(tmp_path):
    runs = planted(tmp_path, ("noop", "ring"), samples_per_second=900.0)
    for servers in (1, 2, 4):
        for placement in ("dedicated", "colocated"):
            more = {"servers": servers, "placement": placement}
            runs += planted(tmp_path, ("ps-bsp",), samples_per_second=100.0 * servers, **more)
    found_runs = compare_runs(runs)
    seen = Seen("servers", found_runs)
    rows = seen.rows
    points = {(row["servers"], row["placement"]): row["samples_per_second"] for row in rows}
    assert points[4, "colocated"] == 400.0
    assert points[0, None] == 900.0
    assert {"ps-bsp dedicated", "ps-bsp colocated", "ring"} <= {" ".join(t.split()) for t in seen.texts}


def test_without_several_counts_of_servers_there_is_no_such_chart(tmp_path):
    with pytest.raises(Absent, match="all runs of a strategy have the same number of servers"):
        Seen("servers", planted(tmp_path))


def slowed(folder, names, rates, **more):
    return [
        run
        for name in names
        for run in planted(folder, (name,), samples_per_second=rates[name], slow_worker="3:4", **more)
    ]


def test_a_straggler_is_shown_beside_the_same_without_one(tmp_path):
    rates = {"noop": 3000.0, "ps-bsp": 1000.0, "ps-async": 1500.0, "ring": 1010.0}
    calm = [run for name in rates for run in planted(tmp_path, (name,), samples_per_second=2 * rates[name])]
    found_runs = compare_runs([*calm, *slowed(tmp_path, rates, rates)])
    seen = Seen("stragglers", found_runs)
    assert seen.title == "ps-async makes 1.5× the samples/s of ps-bsp; ring makes no more"
    rows = seen.rows
    without = {row["label"]: row["value"] for row in rows if row["chart"] == "samples_per_second_without"}
    assert without["ring"] == 2020.0
    assert "Black line: the same without a straggler." in seen.said
    assert "on worker 3 4× as long" in seen.said


def test_one_strategy_alone_beside_a_straggler_is_no_comparison(tmp_path):
    with pytest.raises(Absent, match="only one strategy ran with a straggler"):
        Seen("stragglers", slowed(tmp_path, ["ring"], {"ring": 1.0}))
    with pytest.raises(Absent, match="no run has a straggler"):
        Seen("stragglers", planted(tmp_path, ("star",)))
    assert not has_straggler(load_run(write_run(tmp_path, "tree", jitter="exponential:0.04", samples_per_second=None)))


def test_staleness_is_counted_over_all_repeats_in_a_few_bars(tmp_path):
    many = {"staleness_histogram": {str(steps): 1 for steps in range(100)}, "staleness_max": 99}
    runs = [load_run(write_run(tmp_path, "ps-async", name=f"{k}", **many)) for k in range(2)]
    found_runs = compare_runs(runs)
    seen = Seen("staleness", found_runs)
    rows = seen.rows
    assert [(row["staleness_from"], row["staleness_to"]) for row in rows] == [(x, x + 9) for x in range(0, 100, 10)]
    assert {row["share_of_updates"] for row in rows} == {0.1}
    assert "Updates of 2 repeats." in seen.said
    assert "90–99" in seen.texts


def test_ranges_of_staleness_name_their_ends_once_and_small_shares_are_said(tmp_path):
    spread = {"staleness_histogram": {"0": 995, "10": 5}, "staleness_max": 10}
    assert {"10", "<1%"} <= set(
        Seen("staleness", compare_runs([load_run(write_run(tmp_path, "ps-async", **spread))])).texts
    )


def test_a_run_without_stale_updates_is_named_and_not_drawn(tmp_path):
    fresh = {"staleness_histogram": {"0": 8}, "staleness_max": 0}
    stale = {"staleness_histogram": {"0": 6, "3": 2}, "staleness_max": 3}
    runs = [load_run(write_run(tmp_path, "ps-bsp", **fresh)), load_run(write_run(tmp_path, "ps-async", **stale))]
    both_runs = compare_runs(runs)
    seen = Seen("staleness", both_runs)
    assert "None was behind, in steps: ps-bsp." in seen.said
    assert {row["label"] for row in seen.rows} == {"ps-async"}


def test_staleness_is_counted_in_updates_if_no_gradient_is_behind_in_steps(tmp_path):
    pace = {"staleness_histogram": {"0": 8}, "staleness_max": 0}
    updates = {"staleness_updates_histogram": {"0": 1, "7": 7}, "staleness_updates_max": 7}
    lockstep = {"staleness_updates_histogram": {"0": 8}, "staleness_updates_max": 0}
    runs = [
        load_run(write_run(tmp_path, "ps-async", **pace, **updates)),
        load_run(write_run(tmp_path, "ps-bsp", **pace, **lockstep)),
    ]
    seen = Seen("staleness", compare_runs(runs))
    assert "Gradients of ps-async were applied up to 7 updates late" in seen.said
    assert "None was behind, in updates: ps-bsp." in seen.said
    assert {row["counted_in"] for row in seen.rows} == {"updates"}
    with pytest.raises(Absent, match="every gradient was of the newest step"):
        Seen("staleness", compare_runs(runs[1:]))
