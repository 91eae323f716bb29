"""The charts of one contest: the numbers in them, in their titles, and in the files beside them."""

import math
from dataclasses import replace

import pytest
from charts import Seen, grid, planted
from msgspec import structs
from runs import PARAMETERS, SECONDS, WORKERS, worker_row, write_rows, write_run

from experiments.charts import Absent
from experiments.runs.find import load_run

HUBS = "The busiest process sends 4.0× what others do in ps-bsp and ps-async, and 3.0× in star; ring has no hub"
MODEL, STEP = 4 * PARAMETERS, math.fsum(SECONDS.values())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    ("chart", "title"),
    [
        (
            "throughput",
            "There is no verdict on ps-bsp (32.0k samples/s), ps-async (32.0k samples/s), star (32.0k samples/s) "
            "and ring (32.0k samples/s), as that takes repeats",
        ),
        ("stages", "Synchronisation takes 35% of a step"),
        ("traffic", HUBS),
        (
            "traffic_between",
            "Payload of a step, by sender and receiver",
        ),
        ("staleness", "Gradients of ps-async were applied up to 3 steps late"),
    ],
)
def test_titles_say_what_the_numbers_say(runs, chart, title):
    seen = Seen(chart, runs)
    assert seen.title == title
    assert title in seen.said


def test_the_ceiling_and_the_yardstick_are_marked_as_such(runs):
    found = Seen("throughput", runs).texts
    assert "noop, no synchronisation: the ceiling, 32.0k" in found
    assert "noop (ceiling)" not in found  # a line and no bar
    assert "single (yardstick)" in found


def test_a_ceiling_alone_is_a_chart_too(tmp_path):
    seen = Seen("throughput", planted(tmp_path, ("noop",)))
    assert seen.title == "Throughput, without a strategy to compare"
    assert "noop (ceiling)" in seen.texts


def test_every_repeat_is_a_dot_and_in_the_file(tmp_path):
    rates = {"ring": (900.0, 1000.0, 2000.0), "star": (100.0, 110.0, 120.0)}
    runs = [
        run
        for name, all_ in rates.items()
        for rate in all_
        for run in planted(tmp_path, (name,), samples_per_second=rate)
    ]
    found = Seen("throughput", runs)
    rows = {row["label"]: row for row in found.rows}
    assert list(rows["ring"]["repeats"]) == [900.0, 1000.0, 2000.0]
    assert rows["ring"]["samples_per_second"] == 1000.0
    assert "median of 3 repeats, each a dot" in found.said
    assert found.title.startswith("Against ring (1.00k samples/s), star is slower, 0.11× (0.03–0.26)")


def test_a_single_repeat_of_one_entry_has_no_winner(tmp_path):
    runs = grid(tmp_path, "seed", (0,), ("ring", "star"), 2, lambda name, *_: 900.0 if name == "ring" else 100.0)
    assert "star is slower" in Seen("throughput", runs).title
    assert Seen("throughput", runs[:-1]).title.startswith("There is no verdict on ring (900 samples/s) and star (100")


def test_a_single_contender_is_not_the_fastest(tmp_path):
    rates = {"single": 1500.0, "noop": 1000.0, "ring": 760.0}
    runs = grid(tmp_path, "seed", (0,), tuple(rates), 2, lambda name, *_: rates[name])
    assert Seen("throughput", runs).title == "ring: 760 samples/s, 76% of the ceiling"


def test_overlapping_repeats_have_no_winner(tmp_path):
    runs = grid(
        tmp_path, "seed", (0,), ("ring", "star"), 3, lambda name, _, k: 1000.0 + 100 * k + 50 * (name == "ring")
    )
    assert Seen("throughput", runs).title == (
        "Against ring (1.15k samples/s), there is no difference for star (1.10k samples/s)"
    )


def test_the_stages_are_those_of_the_records_and_hidden_ones_are_hatched(tmp_path, runs):
    seen = Seen("stages", runs)
    row = next(row for row in seen.rows if row["label"] == "ring")
    assert {stage: float(row[f"{stage}_seconds"]) for stage in SECONDS} == pytest.approx(SECONDS)
    assert row["step_seconds"] == pytest.approx(STEP)
    assert "synchronize, hidden" not in seen.texts
    hidden = Seen("stages", planted(tmp_path, ("ring",), seconds={"hidden": 0.001}))
    assert "synchronize, hidden" in hidden.texts
    assert float(hidden.rows[0]["hidden_synchronize_seconds"]) == pytest.approx(0.001)


def test_a_synchronisation_within_train_is_neither_a_share_nor_in_the_title(tmp_path):
    within = {"seconds": {"synchronize": 0.0}, "synchronizes_in": "train"}
    runs = [load_run(write_run(tmp_path, "ddp", **within)), load_run(write_run(tmp_path, "ring"))]
    found = Seen("stages", runs)
    assert "2.60 ms, synchronize in train" in found.texts
    assert found.title == "Synchronisation takes 35% of a step"  # ring's


def test_losses_in_the_file_are_those_of_the_lines(runs):
    rows = [row for row in Seen("loss_vs_samples", runs).rows if row["label"] == "ring"]
    assert [row["samples"] for row in rows] == [128.0 * (step + 1) for step in range(20)]
    assert rows[0]["loss"] == pytest.approx(2.4 + 0.015)
    assert {row["drawn"] for row in rows} == {"bold"}


def test_a_long_run_is_a_line_of_few_points(tmp_path):
    found = Seen("loss_vs_samples", planted(tmp_path, ("ring",), steps=3000))
    rows = found.rows
    assert len(rows) <= 240
    assert rows[-1]["samples"] == 3000 * 128


def test_a_slow_first_step_does_not_count_against_a_strategy(tmp_path):
    slow = write_run(tmp_path, "star", steps=2)
    rows = [worker_row(0, 0, SECONDS) | {"began": 0.0, "ended": 50.0}, worker_row(1, 0, SECONDS) | {"ended": 51.5}]
    for rank in range(WORKERS):
        write_rows(slow, rank, rows)
    assert Seen("time_to_loss", [load_run(slow)], loss=1.2).rows[0]["seconds"] == pytest.approx(1.5)


def test_an_entry_that_never_reaches_the_loss_is_shown_so(tmp_path):
    runs = planted(tmp_path, ("single", "ring"), steps=40) + planted(tmp_path, ("star",), steps=3)
    runs = [replace(run, summary=structs.replace(run.summary, steps=40)) for run in runs]  # one contest
    found = Seen("time_to_loss", runs, loss=0.2)
    assert "not reached: 0.81 after" in found.said
    rows = {row["label"]: row for row in found.rows}
    assert (rows["star"]["seconds"], rows["star"]["repeats"]) == (None, ("never",))
    assert rows["ring"]["seconds"] > 0


def test_own_work_and_whole_steps_of_a_straggler_are_separate(tmp_path):
    folder = write_run(tmp_path, "ring")
    for rank in range(WORKERS):
        own = 0.008 if rank == 2 else 0.002
        rows = [
            {**worker_row(step, rank, SECONDS), "began": step * 0.01, "ended": (step + 1) * 0.01}
            | {"seconds": {**SECONDS, "synchronize": 0.01 - own}}
            for step in range(20)
        ]
        late = {**rows[-1], "began": 0.0, "ended": 0.0, "seconds": dict.fromkeys(SECONDS, 0.0), "skipped": True}
        write_rows(folder, rank, [*rows, *[late] * 30])
    found = Seen("step_times", [load_run(folder)])
    rows = {row["worker"]: row for row in found.rows}
    assert rows[2]["own_seconds_p50"] == pytest.approx(0.008)
    assert rows[0]["own_seconds_p95"] == pytest.approx(0.002)
    assert rows[0]["step_seconds_p50"] == pytest.approx(0.01)


def test_servers_and_workers_differ_and_sent_and_received_bytes_too(runs):
    found = Seen("traffic", runs)
    assert {"server", "worker", "server: 75.2 KiB, 4.0× the others"} <= set(found.texts)
    rows = [row for row in found.rows if row["label"] == "ps-bsp"]
    assert [(row["role"], row["sent_bytes_per_step"]) for row in rows] == [
        ("server", MODEL * 4.0),
        *[("worker", float(MODEL))] * 4,
    ]
    assert all(row["received_bytes_per_step"] == row["sent_bytes_per_step"] for row in rows)


def test_three_of_many_workers_are_shown(tmp_path):
    sent = {"per_worker": [20 * 25 * 2**20 * (1 + rank) for rank in range(64)], "per_server": []}
    found = Seen("traffic", planted(tmp_path, ("ring",), workers=64, bytes_sent=sent, bytes_received=None))
    assert [row["process"] for row in found.rows] == ["busiest of 64", "median of 64", "least busy of 64"]
    assert [row["received_bytes_per_step"] for row in found.rows] == [None, None, None]
    assert "MiB of payload in a step" in found.said


def test_the_heat_map_has_a_cell_for_each_pair_that_talks(runs):
    seen = Seen("traffic_between", runs)
    cells = {(row["from"], row["to"]): row["bytes_per_step"] for row in seen.rows_of("ps-bsp")}
    assert cells == {
        **{(f"w{rank}", "s0"): 40.0 for rank in range(4)},
        **{("s0", f"w{rank}"): 80.0 for rank in range(4)},
    }
    assert "Nothing is sent by single, noop." in seen.said


def test_groups_of_ranks_keep_their_roles(tmp_path):
    many = {"0-3": {"4-7": 10, "8-9": 20}, "4-7": {}, "8-9": {"0-3": 20}}
    run = load_run(write_run(tmp_path, "ps-bsp", bytes_between=many, servers=2, workers=8))
    cells = {(row["from"], row["to"]) for row in Seen("traffic_between", [run]).rows}
    assert cells == {("w0-3", "w4-7"), ("w0-3", "s0-1"), ("s0-1", "w0-3")}


def test_ranks_that_were_put_together_have_comparable_colours(tmp_path):
    """Seven workers send 10 bytes each to the server, which sends 20 to each; a ring has groups of another size."""
    served = {"0-2": {"7": 30}, "3-5": {"7": 30}, "6": {"7": 10}, "7": {"0-2": 60, "3-5": 60, "6": 20}}
    around = {"0-1": {"0-1": 5, "2-3": 5}, "2-3": {"2-3": 5, "4-5": 5}, "4-5": {"4-5": 5, "6": 5}, "6": {"0-1": 5}}
    made = [
        load_run(write_run(tmp_path, name, steps=1, bytes_between=between, servers=servers, workers=7))
        for name, between, servers in (("ps-async", served, 1), ("ring", around, 0))
    ]
    seen = Seen("traffic_between", made)
    assert {row["bytes_per_step_and_rank"] for row in seen.rows_of("ps-async")} == {10.0, 20.0}
    assert [row["bytes_per_step"] for row in seen.rows_of("ps-async")][:3] == [30.0, 30.0, 10.0]
    assert "w0-2 or w0-1: ranks put together" in seen.note


def test_runs_of_one_strategy_with_other_options_have_other_labels(tmp_path):
    runs = [load_run(write_run(tmp_path, "double-tree", name=f"{s}", strategy_options={"chunks": s})) for s in (1, 3)]
    assert {"double-tree chunks=1", "double-tree chunks=3"} <= {
        " ".join(text.split()) for text in Seen("throughput", runs).texts
    }


def test_the_loss_of_workers_that_do_not_wait_is_averaged_by_time(tmp_path):
    folder = write_run(tmp_path, "ps-async", steps=0)
    for rank, seconds in enumerate((1.0, 1.0, 1.0, 9.0)):
        rows = [
            worker_row(step, 0, SECONDS) | {"began": step * seconds, "ended": (step + 1) * seconds, "loss": 4.0 - step}
            for step in range(4)
        ]
        write_rows(folder, rank, rows)
    rows = Seen("loss_vs_seconds", [load_run(folder)]).rows
    at_three = min(rows, key=lambda row: abs(row["seconds"] - 3.0))
    assert float(at_three["loss"]) == pytest.approx((3 * 1.0 + 4.0) / 4)  # three are done, one is at its first step


def test_a_yardstick_far_beyond_the_others_is_cut_and_says_so(tmp_path):
    rates = {"single": 5000.0, "noop": 1000.0, "ring": 900.0}
    found = Seen(
        "throughput",
        [run for name, rate in rates.items() for run in planted(tmp_path, (name,), samples_per_second=rate)],
    )
    (axes,) = found.figure.axes
    assert axes.get_xlim()[1] < 2000.0
    assert "5.00k: one process, which waits for nobody" in found.texts
    assert "The bar of single is cut: 5.00k." in found.note
    assert [row["samples_per_second"] for row in found.rows_of("single")] == [5000.0]


def test_a_yardstick_among_the_others_is_whole(runs):
    found = Seen("throughput", runs)
    assert "cut" not in found.note
    assert "waits for nobody" not in found.said


@pytest.mark.parametrize("chart", ["throughput", "time_to_loss"])
def test_the_yardstick_is_hollow_in_every_chart(tmp_path, chart):
    found = Seen(chart, planted(tmp_path, ("single", "ring")))
    bars = [patch for patch in found.figure.axes[0].patches if patch.get_width()]
    assert sorted(patch.get_facecolor()[:3] == (1, 1, 1) for patch in bars) == [False, True]


def test_the_time_to_a_loss_is_the_median_over_the_repeats(tmp_path):
    """The repeat with the median throughput is not the one with the median time."""
    runs = []
    for rate, seconds in ((1.0, 1.0), (2.0, 5.0), (3.0, 3.0)):
        folder = write_run(tmp_path, "ring", name=f"{rate}", samples_per_second=rate)
        for rank in range(WORKERS):
            rows = [worker_row(step, 0, SECONDS) | {"ended": step * seconds, "loss": 4.0 - step} for step in range(4)]
            write_rows(folder, rank, rows)
        runs.append(load_run(folder))
    (row,) = Seen("time_to_loss", runs, loss=2.0).rows
    assert row["seconds"] == sorted(row["repeats"])[1]


def test_without_stale_updates_there_is_no_chart(tmp_path):
    with pytest.raises(Absent, match="every gradient was of the newest step"):
        Seen("staleness", planted(tmp_path, ("single", "ps-bsp", "ring")))
    with pytest.raises(Absent, match="no run has a history of pushes"):
        Seen("staleness", planted(tmp_path, ("ring",)))
