"""One rank of a calibration: a worker, or the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch

from common.context import Context
from common.runtime.status_board import PostedPlace, StatusBoard
from common.transport.connect import connect
from common.transport.wrappers.metered import MeteredEndpoint
from experiments.launch.job_order import JobOrder
from experiments.launch.rank_process import LINGER, live
from experiments.prediction.probes import CalibrationSpec, primitives


def main(folder: str, rank: int) -> None:
    """Be rank `rank` of the calibration in `folder`. Its report has the result of `primitives`."""
    live(folder, rank, _measure)


def _measure(order: JobOrder, home: Path, board: StatusBoard, place: PostedPlace) -> dict[str, Any]:
    spec = msgspec.convert(order.job, CalibrationSpec)
    torch.set_num_threads(spec.threads)

    def watch() -> None:
        if (culprit := board.culprit()) is not None:
            raise culprit

    endpoint = connect(
        spec.transport,
        place,
        order.ranks,
        home,
        job=order.id,
        deadline=spec.deadline,
        interface=spec.interface,
        crew=[place.rank],
        watch=watch,
    )
    linger = 0.0
    try:
        place.enter("synchronize")
        metered = MeteredEndpoint(endpoint)  # as in a training run: counting is part of what a message costs
        found = primitives(Context(metered, workers=spec.workers, servers=spec.servers), spec.sizes)
        linger = LINGER
        return {"measured": found}
    finally:
        endpoint.close(linger=linger)
