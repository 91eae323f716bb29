"""Models by name: each module has `build(shape, classes, hidden) -> torch.nn.Module`."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MODELS = {
    "mlp": ("common.models.mlp", "fully connected, ReLU; --hidden gives the layers' sizes and so the gradient's"),
    "cnn": ("common.models.cnn", "two 3×3 convolutions, max-pooling, one hidden layer (the first of --hidden)"),
}
_GENERATOR = threading.Lock()  # of random numbers: torch has one for all threads of a process


def build(name: str, shape: tuple[int, ...], classes: int, hidden: tuple[int, ...], seed: int) -> torch.nn.Module:
    """The model `name`, its parameters drawn with `seed`: the same bits on every rank that asks."""
    import torch

    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: torch.nn.Module = importlib.import_module(MODELS[name][0]).build(shape, classes, hidden)
    return model
