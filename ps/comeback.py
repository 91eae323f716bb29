"""Coming back: what a server writes to a checkpoint, and how the workers get its parameters when it is there again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from common.context import Array, Context
from common.strategy import Vector

Piece = tuple[int, Vector]  # where it begins in the flat model, and a view of the parameters there
END = "/"


def pack(states: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Several states as one: their arrays under `<name of the state>/<name of the array>`."""
    return {f"{prefix}{END}{name}": array for prefix, state in states.items() for name, array in state.items()}


def unpack(packed: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The state that was packed under the name `prefix`; empty if nothing was."""
    start = f"{prefix}{END}"
    return {name.removeprefix(start): array for name, array in packed.items() if name.startswith(start)}


def hand_out(ctx: Context, pieces: Sequence[Piece]) -> None:
    """On a server: give every worker the parameters that live here. Blocks; returns when they have been read."""
    spans = np.array([[start, start + values.size] for start, values in pieces], np.int64).reshape(-1)
    for worker in ctx.workers:
        ctx.send(worker, spans)
        for _, values in pieces:
            ctx.lend(worker, values)
    ctx.settle()


def fetch(ctx: Context, params: Vector) -> None:
    """On a worker: fill `params`, the whole model, with what the servers hand out. Blocks."""
    spans = np.empty(2 * params.size, np.int64)
    for server in ctx.servers:
        message = ctx.recv_any((server,), spans)
        for start, stop in spans[: message.size].reshape(-1, 2):
            ctx.recv_into(server, params[start:stop])
