"""The tables of a benchmark: one a size, the fastest strategy first."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from experiments.format.table import Column, Table
from experiments.format.units import human_bytes, human_seconds, size_name
from experiments.schema.documents import Bench, BenchRow


def bench_tables(bench: Bench) -> Iterator[Table[BenchRow]]:
    """Yield a titled table for each size."""
    columns: list[Column[BenchRow]] = [
        Column("strategy", lambda row: row.strategy.rpartition(":")[2], words=True),
        Column("transport", lambda row: row.transport, words=True),
        Column("time", lambda row: row.seconds_median, human_seconds),
        Column("95 % interval", lambda row: row.seconds_ci95, lambda ends: " … ".join(map(human_seconds, ends))),
        Column("algbw\nGB/s", lambda row: row.algbw_GBps, "{:.3g}".format),
        Column("busbw\nGB/s", _bandwidth),
        Column("wire", lambda row: row.wire_bytes, human_bytes, spare=1),
        Column("of limit", lambda row: row.limit_fraction, lambda x: f"{x:.0%}" if x >= 0.0995 else f"{x:.1%}"),
        Column(f"{bench.baseline} /\nthis", lambda row: row.ratio, "{:.2f}".format),
        Column("wrong", lambda row: row.wrong, lambda wrong: f"✗ {wrong}" if wrong else "0"),
    ]
    ordered = sorted(bench.rows, key=attrgetter("bytes", "seconds_median"))
    for nbytes, group in groupby(ordered, attrgetter("bytes")):
        rows = list(group)
        yield Table(columns, rows, title=f"{size_name(nbytes)}, {rows[0].workers} workers")


def _bandwidth(row: BenchRow) -> str | None:
    if row.busbw_GBps is not None:
        return f"{row.busbw_GBps:.3g}"
    if row.server_ingress_GBps is None:
        return None
    return f"in {row.server_ingress_GBps:.3g}, out {row.server_egress_GBps:.3g}"


def with_update(rows: Sequence[BenchRow]) -> bool:
    """Whether all-reduces were timed with the update of the parameters by their workers."""
    return any(row.update and not row.servers for row in rows)


def notes(bench: Bench) -> list[str]:
    """Return the lines under the tables: the strategies' choices, the machine's limits, what was timed."""
    limits, env = bench.limits, bench.environment
    assert limits is not None
    ranks, cores = max(row.workers + row.servers for row in bench.rows), env.cores or 0
    shared = f"{ranks} ranks share {cores} cores of one host: " if ranks > cores else "one host: "
    columns = "columns: docs/bench.md"
    if any(row.servers for row in bench.rows):
        columns = f"a server has no busbw: in and out are the bytes through the busiest one; {columns}"
    timed = ""  # unless it is the exchange alone for all contestants
    if with_update(bench.rows):
        timed = "times are of the exchange and of the update of the parameters, by every worker or by the servers"
    elif len({bool(row.servers) for row in bench.rows}) > 1:
        timed = "a server's time has the update in it, which all-reduce leaves to workers: --with-update adds it there"
    choices = {f"{row.strategy} over {row.transport}": row.notes for row in bench.rows if row.notes}
    return [
        *(f"{name} {words}" for name, words in choices.items()),
        f"limits measured in this run: one core copies {limits.copy_GBps_per_core:.1f} GB/s; "
        f"{limits.tcp_streams} plain loopback stream{' carries' if limits.tcp_streams == 1 else 's carry'} "
        f"{limits.tcp_stream_GBps:.1f} GB/s",
        f"{shared}loopback has no network bottleneck, so ratios here are not those of a cluster",
        *([timed] if timed else []),
        columns,
    ]
