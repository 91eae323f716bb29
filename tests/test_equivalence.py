"""A verdict claims no more than was checked."""

import math

import numpy as np
import pytest
from runs import fail, write_run

from common.errors import CheckFailed
from experiments.comparison.equivalence import TOLERANCE, check_parameters, deviation, same_bits
from experiments.runs.find import load_run


@pytest.fixture
def run(tmp_path):
    """Writes a run with a folder of its own and loads it."""
    count = iter(range(100))
    return lambda strategy="ring", **fields: load_run(write_run(tmp_path, strategy, name=f"{next(count)}", **fields))


def test_the_deviation_is_relative_to_the_norm_of_the_reference(run):
    reference = run(params=[3.0, 4.0])
    assert deviation(reference, reference) == 0.0
    assert deviation(run(params=[3.0, 4.5]), reference) == pytest.approx(0.1)
    assert deviation(reference, run(params=[0.3, 0.4])) == pytest.approx(9.0)


def test_the_deviation_is_computed_in_float64(run):
    reference = run(params=[1.0] * 4)
    nearly = run(params=[float(np.nextafter(np.float32(1), np.float32(2)))] + [1.0] * 3)
    assert deviation(nearly, reference) == pytest.approx(2.0**-24)
    assert deviation(run(params=[3e38]), run(params=[1.5e38])) == pytest.approx(1.0)  # squares overflow float32


def test_a_reference_of_zeros_is_equalled_by_zeros_only(run):
    zeros = run(params=[0.0, 0.0])
    assert deviation(zeros, zeros) == 0.0
    assert deviation(run(), zeros) == math.inf


def test_parameters_that_diverged_equal_nothing(run):
    diverged = run(params=[math.nan, 1.0])
    assert math.isnan(deviation(diverged, diverged))
    found = check_parameters([run(), diverged, run("noop", params=[math.nan, 1.0])])
    assert (found[1].kind, found[1].deviation) == ("differs", None)  # JSON has no nan
    assert "diverged" in found[1].reason
    assert (found[2].kind, found[2].deviation) == ("not promised", None)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (np.zeros(3, np.float32), "has 3 parameters, .* has 2"),
        (np.zeros((1, 2), np.float32), "is not a flat float32 array"),
        (np.zeros(2, np.float64), "is not a flat float32 array"),
    ],
)
def test_parameters_of_another_shape_or_type_are_refused(run, params, reason):
    other = run()
    np.save(other.path / "params.npy", params)
    with pytest.raises(CheckFailed, match=reason):
        deviation(other, run())


def test_pickled_parameters_are_never_loaded(run):
    other = run()
    np.save(other.path / "params.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CheckFailed, match="cannot be read"):
        deviation(other, run())


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"nonsense"])
def test_a_damaged_parameter_file_is_named(run, content):
    other = run()
    (other.path / "params.npy").write_bytes(content)
    with pytest.raises(CheckFailed, match=r"params\.npy cannot be read"):
        deviation(other, run())
    (other.path / "params.npy").unlink()
    with pytest.raises(CheckFailed, match=r"has no params\.npy"):
        deviation(other, run())


def test_single_is_the_yardstick_wherever_it_stands(run):
    found = check_parameters([run("ring"), run("single"), run("star", params=[3.0, 4.5])])
    assert [verdict.kind for verdict in found] == ["same", "reference", "differs"]
    assert found[2].deviation == pytest.approx(0.1)


def test_without_single_the_first_synchronous_run_that_ended_well_is_the_yardstick(run):
    found = check_parameters([run("noop"), run("tree", **fail()), run("ring"), run("star")])
    assert [verdict.kind for verdict in found] == ["not promised", "unknown", "reference", "same"]
    assert found[1].reason == "the run failed"


def test_the_tolerance_divides_same_from_different(run):
    found = check_parameters([run(params=[1.0]), run(params=[1 + 0.9 * TOLERANCE]), run(params=[1 + 1.1 * TOLERANCE])])
    assert [verdict.kind for verdict in found] == ["reference", "same", "differs"]


@pytest.mark.parametrize("strategy", ["noop", "ps-async", "ps-ssp"])
def test_a_strategy_that_promises_nothing_is_measured_but_not_judged(run, strategy):
    found = check_parameters([run("single"), run(strategy, params=[3.0, 4.5])])[1]
    assert found.kind == "not promised"
    assert found.deviation == pytest.approx(0.1)


def test_replicas_that_differ_are_not_called_the_same_because_worker_0_is(run):
    found = check_parameters([run("single"), run("ring", params_sha256=["a", "a", "a", "b"])])[1]
    assert (found.kind, found.deviation) == ("differs", 0.0)
    assert "different parameters" in found.reason


def test_replicas_that_promise_no_equality_are_judged_by_worker_0(run):
    found = check_parameters([run("single"), run("mpi", params_sha256=["a", "b"], replicas_equal=False)])[1]
    assert found.kind == "same"


def test_replicas_that_differ_are_no_yardstick(run):
    found = check_parameters([run("ring", params_sha256=["a", "b"]), run("star")])
    assert [verdict.kind for verdict in found] == ["differs", "reference"]


def test_without_a_synchronous_run_nothing_is_judged(run):
    found = check_parameters([run("noop"), run("ps-async")])
    assert [verdict.kind for verdict in found] == ["not promised"] * 2
    assert check_parameters([run("ring", **fail())])[0].kind == "unknown"
    assert check_parameters([]) == []


def test_repeats_with_other_bits_are_refused(tmp_path):
    first, same, other = (
        load_run(write_run(tmp_path, "ring", name=f"{n}", params_sha256=[bits])) for n, bits in enumerate("aab")
    )
    same_bits([first, same])
    with pytest.raises(CheckFailed, match=r"ring: .*other bits"):
        same_bits([first, same, other])
