"""The tables of a benchmark: one a size, the fastest strategy first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group
from rich.text import Text

from experiments.format.table import DASH, Column, terminal_table
from experiments.format.units import human_bytes, human_seconds, size_name
from experiments.schema.documents import Bench, BenchRow


def bench_tables(bench: Bench, width: int) -> Iterator[Group]:
    """Yield a titled table for each size, in terminals of `width` columns."""
    columns = _columns(bench.baseline)
    for nbytes, group in groupby(sorted(bench.rows, key=lambda row: (row.bytes, row.seconds_median)), _bytes):
        rows = list(group)
        title = Text(f"{size_name(nbytes)}, {rows[0].workers} workers", style="bold")
        yield Group(title, terminal_table(columns, rows, width=width, spare=("wire",), dim=lambda row: False))


def _bytes(row: BenchRow) -> int:
    return row.bytes


def _columns(baseline: str) -> list[Column[BenchRow]]:
    return [
        Column("strategy", lambda row: row.strategy.rpartition(":")[2], words=True),
        Column("transport", lambda row: row.transport, words=True),
        Column("time", lambda row: human_seconds(row.seconds_median)),
        Column(
            "95 % interval", lambda row: " … ".join(map(human_seconds, row.seconds_ci95)) if row.seconds_ci95 else DASH
        ),
        Column("algbw\nGB/s", lambda row: f"{row.algbw_GBps:.3g}"),
        Column("busbw\nGB/s", _bandwidth),
        Column("wire", lambda row: DASH if row.wire_bytes is None else human_bytes(row.wire_bytes)),
        Column("of limit", lambda row: DASH if row.limit_fraction is None else _share(row.limit_fraction)),
        Column(f"{baseline} /\nthis", lambda row: DASH if row.ratio is None else f"{row.ratio:.2f}"),
        Column("wrong", lambda row: DASH if row.wrong is None else f"✗ {row.wrong}" if row.wrong else "0"),
    ]


def _share(fraction: float) -> str:
    return f"{fraction:.0%}" if fraction >= 0.0995 else f"{fraction:.1%}"


def _bandwidth(row: BenchRow) -> str:
    if row.busbw_GBps is not None:
        return f"{row.busbw_GBps:.3g}"
    if row.server_ingress_GBps is None:
        return DASH
    return f"in {row.server_ingress_GBps:.3g}, out {row.server_egress_GBps:.3g}"


def with_update(rows: Sequence[BenchRow]) -> bool:
    """Whether all-reduces were timed with the update of the parameters by their workers."""
    return any(row.update and not row.servers for row in rows)


def _timed(rows: Sequence[BenchRow]) -> list[str]:
    """Return a line that says what was timed, unless it is the exchange alone for all contestants."""
    if with_update(rows):
        return ["times are of the exchange and of the update of the parameters, by every worker or by the servers"]
    if len({bool(row.servers) for row in rows}) > 1:
        return ["a server's time has the update in it, which all-reduce leaves to workers: --with-update adds it there"]
    return []


def notes(bench: Bench) -> list[str]:
    """Return the lines under the tables: the strategies' choices, the machine's limits, what was timed.

    The benchmark is ok: it has limits and at least one row.
    """
    limits, env = bench.limits, bench.environment
    assert limits is not None
    ranks, cores = max(row.workers + row.servers for row in bench.rows), env.cores or 0
    shared = f"{ranks} ranks share {cores} cores of one host: " if ranks > cores else "one host: "
    columns = "columns: docs/bench.md"
    if any(row.servers for row in bench.rows):
        columns = f"a server has no busbw: in and out are the bytes through the busiest one; {columns}"
    choices = {f"{row.strategy} over {row.transport}": row.notes for row in bench.rows if row.notes}
    return [
        *(f"{name} {words}" for name, words in choices.items()),
        f"limits measured in this run: one core copies {limits.copy_GBps_per_core:.1f} GB/s; "
        f"{limits.tcp_streams} plain loopback stream{' carries' if limits.tcp_streams == 1 else 's carry'} "
        f"{limits.tcp_stream_GBps:.1f} GB/s",
        f"{shared}loopback has no network bottleneck, so ratios here are not those of a cluster",
        *_timed(bench.rows),
        columns,
    ]
