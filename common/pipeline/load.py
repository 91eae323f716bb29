"""Stage 3, data loading: the next batch, through torch's DataLoader.

Stages 1 and 2 happen inside it, as in any torch program: the loader asks the sampler for indices and the data set for
samples. The clock charges that time to stages 1 and 2 and not to stage 3.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from common.pipeline.partition import Batches
from common.pipeline.preprocess import Transform
from common.records.stage_clock import StageClock

Batch = tuple[torch.Tensor, torch.Tensor]


class Samples(TorchDataset[Batch]):
    """Raw samples and labels in memory, preprocessed on reading; `augment`, if given, replaces `transform`."""

    def __init__(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        transform: Transform,
        clock: StageClock,
        augment: Callable[[torch.Tensor, list[int]], torch.Tensor] | None = None,
    ) -> None:
        self.x, self.y, self.transform, self.clock, self.augment = x, y, transform, clock, augment

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> Batch:
        x, y = self.__getitems__([index])
        return x[0], y[0]

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return a batch: model input of shape (len(indices), *sample), float32 or ids, and labels, int64."""
        selected = torch.tensor(indices)
        raw, labels = self.x[selected], self.y[selected]
        with self.clock("preprocess"):
            return self.transform(raw) if self.augment is None else self.augment(raw, indices), labels


class TimedBatches(Sampler[list[int]]):
    """A sampler over `batches` whose time is charged to stage 2."""

    def __init__(self, batches: Batches, clock: StageClock) -> None:
        self.batches, self.clock = batches, clock

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        drawn = iter(self.batches)
        while True:
            with self.clock("partition"):
                indices = next(drawn, None)
            if indices is None:
                return
            yield indices


def _unchanged(batch: Any) -> Any:
    return batch


def loader(samples: Samples, batches: Batches) -> DataLoader[Batch]:
    """Return a loader that goes over `batches` once, one batch a step."""
    return DataLoader(
        samples,
        batch_sampler=TimedBatches(batches, samples.clock),
        collate_fn=_unchanged,
        generator=torch.Generator(),
    )
