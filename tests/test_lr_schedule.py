"""The learning rate is torch's, for each schedule, and the same wherever stage 6 happens."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from jobs import job, run
from torch.optim import lr_scheduler

from common.pipeline.lr_schedule import SCHEDULES, learning_rate
from common.pipeline.update import FlatOptimizer
from common.runtime.job import OptimizerSpec

STEPS = 30
SPEC = OptimizerSpec("sgd", lr=0.4, momentum=0.9, decay=0.5, decay_every=7, steps=STEPS)


def torchs(spec):
    """The rates that torch's own schedulers give."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=spec.lr)
    left = STEPS - spec.warmup
    parts = {
        "constant": lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "linear": lambda: lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=left),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, T_max=left),
        "step": lambda: lr_scheduler.StepLR(optimizer, spec.decay_every, spec.decay),
    }
    if spec.warmup:
        rising = lr_scheduler.LinearLR(optimizer, 1 / spec.warmup, 1.0, total_iters=spec.warmup - 1)
        scheduler = lr_scheduler.SequentialLR(optimizer, [rising, parts[spec.schedule]()], [spec.warmup])
    else:
        scheduler = parts[spec.schedule]()
    seen = []
    for _ in range(STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")  # torch's SequentialLR calls itself so
@pytest.mark.parametrize("warmup", [0, 2, 5])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_of_every_step_is_that_of_torchs_scheduler(schedule, warmup):
    spec = replace(SPEC, schedule=schedule, warmup=warmup)
    assert [learning_rate(spec, step) for step in range(STEPS)] == pytest.approx(torchs(spec), abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_step_of_the_job_learns_something(schedule):
    assert min(learning_rate(replace(SPEC, schedule=schedule, warmup=4), step) for step in range(STEPS)) > 0


@pytest.mark.parametrize("spec", [replace(SPEC, schedule="linear", steps=0), replace(SPEC, schedule="sine")])
def test_a_schedule_that_cannot_be_is_refused(spec):
    with pytest.raises(ValueError, match=f"schedule '{spec.schedule}'"):
        learning_rate(spec, 0)


def test_an_update_takes_the_rate_of_its_own_step_times_its_damping():
    params = np.zeros(1, np.float32)
    optimizer = FlatOptimizer(replace(SPEC, lr=1.0, momentum=0.0, schedule="step"), params)
    seen = []
    for at, damping in ((0, 1.0), (7, 1.0), (0, 0.5), (14, 0.5)):  # in any order
        before = params.item()
        optimizer.step(np.ones(1, np.float32), at, damping)
        seen.append(before - params.item())
    assert seen == [1.0, 0.5, 0.5, 0.125]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "step"])
@pytest.mark.parametrize(("strategy", "servers"), [("ring", 0), ("ps-bsp", 2)])
def test_with_a_schedule_all_strategies_still_compute_what_one_process_does(strategy, servers, schedule):
    spec = replace(SPEC, lr=0.1, schedule=schedule, warmup=3)
    alone = run(job("single", steps=STEPS, optimizer=spec)).params
    together = run(job(strategy, servers=servers, steps=STEPS, optimizer=spec)).params
    assert np.linalg.norm(together - alone) <= 1e-4 * np.linalg.norm(alone)
    constant = run(job("single", steps=STEPS, optimizer=replace(spec, schedule="constant"))).params
    assert np.linalg.norm(alone - constant) > 1e-3 * np.linalg.norm(alone)
