"""The plan of a run: everything checked, everything filled in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from common.data import canonical, describe
from common.data import check as check_data
from common.pipeline.engine import EngineTraits, engine_traits
from common.runtime.job import Job
from common.strategy import SyncStrategy
from experiments.config.checks import plain
from experiments.config.data import check_model, partition, preprocess
from experiments.config.faults import check_restarts, check_trace, check_worker_deaths, stragglers
from experiments.config.network import automatic, buckets, check_buckets, host_count, network
from experiments.config.options import RunOptions
from experiments.config.ranks import check_workers, server_count
from experiments.config.sparse import by_rows
from experiments.config.strategies import create
from experiments.config.training import batch, check_training, update_rule
from experiments.config.virtual import check_virtual, link


@dataclass(frozen=True, slots=True)
class Plan:
    """A job that can run, what its strategy promises, and how many worker processes it takes.

    Dedicated servers take a process each beside them. `automatic` are the settings of the job that nobody asked for:
    they follow from the machine and the rest.
    """

    job: Job
    traits: EngineTraits
    processes: int
    automatic: tuple[str, ...] = ()


def plan(options: RunOptions) -> Plan:
    """Check everything and fill in what was left open. Raises ConfigError, one line."""
    info = describe(options.data)
    check_workers(options)
    check_training(options)
    check_buckets(options)
    transport, links = network(options), link(options)
    strategy = _strategy(options)
    traits = engine_traits(strategy.traits)
    check_model(options.model, options.data, info)
    check_virtual(options, traits)
    strategy.check(options.workers)  # after it: what cannot run in virtual time need not be installed
    check_data(options.data)
    servers = server_count(options, traits)
    check_worker_deaths(options, traits)
    check_restarts(options, traits)
    check_trace(options)
    rule = update_rule(options)
    overlap, bucket = buckets(options, servers)
    resolved: dict[str, Any] = {
        "servers": servers,
        "batch": batch(options, info.train_samples),
        "data": canonical(options.data),
        "partition": partition(options, info),
        "preprocess": preprocess(options, info),
        "optimizer": rule,
        "transport": transport,
        "link": links,
        "hosts": host_count(options, traits),
        "overlap": overlap,
        "bucket": bucket,
        "slow_worker": stragglers(options),
        "sparse": by_rows(options.strategy, strategy, options.model, rule),
    }
    names = {field.name for field in dataclasses.fields(Job)} & {field.name for field in dataclasses.fields(RunOptions)}
    asked = {name: getattr(options, name) for name in names}
    processes = 1 if traits.one_process else options.workers
    return Plan(Job(**{**asked, **resolved}), traits, processes, automatic(options))


def _strategy(options: RunOptions) -> SyncStrategy:
    for name, value in options.strategy_options.items():
        plain(f"strategy.{name}", value)
    return create(options.strategy, options.strategy_options)
