"""Many runs, some with a rank killed at random, and nothing may be left: `make soak` (about ten minutes).

Strategies, transports and worker counts are drawn from a seed. Every run is a command of its own; one in ten is struck
with SIGKILL at a random rank while it trains. After each, no process, file or socket of it may be there, and at the end
no shared memory either.
"""

import os
import random
import sys
import time

from system.leftovers import PROMPT, Box, until

TREES = ["tree", "double-tree", "recursive-doubling", "halving-doubling"]
STRATEGIES = [*TREES, "star", "ring", "direct", "hierarchical", "ps-bsp"]
RUNS, KILLED = 200, 20


def shared_memory():
    """What has a name in shared memory."""
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


def drawn(number, killed):
    """A run: its words, and how many worker and server ranks it has."""
    draw = random.Random(number)
    strategy, workers = draw.choice(STRATEGIES), draw.randint(2, 5)
    words = ["run", "--strategy", strategy, "--workers", workers, "--seed", number, "--results", "results"]
    words += ["--steps", 100_000 if killed else 5, "--transport", draw.choice(["shm", "shm", "ipc", "tcp"])]
    words += ["--hidden", draw.choice(["64", "512,512"]), "--bucket", draw.choice(["64KiB", "4MiB"])]
    servers = draw.randint(1, 2) if strategy == "ps-bsp" else 0
    if servers:
        words += ["--servers", servers]
    if words[words.index("--transport") + 1] == "shm" and draw.random() < 0.3:
        words += ["--hosts", 2]
    roles = [("worker", rank) for rank in range(workers)] + [("server", workers + rank) for rank in range(servers)]
    return words, draw.choice(roles)


def soak(runs, kills):
    """Raises AssertionError at the first run that does not end as it should, or leaves something."""
    before = shared_memory()
    killed = set(random.Random(0).sample(range(runs), kills))
    began = time.monotonic()
    for number in range(runs):
        words, (role, rank) = drawn(number, number in killed)
        with Box() as box:  # its end is the check that nothing is left
            box.start(*words)
            if number in killed:
                box.strike(rank, role)
                done = box.end(PROMPT)
                assert done.code == 1, done
                assert f"{role} rank {rank}" in done.complaint, done.complaint
            else:
                done = box.end()
                assert done.code == 0, (words, done)
        print(f"{number + 1}/{runs}: {' '.join(map(str, words[2:]))}{' killed' * (number in killed)}", flush=True)
    until(lambda: shared_memory() <= before, lambda: f"left: {shared_memory() - before}")  # others' runs come and go
    print(f"{runs} runs, {kills} with a rank killed, in {time.monotonic() - began:.0f} s: nothing left behind")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]] or [RUNS, KILLED]
    soak(*numbers)
