"""The plan of a run: everything checked, everything filled in."""

from dataclasses import dataclass

from common.data import canonical, describe
from common.data import check as check_data
from common.errors import ConfigError
from common.pipeline.engine import EngineTraits, engine_traits
from common.pipeline.transform_names import canonical_transforms
from common.runtime.job import VIRTUAL, Job
from experiments.config.checks import plain
from experiments.config.declaration import check_options, made_from, option
from experiments.config.options.faults import (
    RestartOptions,
    check_restarts,
    check_virtual,
    check_worker_deaths,
    stragglers,
)
from experiments.config.options.network import buckets, host_count, link, network
from experiments.config.options.ranks import server_count
from experiments.config.options.training import (
    DataOptions,
    TrainingOptions,
    batch_size,
    by_rows,
    check_model,
    partition,
    update_rule,
)
from experiments.config.strategies import create


@dataclass(frozen=True)
class RunOptions(RestartOptions, TrainingOptions, DataOptions):
    """The whole run"""

    trace: bool = option(False, "write trace.json, a timeline of all ranks: see the verb `trace`")


@dataclass(frozen=True, slots=True)
class Plan:
    """A job that can run, the strategy's promises, worker processes, and the `automatic` settings left open."""

    job: Job
    traits: EngineTraits
    processes: int
    automatic: tuple[str, ...] = ()


def plan(options: RunOptions) -> Plan:
    """Check everything and fill in what was left open. Raises ConfigError, one line."""
    info = describe(options.data)
    check_options(options)
    rule = update_rule(options)
    transport, links = network(options), link(options)
    for name, value in options.strategy_options.items():
        plain(f"--strategy.{name}", value)
    strategy = create(options.strategy, options.strategy_options)
    traits = engine_traits(strategy.traits)
    check_model(options.model, options.data, info)
    check_virtual(options, traits)
    strategy.check(options.workers)  # after it: a strategy that cannot run in virtual time need not be installed
    check_data(options.data)
    servers = server_count(options, traits, options.transport == VIRTUAL)
    check_worker_deaths(options, traits)
    check_restarts(options, traits)
    if options.trace and options.restarts:
        raise ConfigError("--trace cannot follow a server that comes back: leave --restarts out")
    overlap, bucket = buckets(options, servers)
    job = made_from(
        Job,
        options,
        servers=servers,
        batch=batch_size(options, info.train_samples),
        data=canonical(options.data),
        partition=partition(options, info),
        preprocess=canonical_transforms(options.preprocess, options.data, info),
        optimizer=rule,
        transport=transport,
        link=links,
        hosts=host_count(options, traits),
        overlap=overlap,
        bucket=bucket,
        slow_worker=stragglers(options),
        sparse=by_rows(options.strategy, strategy, options.model, rule),
    )
    left_open = {"overlap": options.overlap == "auto", "bucket": options.bucket is None}
    automatic = tuple(name for name, is_open in left_open.items() if is_open)
    return Plan(job, traits, 1 if traits.one_process else options.workers, automatic)
