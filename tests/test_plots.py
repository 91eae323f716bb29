"""Every chart is written, holds what was measured, and says what is missing."""

import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from runs import SECONDS, fail, worker_row, write_rows, write_run

from experiments import plots
from experiments.plots import CHARTS, plot_runs
from experiments.results import STAGE_COLOURS, load_run
from experiments.style import STYLES, style

NAMES = ["single", "noop", "ps-bsp", "star", "ring"]
NOTE = "loopback, cores shared: 4 workers on 2 cores"


def texts(svg):
    """The texts of a chart: matplotlib draws them as outlines and leaves each in a comment."""
    return re.findall(r"<!-- (.*?) -->", svg.read_text(), flags=re.DOTALL)


def colours(svg):
    return set(re.findall(r"#[0-9a-f]{6}", svg.read_text()))


def pixels(png):
    """(width, height, how many values the raw image bytes take)."""
    data, at, found = png.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body, at = data[at + 8 : at + 8 + length], at + 12 + length
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        found += body if kind == b"IDAT" else b""
    return width, height, len(np.unique(np.frombuffer(zlib.decompress(found), np.uint8)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The charts of five runs."""
    where = tmp_path_factory.mktemp("charts")
    runs = [load_run(write_run(where, name)) for name in NAMES]
    plot_runs(runs, where / "plots", NOTE)
    return where / "plots"


def test_each_chart_is_written_as_png_and_svg_and_returned(tmp_path):
    run = load_run(write_run(tmp_path))
    files = plot_runs([run], tmp_path / "new" / "plots")
    assert files == [tmp_path / "new" / "plots" / f"{name}.{end}" for name in CHARTS for end in ("png", "svg")]
    assert list(CHARTS) == ["throughput", "stages", "loss_vs_samples", "loss_vs_seconds", "traffic"]
    assert all(file.is_file() for file in files)


def test_the_stages_show_what_is_hidden_where_something_is(tmp_path):
    for name, hidden in (("ring", 0.001), ("star", 0.0)):
        run = load_run(write_run(tmp_path, name, seconds={"hidden": hidden}))
        plot_runs([run], tmp_path / "plots")
        assert ("synchronize, hidden" in texts(tmp_path / "plots" / "stages.svg")) == (hidden > 0)


def test_a_synchronisation_within_train_is_neither_a_share_nor_in_the_title(tmp_path):
    within = {"seconds": {"synchronize": 0.0}, "synchronizes_in": "train"}
    runs = [load_run(write_run(tmp_path, "ddp", **within)), load_run(write_run(tmp_path, "ring"))]
    plot_runs(runs, tmp_path)
    found = texts(tmp_path / "stages.svg")
    assert "2.60 ms, synchronize in train" in found
    assert "Synchronisation takes 35% of a step" in found  # ring's


def test_the_legend_of_the_stages_stays_in_the_picture_whatever_the_labels(tmp_path, monkeypatch):
    drawn = []
    laid_out = plots._figure
    monkeypatch.setattr(plots, "_figure", lambda *given: drawn.append(laid_out(*given)) or drawn[-1])
    options = [{"an_option_with_a_long_name": n, "another": n} for n in (1, 2)]
    runs = [
        load_run(write_run(tmp_path, "halving-doubling", name=f"{n}", strategy_options=each, seconds={"hidden": 1e-3}))
        for n, each in enumerate(options)
    ]
    plot_runs(runs, tmp_path)
    figure = drawn[list(CHARTS).index("stages")]
    box = figure.axes[0].get_legend().get_window_extent()
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= figure.axes[0].get_window_extent().y1


@pytest.mark.parametrize("chart", CHARTS)
def test_a_picture_is_slide_sized_and_not_blank(folder, chart):
    width, height, values = pixels(folder / f"{chart}.png")
    assert (width, height) == (1600, 900)
    assert values > 50


@pytest.mark.parametrize("chart", CHARTS)
def test_every_chart_says_the_conditions_and_the_note(folder, chart):
    found = texts(folder / f"{chart}.svg")
    assert "4 workers, batch 128, mlp with 4,810 parameters on digits, transport ipc" in found
    assert NOTE in found


@pytest.mark.parametrize("chart", ["throughput", "loss_vs_samples", "loss_vs_seconds", "traffic"])
def test_a_strategy_has_the_same_colour_in_every_chart(folder, chart):
    assert {STYLES[name][0].lower() for name in ("ps-bsp", "star", "ring")} <= colours(folder / f"{chart}.svg")


def test_stages_have_the_colours_that_they_have_elsewhere(folder):
    assert {colour.lower() for colour in STAGE_COLOURS.values()} <= colours(folder / "stages.svg")


def test_no_two_strategies_look_alike_and_strangers_keep_their_looks():
    assert len(set(STYLES.values())) == len(STYLES)
    assert len({colour for colour, _ in STYLES.values()}) == len(STYLES)
    assert style("my.plugin:Gossip") == style("my.plugin:Gossip")
    assert style("my.plugin:Gossip")[0] not in {colour for colour, _ in STYLES.values()}


def test_titles_say_what_the_numbers_say(folder):
    assert "No clear difference: all 3 strategies are within 5%" in texts(folder / "throughput.svg")
    assert "Synchronisation takes 35% of a step" in texts(folder / "stages.svg")
    assert "The hub of ps-bsp sends 4.0× what other ranks do; ring has none" in texts(folder / "traffic.svg")


def test_the_ceiling_and_the_yardstick_are_marked_as_such(folder):
    assert "noop, no synchronisation: the ceiling, 32.0k" in texts(folder / "throughput.svg")
    assert "noop (ceiling)" not in texts(folder / "throughput.svg")  # a line and no bar
    assert "single (yardstick)" in texts(folder / "throughput.svg")


def test_a_ceiling_that_is_not_everyones_is_a_bar(tmp_path):
    runs = [load_run(write_run(tmp_path, "noop")), load_run(write_run(tmp_path, "ring", workers=2))]
    plot_runs(runs, tmp_path)
    found = texts(tmp_path / "throughput.svg")
    assert "noop (ceiling)" in found
    assert not any("% of the ceiling" in text for text in found if text.startswith("32.0k") and "100" not in text)


def test_servers_are_told_from_workers(folder, tmp_path):
    assert {"server", "worker"} <= set(texts(folder / "traffic.svg"))
    assert "server: 75.2 KiB, 4.0× the others" in texts(folder / "traffic.svg")
    hatched = re.findall(r"fill: url\(#", (folder / "traffic.svg").read_text())
    assert len(hatched) == 2  # the one server, and its patch in the legend
    plot_runs([load_run(write_run(tmp_path, "ring"))], tmp_path)
    assert "server" not in texts(tmp_path / "traffic.svg")


def test_the_same_runs_give_the_same_bytes(folder, tmp_path):
    runs = [load_run(write_run(tmp_path, name)) for name in NAMES]
    for file in plot_runs(runs, tmp_path / "again", NOTE):
        assert file.read_bytes() == (folder / file.name).read_bytes(), file.name


def test_a_run_that_failed_is_named_in_every_chart_and_the_others_are_shown(tmp_path):
    failed = write_run(tmp_path, "star", **fail())
    shutil.rmtree(failed / "ranks")
    plot_runs([load_run(write_run(tmp_path, "ring")), load_run(failed)], tmp_path)
    for chart in CHARTS:
        found = texts(tmp_path / f"{chart}.svg")
        assert "Not shown: star (failed)" in found, chart
        assert any(text.startswith("ring") for text in found), chart


def test_a_series_that_was_not_recorded_is_named_where_it_is_missing_only(tmp_path):
    runs = [load_run(write_run(tmp_path, "ring")), load_run(write_run(tmp_path, "star", bytes_sent=None))]
    plot_runs(runs, tmp_path)
    assert "Not shown: star (not recorded)" in texts(tmp_path / "traffic.svg")
    assert not any("Not shown" in text for text in texts(tmp_path / "throughput.svg"))


@pytest.mark.parametrize("count", [0, 1])
def test_charts_of_nothing_say_so(tmp_path, count):
    failed = write_run(tmp_path, "star", **fail())
    shutil.rmtree(failed / "ranks")
    plot_runs([load_run(failed)][:count], tmp_path)
    assert "no run recorded throughput" in texts(tmp_path / "throughput.svg")
    assert "no run recorded losses" in texts(tmp_path / "loss_vs_seconds.svg")


@pytest.mark.parametrize("steps", [1, 2, 400])
def test_runs_of_any_length_are_shown(tmp_path, steps):
    plot_runs([load_run(write_run(tmp_path, name, steps=steps)) for name in ("ring", "single")], tmp_path)


@pytest.mark.parametrize(
    "losses", [[0.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, 1e30], [float("nan"), 1.0], [1e-9, 1.0]]
)
def test_losses_of_any_kind_are_shown(tmp_path, losses):
    folder = write_run(tmp_path, "ring", steps=0)
    write_rows(folder, 0, [worker_row(step, 0, SECONDS) | {"loss": loss} for step, loss in enumerate(losses)])
    for rank in (1, 2, 3):
        (folder / "ranks" / f"{rank}-worker.jsonl").unlink()
    plot_runs([load_run(folder)], tmp_path)


def test_a_slow_first_step_does_not_count_against_a_strategy(tmp_path):
    slow = write_run(tmp_path, "star", steps=2)
    rows = [worker_row(0, 0, SECONDS) | {"began": 0.0, "ended": 50.0}, worker_row(1, 0, SECONDS) | {"ended": 51.5}]
    for rank in range(4):
        write_rows(slow, rank, rows)
    plot_runs([load_run(slow)], tmp_path)
    assert "A loss of 1.2 after 1.5 s (star)" in texts(tmp_path / "loss_vs_seconds.svg")


def test_repeats_and_options_of_one_strategy_are_told_apart(tmp_path):
    runs = [load_run(write_run(tmp_path, "double-tree", name=f"{s}", strategy_options={"chunks": s})) for s in (1, 3)]
    plot_runs(runs, tmp_path)
    assert {"double-tree chunks=1", "double-tree chunks=3"} <= set(texts(tmp_path / "loss_vs_samples.svg"))


def test_where_workers_do_not_wait_the_loss_is_that_of_a_time_and_not_of_a_step(tmp_path):
    folder = write_run(tmp_path, "ps-async", steps=0)
    for rank, seconds in enumerate((1.0, 1.0, 1.0, 9.0)):
        losses = [2.0, 0.1] if rank == 3 else [2.0, 0.5, 0.1, 0.1]
        rows = [worker_row(i, rank, SECONDS) | {"loss": x, "ended": seconds * (i + 1)} for i, x in enumerate(losses)]
        write_rows(folder, rank, rows)
    plot_runs([load_run(folder)], tmp_path)
    assert "A loss of 0.1 after 17 s (ps-async)" in texts(tmp_path / "loss_vs_seconds.svg")  # since 1 s, and not 9 s


def test_names_and_notes_are_shown_as_they_are_and_long_ones_wrapped(tmp_path):
    note = r"costs $\nonsense$: " + "words " * 40
    plot_runs(
        [load_run(write_run(tmp_path, "noop")), load_run(write_run(tmp_path, "a$b$c_{1}", name="a"))], tmp_path, note
    )
    found = texts(tmp_path / "throughput.svg")
    assert "a$b$c_{1}" in found
    lines = [text for text in found if "words" in text]
    assert len(lines) == 2
    assert " ".join(reversed(lines)) == note.strip()  # drawn from the bottom up


def test_a_ceiling_alone_is_a_chart_too(tmp_path):
    plot_runs([load_run(write_run(tmp_path, "noop"))], tmp_path)
    assert "Throughput, without a strategy to compare" in texts(tmp_path / "throughput.svg")


def test_bytes_are_shown_in_a_unit_that_fits(tmp_path):
    sent = {"per_worker": [20 * 25 * 2**20] * 4, "per_server": []}
    plot_runs([load_run(write_run(tmp_path, "ring", bytes_sent=sent))], tmp_path)
    found = texts(tmp_path / "traffic.svg")
    assert "MiB of payload sent per step, one bar a rank" in found
    assert "25.0 MiB each" in found


def test_reading_and_tables_do_not_import_matplotlib():
    code = "import experiments.tables, experiments.progress, sys; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
