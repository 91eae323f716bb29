"""Whether model, partition and pre-processing fit the data, in a line each where they do not."""

from __future__ import annotations

from common.data.info import DataInfo
from common.errors import ConfigError
from common.models import IMAGES, MODELS, TABLES, TEXTS
from common.pipeline import transform_names
from common.pipeline.partition import canonical_partition
from experiments.config.checks import known
from experiments.config.options import RunOptions


def check_model(model: str, data: str, info: DataInfo) -> None:
    """Whether the model takes such samples and gives such labels; one of the user's own is tried."""
    if ":" in model:
        from common.models.user_model import check_user_model

        check_user_model(model, info)
        return
    known("model", model, MODELS)
    shape = "×".join(map(str, info.shape))
    if model in TEXTS and not info.labels:
        raise ConfigError(f"model {model!r} predicts the next byte of a text, {data} is none: use --data text")
    if info.labels and model not in TEXTS:
        raise ConfigError(f"{data} has a label for each byte, model {model!r} gives one: use --model transformer")
    if model in TABLES and not info.rows:
        raise ConfigError(f"model {model!r} looks ids up in a table, {data} has values: use --data clicks")
    if info.rows and model not in TABLES | TEXTS:
        raise ConfigError(f"{data} has ids, which model {model!r} would take for values: use --model embedding")
    if model in IMAGES and len(info.shape) != 3:
        raise ConfigError(f"model {model!r} is for images, and samples of {data} are {shape}: use --model mlp")
    if model == "cnn" and min(info.shape[1:]) < 2:
        raise ConfigError(f"model {model!r} halves images, and those of {data} are {shape}: use --model resnet")


def partition(options: RunOptions, info: DataInfo) -> str:
    """`--partition` in the one way to write it."""
    found = canonical_partition(options.partition)
    if info.labels and found.startswith("dirichlet"):
        raise ConfigError(f"--partition {found} goes by classes, and samples of {options.data} have one for each byte")
    return found


def preprocess(options: RunOptions, info: DataInfo) -> str:
    """`--preprocess` in the one way to write it, filled in if it was left open."""
    return transform_names.canonical_transforms(options.preprocess, options.data, info)
