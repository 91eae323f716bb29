"""Parameter servers that do not wait for everybody, with real processes, one of them slow."""

import json

import pytest
from histories import replay

from ps.consistency import ASP, BSP, SSP, Backup
from ps.shard import Refused
from system.leftovers import Box

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

WORKERS, STEPS = 3, 40
PARAMETERS = (64 * 64 + 64) + (64 * 10 + 10)  # of the default model
# Worker 2 waits in its first step until worker 0 has come to the step `lead`: how late it is, is no matter of speed.
SLOW = """
from pathlib import Path
import ps.strategy

class Slow:
    def synchronize(self, ctx, bucket):
        ahead = Path(f"{type(self).__name__}-ahead")
        if ctx.rank == 0 and ctx.place.step == self.lead:
            ahead.touch()
        while ctx.rank == 2 and not ahead.exists():
            ctx.sleep(0.005)
        super().synchronize(ctx, bucket)

class Bsp(Slow, ps.strategy.PsBsp): lead = 0
class Ssp(Slow, ps.strategy.PsSsp): lead = 3
class Async(Slow, ps.strategy.PsAsync): lead = 6
class Backup(Slow, ps.strategy.PsBackup): lead = 3
"""
CONSISTENCIES = {"Bsp": BSP(), "Ssp": SSP(3), "Async": ASP(), "Backup": Backup(1)}


@pytest.fixture(scope="module")
def runs():
    """Each strategy's summary, and its servers' events, by its name."""
    found = {}
    with Box() as box:
        box.module("slow", SLOW)
        for name in CONSISTENCIES:
            words = ("--workers", WORKERS, "--servers", 2, "--steps", STEPS, "--results", box.results / name)
            done = box.run("run", "--strategy", f"slow:{name}", *words, "--json")
            assert done.code == 0, done.err
            (folder,) = (box.results / name).iterdir()
            files = sorted(folder.glob("ranks/*-server.events.jsonl"))
            found[name] = done.json(), [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    return found


@pytest.mark.parametrize("name", CONSISTENCIES)
def test_all_workers_end_with_the_same_parameters_having_drawn_the_same_samples(runs, name):
    summary, _ = runs[name]
    assert len(set(summary["params_sha256"])) == 1
    assert summary["ledger_sha256"] == runs["Bsp"][0]["ledger_sha256"]
    assert summary["steps_done"] == STEPS
    assert summary["consistency"] == CONSISTENCIES[name].name


@pytest.mark.parametrize("name", CONSISTENCIES)
def test_the_history_of_each_server_fits_the_model_and_a_tampered_one_does_not(runs, name):
    summary, histories = runs[name]
    assert len(histories) == 2
    for events in histories:
        shard = replay(events, WORKERS, CONSISTENCIES[name])
        assert shard.workers == []
        pushes = [event for event in events if event["event"] == "push"]
        assert len(pushes) == WORKERS * STEPS - sum(summary["steps_skipped"]["per_worker"])
        gone = next(event for event in events[7:] if event["outcome"] == "applied")
        with pytest.raises(Refused, match="of the history does not fit"):
            replay([event for event in events if event is not gone], WORKERS, CONSISTENCIES[name])


def test_only_with_backups_a_slow_worker_skips_steps(runs):
    skipped = {name: summary["steps_skipped"]["per_worker"] for name, (summary, _) in runs.items()}
    assert skipped["Bsp"] == skipped["Ssp"] == skipped["Async"] == [0] * WORKERS
    assert skipped["Backup"][2] >= 2


def test_staleness_stays_within_its_bound_and_goes_beyond_it_without_one(runs):
    worst = {
        name: max(event["staleness"] for events in histories for event in events if event.get("outcome") == "applied")
        for name, (_, histories) in runs.items()
    }
    assert worst["Bsp"] == worst["Backup"] == 0
    assert 2 <= worst["Ssp"] <= 3
    assert worst["Async"] >= 5


@pytest.mark.parametrize("name", ["Bsp", "Ssp", "Async"])
def test_a_worker_sends_its_gradients_and_the_servers_the_parameters_in_answer_to_each(runs, name):
    sent = runs[name][0]["bytes_sent"]
    assert sent["per_worker"] == [4 * PARAMETERS * STEPS] * WORKERS
    assert sent["per_server"] == [4 * PARAMETERS // 2 * STEPS * WORKERS] * 2
