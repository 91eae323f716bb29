"""Check whether runs computed the same thing, by the parameters that they ended with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.errors import CheckFailed
from experiments.runs.run import Run

# Strategies add up in different orders, so the last bits of float32 differ, and training magnifies that. A mistake
# such as a sum for a mean, or a lost update, is orders of magnitude above.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class ParameterCheck:
    """How the parameters of a run compare with the yardstick's; `reason` says why that is not known."""

    kind: Literal["reference", "same", "differs", "not promised", "unknown"]
    deviation: float | None = None
    reason: str = ""

    @property
    def needs_others(self) -> bool:
        """Whether it says nothing about a run alone: the run is the reference, or it promises nothing."""
        return self.kind in ("reference", "not promised")


def deviation(run: Run, reference: Run) -> float:
    """Return ‖a−b‖₂/‖b‖₂ of the final parameters, in float64. CheckFailed if they cannot be read or compared."""
    a, b = _parameters(run), _parameters(reference)
    if a.shape != b.shape:
        raise CheckFailed(f"{run.path} has {a.size} parameters, {reference.path} has {b.size}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan  # parameters that diverged are not even equal to themselves
    distance, norm = float(np.linalg.norm(a - b)), float(np.linalg.norm(b))
    if norm == 0.0:
        return 0.0 if distance == 0.0 else math.inf
    return distance / norm


def _parameters(run: Run) -> NDArray[np.float64]:
    file = run.path / "params.npy"
    try:
        values = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise CheckFailed(f"{run.path} has no params.npy") from None
    except (OSError, ValueError, EOFError) as error:
        raise CheckFailed(f"{file} cannot be read: {error}") from error
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype != np.float32:
        raise CheckFailed(f"{file} is not a flat float32 array")
    return values.astype(np.float64)


def check_parameters(runs: Sequence[Run]) -> list[ParameterCheck]:
    """Return one check a run, against the yardstick of these runs."""
    standard = yardstick(runs)
    return [ParameterCheck("reference", 0.0) if run is standard else _check(run, standard) for run in runs]


def yardstick(runs: Sequence[Run]) -> Run | None:
    """Return `single` if it is among `runs`, else the first synchronous run; None if no run is fit for it."""
    fit = [
        run
        for run in runs
        if run.status == "ok"
        and run.summary.consistency == "bsp"
        and _equal_replicas(run)
        and (run.path / "params.npy").is_file()
    ]
    return next((run for run in fit if run.strategy == "single"), fit[0] if fit else None)


def _equal_replicas(run: Run) -> bool:
    """Whether the workers have equal parameters, or the strategy does not promise it."""
    return not run.summary.replicas_equal or len(set(run.summary.params_sha256)) <= 1


def _check(run: Run, standard: Run | None) -> ParameterCheck:
    value, reason = None, ""
    if run.status != "ok":
        reason = f"the run {'failed' if run.status == 'failed' else 'is ' + run.status}"
    elif standard is None:
        reason = "no synchronous run to compare with"
    else:
        try:
            value = deviation(run, standard)
        except CheckFailed as error:
            reason = str(error)
    finite = value if value is not None and math.isfinite(value) else None
    if run.summary.consistency != "bsp":
        return ParameterCheck("not promised", finite, reason)
    if value is None:
        return ParameterCheck("unknown", None, reason)
    if finite is None:
        return ParameterCheck("differs", None, "the parameters diverged, or the reference's are all zero")
    if not _equal_replicas(run):  # params.npy is worker 0's alone, so it says nothing about the other replicas
        return ParameterCheck("differs", value, "the workers ended with different parameters")
    return ParameterCheck("same" if value <= TOLERANCE else "differs", value)


def same_bits(runs: Sequence[Run]) -> None:
    """Raise CheckFailed unless all repeats of a strategy ended with the same bits."""
    first: dict[str, Sequence[str]] = {}
    for run in runs:
        hashes = run.summary.params_sha256
        if first.setdefault(run.strategy, hashes) != hashes:
            raise CheckFailed(f"{run.strategy}: the same command gave other bits the second time, in {run.path}")
