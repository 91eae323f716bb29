"""Models by name: each module has `build(shape, classes, hidden) -> torch.nn.Module`; one with a table, more."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MODELS = {
    "mlp": ("common.models.mlp", "fully connected, ReLU; --hidden gives the layers' sizes and so the gradient's"),
    "cnn": ("common.models.cnn", "two 3×3 convolutions, max-pooling, one hidden layer (the first of --hidden)"),
    "embedding": (
        "common.models.embedding",
        "a table of embeddings, for clicks; --hidden gives its columns, then the layers' sizes",
    ),
}
TABLES = frozenset({"embedding"})  # models that look ids up in a table, whose gradient touches few rows
_GENERATOR = threading.Lock()  # of random numbers: torch has one for all threads of a process


def build(
    name: str,
    shape: tuple[int, ...],
    classes: int,
    hidden: tuple[int, ...],
    seed: int,
    rows: int = 0,
    sparse: bool = False,
) -> torch.nn.Module:
    """The model `name`, its parameters drawn with `seed`: the same bits on every rank that asks.

    For a model with a table: `rows` of it, and whether its gradient shall be `sparse`, the touched rows alone.
    """
    import torch

    table = {"rows": rows, "sparse": sparse} if name in TABLES else {}
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: torch.nn.Module = importlib.import_module(MODELS[name][0]).build(shape, classes, hidden, **table)
    return model
