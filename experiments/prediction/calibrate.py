"""Calibration: the primitives, on processes of their own, as figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from common.errors import ConfigError
from experiments.config.network import transport_named
from experiments.config.ranks import MOST_PROCESSES
from experiments.format.units import size_name
from experiments.format.words import plural
from experiments.launch.agent import Agent
from experiments.launch.job_folder import private_folder
from experiments.machine.environment import environment
from experiments.prediction.cost_model import Calibration, Curve, Figures, among_neighbours, through_a_hub
from experiments.prediction.probes import CalibrationSpec
from experiments.schema.files import to_builtins

ENTRY = "experiments.prediction.calibration_rank"
ALONE = Curve(0.0, (1,), (0.0,), (0.0,))  # who has no neighbours


def plan_calibration(
    transports: Sequence[str], workers: Sequence[int], interface: str, deadline: float, threads: int
) -> list[CalibrationSpec]:
    """What is to be measured, every transport with every number of workers. ConfigError, one line."""
    if max(workers) > MOST_PROCESSES:
        raise ConfigError(f"{max(workers)} workers on one machine: at most {MOST_PROCESSES}")
    names = list(dict.fromkeys(transport_named(name) for name in transports))
    if "tcp" in names:
        from common.transport.sockets.address import tcp_address

        tcp_address(interface)
    more: dict[str, Any] = {"interface": interface, "deadline": deadline, "threads": threads}
    return [CalibrationSpec(name, count, **more) for name in names for count in sorted(set(workers))]


def calibrate_all(
    specs: Sequence[CalibrationSpec], show: Callable[[CalibrationSpec], None] = lambda spec: None
) -> Calibration:
    """Measure them one after the other; blocks, some seconds each. `show` is told what comes. RunError, ConfigError."""
    threads = specs[0].threads
    figures = []
    with Agent(threads) as agent:
        for spec in specs:
            show(spec)
            figures.append(measured(spec, agent))
    return Calibration(tuple(figures), to_builtins(environment(threads)))


def measured(spec: CalibrationSpec, agent: Agent) -> Figures:
    """Run the ranks of one calibration. Blocks. RunError."""
    with private_folder() as folder:
        ended = agent.run(spec, spec.workers, folder, lambda ranks, seconds: None, ENTRY)
    if ended.error is not None:
        raise ended.error
    reports = [report["measured"] for report in ended.reports[: spec.workers] if report is not None]
    return figures_of(spec.transport, spec.workers, spec.sizes, reports)


def figures_of(transport: str, workers: int, sizes: Sequence[int], reports: Sequence[Mapping[str, Any]]) -> Figures:
    """From what each worker saw to figures: the mean over the workers, as in a benchmark."""

    def mean(pattern: str) -> tuple[float, list[float], list[float]]:
        seen = [report[pattern] for report in reports]
        moved, added = (
            [fmean(values) for values in zip(*(each[how] for each in seen), strict=True)] for how in ("moved", "added")
        )
        return fmean(each["tiny"] for each in seen), moved, added

    exchange = among_neighbours(workers, sizes, *mean("shift")) if workers > 1 else ALONE
    worst = max(each["scatter"] for report in reports for each in report.values())
    return Figures(transport, workers, exchange, through_a_hub(workers, sizes, *mean("relay")), scatter=worst)


WIDE = 0.3  # scatter from which on a median of a few samples says little: half of them are further off


def doubts(calibration: Calibration) -> str | None:
    """One line about all figures that are not usable, and what to do; None if there are none."""
    found = [doubt for each in calibration.figures for doubt in _doubts_of(each)]
    return f"the machine was busy: {'; '.join(found)}: measure again" if found else None


def _doubts_of(figures: Figures) -> list[str]:
    where = f"{figures.transport}, {plural(figures.workers, 'worker')}"
    patterns: list[tuple[str, Curve]] = [("through a server", figures.hub)]
    if figures.workers > 1:  # who is alone has no neighbours
        patterns.insert(0, ("among neighbours", figures.exchange))
    found = []
    for name, curve in patterns:
        free = [size_name(size) for size, beta in zip(curve.sizes, curve.beta, strict=True) if beta <= 0]
        if free:
            found.append(f"{where}: bytes {name} cost nothing at {', '.join(free)}")
    if figures.scatter is not None and figures.scatter > WIDE:
        found.append(f"{where}: half of the samples are more than {figures.scatter:.0%} off their median")
    return found
