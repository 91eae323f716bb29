"""The learning rate of a step: a pure function of the step, so that workers and servers need not agree on it.

    constant   lr
    linear     lr · (1 - k/T), so the last step still learns
    cosine     lr · (1 + cos(πk/T))/2 (Loshchilov & Hutter 2017, without restarts)
    step       lr · decay^⌊k/decay_every⌋

T is the number of steps after the warm-up, k the number of those before this one. During a warm-up of W steps the rate
rises in a straight line: (i+1)/W of `lr` in step i (Goyal et al. 2017). The values equal those of torch's LinearLR,
CosineAnnealingLR and StepLR after its LinearLR. Those count their own calls; here a server may get steps in any order.
"""

import math

from common.runtime.job import OptimizerSpec

SCHEDULES = ("constant", "linear", "cosine", "step")


def learning_rate(spec: OptimizerSpec, step: int) -> float:
    """Return the rate in `step`, from 0. ValueError if the schedule is unknown or lacks the number of steps."""
    if step < spec.warmup:
        return spec.lr * (step + 1) / spec.warmup
    if spec.schedule == "constant":
        return spec.lr
    after = step - spec.warmup
    if spec.schedule == "step":
        return float(spec.lr * spec.decay ** (after // spec.decay_every))
    if spec.schedule not in SCHEDULES or spec.steps <= spec.warmup:
        raise ValueError(f"schedule {spec.schedule!r} over {spec.steps} steps with a warm-up of {spec.warmup}")
    share = min(1.0, after / (spec.steps - spec.warmup))
    return spec.lr * (1 - share if spec.schedule == "linear" else (1 + math.cos(math.pi * share)) / 2)
