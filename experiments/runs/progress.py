"""Live progress of one run: a bar and where the time goes on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from common.records.stage_clock import STAGES
from experiments.format.colours import STAGE_COLOURS
from experiments.format.units import human_count

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


class _Display(Protocol):
    def show(self, status: Status) -> None: ...
    def close(self) -> None: ...


class Progress:
    """Context manager that shows a run's progress on `stream` (standard error by default) and nowhere else.

    On a terminal a picture that is drawn over itself; elsewhere a line every two seconds at most, the first after two,
    and one for the last status: a short run has one line. `clock` returns seconds.
    """

    def __init__(
        self,
        title: str,
        steps: int,
        workers: int,
        stream: TextIO | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._steps, self._workers = title, steps, workers
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._display: _Display | None = None

    def __enter__(self) -> Self:
        console = Console(file=self._stream, highlight=False)
        if self._stream.isatty() and not console.is_dumb_terminal:
            self._display = _Picture(console, self._title, self._steps, self._workers)
        else:
            self._display = _Lines(self._stream, self._title, self._steps, self._clock)
        return self

    def update(self, status: Status) -> None:
        """Show this status; cheap, to be called as often as one likes inside the context."""
        if self._display is None:
            raise ValueError("Progress.update outside its context")
        self._display.show(status)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        display, self._display = self._display, None
        if display is not None:
            display.close()


class _Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, stream: TextIO, title: str, steps: int, clock: Callable[[], float]) -> None:
        self._stream, self._title, self._steps, self._clock = stream, title, steps, clock
        self._next = clock() + LINE_EVERY
        self._waiting: Status | None = None
        self._said = ""

    def show(self, status: Status) -> None:
        self._waiting = status
        now = self._clock()
        if now >= self._next:
            self._next = now + LINE_EVERY
            self._print()

    def close(self) -> None:
        self._print()

    def _print(self) -> None:
        if self._waiting is None:
            return
        line = plain_line(self._title, self._steps, self._waiting)
        if line != self._said:  # a run that is done is seen several times before it has ended
            print(line, file=self._stream, flush=True)
        self._said, self._waiting = line, None


def plain_line(title: str, steps: int, status: Status) -> str:
    """`ring  step 120/300  31.2k samples/s  loss 0.123  train 41% synchronize 38% …`, largest stage first."""
    stages = sorted(_shares(status).items(), key=lambda item: -item[1])
    where = " ".join(f"{stage} {share:.0%}" for stage, share in stages if share >= _VISIBLE)
    figures = _figures(status) or [f"starting, {status.elapsed:.0f} s"]
    parts = [title, f"step {status.step}/{steps}", *figures, where]
    return "  ".join(part for part in parts if part)


class _Picture:
    """A progress bar, the figures and a stacked bar of the stages, drawn in place."""

    def __init__(self, console: Console, title: str, steps: int, workers: int) -> None:
        self._title, self._steps, self._workers = title, steps, workers
        # Standard output is left alone: it may carry a JSON document. What goes to the stream shown on is kept clear
        # of the picture.
        self._live = Live(
            console=console,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=console.file is sys.stderr,
        )
        self._live.start()

    def show(self, status: Status) -> None:
        self._live.update(picture(self._title, self._steps, self._workers, status))

    def close(self) -> None:
        self._live.stop()


def picture(title: str, steps: int, workers: int, status: Status) -> RenderableType:
    """What a terminal shows for this status: a line of figures, two bars as wide as it is, and a legend."""
    shares = _shares(status)
    head = Text(
        f"{title}, {workers} worker{'' if workers == 1 else 's'}", style="bold", no_wrap=True, overflow="ellipsis"
    )
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
            upto = round(done * options.max_width)  # ends are rounded, not lengths: the bar is always full
            bar.append("█" * (upto - filled), style=STAGE_COLOURS[stage])
            filled = upto
        yield bar


def _figures(status: Status) -> list[str]:
    figures = [status.doing] if status.doing else []
    if math.isfinite(status.samples_per_second):
        figures.append(f"{human_count(status.samples_per_second)} samples/s")
    if math.isfinite(status.loss):
        figures.append(f"loss {status.loss:.3g}")
    if status.restarts:
        figures.append("1 restart" if status.restarts == 1 else f"{status.restarts} restarts")
    return figures


def _shares(status: Status) -> dict[str, float]:
    """The share of each stage in the time so far, in the stages' order; empty before any time was spent."""
    total = math.fsum(status.stage_seconds.get(stage, 0.0) for stage in STAGES)
    return {stage: status.stage_seconds.get(stage, 0.0) / total for stage in STAGES} if total > 0 else {}
