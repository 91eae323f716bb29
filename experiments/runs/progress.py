"""Live progress of one run: bars on a terminal, a plain line every few seconds elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from common.records.stage_clock import STAGES
from experiments.format.colours import STAGE_COLOURS
from experiments.format.units import human_count
from experiments.format.words import plural

LINE_EVERY = 2.0  # seconds between two plain lines
_VISIBLE = 0.005  # a share below this would read 0 %


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
    """A context that shows a run's progress on `stream`: drawn in place on a terminal, else lines every 2 s."""

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
        self._unprinted: Status | None = None
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
        """Show this status. It is cheap, so call it as often as you like inside the context."""
        if self._next_line is None:
            raise ValueError("Progress.update outside its context")
        if self._live is not None:
            self._live.update(picture(self._title, self._steps, self._workers, status))
            return
        self._unprinted = status
        now = self._clock()
        if now >= self._next_line:
            self._next_line = now + LINE_EVERY
            self._print()

    def _print(self) -> None:
        if self._unprinted is None:
            return
        line = plain_line(self._title, self._steps, self._unprinted)
        if line != self._printed:  # a finished run reports its last status several times before it ends
            print(line, file=self._stream, flush=True)
        self._printed, self._unprinted = line, None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
        self._print()
        self._next_line = None


def plain_line(title: str, steps: int, status: Status) -> str:
    """`ring  step 120/300  31.2k samples/s  loss 0.123  train 41% synchronize 38% …`, largest stage first."""
    stages = sorted(_shares(status).items(), key=lambda item: -item[1])
    where = " ".join(f"{stage} {share:.0%}" for stage, share in stages if share >= _VISIBLE)
    figures = _figures(status) or [f"starting, {status.elapsed:.0f} s"]
    parts = [title, f"step {status.step}/{steps}", *figures, where]
    return "  ".join(part for part in parts if part)


def picture(title: str, steps: int, workers: int, status: Status) -> RenderableType:
    """Return what a terminal shows: a line of figures, two bars as wide as the terminal, and a legend."""
    shares = _shares(status)
    head = Text(f"{title}, {plural(workers, 'worker')}", style="bold", no_wrap=True, overflow="ellipsis")
    for figure in (f"step {status.step}/{steps}", *_figures(status), f"{status.elapsed:.1f} s"):
        head.append(f"  {figure}", style="not bold")
    legend = Text("time: ", style="dim")
    for stage, share in shares.items():
        if share >= _VISIBLE:
            legend.append("■ ", style=f"not dim {STAGE_COLOURS[stage]}")
            legend.append(f"{stage} {share:.0%}  ", style="not dim")
    bar = Padding(ProgressBar(total=max(steps, 1), completed=status.step), 0)  # a bare bar does not end its line
    return Group(head, bar) if status.doing else Group(head, bar, _Stacked(shares), legend)


@dataclass(frozen=True, slots=True)
class _Stacked:
    """One bar of all stages, as wide as the terminal."""

    shares: Mapping[str, float]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        bar, done, filled = Text(), 0.0, 0
        for stage, share in self.shares.items():
            done += share
            end = round(done * options.max_width)  # ends are rounded, not lengths, so that the bar is always full
            bar.append("█" * (end - filled), style=STAGE_COLOURS[stage])
            filled = end
        yield bar


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
    """Return the share of each stage in the time so far; empty before any time was spent."""
    total = math.fsum(status.stage_seconds.get(stage, 0.0) for stage in STAGES)
    return {stage: status.stage_seconds.get(stage, 0.0) / total for stage in STAGES} if total > 0 else {}
