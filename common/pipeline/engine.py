"""Engines: strategies that bring their own transport, launcher or training loop, as other people's libraries do.

An engine is a `SyncStrategy` whose traits say what it takes over from the harness. It runs on real processes only,
and nobody here can count its bytes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from common.context import Context
from common.strategy import SyncStrategy, Traits

if TYPE_CHECKING:
    from common.models.flat import FlatModel
    from common.pipeline.train import Train
    from common.runtime.engine_host import EngineHost


@dataclass(frozen=True, slots=True)
class EngineTraits(Traits):
    """What an engine takes over. The defaults describe every strategy that is no engine."""

    own_transport: str | None = None  # the library that moves the bytes; None: the context does
    synchronizes_in: Literal["synchronize", "train"] = "synchronize"  # the stage that its communication is part of
    launcher: Literal["fork", "mpi"] = "fork"  # mpi: mpirun starts the ranks
    one_process: bool = False  # one process trains on every worker's samples


def engine_traits(traits: Traits) -> EngineTraits:
    """Return `traits` with those of an engine: its own, or the defaults."""
    if isinstance(traits, EngineTraits):
        return traits
    return EngineTraits(**{field.name: getattr(traits, field.name) for field in dataclasses.fields(Traits)})


class EngineStrategy(SyncStrategy):
    """A strategy that needs more of its rank than a context: its process, or a say in stage 4."""

    traits = EngineTraits()
    _host: EngineHost | None = None

    @property
    def host(self) -> EngineHost:
        """This rank's process: a place to meet, and deadlines for calls that have none. ValueError if it has none."""
        if self._host is None:
            raise ValueError("this rank is no process of its own: an engine with its own transport cannot run here")
        return self._host

    @host.setter
    def host(self, host: EngineHost) -> None:
        self._host = host

    def wrap(self, ctx: Context, model: FlatModel, train: Train) -> Train:
        """Return stage 4 as this engine wants it, once, after `setup`. It may replace `model.forward`."""
        return train
