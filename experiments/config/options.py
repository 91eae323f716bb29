"""Everything that can be asked of a run. Each file of this folder declares the options of its concern."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.config.data import DataOptions
from experiments.config.option import option
from experiments.config.training import TrainingOptions
from experiments.config.virtual import VirtualOptions


@dataclass(frozen=True)
class RunOptions(VirtualOptions, TrainingOptions, DataOptions):
    """The whole run"""

    trace: bool = option(False, "write trace.json, a timeline of all ranks: see the verb `trace`")
