"""The summary follows from the records and reports of the ranks, however a run ends."""

import json
import math

import numpy as np
import pytest
import yaml
from runs import SECONDS, loss_at, worker_row, write_rows

from common.errors import ConfigError, PeerFailed
from common.records.ledger import ledger_sha256
from common.records.stage_clock import STAGES
from common.runtime.status_board import Status as RankStatus
from experiments.config import RunOptions, plan
from experiments.launch.supervisor import JobOutcome
from experiments.runs.execute import RunFailed, execute
from experiments.runs.summary import warmup_steps
from experiments.schema.documents import PerRank
from experiments.schema.files import to_builtins

STEP = sum(SECONDS.values())  # seconds


class FakeAgent:
    """Leaves what ranks would: `rows[rank]` steps of worker `rank`, and a report of each rank."""

    def __init__(self, *rows, reports=None, error=None, traceback=None, raises=None):
        self.rows, self.reports, self.error, self.traceback, self.raises = rows, reports, error, traceback, raises

    def run(self, job, processes, results, show, entry="", launcher="fork", restarts=None, on_worker_death="abort"):
        assert not (results / "summary.json").exists()
        for worker, steps in enumerate(self.rows):
            logical = job.workers // processes
            took = {**SECONDS, "hidden": 0.125 * (worker + 1)}
            write_rows(results, worker, [worker_row(step, worker, took, logical) for step in range(steps)])
        seconds = dict.fromkeys(STAGES, 0.5)
        show([RankStatus(2, "train", 2 + rank, float(rank), seconds) for rank in range(processes)], 4.0)
        if self.raises is not None:
            raise self.raises
        np.save(results / "params.npy", np.zeros(7, np.float32))
        reports = [report(rank, job, processes) for rank in range(processes + job.servers)]
        return JobOutcome(self.reports or reports, self.error, self.traceback, seconds=12.5)


def report(rank, job, processes):
    """Rank r sends 10 r + 1 bytes, in one message, to every other rank."""
    others = [peer for peer in range(processes + job.servers) if peer != rank]
    sent = {"bytes_to": {str(peer): 10 * rank + 1 for peer in others}, "messages_to": dict.fromkeys(others, 1)}
    if rank >= processes:
        return sent
    notes = {"strategy_notes": {"picked": "ring"} if rank == 0 else {}}
    return {**sent, **notes, "params_sha256": f"hash {rank}", "test_accuracy": 0.9 if rank == 0 else None}


def planned(strategy="ring", workers=2, **options):
    return plan(RunOptions(strategy=strategy, workers=workers, **{"steps": 20, **options}))


def summary_of(folder, agent, planned_run):
    return execute(planned_run, agent, folder, lambda status: None).summary


def test_speed_is_that_of_the_steps_after_the_warm_up_over_all_workers(tmp_path):
    summary = summary_of(tmp_path, FakeAgent(20, 20), planned(batch=128))
    warm = 4  # of 20 steps
    late = 1 / 1000  # worker 1 ends every step a millisecond late, so both ends move alike
    first, last = 1 + warm * STEP + late, 1 + 20 * STEP + late
    assert summary.warmup_steps == warm
    assert summary.samples_per_second == pytest.approx((20 - warm) * 128 / (last - first))


def test_a_run_too_short_for_a_warm_up_counts_from_its_begin(tmp_path):
    summary = summary_of(tmp_path, FakeAgent(2, 2), planned(batch=128, steps=2))
    late = (STEP - 1 / 1000) / STEP  # of its second step, worker 1 has done so much when worker 0 is done
    assert summary.samples_per_second == pytest.approx((2 + 1 + late) * 64 / (2 * STEP))


@pytest.mark.parametrize(("steps", "warm"), [(1, 0), (4, 0), (5, 1), (50, 10), (1000, 10)])
def test_the_warm_up_is_a_fifth_of_the_run_and_ten_steps_at_most(steps, warm):
    assert warmup_steps(steps) == warm


def test_loss_and_stages_are_means_over_the_workers(tmp_path):
    summary = summary_of(tmp_path, FakeAgent(20, 20), planned())
    assert summary.final_loss == pytest.approx(loss_at(19) + 0.005)  # worker 1's is a hundredth higher
    assert summary.stage_seconds.by_stage() == pytest.approx({stage: 20 * SECONDS[stage] for stage in STAGES})


def test_hidden_seconds_are_a_total_over_the_steps_and_a_mean_over_the_workers(tmp_path):
    summary = summary_of(tmp_path, FakeAgent(20, 20), planned())
    assert summary.hidden_synchronize_seconds == pytest.approx(20 * (0.125 + 0.25) / 2)


def test_traffic_is_counted_where_it_left_and_where_it_went(tmp_path):
    summary = summary_of(tmp_path, FakeAgent(20, 20), planned("ps-bsp", servers=2))
    assert summary.bytes_sent == PerRank(per_worker=(3 * 1, 3 * 11), per_server=(3 * 21, 3 * 31))
    assert summary.messages_sent == PerRank(per_worker=(3, 3), per_server=(3, 3))
    total = 1 + 11 + 21 + 31
    received = PerRank(per_worker=(total - 1, total - 11), per_server=(total - 21, total - 31))
    assert summary.bytes_received == received
    assert summary.processes == 4


def test_steps_that_were_skipped_are_counted_by_worker_and_have_no_loss(tmp_path):
    class WithBackups(FakeAgent):
        def run(self, job, processes, results, show, **more):
            ended = super().run(job, processes, results, show, **more)
            rows = [worker_row(step, 1, SECONDS) for step in range(20)]
            late = [{**row, "loss": None, "skipped": True} if row["step"] in (4, 7, 19) else row for row in rows]
            write_rows(results, 1, late)
            return ended

    summary = summary_of(tmp_path, WithBackups(20, 20), planned("ps-backup"))
    assert summary.steps_skipped.per_worker == (0, 3)
    assert summary.final_loss == pytest.approx(loss_at(19))  # worker 0's alone
    entries = [
        (step, worker, worker_row(step, worker, SECONDS)["samples"][0]) for step in range(20) for worker in (0, 1)
    ]
    assert summary.ledger_sha256 == ledger_sha256(entries)


def test_the_ledger_is_that_of_the_rows(tmp_path):
    rows = {worker: [worker_row(step, worker, SECONDS) for step in range(20)] for worker in range(2)}
    entries = [(row["step"], worker, row["samples"][0]) for worker in rows for row in rows[worker]]
    assert summary_of(tmp_path, FakeAgent(20, 20), planned()).ledger_sha256 == ledger_sha256(entries)


def test_one_process_stands_for_every_worker(tmp_path):
    together = summary_of(tmp_path, FakeAgent(20), planned("single"))
    apart = summary_of(tmp_path, FakeAgent(20, 20), planned("ring"))
    assert together.ledger_sha256 == apart.ledger_sha256
    assert together.params_sha256 == ("hash 0", "hash 0")
    assert apart.params_sha256 == ("hash 0", "hash 1")
    assert together.bytes_sent.per_worker == (0, 0)
    assert (together.processes, apart.processes) == (1, 2)


def test_the_summary_has_the_options_and_the_reports_of_the_ranks(tmp_path):
    summary = summary_of(tmp_path, FakeAgent(20, 20), planned(seed=7, transport="tcp"))
    expected = {
        "schema": 1,
        "status": "ok",
        "strategy": "ring",
        "consistency": "bsp",
        "replicas_equal": True,
        "synchronizes_in": "synchronize",
        "workers": 2,
        "servers": 0,
        "steps": 20,
        "steps_done": 20,
        "batch": 64,
        "seed": 7,
        "transport": "tcp",
        "parameters": 7,
        "test_accuracy": 0.9,
        "strategy_notes": {"picked": "ring"},
        "wall_seconds": 12.5,
        "error": None,
    }
    assert {key: getattr(summary, key) for key in expected} == expected


def test_the_folder_has_the_configuration_and_the_environment(tmp_path):
    slow = {"slow_worker": ("1:4",), "jitter": "uniform:0,0.5", "train_seconds": 0.25}
    asked = planned("ps-bsp", hidden=(8, 4), lr=0.25, seed=3, schedule="cosine", warmup=2, **slow)
    done = execute(asked, FakeAgent(20, 20), tmp_path, lambda status: None)
    assert {path.name for path in done.path.iterdir()} == {
        "config.yaml",
        "env.json",
        "params.npy",
        "ranks",
        "summary.json",
    }
    assert done.env.threads_per_rank == 1
    assert (done.env.transport, done.env.link) == (asked.job.transport, None)
    values = yaml.safe_load((done.path / "config.yaml").read_text())
    assert plan(RunOptions(**{**values, "hidden": tuple(values["hidden"])})).job == asked.job


def test_every_run_has_a_folder_of_its_own(tmp_path):
    first, second = (execute(planned(), FakeAgent(20, 20), tmp_path, lambda status: None) for _ in range(2))
    assert first.path != second.path


def test_a_class_of_ones_own_makes_a_folder_name_without_colons(tmp_path):
    done = execute(planned("allreduce.ring:Ring"), FakeAgent(20, 20), tmp_path, lambda status: None)
    assert "-allreduce.ring-Ring-w2-" in done.path.name
    assert done.strategy == "allreduce.ring:Ring"


def test_progress_is_the_slowest_workers_steps_and_the_means_of_the_rest(tmp_path):
    shown = []
    execute(planned(batch=128), FakeAgent(20, 20), tmp_path, shown.append)
    (status,) = shown
    assert (status.step, status.loss, status.elapsed) == (2, 0.5, 4.0)
    assert status.stage_seconds == dict.fromkeys(STAGES, 0.5)
    assert status.samples_per_second == 2 * 128 / (6 * 0.5)


def test_a_failed_run_keeps_its_rows_and_names_the_culprit(tmp_path):
    error = PeerFailed("killed by signal 9 (SIGKILL)", rank=1, role="worker", stage="train", step=3)
    reports = [{"error": {"type": "PeerFailed"}, "traceback": None, "at": 1.0}, None]
    agent = FakeAgent(5, 3, reports=reports, error=error, traceback="the traceback")
    with pytest.raises(RunFailed) as failed:
        execute(planned(), agent, tmp_path, lambda status: None)
    (folder,) = tmp_path.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary == to_builtins(failed.value.run.summary)
    assert (failed.value.error, failed.value.traceback) == (error, "the traceback")
    assert summary["status"] == "failed"
    assert summary["error"] == error.record()
    assert summary["steps_done"] == 3  # those that every worker has done
    assert summary["params_sha256"] == []
    assert summary["test_accuracy"] is None
    entries = [(step, worker, f"{step:04x}{worker:04x}") for step in range(3) for worker in range(2)]
    assert summary["ledger_sha256"] == ledger_sha256(entries)


def test_a_run_that_failed_before_its_first_step_claims_nothing(tmp_path):
    error = PeerFailed("killed by signal 9 (SIGKILL)", rank=1, role="worker", stage="setup", step=-1)
    with pytest.raises(RunFailed) as failed:
        execute(planned(), FakeAgent(5, reports=[None, None], error=error), tmp_path, lambda status: None)
    summary = failed.value.run.summary
    assert summary.steps_done == 0
    unknown = ("samples_per_second", "final_loss", "ledger_sha256", "test_accuracy")
    assert [getattr(summary, key) for key in unknown] == [None] * 4


def test_an_interrupted_run_is_partial(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        execute(planned(), FakeAgent(7, 6, raises=KeyboardInterrupt()), tmp_path, lambda status: None)
    (folder,) = tmp_path.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["status"], summary["steps_done"]) == ("partial", 6)
    assert summary["error"]["cause"] == "interrupted"
    assert math.isfinite(summary["samples_per_second"])


def test_a_disk_that_is_full_is_one_line_and_no_half_summary(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.runs.files.os.fsync", full)
    with pytest.raises(ConfigError, match="no space left on device; give another --results folder"):
        execute(planned(), FakeAgent(20, 20), tmp_path, lambda status: None)
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "ranks"}


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="results cannot be written to"):
        execute(planned(), FakeAgent(), tmp_path / "file", lambda status: None)


def test_a_traced_run_whose_ranks_left_no_part_of_the_trace_fails_with_its_own_error(tmp_path):
    killed = PeerFailed("killed by signal 9", rank=1, role="worker", stage="train", step=3)
    with pytest.raises(RunFailed, match="killed by signal 9"):
        summary_of(tmp_path, FakeAgent(3, 3, error=killed), planned(trace=True))
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "summary.json").read_text())["status"] == "failed"
