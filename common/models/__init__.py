"""Models by name: each module has `build(shape, classes, hidden) -> torch.nn.Module`; with a table, also rows, sparse.

A user's own model is named `module:callable`.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from common.models.user_model import build_user_model

if TYPE_CHECKING:
    import torch

    from common.data.info import DataInfo

MODELS = {
    "mlp": ("common.models.mlp", "fully connected, ReLU; --hidden gives the layers' sizes and so the gradient's"),
    "cnn": ("common.models.cnn", "two 3×3 convolutions, max-pooling, one hidden layer (the first of --hidden)"),
    "resnet": (
        "common.models.resnet",
        "residual, for images; --hidden gives the channels of each stage of two blocks, for example 16,32,64",
    ),
    "transformer": (
        "common.models.transformer",
        "causal, for text; --hidden gives its width, then the layers' hidden sizes (two of four times the width)",
    ),
    "embedding": (
        "common.models.embedding",
        "a table of embeddings, for clicks; --hidden gives its columns, then the layers' sizes",
    ),
}
TABLES = frozenset({"embedding"})  # models that look ids up in a table; a gradient touches few of its rows
IMAGES = frozenset({"cnn", "resnet"})  # models for samples (channels, height, width)
TEXTS = frozenset({"transformer"})  # models with logits for each position of a sample
_GENERATOR = threading.Lock()  # guards torch's random generator, which all threads of a process share


def build(
    name: str,
    shape: tuple[int, ...],
    classes: int,
    hidden: tuple[int, ...],
    seed: int,
    rows: int = 0,
    sparse: bool = False,
) -> torch.nn.Module:
    """Build the model `name` with parameters drawn with `seed`: the same bits on every rank.

    A model with a table gets its number of `rows`; `sparse`: the table's gradient is its touched rows alone.
    """
    table = {"rows": rows, "sparse": sparse} if name in TABLES else {}
    return _drawn(seed, lambda: importlib.import_module(MODELS[name][0]).build(shape, classes, hidden, **table))


def build_for(info: DataInfo, name: str, hidden: tuple[int, ...], seed: int, sparse: bool = False) -> torch.nn.Module:
    """Build the model `name`, or a user's `module:callable`, for these data. ConfigError for a user's error."""
    if ":" in name:
        return _drawn(seed, lambda: build_user_model(name, info))
    return build(name, info.shape, info.classes, hidden, seed, info.rows, sparse)


def _drawn(seed: int, make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    import torch

    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
