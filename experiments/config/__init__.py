"""From what the user asks for to a job that can run: every mistake is found here, before anything starts.

`options/` declares the options, a file a subject. Each file also checks its options together, raises ConfigError with
one line for what cannot be, and fills in what was left open. `planning` joins the files.
"""

from experiments.config.planning import Plan, RunOptions, plan

__all__ = ["Plan", "RunOptions", "plan"]
