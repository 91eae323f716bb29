"""What a benchmark measures: its options, its contestants, and the order in which they take turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from common.errors import ConfigError
from common.pipeline.engine import engine_traits
from common.runtime.job import COLOCATED, DEDICATED, TRANSPORTS, VIRTUAL
from common.types import FLOAT_BYTES
from common.util.byte_size import byte_size
from experiments.config import Plan, RunOptions, plan
from experiments.config.checks import at_least, on_off
from experiments.config.option import Option, check_options
from experiments.config.ranks import ProcessOptions, RankOptions
from experiments.config.strategies import create_call, parse_call, split_calls
from experiments.format.units import size_name
from experiments.machine.environment import physical_memory

LARGEST = 1 << 30  # bytes of a vector


@dataclass(frozen=True, kw_only=True)
class BenchOptions(ProcessOptions, RankOptions):
    """What is timed"""

    strategies: Annotated[
        str, Option("names of `list`, or module:Class, with options as in ps-bsp(segment=64KiB), with commas")
    ] = "ring,tree,ps-bsp,gloo"
    sizes: Annotated[str, Option("sizes of the vector of float32, with commas: bytes, KiB, MB …")] = (
        "4KiB,64KiB,1MiB,4MiB,25MiB,100MiB"
    )
    workers: Annotated[int, Option("worker processes, at least 2", check=at_least(2))] = 4
    transport: Annotated[str, Option(f"any of {', '.join(TRANSPORTS)}, with commas")] = ",".join(TRANSPORTS)
    repeats: Annotated[int, Option("samples of each strategy, in turns with the others", check=at_least(1))] = 5
    baseline: Annotated[str | None, Option("strategy that ratios are relative to; null: gloo, or the first")] = None
    with_update: Annotated[bool, Option("time all-reduces with the update, which servers make anyway")] = False


@dataclass(frozen=True, slots=True)
class Contestant:
    """One strategy over one transport. `shown` is what it is called in results: an engine brings its own transport."""

    strategy: str  # with its options, if it has any: see `registry.parse_call`
    transport: str  # on whose endpoint its context is, whether the strategy uses it or not
    shown: str
    servers: bool

    @property
    def own(self) -> bool:
        """Whether it moves its bytes by itself, past our transport."""
        return self.shown != self.transport

    @property
    def name(self) -> str:
        """`ring over tcp`; `gloo`, where that is both."""
        return self.strategy if self.strategy == self.shown else f"{self.strategy} over {self.shown}"


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """Everything that a rank of a benchmark must know; travels as JSON."""

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
    launcher: Literal["fork", "mpi"] = "fork"  # of the workers: what one contestant needs, all get
    update: bool = False  # whether an all-reduce's workers update their parameters, as servers do

    @property
    def ranks(self) -> int:
        """Workers and servers."""
        return self.workers + self.servers

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BenchPlan:
        """The inverse of `to_dict`."""
        fixed = {name: tuple(values[name]) for name in ("transports", "sizes")}
        return cls(**{**values, **fixed, "contestants": tuple(Contestant(**each) for each in values["contestants"])})


@dataclass(frozen=True, slots=True)
class Block:
    """What the ranks do between two announcements.

    `link`: measure α, β and γ of a transport. `verify`: check every element, then find the number of iterations.
    `time`: one sample.
    """

    kind: Literal["link", "verify", "time"]
    transport: str
    contestant: int = -1  # its place among the contestants
    nbytes: int = 0
    repeat: int = 0


def schedule(spec: BenchPlan) -> list[Block]:
    """All blocks in order, the same on every rank: at each size all are verified, then timed in turns (A B A B …)."""
    blocks = [Block("link", transport) for transport in spec.transports]
    for nbytes in spec.sizes:
        turn = list(enumerate(spec.contestants))
        blocks += [Block("verify", one.transport, index, nbytes) for index, one in turn]
        blocks += [
            Block("time", one.transport, index, nbytes, repeat) for repeat in range(spec.repeats) for index, one in turn
        ]
    return blocks


def describe_block(block: Block, spec: BenchPlan) -> str:
    """A phrase for progress and errors: `ring over tcp, 65536 bytes, repeat 2/5`."""
    if block.kind == "link":
        return f"latency and bandwidth of {block.transport}"
    part = "verification" if block.kind == "verify" else f"repeat {block.repeat + 1}/{spec.repeats}"
    return f"{spec.contestants[block.contestant].name}, {size_name(block.nbytes)}, {part}"


def plan_bench(options: BenchOptions) -> BenchPlan:
    """Check everything and fill in what was left open. Raises ConfigError, one line."""
    strategies = _given("strategies", split_calls(options.strategies))
    transports = _list("transport", options.transport)
    if VIRTUAL in transports:
        raise ConfigError("--transport virtual: a benchmark measures, and virtual time is predicted")
    check_options(options)
    if options.baseline is not None and options.baseline not in strategies:
        raise ConfigError(f"--baseline {options.baseline} is not among the strategies: {', '.join(strategies)}")
    sizes = parse_sizes(options.sizes)
    called = [(call, _plan(options, call, transport)) for call in strategies for transport in transports]
    plans = [each for _, each in called]
    servers = max(each.job.servers for each in plans)
    if options.servers and not servers:
        raise ConfigError("none of the strategies has servers: leave --servers out, or add ps-bsp")
    if options.placement == COLOCATED and not servers:
        raise ConfigError("none of the strategies has servers to be colocated: leave --placement out, or add ps-bsp")
    if options.with_update and all(each.traits.servers for each in plans):
        raise ConfigError(
            "none of the strategies leaves the update to its workers: leave --with-update out, or add ring"
        )
    contestants: dict[tuple[str, str], Contestant] = {}
    for call, each in called:
        transport = each.job.transport
        shown = own_transport(call) or transport
        contestants.setdefault((call, shown), Contestant(call, transport, shown, each.traits.servers))
    spec = BenchPlan(
        tuple(contestants.values()),
        tuple(dict.fromkeys(each.job.transport for each in plans)),
        sizes,
        options.workers,
        servers,
        options.repeats,
        options.interface,
        options.deadline,
        options.threads,
        options.placement,
        "mpi" if any(each.traits.launcher == "mpi" for each in plans) else "fork",
        options.with_update,
    )
    _check_memory(spec)
    return spec


def vector_count(spec: BenchPlan) -> int:
    """How many vectors of the largest size all ranks together hold at the end: each has a pool for each transport.

    A worker holds x, or parameters and gradient if a contestant has servers or all update; a server the latter two, and
    its shard's sum, which is no whole vector but in all of them together.
    """
    held = 0
    for transport in {one.transport for one in spec.contestants}:
        served = any(one.servers for one in spec.contestants if one.transport == transport)
        held += 2 * spec.ranks + 1 if served else (1 + spec.update) * spec.workers
    return held


def _check_memory(spec: BenchPlan) -> None:
    """ConfigError if the ranks' vectors are more than this machine's memory."""
    there, need = physical_memory(), vector_count(spec) * max(spec.sizes)
    if there is not None and need > there:
        raise ConfigError(
            f"--sizes: {size_name(max(spec.sizes))} needs {need / 2**30:.1f} GiB, as {spec.ranks} ranks hold "
            f"{vector_count(spec)} vectors of it; this machine has {there / 2**30:.1f} GiB: "
            "give smaller sizes, fewer workers or fewer transports"
        )


def _plan(options: BenchOptions, call: str, transport: str) -> Plan:
    """One contestant as a run would be planned, which checks all that the two have in common."""
    check_benchable(call)
    served = create_call(call).traits.servers
    name, own = parse_call(call)
    servers, placement = (options.servers, options.placement) if served else (None, DEDICATED)
    shared = {key: getattr(options, key) for key in ("workers", "interface", "deadline", "threads")}
    shared.update(servers=servers, placement=placement, transport=transport)
    return plan(RunOptions(strategy=name, strategy_options=own, **shared))


def check_benchable(call: str) -> None:
    """ConfigError if a benchmark cannot know what this strategy's exchange should compute."""
    strategy = create_call(call)
    traits = strategy.traits
    served = traits.servers and traits.update == "server" and traits.consistency == "bsp"
    if not served and (traits.servers or not callable(getattr(strategy, "all_reduce", None))):
        raise ConfigError(f"strategy {call!r} cannot be benched: it is no all-reduce and no synchronous server")
    if on_off(strategy.sparse) == "on":
        raise ConfigError(f"strategy {call!r} cannot be benched: it sends rows of a table, and a benchmark has none")


def own_transport(call: str) -> str | None:
    """What an engine moves its bytes with instead of ours; None for a strategy that uses our transports."""
    return engine_traits(create_call(call).traits).own_transport


def baseline_of(spec: BenchPlan, asked: str | None) -> str:
    """The strategy that the others are compared with: the one asked for, else gloo, else the first."""
    names = [one.strategy for one in spec.contestants]
    return asked or ("gloo" if "gloo" in names else names[0])


def _list(option: str, given: str) -> tuple[str, ...]:
    """What stands between the commas, each once."""
    return _given(option, [name for part in given.split(",") if (name := part.strip())])


def _given(option: str, each: Sequence[str]) -> tuple[str, ...]:
    """Each once; there must be one at least."""
    names = tuple(dict.fromkeys(each))
    if not names:
        raise ConfigError(f"--{option} is empty: give at least one, with commas between them")
    return names


def parse_sizes(given: str) -> tuple[int, ...]:
    """`4KiB,1MB,4096` as bytes, ascending, each once. ConfigError for what is no size, or no whole float32s."""
    return tuple(sorted({_size(text) for text in _list("sizes", given)}))


def _size(text: str) -> int:
    try:
        nbytes = byte_size(text)
    except ValueError as error:
        raise ConfigError(f"--sizes: {error}") from None
    if nbytes % FLOAT_BYTES or not nbytes:
        raise ConfigError(
            f"--sizes: {text} is {nbytes} bytes; vectors are of float32, so give a multiple of {FLOAT_BYTES}"
        )
    if nbytes > LARGEST:
        raise ConfigError(f"--sizes: {text} is more than the largest, {size_name(LARGEST)}")
    return nbytes
