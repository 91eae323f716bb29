"""Every model, partition and transform: strategies compute the same as one process."""

import numpy as np
import pytest
from jobs import job, run

from common.models import MODELS
from common.pipeline.partition import PARTITIONERS
from common.runtime.job import OptimizerSpec

PLAIN = OptimizerSpec("sgd", lr=0.05, momentum=0.0)
IMAGES = "synthetic:samples=300,features=2,side=6,classes=4"
WORK = {  # of each model: data, hidden
    "mlp": ("synthetic:samples=300", (8,)),
    "cnn": (IMAGES, (8,)),
    "resnet": (IMAGES, (8, 16)),
    "transformer": ("text", (16,)),
    "embedding": ("clicks:rows=50,samples=300", (4, 8)),
}


def deviation(one, other):
    """‖a−b‖₂/‖b‖₂ of the parameters."""
    a, b = (result.params.astype(float) for result in (one, other))
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def pair(strategy="ring", servers=0, steps=4, optimizer=PLAIN, **more):
    """The work done by one process, and by three workers."""
    return (
        run(job("single", steps=steps, optimizer=optimizer, **more)),
        run(job(strategy, servers=servers, steps=steps, optimizer=optimizer, **more)),
    )


def test_every_model_is_tested():
    assert set(WORK) == set(MODELS)


@pytest.mark.parametrize(
    ("model", "strategy", "servers"), [*((name, "ring", 0) for name in sorted(WORK)), ("resnet", "ps-bsp", 2)]
)
def test_a_synchronous_strategy_trains_every_model_as_one_process_would(model, strategy, servers):
    data, hidden = WORK[model]
    one, many = pair(strategy, servers, model=model, data=data, hidden=hidden)
    assert deviation(many, one) < 1e-4
    np.testing.assert_allclose(many.losses, one.losses, rtol=1e-3)
    assert many.ledger == one.ledger
    assert one.losses[-1] != one.losses[0]


@pytest.mark.parametrize("model", ["resnet", "transformer"])
def test_new_models_learn(model):
    data, hidden = WORK[model]
    rule = OptimizerSpec("adam", lr=0.02)
    losses = run(job("single", steps=20, model=model, data=data, hidden=hidden, optimizer=rule)).losses
    assert losses[-3:].mean() < 0.8 * losses[0]


@pytest.mark.parametrize("how", ["contiguous", "strided", "dirichlet:0.5"])
def test_strategies_agree_with_every_partition_and_each_partition_has_its_own_ledger(how):
    one, many = pair(partition=how)
    assert deviation(many, one) < 1e-4
    assert many.ledger == one.ledger
    assert many.ledger != run(job("ring", steps=4, optimizer=PLAIN)).ledger
    assert how.partition(":")[0] in {name.partition(":")[0] for name in PARTITIONERS}


@pytest.mark.parametrize("preprocess", ["normalise,random-crop,flip", "flip"])
def test_strategies_see_the_same_pixels_in_every_epoch(preprocess):
    work = {"data": "synthetic:samples=96,features=1,side=8,classes=4", "preprocess": preprocess, "steps": 6}
    one, many = pair(**work)  # three epochs
    assert deviation(many, one) < 1e-4
    assert deviation(many, run(job("ring", optimizer=PLAIN, **{**work, "preprocess": "normalise"}))) > 1e-3
