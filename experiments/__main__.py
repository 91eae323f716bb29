"""`syncbench`, and `python -m experiments`."""

import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    from experiments.cli.main import run  # late: ranks import this module when they start

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
