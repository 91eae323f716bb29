"""Servers that are killed at random moments and come back: `make soak-restarts` (about ten minutes).

Strategies, transports, optimizers, who dies and when are drawn from a seed; every run is a command of its own. Under
BSP it has to end with the bits of an undisturbed one. Otherwise each push that was due has to be applied once, or be
counted as dropped or lost, and every server's history has to fit the model. Nothing may be left behind.
"""

import functools
import itertools
import json
import random
import sys
import time

import psutil
from histories import replay
from system.leftovers import Box, until

from experiments.runs.find import load_run
from ps.consistency import ASP, SSP, Backup

STEPS, EVERY, WORKERS = 80, 9, 3
BITS, OTHERS = 20, 18  # moments: under BSP, and under the others
RELAXED = {"ps-async": ASP(), "ps-ssp": SSP(3), "ps-backup": Backup(1)}
WORDS = ("run", "--workers", WORKERS, "--steps", STEPS, "--train-seconds", 0.01, "--deadline", 20, "--json")
COMEBACK = ("--checkpoint-every", EVERY, "--restarts", 1)
WAYS = [
    (
        "--servers",
        servers,
        "--transport",
        transport,
        "--optimizer",
        optimizer,
        "--lr",
        0.1 if optimizer == "sgd" else 0.01,
    )
    for servers in (1, 2)
    for transport in ("shm", "tcp")
    for optimizer in ("sgd", "adam")
]


@functools.cache
def undisturbed(*words):
    """What the hash of the parameters is when nobody dies."""
    with Box() as box:
        done = box.run(*WORDS, *words, "--results", "results")
        assert done.code == 0, done
        return done.json()["params_sha256"]


def struck(box, rank, rows, delay):
    """Kill a server once it has recorded so many steps, and `delay` seconds later; whether it was still there."""
    until(lambda: any(file.read_bytes().count(b"\n") >= rows for file in files(box, rank)) or ended(box), box.stderr)
    time.sleep(delay)  # not to wait for something: the moment is what is drawn
    try:
        box.rank(rank, "server").kill()
    except (AssertionError, psutil.NoSuchProcess):
        return False
    return True


def files(box, rank):
    return box.results.glob(f"*/ranks/{rank}-server.jsonl")


def ended(box):
    return box.commands[-1].poll() is not None


def disturbed(strategy, way, draw):
    """One run: what was done to it, whether in time, its summary, its histories and the steps that were skipped.

    Every worker's push is a row of a server's where pushes are applied one by one.
    """
    servers = way[1]
    rank = WORKERS + draw.randrange(servers)
    rows = draw.randrange(STEPS * (WORKERS if strategy in ("ps-async", "ps-ssp") else 1))
    delay = draw.uniform(0, 0.02)
    slow = ("--slow-worker", "1:3") if strategy != "ps-bsp" else ()
    with Box() as box:
        box.start(*WORDS, "--strategy", strategy, *way, *slow, *COMEBACK, "--results", "results")
        hit = struck(box, rank, rows, delay)
        done = box.end()
        what = f"{strategy} {' '.join(map(str, way))}: server rank {rank} after row {rows} and {1000 * delay:.0f} ms"
        assert done.code == 0, (what, done)
        histories = []
        for number in range(servers):
            text = (box.result() / "ranks" / f"{WORKERS + number}-server.events.jsonl").read_text()
            histories.append([json.loads(line) for line in text.splitlines()])
        rows = load_run(box.result()).worker_rows.values()
        assert all([row.step for row in of_one] == list(range(STEPS)) for of_one in rows), what
        skipped = {(worker, row.step) for worker, of_one in enumerate(rows) for row in of_one if row.skipped}
        return what, hit, done.json(), histories, skipped


def check_pushes(strategy, histories, skipped, back):
    """Every push is applied, dropped or lost, or its step was `skipped`, and none is twice; the histories fit."""
    for events in histories:
        pushes = [event for event in events if event["event"] == "push" and event["outcome"] != "duplicate"]
        names = [(event["worker"], event["step"]) for event in pushes]
        assert len(set(names)) == len(names), "a push was taken twice"
        for event in events:
            if event["event"] == "lost":
                names += [(event["worker"], event["step"] + number) for number in range(event["pushes"])]
        assert len(set(names)) == len(names), "a push was taken and lost"
        missing = set(itertools.product(range(WORKERS), range(STEPS))) - set(names) - skipped
        if strategy == "ps-backup":  # what was dropped after the step that all went back to is forgotten
            missing -= {(worker, step) for worker in range(WORKERS) for step in range(back - 2 * EVERY, back)}
        assert not missing, f"nothing is known of {sorted(missing)}"
        assert replay(events, WORKERS, RELAXED[strategy]).workers == []


def soak(bits, others):
    """Raises AssertionError at the first run that does not end as it should."""
    draw = random.Random(4)
    began = time.monotonic()
    plans = [("ps-bsp", WAYS[number % len(WAYS)]) for number in range(bits)]
    plans += [(list(RELAXED)[number % 3], WAYS[number * 3 % len(WAYS)]) for number in range(others)]
    missed = 0
    for number, (strategy, way) in enumerate(plans, 1):
        while True:
            what, hit, summary, histories, skipped = disturbed(strategy, way, draw)
            if strategy == "ps-bsp":
                assert summary["params_sha256"] == undisturbed("--strategy", strategy, *way), what
            else:
                check_pushes(
                    strategy, histories, skipped, max((each["resumed_from"] for each in summary["restarts"]), default=0)
                )
            if hit:
                break
            missed += 1  # it had ended already: draw another moment
            assert missed <= len(plans), "too many runs had ended before the moment came"
        back = ", ".join(
            f"{each['stage']} of step {each['step']} -> {each['resumed_from']}" for each in summary["restarts"]
        )
        print(f"{number}/{len(plans)}: {what}: {back or 'all was done'}; {summary['pushes']}", flush=True)
    print(f"{len(plans)} servers killed and back in {time.monotonic() - began:.0f} s: all as it should be")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]] or [BITS, OTHERS]
    soak(*numbers)
