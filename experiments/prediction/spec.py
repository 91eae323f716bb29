"""What a calibration measures; travels to its ranks as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from common.runtime.job import DEDICATED
from experiments.prediction.probes import SIZES


@dataclass(frozen=True, slots=True)
class CalibrationSpec:
    """`workers` and one hub, a process each, over one transport; vectors of `sizes` bytes."""

    transport: str
    workers: int
    servers: int = 1
    sizes: tuple[int, ...] = SIZES
    interface: str = "127.0.0.1"
    deadline: float = 60.0
    threads: int = 1
    placement: str = DEDICATED

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CalibrationSpec:
        """The inverse of `to_dict`."""
        return cls(**{**values, "sizes": tuple(values["sizes"])})
