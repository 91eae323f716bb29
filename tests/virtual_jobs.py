"""Runs whole jobs as `run --transport virtual` does, in this process."""

import json
from dataclasses import dataclass
from pathlib import Path

from common.runtime.status_board import StatusBoard
from experiments.config import RunOptions, plan
from experiments.launch.rank_process import JobOrder
from experiments.metrics.step_totals import add_up
from experiments.ranks.virtual_job import VirtualJob

LINK = "1gbit,50us"


@dataclass
class Ran:
    """What a job left behind: whether it ended well, what its ranks reported, and its folder."""

    ok: bool
    reports: dict
    folder: Path

    @property
    def error(self):
        """What the one rank said that failed."""
        (error,) = (report["error"] for report in self.reports.values() if "error" in report)
        return error

    @property
    def files(self):
        """The bytes of every row and history."""
        return {path.name: path.read_bytes() for path in sorted((self.folder / "ranks").iterdir())}

    def rows(self, name):
        """The records of `0-worker`, or the events of `2-server.events`."""
        return [json.loads(line) for line in (self.folder / "ranks" / f"{name}.jsonl").read_text().splitlines()]

    def totals(self, workers):
        """What all rows add up to."""
        return add_up([self.folder / "ranks" / f"{rank}-worker.jsonl" for rank in range(workers)], 0)


def run(folder, **options):
    """Run a job of these options in `folder`, which must be new."""
    item = plan(RunOptions(**{"transport": "virtual", "link": LINK, "steps": 4, "train_seconds": 0.01, **options}))
    results = folder / "results"
    (results / "ranks").mkdir(parents=True)
    order = JobOrder(
        job=item.job.to_dict(),
        workers=item.processes,
        servers=item.job.servers,
        placement=item.job.placement,
        id=1,
        results=str(results),
        epoch=1e9,
    )
    board = StatusBoard(folder / "board", order.ranks, create=True)
    try:
        ok = VirtualJob(order, folder, board).run()
    finally:
        board.close()
    reports = {rank: folder / f"report-{rank}.json" for rank in range(order.ranks)}
    told = {rank: json.loads(path.read_text()) for rank, path in reports.items() if path.exists()}
    return Ran(ok, told, results)
