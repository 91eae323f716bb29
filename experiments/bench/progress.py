"""How far a benchmark is, on standard error: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.bench.run import Show
from experiments.runs.progress import LINE_EVERY


@contextmanager
def bench_progress(blocks: int, stream: TextIO | None = None) -> Iterator[Show]:
    """Gives a function to call, as often as one likes, with the blocks done and what is being done."""
    stream = sys.stderr if stream is None else stream
    console = Console(file=stream, highlight=False)
    if stream.isatty() and not console.is_dumb_terminal:
        columns = (TextColumn("bench"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
        about = TextColumn("{task.description}", markup=False)
        with Progress(*columns, about, console=console, redirect_stdout=False, transient=True) as bar:
            task = bar.add_task("", total=blocks)
            yield lambda done, what: bar.update(task, completed=done, description=what)
    else:
        yield _Lines(blocks, stream).show


class _Lines:
    """A line at most every two seconds, and none that says the same as the one before."""

    def __init__(self, blocks: int, stream: TextIO) -> None:
        self.blocks, self.stream = blocks, stream
        self.next, self.last = 0.0, ""

    def show(self, done: int, what: str) -> None:
        line = f"bench  step {done}/{self.blocks}  {what}"
        if line != self.last and time.monotonic() >= self.next:
            self.next, self.last = time.monotonic() + LINE_EVERY, line
            print(line, file=self.stream, flush=True)
