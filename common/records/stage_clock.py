"""The six stages of the data-parallel pipeline, in order, and the clock that times them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

STAGES = ("preprocess", "partition", "load", "train", "synchronize", "update")


class StageClock:
    """Seconds spent in each stage. A stage entered inside another one pauses the outer stage.

        with clock("load"):
            ...                      # counts as load
            with clock("preprocess"):
                ...                  # counts as preprocess alone

    `enter(stage)` is called at every change of stage; `now()` returns seconds.
    """

    def __init__(self, now: Callable[[], float], enter: Callable[[str], None] = lambda stage: None) -> None:
        self.now = now
        self.enter = enter
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._stack: list[str] = []
        self._since = 0.0
        self._next = ""

    def __call__(self, stage: str) -> StageClock:
        """Return the context manager of one stage. KeyError if it is none of the six."""
        self.seconds[stage] += 0.0
        self._next = stage
        return self

    def __enter__(self) -> None:
        self._charge()
        self._stack.append(self._next)
        self.enter(self._next)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._charge()
        self._stack.pop()
        if self._stack and error is None:  # an error keeps the stage in which it happened
            self.enter(self._stack[-1])

    def _charge(self) -> None:
        now = self.now()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    def take(self) -> dict[str, float]:
        """Return the seconds by stage since the last `take`, and start again from zero."""
        taken = self.seconds
        self.seconds = dict.fromkeys(STAGES, 0.0)
        return taken
