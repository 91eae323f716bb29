"""Live progress of one run: bars on a terminal, a plain line every few seconds elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from experiments.format.colours import STAGE_COLOURS
from experiments.format.units import human_count
from experiments.format.words import plural

LINE_EVERY = 2.0  # seconds between two plain lines


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run or a benchmark is."""

    step: int  # steps that the slowest worker has done; blocks of a benchmark
    samples_per_second: float = math.nan  # of the whole job; nan while unknown
    loss: float = math.nan  # nan while unknown
    stage_seconds: Mapping[str, float] = field(default_factory=dict)  # so far, mean over workers, by stage
    elapsed: float = 0.0  # seconds since the job started
    restarts: int = 0  # servers that died and came back
    doing: str = ""  # what a benchmark measures now


class Progress:
    """A context that shows a run's progress on `stream`: a picture on a terminal, lines elsewhere (LINE_EVERY)."""

    def __init__(
        self,
        title: str,
        steps: int,
        workers: int,
        stream: TextIO | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._steps, self._workers, self._clock = title, steps, workers, clock
        self._stream = sys.stderr if stream is None else stream
        self._live: Live | None = None  # the picture
        self._next_line: float | None = None  # when the next line may be printed; None outside the context
        self._status: Status | None = None  # the last, for a stream of lines
        self._printed = ""

    def __enter__(self) -> Self:
        console = Console(file=self._stream, highlight=False)
        if self._stream.isatty() and not console.is_dumb_terminal:
            # Standard output is not redirected, because it may carry a JSON document.
            on_stderr = self._stream is sys.stderr
            self._live = Live(console=console, refresh_per_second=8, redirect_stdout=False, redirect_stderr=on_stderr)
            self._live.start()
        self._next_line = self._clock() + LINE_EVERY
        return self

    def update(self, status: Status) -> None:
        """Show this status. It is cheap: call it as often as you like inside the context, else ValueError."""
        if self._next_line is None:
            raise ValueError("Progress.update outside its context")
        if self._live is not None:
            self._live.update(picture(self._title, self._steps, self._workers, status))
            return
        self._status = status
        now = self._clock()
        if now >= self._next_line:
            self._next_line = now + LINE_EVERY
            self._print(status)

    def _print(self, status: Status) -> None:
        line = plain_line(self._title, self._steps, status)
        if line != self._printed:  # a finished run reports its last status several times before it ends
            print(line, file=self._stream, flush=True)
        self._printed = line

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._status is not None:
            self._print(self._status)
        self._next_line = None


def plain_line(title: str, steps: int, status: Status) -> str:
    """`ring  step 120/300  31.2k samples/s  loss 0.123  train 41% synchronize 38% …`, largest stage first."""
    stages = sorted(_shares(status).items(), key=lambda item: -item[1])
    where = " ".join(f"{stage} {share:.0%}" for stage, share in stages)
    figures = _figures(status) or [f"starting, {status.elapsed:.0f} s"]
    return "  ".join([title, f"step {status.step}/{steps}", *figures, *([where] if where else [])])


def picture(title: str, steps: int, workers: int, status: Status) -> RenderableType:
    """Return what a terminal shows: a line of figures, two bars as wide as the terminal, and a legend."""
    head = Text(f"{title}, {plural(workers, 'worker')}", style="bold", no_wrap=True, overflow="ellipsis")
    for figure in (f"step {status.step}/{steps}", *_figures(status), f"{status.elapsed:.1f} s"):
        head.append(f"  {figure}", style="not bold")
    bar = Padding(ProgressBar(total=max(steps, 1), completed=status.step), 0)  # a bare bar does not end its line
    if status.doing:
        return Group(head, bar)
    stages, cells, legend = Table.grid(expand=True), [], Text("time: ", style="dim")
    for stage, share in _shares(status).items():
        stages.add_column(ratio=round(1000 * share))
        cells.append(Text("█" * 1000, style=STAGE_COLOURS[stage], no_wrap=True, overflow="crop"))
        legend.append("■ ", style=f"not dim {STAGE_COLOURS[stage]}")
        legend.append(f"{stage} {share:.0%}  ", style="not dim")
    stages.add_row(*cells)
    return Group(head, bar, stages, legend)


def _figures(status: Status) -> list[str]:
    figures = [status.doing] if status.doing else []
    if math.isfinite(status.samples_per_second):
        figures.append(f"{human_count(status.samples_per_second)} samples/s")
    if math.isfinite(status.loss):
        figures.append(f"loss {status.loss:.3g}")
    if status.restarts:
        figures.append(plural(status.restarts, "restart"))
    return figures


def _shares(status: Status) -> dict[str, float]:
    """Return the share of each stage in the time so far, without those that would read 0 %."""
    total = math.fsum(status.stage_seconds.values())
    return {stage: spent / total for stage, spent in status.stage_seconds.items() if spent >= 0.005 * total > 0}
