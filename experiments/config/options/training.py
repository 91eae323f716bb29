"""What is trained on which samples, and by which update rule; whether all of it fits together."""

import math
from dataclasses import dataclass

from common.data import DATASETS, ELSEWHERE
from common.data.info import DataInfo
from common.errors import ConfigError
from common.models import IMAGES, MODELS, TABLES, TEXTS
from common.pipeline.lr_schedule import SCHEDULES
from common.pipeline.partition import PARTITIONERS, canonical_partition
from common.pipeline.transform_names import TRANSFORMS
from common.runtime.job import OptimizerSpec
from common.strategy import SyncStrategy
from experiments.config.checks import at_least, on_off, one_of, positive, rule, sizes
from experiments.config.declaration import made_from, option
from experiments.config.options.ranks import JobOptions

BATCH_PER_WORKER = 32
PLAIN = "--optimizer sgd --momentum 0"


def _known_model(name: str, model: str) -> None:
    if ":" not in model:  # else it is a model of the user's own
        one_of(*MODELS)(name, model)


@dataclass(frozen=True)
class DataOptions(JobOptions):
    """Model and data"""

    data: str = option("digits", f"data set: {', '.join(DATASETS)}; {', '.join(ELSEWHERE)}", has_commas=True)
    model: str = option("mlp", f"model: {', '.join(MODELS)} or module:callable", check=_known_model, has_commas=True)
    hidden: tuple[int, ...] = option(
        (64,),
        "sizes of the hidden layers, like 256,128",
        unit="SIZES",
        read=sizes,
        check=rule(
            "at least one layer of at least one unit, for example 64 or 256,128",
            lambda layers: min(layers, default=0) >= 1,
        ),
        has_commas=True,
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
    seed: int = option(
        0,
        "seed of model, partition and order of samples",
        check=rule("a whole number from 0 to below 2**64", lambda seed: 0 <= seed < 1 << 64),
    )


@dataclass(frozen=True)
class TrainingOptions(JobOptions):
    """The update rule"""

    steps: int = option(200, "training steps", check=at_least(1))
    optimizer: str = option("sgd", "{choices}", choices=("sgd", "adam"))
    lr: float = option(0.1, "learning rate", check=positive)
    momentum: float = option(
        0.9, "momentum of sgd", check=rule("a number from 0 to below 1", lambda value: 0 <= value < 1)
    )
    schedule: str = option("constant", "schedule of the learning rate: {choices}", choices=SCHEDULES)
    warmup: int = option(0, "steps in which the learning rate rises to --lr", check=at_least(0))
    decay: float = option(
        0.1, "factor of schedule step", check=rule("a number above 0, at most 1", lambda value: 0 < value <= 1)
    )
    decay_every: int | None = option(
        None, "steps between the decays of schedule step; null: a third of all", check=at_least(1)
    )


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
    if rest := size % workers:
        right = " or ".join(str(near) for near in (size - rest, size - rest + workers) if near)
        raise ConfigError(f"--batch {size} does not divide among {workers} workers: {right} does")
    if size > (most := samples // workers * workers):
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


def update_rule(options: TrainingOptions) -> OptimizerSpec:
    """Return the update rule; schedule `step` decays after each third of the steps by default. ConfigError."""
    falling = options.schedule in ("linear", "cosine")
    if options.warmup > options.steps:
        raise ConfigError(f"--warmup is {options.warmup}: give a whole number from 0 to the {options.steps} steps")
    if falling and options.warmup == options.steps:
        raise ConfigError(f"--warmup {options.warmup} leaves --schedule {options.schedule} none of the steps")
    third = max(1, math.ceil((options.steps - options.warmup) / 3)) if options.schedule == "step" else 1
    return made_from(
        OptimizerSpec,
        options,
        name=options.optimizer,
        decay_every=options.decay_every or third,
        steps=options.steps if falling else 0,
    )


def by_rows(name: str, strategy: SyncStrategy, model: str, optimizer: OptimizerSpec) -> bool:
    """Return whether touched rows alone are sent. Raises ConfigError if the user asks for it and it is impossible."""
    if not strategy.traits.sparse:
        return False
    asked = on_off(strategy.sparse)
    one_of("auto", "on", "off")("--strategy.sparse", asked)
    if asked == "on" and model not in TABLES:
        raise ConfigError(f"strategy {name!r} is to send rows, but model {model!r} has no table: use --model embedding")
    if asked == "on" and not optimizer.plain:
        what = "momentum" if optimizer.name == "sgd" else optimizer.name
        raise ConfigError(f"sparse gradients need {PLAIN}: {what} changes rows that are not touched")
    return asked != "off" and model in TABLES and optimizer.plain
