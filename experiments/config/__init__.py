"""From what the user asks for to a job that can run: every mistake is found here, before anything starts.

`option` says how an option is declared. Each other file has one concern: it declares the options of it, checks them,
raises ConfigError with one line for what cannot be, and fills in what was left open. `planning` joins them.
"""

from experiments.config.planning import Plan, RunOptions, plan

__all__ = ["Plan", "RunOptions", "plan"]
