"""The charts and tables of a benchmark are made, hold its numbers, and do not mind what is missing."""

import csv
import re
from itertools import pairwise

import benches
import pandas as pd
import pytest
from msgspec.structs import replace
from rich.console import Console

from experiments.bench.table import bench_tables, notes
from experiments.charts.bench import CHARTS, panels, plot_bench
from experiments.charts.layout import spread
from experiments.charts.style import style
from experiments.format.table import terminal_table

EVERYTHING = (benches.RING, benches.SERVER, benches.ENGINE)
NAMES = ["bench.csv", "time.png", "time.svg", "bandwidth.png", "bandwidth.svg"]


def texts(svg):
    """The texts of a chart: matplotlib draws them as outlines and leaves each in a comment."""
    return re.findall(r"<!-- (.*?) -->", svg.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The charts of a ring, a parameter server and an engine."""
    where = tmp_path_factory.mktemp("bench") / "plots"
    files = plot_bench(benches.document(benches.plan(EVERYTHING)), where)
    assert [file.name for file in files] == NAMES
    assert all(file.stat().st_size > 100 for file in files)
    return where


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_names_every_contestant_in_its_colour(folder, chart):
    svg = folder / f"{chart}.svg"
    said = " ".join(texts(svg))
    for name in ("ring", "ps-bsp", "star"):
        assert name in said
        drawn = name != "ps-bsp" or chart == "time"
        assert (style(name)[0].lower() in svg.read_text()) == drawn
    assert "4000 B" in said
    assert "6 ranks share 2 cores" in said


def test_the_data_of_the_charts_is_beside_them(folder):
    with open(folder / "bench.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    document = benches.document(benches.plan(EVERYTHING))
    assert [(row["strategy"], int(row["bytes"])) for row in rows] == [
        (row.strategy, row.bytes) for row in document.rows
    ]
    assert [float(x) for x in rows[0]["samples"].split()] == list(document.rows[0].samples)
    assert rows[1]["busbw_GBps"] == ""


@pytest.mark.parametrize(
    "plan",
    [
        benches.plan((benches.ENGINE,)),
        benches.plan((benches.RING,), workers=2),
    ],
    ids=["an engine alone", "a ring alone"],
)
def test_series_that_are_missing_do_not_matter(tmp_path, plan):
    assert [file.name for file in plot_bench(benches.document(plan), tmp_path)] == NAMES


def test_a_parameter_server_has_no_bus_bandwidth_and_is_left_out_of_its_chart(tmp_path, folder):
    assert "without ps-bsp: through a server there is no bus bandwidth to compare" in texts(folder / "bandwidth.svg")
    assert not any("without ps-bsp" in text for text in texts(folder / "time.svg"))
    alone = benches.plan((benches.SERVER,), sizes=(4000,), repeats=1)
    assert [file.name for file in plot_bench(benches.document(alone), tmp_path)] == NAMES[:3]


def test_names_of_sizes_do_not_run_into_each_other(tmp_path):
    plot_bench(benches.document(benches.plan(sizes=(4000, 1000000, 1 << 20))), tmp_path)
    shown = [name for name in texts(tmp_path / "time.svg") if name in ("4000 B", "1000000 B", "1 MiB")]
    assert shown == ["4000 B", "1 MiB"]


def test_a_single_size_has_ticks_and_the_values(tmp_path):
    plot_bench(benches.document(benches.plan((benches.RING, benches.ENGINE), sizes=(40000,))), tmp_path)
    said = texts(tmp_path / "time.svg")
    assert {"ring, 440 µs", "star, 880 µs"} <= set(said)
    assert sum(re.fullmatch(r"\d+ µs", text) is not None for text in said) >= 2  # ticks


def test_the_chart_says_so_if_times_hold_more_than_the_exchange(tmp_path):
    plain = benches.document(benches.plan())
    assert "a server's time has the update in it, which all-reduce leaves to workers: --with-update adds" in said(plain)
    assert "update" not in said(benches.document(benches.plan((benches.RING,))))
    assert "update" not in said(benches.document(benches.plan((benches.SERVER,))))
    updated = benches.document(benches.plan(update=True))
    assert "times are of the exchange and of the update of the parameters" in said(updated)
    assert [file.name for file in plot_bench(updated, tmp_path)] == NAMES[:3]  # no bus bandwidth
    assert "time of one exchange and update" in texts(tmp_path / "time.svg")
    console = Console(width=120, record=True)
    for table in bench_tables(updated):
        console.print(terminal_table(table, console.width))
    assert re.search(r"ring +ipc .* – +23\.4 KiB +– ", console.export_text())


def said(document):
    """All that stands below the tables."""
    return "\n".join(notes(document))


def test_servers_are_explained_where_there_are_any():
    assert "a server has no busbw" in notes(benches.document(benches.plan()))[-1]
    assert notes(benches.document(benches.plan((benches.RING,))))[-1] == "columns: docs/bench.md"


def test_a_benchmark_without_rows_has_no_charts(tmp_path):
    document = replace(benches.document(benches.plan()), rows=())
    assert [file.name for file in plot_bench(document, tmp_path)] == ["bench.csv"]


def test_limits_that_are_missing_do_not_matter(tmp_path):
    document = benches.document(benches.plan())
    rows = tuple(replace(row, limit_fraction=None, seconds_predicted=None) for row in document.rows)
    assert len(plot_bench(replace(document, rows=rows), tmp_path)) == 5


def test_an_engine_is_in_the_panel_of_every_transport():
    rows = [
        {"strategy": name, "transport": transport, "wire_bytes": wire}
        for name, transport, wire in [("ring", "ipc", 1), ("ring", "tcp", 1), ("gloo", "gloo", None)]
    ]
    parts = panels(pd.DataFrame(rows))
    assert {name: list(part["strategy"]) for name, part in parts.items()} == {
        "ipc": ["ring", "gloo"],
        "tcp": ["ring", "gloo"],
    }


@pytest.mark.parametrize("wanted", [[], [0.5], [0.5, 0.5, 0.5], [0.9, 0.1, 0.12, 0.99], [0.98] * 5])
def test_labels_keep_their_order_and_their_distance_and_stay_below_the_top(wanted):
    placed = spread(wanted, 0.05, top=0.98)
    inorder = [y for _, y in sorted(zip(wanted, placed, strict=True))]
    assert all(b - a >= 0.05 - 1e-9 for a, b in pairwise(inorder))
    assert all(y <= 0.98 + 1e-9 for y in placed)


def test_labels_that_are_far_apart_stay_where_they_are():
    assert spread([0.2, 0.8, 0.5], 0.05) == [0.2, 0.8, 0.5]


def test_the_tables_show_absolute_figures_and_the_ratio(capsys):
    plan = benches.plan(EVERYTHING, sizes=(4000, 1 << 20))
    document = benches.document(plan, wrong=[(0, 1, 3)])
    console = Console(width=120)
    for table in bench_tables(document):
        console.print(terminal_table(table, console.width))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 120
    assert "4000 B, 4 workers" in out
    assert "1 MiB, 4 workers" in out
    rows = {line.split()[0]: line for line in out.splitlines() if re.match("(ring|ps-bsp|star) ", line)}
    assert "11.5 ms" in rows["ring"]
    assert rows["ring"].split()[-2:] == ["1.00", "0"]
    assert "in " in rows["ps-bsp"]
    assert "out " in rows["ps-bsp"]
    assert rows["ps-bsp"].split()[-3:] == ["0.50", "✗", "3"]
    assert rows["star"].split()[1] == "gloo"
    assert rows["star"].split()[-2] == "0.33"
    assert "one core copies 10.0 GB/s; 2 plain loopback streams carry 4.0 GB/s" in notes(document)[0]
