"""Calibrate: measure the patterns of communication in processes of their own, and turn the times into figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from common.errors import ConfigError
from common.transport.sockets.address import tcp_address
from experiments.config.options.network import transport_named
from experiments.config.options.ranks import MOST_PROCESSES
from experiments.format.units import size_name
from experiments.format.words import plural
from experiments.launch.agent import Agent
from experiments.launch.job_folder import private_folder
from experiments.machine.environment import environment
from experiments.prediction.cost_model import Calibration, Costs, Curve, Figures, among_neighbours, through_a_hub
from experiments.prediction.probes import CalibrationSpec

ENTRY = "experiments.prediction.probes"
ALONE = Curve(0.0, (1,), (0.0,), (0.0,))  # one worker has no neighbours
WIDE = 0.3  # scatter above which the median of a few samples says little


def plan_calibration(
    transports: Sequence[str], workers: Sequence[int], interface: str, deadline: float, threads: int
) -> list[CalibrationSpec]:
    """Return what to measure: every transport with every number of workers. ConfigError, one line."""
    if max(workers) > MOST_PROCESSES:
        raise ConfigError(f"{max(workers)} workers on one machine: at most {MOST_PROCESSES}")
    names = list(dict.fromkeys(transport_named(name) for name in transports))
    if "tcp" in names:
        tcp_address(interface)
    return [
        CalibrationSpec(name, count, interface=interface, deadline=deadline, threads=threads)
        for name in names
        for count in sorted(set(workers))
    ]


def calibrate_all(specs: Sequence[CalibrationSpec], show: Callable[[CalibrationSpec], None]) -> Calibration:
    """Measure one spec after the other, and call `show` before each. Blocks for seconds each. RunError, ConfigError."""
    threads = specs[0].threads
    figures = []
    with Agent(threads) as agent, private_folder() as folder:
        for spec in specs:
            show(spec)
            outcome = agent.run(spec, spec.workers, folder, lambda ranks, seconds: None, ENTRY)
            if outcome.error is not None:
                raise outcome.error
            reports = [report["measured"] for report in outcome.reports[: spec.workers] if report is not None]
            figures.append(figures_of(spec.transport, spec.workers, spec.sizes, reports))
    return Calibration(tuple(figures), environment(threads))


def figures_of(transport: str, workers: int, sizes: Sequence[int], reports: Sequence[Mapping[str, Any]]) -> Figures:
    """Return the figures that follow from what each worker measured, by the mean over the workers."""

    def mean(pattern: str) -> tuple[float, Costs, Costs]:
        seen = [report[pattern] for report in reports]
        tiny, moved, added = (np.mean([one[how] for one in seen], axis=0) for how in ("tiny", "moved", "added"))
        return float(tiny), moved, added

    exchange = among_neighbours(workers, sizes, *mean("shift")) if workers > 1 else ALONE
    worst = max(pattern["scatter"] for report in reports for pattern in report.values())
    return Figures(transport, workers, exchange, through_a_hub(workers, sizes, *mean("relay")), scatter=worst)


def doubts(calibration: Calibration) -> str | None:
    """Return one line about the figures that cannot be true, and what to do; None if there are none."""
    found = []
    for figures in calibration.figures:
        where = f"{figures.transport}, {plural(figures.workers, 'worker')}"
        for name, curve in (("among neighbours", figures.exchange), ("through a server", figures.hub)):
            free = [size_name(size) for size, beta in zip(curve.sizes, curve.beta, strict=True) if beta <= 0]
            if free and not (curve is figures.exchange and figures.workers == 1):
                found.append(f"{where}: bytes {name} cost nothing at {', '.join(free)}")
        if figures.scatter is not None and figures.scatter > WIDE:
            found.append(f"{where}: half of the samples are more than {figures.scatter:.0%} off their median")
    return f"the machine was busy: {'; '.join(found)}: measure again" if found else None
