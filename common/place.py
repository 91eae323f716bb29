"""A place: rank, role, stage, step and bucket, for errors and message headers."""

from dataclasses import dataclass
from typing import Any

from common.errors import SETUP, step_name


@dataclass(slots=True, eq=False)
class Place:
    """A rank's position in the job; every error and every message is stamped with it. Mutable, one per rank."""

    rank: int
    role: str = "worker"
    stage: str = "setup"
    step: int = SETUP
    bucket: int = 0

    def enter(self, stage: str) -> None:
        """Note that the rank is in `stage` from now on."""
        self.stage = stage

    def fields(self) -> dict[str, Any]:
        """Return the keyword arguments of a `RunError` that is raised here."""
        where = {"rank": self.rank, "role": self.role, "stage": self.stage, "step": self.step}
        return {**where, "bucket": self.bucket} if self.bucket else where

    def __str__(self) -> str:
        return f"{self.role} rank {self.rank}, stage {self.stage}, {step_name(self.step)}"
