"""Every chart is drawn where there is something to draw, is written three times, and says what is missing."""

import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from charts import Seen, grid, planted, refuse, said, table
from runs import SECONDS, fail, worker_row, write_rows, write_run

from experiments.charts import CHARTS, Absent, ChartData, draw, image, plot_all
from experiments.charts.style import STYLES, style
from experiments.comparison.compare import compare_runs
from experiments.format.colours import STAGE_COLOURS
from experiments.runs.find import load_run

NOTE = "loopback, cores shared: 4 workers on 2 cores"
ALWAYS = ["throughput", "stages", "loss_vs_samples", "loss_vs_seconds", "time_to_loss", "step_times", "traffic"]
OF_ONE = [*ALWAYS, "traffic_between", "staleness"]


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
def plotted(tmp_path_factory):
    """The charts of six runs."""
    where = tmp_path_factory.mktemp("charts")
    return plot_all(ChartData(compare_runs(planted(where)), NOTE), where / "new" / "plots")


@pytest.fixture(scope="module")
def folder(plotted):
    return plotted.pictures[0].files[0].parent


def test_every_chart_is_drawn_or_said_not_to_be_and_leaves_three_files(plotted, folder):
    assert sorted(picture.name for picture in plotted.pictures) == sorted(OF_ONE)
    assert set(OF_ONE) | set(plotted.absent) == set(CHARTS)
    assert plotted.absent["scaling"] == "all runs have the same number of workers"
    assert plotted.absent["size_time"] == "all models have the same size"
    files = [file for picture in plotted.pictures for file in picture.files]
    assert sorted(files) == sorted(folder.iterdir())
    assert [file.suffix for file in plotted.pictures[0].files] == [".png", ".svg", ".csv"]


@pytest.mark.parametrize("chart", OF_ONE)
def test_a_picture_is_slide_sized_and_not_blank(folder, chart):
    width, height, values = pixels(folder / f"{chart}.png")
    assert (width, height) == (1600, 900)
    assert values > 50


@pytest.mark.parametrize("chart", OF_ONE)
def test_every_chart_says_the_conditions_and_the_note_and_has_a_title(folder, chart):
    found = said(folder / f"{chart}.svg")
    assert "4 workers, batch 128, mlp with 4,810 parameters on digits, transport ipc" in found
    assert NOTE in found
    assert re.search(r"<title>.{10,}</title>", (folder / f"{chart}.svg").read_text())


@pytest.mark.parametrize("chart", OF_ONE)
def test_the_file_of_numbers_holds_those_that_are_drawn(tmp_path, folder, chart):
    def cell(value):
        return " ".join(map(str, value)) if isinstance(value, tuple | list) else "" if value is None else str(value)

    rows = Seen(chart, planted(tmp_path)).rows
    assert table(folder / f"{chart}.csv") == [{key: cell(value) for key, value in row.items()} for row in rows]
    assert {"label", "strategy", "not_comparable"} <= set(rows[0])


@pytest.mark.parametrize("chart", OF_ONE)
def test_a_drawing_holds_no_pixels_and_everything_that_it_refers_to(folder, chart):
    svg = (folder / f"{chart}.svg").read_text()
    assert len(svg) < 250_000
    assert "<image" not in svg
    ids = set(re.findall(r' id="([^"]*)"', svg))
    assert set(re.findall(r'href="#([^"]*)"', svg)) | set(re.findall(r"url\(#([^)]*)\)", svg)) <= ids


def test_the_image_for_a_page_is_lower_by_the_words_that_the_page_says_itself(tmp_path):
    sheet = draw("throughput", ChartData(compare_runs(planted(tmp_path)), NOTE))
    assert "4 workers, batch 128" in sheet.conditions
    (tmp_path / "image.png").write_bytes(image(sheet))
    width, height, values = pixels(tmp_path / "image.png")
    assert width > 1200
    assert height < 0.5 * width < 900 / 1600 * width
    assert values > 50
    assert not any(text.get_visible() for text in sheet.figure.texts)


def test_a_strategy_has_the_same_colour_in_every_chart(folder):
    for chart in ("throughput", "loss_vs_samples", "loss_vs_seconds", "time_to_loss", "step_times", "traffic"):
        colours = set(re.findall(r"#[0-9a-f]{6}", (folder / f"{chart}.svg").read_text()))
        assert {STYLES[name][0].lower() for name in ("ps-bsp", "star", "ring")} <= colours, chart
    stages = set(re.findall(r"#[0-9a-f]{6}", (folder / "stages.svg").read_text()))
    assert {colour.lower() for colour in STAGE_COLOURS.values()} <= stages


def test_no_two_strategies_share_a_colour_or_a_marker_and_strangers_keep_their_looks():
    assert len({colour for colour, _ in STYLES.values()}) == len(STYLES)
    assert len({str(marker) for _, marker in STYLES.values()}) == len(STYLES)
    assert style("my.plugin:Gossip") == style("my.plugin:Gossip")
    assert style("my.plugin:Gossip")[0] not in {colour for colour, _ in STYLES.values()}


def test_the_same_runs_give_the_same_bytes(plotted, tmp_path):
    again = plot_all(ChartData(compare_runs(planted(tmp_path)), NOTE), tmp_path / "plots")
    for one, other in zip(plotted.pictures, again.pictures, strict=True):
        for file, same in zip(one.files, other.files, strict=True):
            assert file.read_bytes() == same.read_bytes(), file.name


def test_a_run_that_failed_is_named_in_every_chart_and_the_others_are_shown(tmp_path):
    runs = [*planted(tmp_path, ("single", "ring")), *planted(tmp_path, ("star", "star"), **fail())]
    for name in [*ALWAYS, "traffic_between"]:
        seen = Seen(name, runs)
        assert "Not shown: 2× star (failed)." in seen.said, name
        assert "2× star (failed)" in seen.note
        assert "star" not in {row["strategy"] for row in seen.rows}


def test_a_series_that_was_not_recorded_is_named_where_it_is_missing_only(tmp_path):
    runs = [*planted(tmp_path, ("single", "ring")), load_run(write_run(tmp_path, "star", bytes_sent=None))]
    assert "Not shown: star (not recorded)." in Seen("traffic", runs).said
    assert "Not shown" not in Seen("throughput", runs).said


def test_runs_without_records_have_the_charts_of_their_summaries(tmp_path):
    runs = planted(tmp_path, ("single", "ring"))
    for run in runs:
        shutil.rmtree(run.path / "ranks")
    plotted = plot_all(ChartData(compare_runs(runs)), tmp_path / "plots")
    assert [picture.name for picture in plotted.pictures] == ["throughput", "stages", "traffic", "traffic_between"]
    assert plotted.absent["loss_vs_samples"] == "no run recorded losses"
    assert plotted.absent["step_times"] == "no run recorded steps"


def test_without_runs_every_chart_says_why_it_is_not_drawn(tmp_path):
    plotted = plot_all(ChartData(compare_runs(planted(tmp_path, ("star",), **fail()))), tmp_path / "plots")
    assert plotted.pictures == []
    assert set(plotted.absent) == set(CHARTS)
    assert plotted.absent["throughput"] == "no run came to its end"


def test_an_entry_that_is_not_comparable_is_grey_says_why_and_never_wins(tmp_path):
    runs = grid(tmp_path, "workers", (4,), rate=lambda name, _, k: (90000.0 if name == "ring" else 30000.0) + k)
    refused = refuse(compare_runs(runs), "ring")
    for name in [*ALWAYS, "traffic_between"]:
        seen = Seen(name, refused)
        assert "Not comparable, so in grey: ring trained on different samples than single." in seen.said, name
        assert "ring" not in seen.title, name
        assert seen.rows_of("ring")[0]["not_comparable"] == "trained on different samples than single"
        assert seen.rows_of("star")[0]["not_comparable"] is None
        figure = draw(name, ChartData(refused)).figure
        filled = {str(part.get_facecolor()) for axes in figure.axes for part in axes.patches}
        assert str((0.0, 114 / 255, 178 / 255, 1.0)) not in filled, name  # ring's blue


@pytest.mark.parametrize("steps", [1, 2, 400])
def test_runs_of_any_length_are_shown(tmp_path, steps):
    runs = planted(tmp_path, ("ring", "single"), steps=steps)
    for name in set(ALWAYS) - ({"step_times"} if steps < 6 else set()):
        assert Seen(name, runs).rows, name


@pytest.mark.parametrize(
    "losses", [[0.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, 1e30], [float("nan"), 1.0], [1e-9, 1.0]]
)
def test_losses_of_any_kind_are_shown(tmp_path, losses):
    folder = write_run(tmp_path, "ring", steps=0)
    write_rows(folder, 0, [worker_row(step, 0, SECONDS) | {"loss": loss} for step, loss in enumerate(losses)])
    for rank in (1, 2, 3):
        (folder / "ranks" / f"{rank}-worker.jsonl").unlink()
    for name in ("loss_vs_samples", "loss_vs_seconds"):
        assert Seen(name, [load_run(folder)]).rows


def test_losses_without_any_number_are_not_shown(tmp_path):
    folder = write_run(tmp_path, "ring", steps=0)
    for rank in range(4):
        write_rows(folder, rank, [worker_row(0, rank, SECONDS) | {"loss": None}])
    for name in ("loss_vs_samples", "loss_vs_seconds", "time_to_loss"):
        with pytest.raises(Absent, match="recorded losses"):
            Seen(name, [load_run(folder)])


def test_names_and_notes_are_shown_as_they_are_and_long_ones_wrapped(tmp_path):
    note = r"costs $\nonsense$: " + "words " * 40
    seen = Seen(
        "throughput", [*planted(tmp_path, ("noop",)), load_run(write_run(tmp_path, "a$b$c_{1}", name="a"))], note=note
    )
    assert "a$b$c_{1}" in seen.texts
    lines = [text for text in seen.texts if "words" in text]
    assert len(lines) == 2
    assert " ".join(reversed(lines)) == note.strip()  # drawn from the bottom up


@pytest.mark.parametrize("chart", [*ALWAYS, "traffic_between"])
def test_no_text_leaves_the_picture_however_long_the_labels(tmp_path, chart):
    options = [{"an_option_with_a_long_name": n, "another": n} for n in range(4)]
    more = {"seconds": {"hidden": 1e-3}, "bytes_between": {"0": {"1": 9}, "1": {}}}
    runs = [
        load_run(write_run(tmp_path, name, name=f"{name}{n}", strategy_options=each, **more))
        for name in ("halving-doubling", "ring")
        for n, each in enumerate(options)
    ]
    figure = draw(chart, ChartData(compare_runs(runs), "a note " * 50)).figure
    inside = figure.bbox.padded(1)
    every = set(figure.findobj(lambda artist: hasattr(artist, "get_text")))
    for axes in figure.axes:  # ticks beyond the limits are not drawn
        box = axes.bbox.padded(1)
        every -= {tick for tick in axes.get_xticklabels(which="both") if not box.x0 <= _middle(tick)[0] <= box.x1}
        every -= {tick for tick in axes.get_yticklabels(which="both") if not box.y0 <= _middle(tick)[1] <= box.y1}
    for artist in every:
        if artist.get_visible() and artist.get_text():
            box = artist.get_window_extent()
            assert inside.contains(box.x0, box.y0), artist
            assert inside.contains(box.x1, box.y1), artist


def _middle(text):
    box = text.get_window_extent()
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def test_reading_and_tables_do_not_import_matplotlib():
    code = "import experiments.comparison.tables, experiments.runs.progress, sys; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
