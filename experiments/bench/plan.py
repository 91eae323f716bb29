"""The plan of a benchmark: its options, its contestants, and the order in which they take turns."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from common.errors import ConfigError
from common.pipeline.engine import EngineTraits, engine_traits
from common.runtime.job import COLOCATED, DEDICATED, TRANSPORTS, VIRTUAL, Job
from common.types import FLOAT_BYTES
from common.util.values import byte_size
from experiments.config import RunOptions, plan
from experiments.config.checks import at_least, on_off
from experiments.config.declaration import check_options, made_from, option
from experiments.config.options.ranks import ProcessOptions, RankOptions
from experiments.config.strategies import create_call, parse_call, split_calls
from experiments.format.units import size_name
from experiments.machine.environment import physical_memory

LARGEST = 1 << 30  # bytes of a vector


@dataclass(frozen=True, kw_only=True)
class BenchOptions(ProcessOptions, RankOptions):
    """What is timed"""

    strategies: str = option(
        "ring,tree,ps-bsp,gloo",
        "names of `list`, or module:Class, with options as in ps-bsp(segment=64KiB), with commas",
    )
    sizes: str = option(
        "4KiB,64KiB,1MiB,4MiB,25MiB,100MiB", "sizes of the vector of float32, with commas: bytes, KiB, MB …"
    )
    workers: int = option(4, "worker processes, at least 2", check=at_least(2))
    transport: str = option(",".join(TRANSPORTS), f"any of {', '.join(TRANSPORTS)}, with commas")
    repeats: int = option(5, "samples of each strategy, in turns with the others", check=at_least(1))
    baseline: str | None = option(None, "strategy that ratios are relative to; null: gloo, or the first")
    with_update: bool = option(False, "time all-reduces with the update, which servers make anyway")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One strategy over one transport."""

    strategy: str  # with its options, if it has any: see `config.strategies.parse_call`
    transport: str  # of the context; an engine with its own transport does not use it
    shown: str  # the transport that results name
    servers: bool

    @property
    def own(self) -> bool:
        """Whether it is an engine that moves its bytes past our transport."""
        return self.shown != self.transport

    @property
    def name(self) -> str:
        """`ring over tcp`; `gloo` if strategy and transport have the same name."""
        return self.strategy if self.strategy == self.shown else f"{self.strategy} over {self.shown}"


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """Everything that a rank of a benchmark must know; it travels as JSON."""

    contestants: tuple[Contestant, ...]
    transports: tuple[str, ...]
    sizes: tuple[int, ...]  # bytes
    workers: int
    servers: int
    repeats: int
    interface: str
    deadline: float
    threads: int
    placement: str = DEDICATED  # of the servers
    launcher: Literal["fork", "mpi"] = "fork"  # of the workers; mpi if any contestant needs it
    baseline: str = ""  # the strategy that ratios are relative to
    update: bool = False  # an all-reduce's workers update their parameters, as servers do

    @property
    def ranks(self) -> int:
        """Workers and servers."""
        return self.workers + self.servers

    def role(self, rank: int) -> Literal["worker", "server"]:
        """Return the role of a rank: workers come first."""
        return "worker" if rank < self.workers else "server"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, which `msgspec.convert` makes the plan of again."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Block:
    """Work that rank 0 announces: measure a `link`, `verify` and choose iterations, or take one sample of `time`."""

    kind: Literal["link", "verify", "time"]
    transport: str
    contestant: int = -1  # index in the plan's contestants
    nbytes: int = 0
    repeat: int = 0


def rank_file(folder: Path, rank: int, role: str) -> Path:
    """Return the file that a rank writes its blocks to, in the folder of the benchmark."""
    return folder / "ranks" / f"{rank}-{role}.jsonl"


def schedule(plan: BenchPlan) -> list[Block]:
    """Return all blocks, the same on every rank. At each size all contestants are verified, then timed in turns."""
    blocks = [Block("link", transport) for transport in plan.transports]
    turn = list(enumerate(plan.contestants))
    for nbytes in plan.sizes:
        blocks += [Block("verify", one.transport, index, nbytes) for index, one in turn]
        for repeat in range(plan.repeats):
            blocks += [Block("time", one.transport, index, nbytes, repeat) for index, one in turn]
    return blocks


def describe_block(block: Block, plan: BenchPlan) -> str:
    """Return a phrase for progress and errors: `ring over tcp, 64 KiB, repeat 2/5`."""
    if block.kind == "link":
        return f"latency and bandwidth of {block.transport}"
    part = "verification" if block.kind == "verify" else f"repeat {block.repeat + 1}/{plan.repeats}"
    return f"{plan.contestants[block.contestant].name}, {size_name(block.nbytes)}, {part}"


def plan_bench(options: BenchOptions) -> BenchPlan:
    """Check all options and fill in the open ones. ConfigError, one line."""
    calls = _listed("strategies", options.strategies)
    transports = _listed("transport", options.transport)
    if VIRTUAL in transports:
        raise ConfigError("--transport virtual: a benchmark measures, and virtual time is predicted")
    check_options(options)
    if options.baseline is not None and options.baseline not in calls:
        raise ConfigError(f"--baseline {options.baseline} is not among the strategies: {', '.join(calls)}")
    sizes = parse_sizes(options.sizes)
    traits = {call: _check_benchable(call) for call in calls}
    jobs = [(call, _job(options, call, traits[call], transport)) for call in calls for transport in transports]
    servers = max(job.servers for _, job in jobs)
    if not servers and (options.servers or options.placement == COLOCATED):
        flag = "--servers" if options.servers else "--placement"
        raise ConfigError(f"none of the strategies has servers: leave {flag} out, or add ps-bsp")
    if options.with_update and all(each.servers for each in traits.values()):
        raise ConfigError(
            "none of the strategies leaves the update to its workers: leave --with-update out, or add ring"
        )
    contestants: dict[tuple[str, str], Contestant] = {}
    for call, job in jobs:
        shown = traits[call].own_transport or job.transport
        contestants.setdefault((call, shown), Contestant(call, job.transport, shown, traits[call].servers))
    planned = made_from(
        BenchPlan,
        options,
        contestants=tuple(contestants.values()),
        transports=tuple(dict.fromkeys(job.transport for _, job in jobs)),
        sizes=sizes,
        servers=servers,
        launcher="mpi" if any(each.launcher == "mpi" for each in traits.values()) else "fork",
        update=options.with_update,
        baseline=options.baseline or ("gloo" if "gloo" in calls else calls[0]),
    )
    _check_memory(planned)
    return planned


def _check_benchable(call: str) -> EngineTraits:
    """Return the strategy's traits. ConfigError if a benchmark cannot know the right result of its exchange."""
    strategy = create_call(call)
    traits = engine_traits(strategy.traits)
    served = traits.servers and traits.update == "server" and traits.consistency == "bsp"
    if not served and (traits.servers or not callable(getattr(strategy, "all_reduce", None))):
        raise ConfigError(f"strategy {call!r} cannot be benched: it is no all-reduce and no synchronous server")
    if on_off(strategy.sparse) == "on":
        raise ConfigError(f"strategy {call!r} cannot be benched: it sends rows of a table, and a benchmark has none")
    return traits


def _job(options: BenchOptions, call: str, traits: EngineTraits, transport: str) -> Job:
    """Plan one contestant as a run, which checks the options that benchmarks and runs have in common."""
    name, strategy_options = parse_call(call)
    servers, placement = (options.servers, options.placement) if traits.servers else (None, DEDICATED)
    shared = {key: getattr(options, key) for key in ("workers", "interface", "deadline", "threads")}
    shared.update(servers=servers, placement=placement, transport=transport)
    return plan(RunOptions(strategy=name, strategy_options=strategy_options, **shared)).job


def _check_memory(plan: BenchPlan) -> None:
    """ConfigError if the vectors do not fit: a pool a rank and transport, as large as its contestants need."""
    served = {one.transport: False for one in plan.contestants}
    served |= {one.transport: True for one in plan.contestants if one.servers}
    vectors = sum(2 * plan.ranks + 1 if has else (1 + plan.update) * plan.workers for has in served.values())
    memory, needed = physical_memory(), vectors * max(plan.sizes)
    if memory is not None and needed > memory:
        raise ConfigError(
            f"--sizes: {size_name(max(plan.sizes))} needs {needed / 2**30:.1f} GiB, as {plan.ranks} ranks hold "
            f"{vectors} vectors of it; this machine has {memory / 2**30:.1f} GiB: "
            "give smaller sizes, fewer workers or fewer transports"
        )


def _listed(option: str, given: str) -> tuple[str, ...]:
    """Return the texts between the commas, each once, without spaces. ConfigError if there is none."""
    found = tuple(dict.fromkeys(split_calls(given)))
    if not found:
        raise ConfigError(f"--{option} is empty: give at least one, with commas between them")
    return found


def parse_sizes(given: str) -> tuple[int, ...]:
    """Parse `4KiB,1MB,4096` into bytes, ascending, each once. ConfigError unless all are sizes of whole float32s."""
    found = set()
    for text in _listed("sizes", given):
        try:
            nbytes = byte_size(text)
        except ValueError as error:
            raise ConfigError(f"--sizes: {error}") from None
        if nbytes % FLOAT_BYTES or not nbytes:
            hint = f"vectors are of float32, so give a multiple of {FLOAT_BYTES}"
            raise ConfigError(f"--sizes: {text} is {nbytes} bytes; {hint}")
        if nbytes > LARGEST:
            raise ConfigError(f"--sizes: {text} is more than the largest, {size_name(LARGEST)}")
        found.add(nbytes)
    return tuple(sorted(found))
