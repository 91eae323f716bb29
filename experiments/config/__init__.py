"""From what the user asked for to a job that can run: every mistake is found here, before anything starts.

Each file has one concern: it checks what was asked for, ConfigError with one line if it cannot be, and fills in what
was left open.
"""

from experiments.config.options import RunOptions
from experiments.config.planning import Plan, plan

__all__ = ["Plan", "RunOptions", "plan"]
