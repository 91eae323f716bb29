"""One rank of a calibration: a worker, or the hub, with one endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from common.context import Context
from common.runtime.placement import ranks_in_process_of
from common.runtime.status_board import PostedPlace, StatusBoard
from common.transport.connect import connect
from common.transport.wrappers.metered import MeteredEndpoint
from experiments.launch.job_order import JobOrder
from experiments.launch.rank_process import LINGER, live
from experiments.prediction.probes import CalibrationSpec, primitives


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the calibration described in `folder`/job.json; its report has what `primitives` gives."""
    live(folder, rank, _measure)


def _measure(order: JobOrder, home: Path, board: StatusBoard, place: PostedPlace) -> dict[str, Any]:
    spec = CalibrationSpec.from_dict(order.job)
    torch.set_num_threads(spec.threads)

    def watch() -> None:
        if (culprit := board.culprit()) is not None:
            raise culprit

    more: dict[str, Any] = {"job": order.id, "deadline": spec.deadline, "interface": spec.interface}
    more["crew"] = ranks_in_process_of(place.rank, spec.workers, spec.servers, spec.placement)
    endpoint = MeteredEndpoint(connect(spec.transport, place, spec.workers + spec.servers, home, watch=watch, **more))
    linger = 0.0
    try:
        place.enter("synchronize")
        ctx = Context(endpoint, workers=spec.workers, servers=spec.servers)
        found = primitives(ctx, spec.sizes)
        linger = LINGER
        return {"measured": found}
    finally:
        endpoint.close(linger=linger)
