"""The tables of a benchmark: one a size, the fastest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from experiments.format.table import DASH
from experiments.format.units import human_bytes, human_seconds, size_name

_HEADERS = ("strategy", "transport", "time", "95 % interval", "algbw\nGB/s", "busbw\nGB/s", "wire", "of limit")


def bench_tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """A table for each size."""
    ordered = sorted(document["rows"], key=lambda row: (row["bytes"], row["seconds_median"]))
    for nbytes, rows in groupby(ordered, key=lambda row: int(row["bytes"])):
        yield _table(nbytes, list(rows), str(document["baseline"]))


def _table(nbytes: int, rows: Sequence[Mapping[str, Any]], baseline: str) -> Table:
    title = Text(f"{size_name(nbytes)}, {rows[0]['workers']} workers", style="bold")
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title=title, title_justify="left", min_width=100
    )
    for index, header in enumerate((*_HEADERS, f"{baseline} /\nthis", "wrong")):
        table.add_column(Text(header), justify="left" if index < 2 else "right", no_wrap=index > 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, _cells(row)), style="red" if row["wrong"] else "")
    return table


def _cells(row: Mapping[str, Any]) -> list[str]:
    interval, share, ratio, wire = (row[key] for key in ("seconds_ci95", "limit_fraction", "ratio", "wire_bytes"))
    return [
        row["strategy"].rpartition(":")[2],
        row["transport"],
        human_seconds(row["seconds_median"]),
        " … ".join(map(human_seconds, interval)) if interval else DASH,
        f"{row['algbw_GBps']:.3g}",
        _bandwidth(row),
        human_bytes(wire) if wire is not None else DASH,
        f"{share:.0%}" if share is not None and share >= 0.0995 else f"{share:.1%}" if share is not None else DASH,
        f"{ratio:.2f}" if ratio is not None else DASH,
        str(row["wrong"]) if row["wrong"] is not None else DASH,
    ]


def _bandwidth(row: Mapping[str, Any]) -> str:
    if row["busbw_GBps"] is not None:
        return f"{row['busbw_GBps']:.3g}"
    if row["server_ingress_GBps"] is None:
        return DASH
    return f"in {row['server_ingress_GBps']:.3g}, out {row['server_egress_GBps']:.3g}"


def with_update(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the update of an all-reduce's workers was timed with its exchange."""
    return any(row["update"] and not row["servers"] for row in rows)


def _timed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the times are of, where that is not the exchange alone for everybody."""
    if with_update(rows):
        return ["times are of the exchange and of the update of the parameters, by every worker or by the servers"]
    if len({bool(row["servers"]) for row in rows}) > 1:
        return ["a server's time has the update in it, which all-reduce leaves to workers: --with-update adds it there"]
    return []


def notes(document: Mapping[str, Any]) -> list[str]:
    """What must be known to read the tables: the limits, and what the machine is."""
    limits, env = document["limits"], document["environment"]
    ranks = max(row["workers"] + row["servers"] for row in document["rows"])
    shared = f"{ranks} ranks share {env['cores']} cores of one host: " if ranks > env["cores"] else "one host: "
    columns = "columns: docs/bench.md"
    if any(row["servers"] for row in document["rows"]):
        columns = f"a server has no busbw: in and out are the bytes through the busiest one; {columns}"
    said = {f"{row['strategy']} over {row['transport']}": row["notes"] for row in document["rows"] if row.get("notes")}
    return [
        *(f"{name} {words}" for name, words in said.items()),
        f"limits measured in this run: one core copies {limits['copy_GBps_per_core']:.1f} GB/s; "
        f"{limits['tcp_streams']} plain loopback stream{' carries' if limits['tcp_streams'] == 1 else 's carry'} "
        f"{limits['tcp_stream_GBps']:.1f} GB/s",
        f"{shared}loopback has no network bottleneck, so ratios here are not those of a cluster",
        *_timed(document["rows"]),
        columns,
    ]
