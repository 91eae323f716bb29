"""The loader gives exactly the samples that the partition names, preprocessed, and each stage's time to that stage."""

import pytest
import torch

from common.pipeline.load import Samples, TimedBatches, loader
from common.pipeline.partition import Batches, partition
from common.pipeline.preprocess import Normalise
from common.records.stage_clock import STAGES, StageClock

X = torch.rand(50, 1, 3, 3, generator=torch.Generator().manual_seed(0))
Y = torch.arange(50) % 7
NORMALISE = Normalise(mean=0.25, std=0.5)


def batches(steps=9):
    """Batches of 4 for two workers: more steps than an epoch has."""
    return Batches(partition(50, 2, seed=3), (0, 1), 4, steps, 3)


def samples(clock=None):
    return Samples(X, Y, NORMALISE, clock or StageClock(lambda: 0.0))


def test_a_batch_is_the_samples_at_the_drawn_indices_preprocessed_and_their_labels():
    loaded = list(loader(samples(), batches()))
    expected = list(batches())
    assert len(loaded) == len(expected) == 9
    for (inputs, labels), indices in zip(loaded, expected, strict=True):
        assert torch.equal(inputs, (X[indices] - 0.25) / 0.5)
        assert torch.equal(labels, Y[indices])


def test_the_loader_is_as_long_as_there_are_steps():
    assert len(loader(samples(), batches(steps=5))) == 5


def test_one_sample_is_like_a_batch_of_one():
    inputs, label = samples()[7]
    assert torch.equal(inputs, (X[7] - 0.25) / 0.5)
    assert label == Y[7]
    assert len(samples()) == 50


def test_no_batch_is_drawn_ahead_so_the_digests_are_those_of_the_batch_in_hand():
    drawing, beside = batches(), batches()
    steps = iter(loader(samples(), drawing))
    for indices in beside:
        inputs, _ = next(steps)
        assert torch.equal(inputs, NORMALISE(X[indices]))
        assert drawing.digests == beside.digests
    assert next(steps, None) is None


def test_loading_takes_no_random_numbers_from_the_model():
    before = torch.get_rng_state()
    list(loader(samples(), batches()))
    assert torch.equal(torch.get_rng_state(), before)


class Stages:
    """A clock, data, batches and a transform for which time passes: each in its own stage, at its own pace."""

    def __init__(self):
        self.seconds = 0.0
        self.entered = []
        self.clock = StageClock(lambda: self.seconds, self.entered.append)

    def after(self, seconds, value):
        self.seconds += seconds
        return value

    def __len__(self):
        return 3

    def __iter__(self):
        for indices in ([1, 2], [3, 4], [5, 6]):
            yield self.after(1.0, indices)
        self.seconds += 1.0

    def __getitem__(self, which):
        return self.after(10.0, X[which])

    def transform(self, raw):
        return self.after(100.0, NORMALISE(raw))


def test_partitioning_and_preprocessing_are_timed_as_such_and_the_rest_as_loading():
    stages = Stages()
    steps = iter(loader(Samples(stages, Y, stages.transform, stages.clock), stages))
    stages.clock.take()
    for _ in range(3):
        with stages.clock("load"):
            next(steps)
        expected = {**dict.fromkeys(STAGES, 0.0), "partition": 1.0, "load": 10.0, "preprocess": 100.0}
        assert stages.clock.take() == expected
    assert stages.entered == ["load", "partition", "load", "preprocess", "load"] * 3


def test_the_end_of_the_batches_ends_the_loader():
    timed = TimedBatches(batches(steps=2), StageClock(lambda: 0.0))
    assert list(timed) == list(batches(steps=2))


def test_an_index_out_of_range_is_an_error_in_load():
    stages = Stages()
    steps = iter(loader(Samples(X[:2], Y[:2], stages.transform, stages.clock), stages))
    with pytest.raises(IndexError), stages.clock("load"):
        next(steps)
    assert stages.entered[-1] == "load"
