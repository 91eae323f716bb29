"""Tables fit where they are shown, say what was measured, and mark what is missing."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from runs import PARAMETERS, SECONDS, fail, summary, write_run

from experiments.comparison.equivalence import check_parameters
from experiments.comparison.tables import ceiling, runs_table
from experiments.format.table import markdown_table, terminal_table
from experiments.runs.describe import conditions
from experiments.runs.find import load_run
from experiments.runs.run import Run

NAMES = ["single", "noop", "ps-bsp", "ps-async", "star", "ring", "halving-doubling"]


@pytest.fixture
def runs(tmp_path):
    return [load_run(write_run(tmp_path, name)) for name in NAMES]


def shown(runs, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_table(runs_table(runs, check_parameters(runs)), width))
    return console.file.getvalue().splitlines()


def markdown(runs):
    return markdown_table(runs_table(runs, check_parameters(runs)))


def cells(runs):
    """The cells of the markdown table, by strategy and column."""
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in markdown(runs).splitlines()
        if line.startswith("|")
    ]
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


@pytest.mark.parametrize("width", [80, 90, 100, 120])
def test_the_table_fits_with_one_unbroken_line_a_run(runs, width):
    lines = shown(runs, width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    body = lines[3 : 3 + len(runs)]
    assert [line.split()[0] for line in body] == NAMES
    assert body[1].rstrip().endswith("– not promised")


def test_at_120_columns_nothing_is_left_out_and_at_80_the_least_important(runs):
    wide, narrow = ("\n".join(shown(runs, width)[:2]).split() for width in (120, 80))
    for word in ("prep", "part", "load", "train", "sync", "update", "worker", "server", "loss", "acc.", "noop"):
        assert word in wide
    assert {"train", "sync", "worker", "server", "strategy", "single"} <= set(narrow)
    assert not {"prep", "part", "loss"} & set(narrow)


def test_hidden_synchronisation_has_a_column_if_there_is_any(tmp_path):
    hiding = load_run(write_run(tmp_path, "ring", seconds={"train": 0.002, "synchronize": 0.001, "hidden": 0.0015}))
    none, noop = (load_run(write_run(tmp_path, name)) for name in ("star", "noop"))
    found = cells([hiding, none, noop])
    assert (found["ring"]["sync hidden"], found["star"]["sync hidden"]) == ("60%", "0%")
    assert "sync hidden: share" in markdown([hiding])
    assert "hidden" not in markdown([none, noop])


def test_a_synchronisation_within_train_has_no_share_of_its_own(tmp_path):
    within = {"seconds": {"synchronize": 1e-7}, "synchronizes_in": "train"}
    ddp, ring = load_run(write_run(tmp_path, "ddp", **within)), load_run(write_run(tmp_path, seconds={"hidden": 0.001}))
    found = cells([ddp, ring])
    assert (found["ddp"]["sync %"], found["ddp"]["sync hidden"], found["ring"]["sync %"]) == ("–", "–", "35")
    assert "the synchronisation of ddp is within train" in markdown([ddp, ring])
    assert "within train" not in markdown([ring])


def test_below_80_columns_the_table_still_keeps_within_its_width(runs):
    assert max(map(len, shown(runs, 60))) <= 60


def test_figures_are_those_of_the_runs(runs):
    found = cells(runs)
    assert found["ring"] == {
        "strategy": "ring",
        "samples /s": "32.0k",
        "vs noop": "100%",
        "ms/ step": "4.00",
        "prep %": "2",
        "part %": "2",
        "load %": "5",
        "train %": "50",
        "sync %": "35",
        "update %": "5",
        "worker sends": "28.2 KiB",
        "server sends": "–",
        "test acc.": "97.5%",
        "final loss": "0.12",
        "same as single": "✓ 0",
    }
    assert found["ps-bsp"]["server sends"] == "75.2 KiB"
    assert found["star"]["worker sends"] == "56.4 KiB"  # the busiest worker's
    assert found["single"]["same as single"] == "reference"


def test_the_share_of_the_ceiling_is_relative_to_noop(tmp_path):
    half = {**SECONDS, "synchronize": 0.0066 - SECONDS["train"]}
    ring = load_run(write_run(tmp_path, "ring", seconds=half))
    noop = load_run(write_run(tmp_path, "noop", seconds={**SECONDS, "synchronize": 0.0}))
    assert cells([ring, noop])["ring"]["vs noop"] == f"{2.6 / 7.2:.0%}"
    assert "vs noop" not in cells([ring])["ring"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ([float("nan"), 1.0], "✗"),
        ([3.0, 4.0], "✓ 0"),
        ([3.0, 4.00005], "✓ 1e-5"),
        ([3.0, 5.0], "✗ 2e-1"),
        ([9.0, 12.0], "✗ 2"),
    ],
)
def test_a_verdict_shows_the_deviation_shortly(tmp_path, params, text):
    runs = [load_run(write_run(tmp_path, "star")), load_run(write_run(tmp_path, "ring", params=params))]
    assert cells(runs)["ring"]["same as star"] == text


def test_a_failed_run_shows_dashes_and_its_error_below(tmp_path):
    runs = [load_run(write_run(tmp_path, "single")), load_run(write_run(tmp_path, "ring", **fail()))]
    assert cells(runs)["ring"]["samples /s"] == "–"
    assert cells(runs)["ring"]["same as single"] == "✗ failed"
    line = "ring failed: PeerFailed: worker rank 2, stage train, step 3: killed by signal 9"
    assert line in markdown(runs).splitlines()
    assert line in [text.strip() for text in shown(runs, 120)]


def test_an_error_that_names_no_rank_is_one_line_too(tmp_path):
    error = {"type": "ConfigError", "rank": None, "role": None, "stage": None, "step": None, "cause": "no\n  good"}
    runs = [load_run(write_run(tmp_path, "ring", **fail(error)))]
    assert "ring failed: ConfigError: no good" in markdown(runs).splitlines()


def test_the_reason_for_a_verdict_stands_below(tmp_path):
    runs = [load_run(write_run(tmp_path, name)) for name in ("single", "ring")]
    (runs[1].path / "params.npy").unlink()
    assert cells(runs)["ring"]["same as single"] == "– unknown"
    assert "has no params.npy" in markdown(runs)


def test_brackets_in_a_name_are_shown_and_not_taken_for_markup(tmp_path):
    run = load_run(write_run(tmp_path, "ring[bold]", name="a"))
    assert any(line.startswith("ring[bold] ") for line in shown([run], 120))


def test_a_bar_in_a_name_does_not_break_the_markdown_table(tmp_path):
    run = load_run(write_run(tmp_path, "a|b", name="a"))
    assert "| a\\|b |" in markdown([run])


def test_the_caption_gives_the_conditions_and_the_full_names_of_the_stages(runs):
    text = markdown(runs)
    assert conditions(runs) == f"4 workers, batch 128, mlp with {PARAMETERS:,} parameters on digits, transport ipc"
    assert conditions(runs) in text
    assert "preprocess, partition, load, train, synchronize, update" in text


def details_of(within):
    return [{"rank": 4 + n, "process_of": n, "bytes_within_process": count} for n, count in enumerate(within)]


def test_the_bytes_that_leave_the_process_of_a_worker_and_its_server_are_in_the_caption(tmp_path, runs):
    """As much as a ring: of 100 bytes each way per step a quarter is for the server beside it."""
    sent = {"per_worker": [2000] * 4, "per_server": [2000, 2000, 2000, 2400]}
    details = details_of([1000, 1000, 1000, 1200])
    beside = {"placement": "colocated", "servers": 4, "bytes_sent": sent, "servers_detail": details}
    run = load_run(write_run(tmp_path, "ps-bsp", steps=20, name="beside", **beside))
    text = markdown([run])
    assert "A colocated server shares its worker's link: 160 B a step leave the busiest process." in text
    assert "4 workers with 4 servers in their processes" in conditions([run])
    assert "4 workers, some with 4 servers in their processes" in conditions([*runs, run])
    assert "shares its worker's link" not in markdown(runs)


@pytest.mark.parametrize("role", ["per_worker", "per_server", "within"])
def test_these_bytes_are_unknown_if_a_rank_did_not_live_to_report_them(tmp_path, role):
    known = {"per_worker": [2000] * 4, "per_server": [2000] * 4, "within": [1000] * 4}
    known[role] = [2000, None, 2000, 2000]
    details = details_of(known.pop("within"))
    beside = {"placement": "colocated", "servers": 4, "bytes_sent": known, "servers_detail": details}
    run = load_run(write_run(tmp_path, "ps-bsp", **(fail() | beside)))
    assert run.leaving_per_step() == []
    assert "shares its worker's link" not in markdown([run])


def test_stale_and_dropped_pushes_have_columns_if_there_are_any(tmp_path, runs):
    assert "stale" not in markdown(runs)
    late = {"staleness_histogram": {"0": 3, "3": 1}, "staleness_max": 3, "pushes": {"applied": 4, "dropped": 0}}
    none = {"staleness_histogram": {"0": 3}, "staleness_max": 0, "pushes": {"applied": 3, "dropped": 1}}
    more = [load_run(write_run(tmp_path, "ps-ssp", **late)), load_run(write_run(tmp_path, "ps-backup", **none))]
    table = cells([*runs, *more])
    assert [table[name]["stale mean–max"] for name in ("ps-ssp(3)", "ps-backup", "ring")] == ["0.75–3", "0", "–"]
    assert [table[name]["too late %"] for name in ("ps-ssp(3)", "ps-backup", "ring")] == ["0", "25", "–"]
    assert "share of the gradients pushed that were dropped" in markdown(more)


@pytest.mark.parametrize(
    ("strategy", "fields", "told"),
    [
        ("ring", {}, False),
        ("noop", {}, False),
        ("ps-async", {}, False),
        ("ring", {"params_sha256": ["a", "b", "a", "a"]}, True),  # the workers' copies differ
        ("ring", fail(), True),
    ],
)
def test_a_run_alone_has_no_column_for_equal_parameters(tmp_path, strategy, fields, told):
    run = load_run(write_run(tmp_path, strategy, **fields))
    text = markdown([run])
    assert ("same as" in text) == told
    assert ("no synchronous run to compare with" in text) == (told and run.status == "ok")


def run_of(strategy, **changes):
    return Run(Path(), summary(strategy, **changes))


def test_the_ceiling_is_that_of_a_noop_run_under_the_same_conditions():
    runs = [
        run_of("noop", workers=2, samples_per_second=100.0),
        run_of("noop", workers=4, samples_per_second=None),
        run_of("noop", workers=4, samples_per_second=200.0),
    ]
    assert ceiling(run_of("ring", workers=4), runs) == 200.0
    assert ceiling(run_of("ring", workers=2), runs) == 100.0
    assert ceiling(run_of("ring", workers=8), runs) is None
