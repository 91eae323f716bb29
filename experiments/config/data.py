"""What is trained on which samples, and whether model, partition and pre-processing fit the data."""

from __future__ import annotations

from dataclasses import dataclass

from common.data import DATASETS, ELSEWHERE
from common.data.info import DataInfo
from common.errors import ConfigError
from common.models import IMAGES, MODELS, TABLES, TEXTS
from common.pipeline.partition import PARTITIONERS, canonical_partition
from common.pipeline.transform_names import TRANSFORMS
from experiments.config.checks import at_least, one_of, sizes
from experiments.config.option import option
from experiments.config.ranks import JobOptions

BATCH_PER_WORKER = 32


def _known_model(name: str, model: str) -> None:
    if ":" not in model:  # which is a model of the user's own
        one_of(*MODELS)(name, model)


def _layers(name: str, hidden: tuple[int, ...]) -> None:
    if not hidden or min(hidden) < 1:
        raise ConfigError(f"{name} needs at least one layer of at least one unit, for example 64 or 256,128")


def _torch_seed(name: str, seed: int) -> None:
    if not 0 <= seed < 1 << 64:
        raise ConfigError(f"{name} is {seed}: give a whole number from 0 to below 2**64")


@dataclass(frozen=True)
class DataOptions(JobOptions):
    """Model and data"""

    data: str = option("digits", f"data set: {', '.join(DATASETS)}; {', '.join(ELSEWHERE)}", has_commas=True)
    model: str = option("mlp", f"model: {', '.join(MODELS)} or module:callable", check=_known_model, has_commas=True)
    hidden: tuple[int, ...] = option(
        (64,), "sizes of the hidden layers, like 256,128", unit="SIZES", read=sizes, check=_layers, has_commas=True
    )
    batch: int | None = option(
        None,
        f"samples a step over all workers; null: {BATCH_PER_WORKER} a worker, fewer if the data are too few",
        check=at_least(1),
    )
    partition: str = option("shuffled", f"how samples are split over the workers: {', '.join(PARTITIONERS)}")
    preprocess: str | None = option(
        None, f"transforms, with commas: {', '.join(TRANSFORMS)}; null: normalise, or none for ids", has_commas=True
    )
    seed: int = option(0, "seed of model, partition and order of samples", check=_torch_seed)


def check_model(model: str, data: str, info: DataInfo) -> None:
    """Check that the model takes such samples and gives such labels; a model of the user's own is tried."""
    if ":" in model:
        from common.models.user_model import check_user_model

        check_user_model(model, info)
        return
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


def batch_size(options: DataOptions, samples: int) -> int:
    """Return the samples a step over all workers, out of `samples` to train on. Raises ConfigError."""
    workers = options.workers
    if workers > samples:
        raise ConfigError(f"{workers} workers for the {samples} training samples of {options.data}: at most {samples}")
    size = min(BATCH_PER_WORKER, samples // workers) * workers if options.batch is None else options.batch
    if size % workers:
        near = [size - size % workers, size - size % workers + workers]
        right = " or ".join(str(each) for each in near if each)
        raise ConfigError(f"--batch {size} does not divide among {workers} workers: {right} does")
    most = samples // workers * workers
    if size > most:
        raise ConfigError(
            f"--batch {size}, but {options.data} has {samples} for {workers} workers: at most --batch {most}"
        )
    return size


def partition(options: DataOptions, info: DataInfo) -> str:
    """Return `--partition` in its one spelling. Raises ConfigError."""
    found = canonical_partition(options.partition)
    if info.labels and found.startswith("dirichlet"):
        raise ConfigError(f"--partition {found} goes by classes, and samples of {options.data} have one for each byte")
    return found
